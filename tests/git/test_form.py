"""Repositories that git or DVC cannot read: refused in one sentence, by whichever verb comes first."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pushforward import process
from pushforward.commands import cli
from pushforward.errors import PushforwardError
from pushforward.git import form
from pushforward.git.repository import Repository
from pushforward.server.init import init


def reftable(folder: Path, git) -> None:
    """Make of a repository what a git that keeps refs in a table leaves, and one that does not know them reads."""
    git(folder, "config", "core.repositoryFormatVersion", "1")
    git(folder, "config", "extensions.refStorage", "reftable")
    (folder / ".git" / "reftable").mkdir()


def test_a_reftable_is_refused_with_what_makes_files_of_it(repository, git):
    assert form.refusal(Repository(repository)) is None
    reftable(repository, git)
    with pytest.raises(PushforwardError, match=r"has refs in a reftable, which DVC cannot read") as refused:
        init(repository)
    assert refused.value.next.startswith("git refs migrate --ref-format=files")
    assert not Path(f"{repository}.git").exists()


def test_a_git_that_knows_reftables_is_told_the_same(repository, monkeypatch):
    (repository / ".git" / "reftable").mkdir()
    assert "reftable" in str(form.refusal(Repository(repository)))


@pytest.mark.parametrize("verb", ["show", "release v1.0.0", "rollback -m x", "report", "pull", "adopt --check"])
def test_every_verb_says_so_and_not_what_git_says(repository, git, monkeypatch, verb):
    reftable(repository, git)
    monkeypatch.chdir(repository)
    said = CliRunner().invoke(cli.main, verb.split())
    assert said.exit_code != 0
    text = str(said.exception) + said.output
    assert "has refs in a reftable, which DVC cannot read" in text
    assert "fatal:" not in text


def test_a_bare_repository_of_another_form_is_no_server(tmp_path, git, repository):
    (repository / ".dvc").mkdir()
    (repository / ".dvc" / "config").write_text("[core]\n    remote = s\n['remote \"s\"']\n    url = ../../store\n")
    settings = Path(__file__).parents[1] / "toy" / "pushforward.yaml"
    (repository / "pushforward.yaml").write_text(settings.read_text())
    bare = tmp_path / "there.git"
    git(tmp_path, "init", "-q", "--bare", "--object-format=sha256", str(bare))
    with pytest.raises(PushforwardError, match=r"there\.git has objects named by SHA-256"):
        init(repository, bare=bare)


def test_what_is_another_users_is_said_with_what_lets_git_read_it(repository, monkeypatch):
    said = f"fatal: detected dubious ownership in repository at '{repository}'\nTo add an exception"
    monkeypatch.setattr(process, "run", lambda *_, **__: process.Completed(128, b"", said.encode()))
    refused = form.refusal(Repository(repository))
    assert refused is not None
    assert "belongs to another user" in refused.message
    assert refused.next == f"git config --global --add safe.directory {repository}"


def test_a_git_that_is_too_old_says_for_what(repository, git):
    git(repository, "config", "core.repositoryFormatVersion", "1")
    git(repository, "config", "extensions.newThing", "true")
    refused = form.refusal(Repository(repository))
    assert refused is not None
    assert "this git is older than what made" in refused.message
    assert "newthing" in refused.message


def test_what_a_server_makes_has_the_form_that_can_be_read_whatever_is_configured(tmp_path, git):
    for name, value in (("init.defaultObjectFormat", "sha256"), ("init.defaultRefFormat", "reftable")):
        git(tmp_path, "config", "--global", name, value)
    made = Repository(tmp_path / "made.git")
    made.path.mkdir()
    made.git("init", "-q", "--bare")
    assert form.refusal(made) is None
    assert (made.path / "refs" / "heads").is_dir()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[color\n", "bad config line 3 in file {home}/.gitconfig"),
        ("[core]\n\tabbrev = 99999\n", "bad config variable 'core.abbrev' in file '{home}/.gitconfig' at line 4"),
        ("[core]\n\tbare = maybe\n", "bad boolean config value 'maybe' for 'core.bare'"),
    ],
)
def test_settings_that_git_cannot_read_are_said_with_their_file(repository, text, why):
    file = Path("~/.gitconfig").expanduser()
    file.write_text(f"[user]\n\tname = Ann\n{text}")
    refused = form.refusal(Repository(repository))
    assert refused is not None
    assert refused.message == f"git cannot read its settings: {why.format(home=file.parent)}"
    assert "git config --list --show-origin" in refused.next
