"""`pushforward new`: what it makes, says and refuses."""

import json

import pytest
from click.testing import CliRunner

from pushforward.commands.cli import main
from pushforward.errors import USAGE
from pushforward.project import adopt, survey


@pytest.fixture
def new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, ["new", *words])


def test_it_makes_a_repository_of_two_commits_that_adopt_finds_whole(new, tmp_path, git):
    done = new("tumours", "--json")
    assert done.exit_code == 0, done.output
    told, root = json.loads(done.output), tmp_path / "tumours"
    assert git(root, "rev-list", "--reverse", "HEAD").split() == told["commits"]
    assert sorted(git(root, "ls-files").split()) == sorted(told["files"])
    assert git(root, "status", "--porcelain", "--ignored") == ""
    assert git(root, "show", "--format=%an <%ae>%n%s", "--name-only", "HEAD").split("\n") == [
        *("pushforward <pushforward@localhost>", "Tell pushforward what is judged, and how", "", "pushforward.yaml")
    ]
    assert told["next"] == ["cd tumours", "pushforward env", "pushforward init", "git push local main"]
    found = survey.survey(root)
    assert (found.project.level, found.unignored, found.odd) == (3, (), ())
    assert [lock.locked for model in found.models for lock in model.locks] == [True]
    assert adopt.plan(root).writes == ()


def test_a_dry_run_says_the_same_and_writes_nothing(new, tmp_path):
    said = new("tumours", "--dry-run")
    assert said.exit_code == 0
    assert not (tmp_path / "tumours").exists()
    made = new("tumours")
    words = [line for line in made.output.splitlines() if not line.startswith("commits")]
    assert made.exit_code == 0
    assert said.output.replace("would make", "made      ").splitlines() == words


def test_it_says_what_commits_of_a_person_lack_and_makes_nobody_up(new, tmp_path, git):
    for key in ("user.name", "user.email"):
        git(tmp_path, "config", "--global", "--unset", key)
    asked = "git config --global user.name 'YOUR NAME'"
    assert asked in new("one").output
    git(tmp_path, "config", "--global", "user.name", "Ann")
    git(tmp_path, "config", "--global", "user.email", "ann@example.org")
    said = new("two").output
    assert "git config" not in said
    assert "2, by pushforward" in said
    assert git(tmp_path / "two", "config", "--local", "--get", "user.name", check=False) == ""


@pytest.mark.parametrize("name", ["an empty one", "über", "a.b-c_1"])
def test_an_empty_folder_and_names_of_many_kinds_are_taken(new, tmp_path, name):
    (tmp_path / name).mkdir()
    assert new(name).exit_code == 0
    assert f"url = ../../{name}.dvc\n" in (tmp_path / name / ".dvc" / "config").read_text()
    assert new(name).exit_code == USAGE


@pytest.mark.parametrize(
    ("there", "name", "why"),
    [
        ("some/file", "some", "some is not empty: file\n  next: pushforward new ANOTHER, or pushforward adopt"),
        ("some", "some", "some is no folder\n  next: pushforward new ANOTHER"),
        ("x", "a'b", "a'b: a project's name is letters, digits"),
        ("x", "a#b", "a#b: a project's name is letters, digits"),
        ("x", "/", "/: a project's name is letters, digits"),
    ],
)
def test_what_is_there_stays_as_it_is(new, tmp_path, there, name, why):
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / there).write_text("mine")
    done = new(name)
    assert done.exit_code == USAGE
    assert why in done.output
    assert (tmp_path / there).read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == [there.partition("/")[0]]


def test_a_forge_gets_the_workflows_that_adopt_makes(new, tmp_path, git):
    tool = f"https://example.org/team/pushforward.git@{'a' * 40}"
    assert new("tumours", "--tool-from", tool).exit_code == 0
    root = tmp_path / "tumours"
    assert ".github/workflows/train.yml" in git(root, "show", "--format=", "--name-only", "HEAD").split()
    assert list(adopt.stale(root)) == []
    assert git(root, "ls-files", "--stage", ".github/publish.sh").startswith("100755")
    assert f"git+{tool}" in (root / ".github/actions/setup/action.yml").read_text()
