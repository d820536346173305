"""What `pushforward init` makes of a clone: pushed to by real git, renewed, refused where it cannot be."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pushforward.errors import PushforwardError
from pushforward.git import Repository
from pushforward.init import Server, init

SOURCE = Path(__file__).parent.parent.parent / "src" / "pushforward"
PARAMS = (Path(__file__).parent.parent / "toy" / "params.yaml").read_text()
CONFIG = "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"


def make_clone(git, folder):
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text(CONFIG)
    (folder / "params.yaml").write_text(PARAMS)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder


@pytest.fixture
def clone(tmp_path, git):
    return make_clone(git, tmp_path / "clone")


def snapshot(bare):
    """Everything of a server that another init could change, without compiled files."""
    return {
        str(path.relative_to(bare)): (path.stat().st_mode, path.read_bytes())
        for path in sorted(bare.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }


def refusal(clone, **options):
    with pytest.raises(PushforwardError) as refused:
        init(clone, **options)
    return refused.value


def test_a_clone_gets_a_bare_repository_a_store_and_a_remote(clone, git):
    server = init(clone)
    bare = clone.parent / "clone.git"
    assert (Path(server.bare), Path(server.store)) == (bare, clone.parent / "store")
    assert git(bare, "rev-parse", "--is-bare-repository") == "true"
    assert (clone.parent / "store").is_dir()
    assert git(clone, "remote", "get-url", "local") == str(bare)
    assert server.default_branch == "main"
    for name in ("pre-receive", "post-receive"):
        assert os.access(bare / "hooks" / name, os.X_OK)
    assert Server.load(bare) == server


def test_a_second_init_changes_nothing(clone, git):
    first = init(clone)
    bare = Path(first.bare)
    git(bare, "update-ref", "refs/heads/main", git(bare, "commit-tree", "-m", "x", git(bare, "mktree")))
    git(bare, "config", "user.note", "mine")
    config, before = (clone / ".git" / "config").read_text(), snapshot(bare)
    assert init(clone) == first
    assert snapshot(bare) == before
    assert (clone / ".git" / "config").read_text() == config


def test_the_token_is_for_the_server_alone_and_stays(clone):
    token = Path(init(clone).bare) / "pushforward" / "token"
    first = token.read_text()
    assert len(first.strip()) == 64
    assert token.stat().st_mode & 0o077 == 0
    init(clone)
    assert token.read_text() == first


def test_a_hook_that_somebody_spoiled_is_made_again(clone):
    hook = Path(init(clone).bare) / "hooks" / "pre-receive"
    text = hook.read_text()
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.chmod(0o644)
    init(clone)
    assert hook.read_text() == text
    assert os.access(hook, os.X_OK)


def test_reports_come_along_with_every_fetch(clone, git):
    init(clone)
    init(clone)
    specs = git(clone, "config", "--get-all", "remote.local.fetch").splitlines()
    assert specs == ["+refs/heads/*:refs/remotes/local/*", "+refs/notes/pushforward*:refs/notes/pushforward*"]


@pytest.mark.parametrize("branch", ["main", "trunk"])
def test_the_branch_at_hand_becomes_the_default_and_stays_it(clone, git, branch):
    git(clone, "checkout", "-q", "-B", branch)
    assert init(clone).default_branch == branch
    git(clone, "checkout", "-q", "-b", "idea")
    assert init(clone).default_branch == branch


def test_without_a_branch_it_is_refused(clone, git):
    git(clone, "checkout", "-q", "--detach")
    refused = refusal(clone)
    assert "no branch is checked out" in refused.message
    assert refused.next == "git switch main"
    assert not (clone.parent / "clone.git").exists()


def test_the_clone_of_a_colleague_joins_the_server(clone, git, tmp_path):
    server = init(clone)
    git(clone, "push", "-q", "local", "main", PUSHFORWARD_RUN="none")
    git(tmp_path, "clone", "-q", server.bare, "colleague")
    before = snapshot(Path(server.bare))
    assert init(tmp_path / "colleague") == server
    assert git(tmp_path / "colleague", "remote", "get-url", "local") == server.bare
    assert snapshot(Path(server.bare)) == before
    assert not (tmp_path / "colleague.git").exists()


def test_settings_that_cannot_be_read_make_nothing(clone):
    (clone / "params.yaml").write_text(PARAMS.replace("window: 2", "windw: 2"))
    assert "unknown key 'gate.windw'" in refusal(clone).message
    assert sorted(path.name for path in clone.parent.iterdir()) == ["clone", "home"]


def test_outside_a_repository_it_says_how_to_make_one(tmp_path):
    refused = refusal(tmp_path)
    assert "is not a git repository" in refused.message
    assert refused.next.startswith("git init")


def test_without_params_it_is_refused(clone):
    (clone / "params.yaml").unlink()
    assert "has no params.yaml" in refusal(clone).message


@pytest.mark.parametrize("text", [None, "", "[core]\n    remote = store\n", CONFIG.replace("remote = store", "x = y")])
def test_without_a_default_dvc_remote_it_is_refused(clone, text):
    (clone / ".dvc" / "config").unlink()
    if text is not None:
        (clone / ".dvc" / "config").write_text(text)
    refused = refusal(clone)
    assert "names no default remote" in refused.message
    assert refused.next == "dvc remote add -d store ../clone.dvc"


def test_a_remote_called_local_that_is_something_else_is_left_alone(clone, git):
    git(clone, "remote", "add", "local", "/somewhere/else.git")
    refused = refusal(clone)
    assert "already is /somewhere/else.git" in refused.message
    assert refused.next == "git remote rename local other"
    assert not (clone.parent / "clone.git").exists()


def test_it_works_from_a_folder_inside_the_clone(clone):
    (clone / "src").mkdir()
    assert init(clone / "src").bare == str(clone.parent / "clone.git")


def test_the_bare_repository_may_lie_elsewhere(clone, tmp_path, git, monkeypatch):
    (tmp_path / "hub").mkdir()
    monkeypatch.chdir(clone)
    server = init(clone, bare=Path("../hub/team.git"))
    assert server.bare == str(tmp_path / "hub" / "team.git")
    assert server.name == "hub/team"
    assert git(clone, "remote", "get-url", "local") == server.bare


@pytest.mark.parametrize("url", ["s3://bucket/path", pytest.param("https://example.org/a%20b")])
def test_a_store_that_is_no_folder_of_this_machine_is_not_made(clone, url):
    (clone / ".dvc" / "config").write_text(CONFIG.replace("../../store", url))
    before = sorted(clone.parent.iterdir())
    server = init(clone)
    assert server.store in {"", "."}
    assert sorted(clone.parent.iterdir()) == sorted([*before, clone.parent / "clone.git"])


def test_names_with_blanks_and_quotes_work(tmp_path, git):
    clone = make_clone(git, tmp_path / "my 'best' \"idea\" {x} $HOME")
    init(clone)
    said = git(clone, "push", "local", "HEAD:refs/notes/mine", check=False)
    assert "this server writes it" in said
    assert git(clone, "ls-remote", "local") == ""


def test_hooks_of_the_user_do_not_switch_the_policy_off(clone, git, tmp_path):
    (tmp_path / "hooks").mkdir()
    git(clone, "config", "--global", "core.hooksPath", str(tmp_path / "hooks"))
    init(clone)
    assert "this server writes it" in git(clone, "push", "local", "HEAD:refs/notes/mine", check=False)


def test_the_policy_imports_nothing_that_a_pusher_or_a_shell_offers(clone, git, tmp_path, monkeypatch):
    bare = Path(init(clone).bare)
    for folder in (tmp_path / "evil", bare):
        folder.mkdir(exist_ok=True)
        for name in ("re.py", "subprocess.py", "sitecustomize.py", "usercustomize.py"):
            (folder / name).write_text("import os\nos._exit(0)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "evil"))
    monkeypatch.setenv("PYTHONHOME", str(tmp_path / "evil"))
    assert "this server writes it" in git(clone, "push", "local", "HEAD:refs/notes/mine", check=False)
    words = shlex.split((bare / "hooks" / "pre-receive").read_text().splitlines()[-1])
    assert words[:4] == ["exec", sys.executable, "-I", "-S"]


def test_an_edit_in_the_clone_reaches_the_server_with_the_next_init(clone):
    package = clone / "src" / "pushforward"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    edited = package / "policy.py"

    def make():
        code = "from pathlib import Path; from pushforward.init import init; init(Path.cwd())"
        env = os.environ | {"PYTHONPATH": str(clone / "src")}
        subprocess.run([sys.executable, "-c", code], cwd=clone, env=env, check=True, capture_output=True)

    make()
    copy = clone.parent / "clone.git" / "pushforward" / "lib" / "pushforward"
    before = edited.read_text()
    edited.write_text(before + "# edited\n")
    (package / "fresh.py").touch()
    assert (copy / "policy.py").read_text() == before
    make()
    assert (copy / "policy.py").read_text() == before + "# edited\n"
    assert (copy / "fresh.py").exists()
    assert not list(copy.parent.parent.glob("lib.*")), "nothing of the change-over stays"


def test_a_server_is_written_down_whole(clone):
    server = init(clone, trust=True)
    path = Path(server.bare) / "pushforward" / "server.json"
    assert json.loads(path.read_text())["trust"] is True
    assert not path.with_suffix(".new").exists()


def test_a_folder_that_is_no_server_says_so(tmp_path):
    with pytest.raises(PushforwardError, match="is not a server") as refused:
        Server.load(tmp_path)
    assert refused.value.next == "pushforward init"


def test_what_was_pushed_is_remembered_even_where_the_hooks_never_ran(clone, git):
    bare = Path(init(clone).bare)
    git(clone, "push", "-q", "--receive-pack=git -c core.hooksPath=/dev/null receive-pack", "local", "main")
    head = git(clone, "rev-parse", "HEAD")
    assert [after for _, after in Repository(bare).reflog("refs/heads/main")] == [head]
