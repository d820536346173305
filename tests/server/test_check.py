"""The doctor, on real servers that something is wrong with: what it finds, and that what it says mends it."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.team import CONFIG, make_clone

from pushforward.commands.cli import main
from pushforward.errors import PushforwardError
from pushforward.git.refs import TRUST
from pushforward.git.repository import Repository
from pushforward.pointers import OUT_OF_LFS
from pushforward.registry import signers, ssh
from pushforward.server import check, installation
from pushforward.server.init import init

pytestmark = pytest.mark.whole


@pytest.fixture
def clone(tmp_path, git):
    return make_clone(tmp_path / "clone", git, CONFIG.replace("../../store", "../../my store"))


@pytest.fixture
def server(clone):
    return init(clone, bare=clone.parent / "the hub.git")


def problems(server):
    return {finding.name: finding for finding in installation.server(Path(server.bare)) if not finding.ok}


def run(clone, monkeypatch, *args):
    monkeypatch.chdir(clone)
    return CliRunner().invoke(main, ["check", *args])


def test_a_server_that_init_made_has_nothing_wrong(server):
    assert problems(server) == {}


def test_every_finding_has_a_name_and_what_was_found(server):
    findings = [*check.machine(Path(server.bare), trust=True), *installation.server(Path(server.bare))]
    names = [finding.name for finding in findings]
    assert len(set(names)) == len(names)
    assert names[:6] == ["python", "git", "ssh-keygen", "act", "jail", "disk"]
    assert all(finding.found for finding in findings)


@pytest.mark.parametrize(
    ("name", "text", "words", "mend"),
    [
        ("params.yaml", "window_start: 2013-01-01\n", "quote the date at window_start", "edit params.yaml"),
        ("params.yaml", "version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer", OUT_OF_LFS),
        ("dvc.yaml", 'stages:\n  a:\n    foreach: ["x@y"]\n    do: {cmd: x}\n', "the item 'x@y'", "edit dvc.yaml"),
    ],
)
def test_settings_that_would_end_a_run_are_found_before_it(clone, name, text, words, mend):
    (found,) = check.project(Repository(clone))
    assert found.ok, found.found
    (clone / name).write_text(text)
    (found,) = check.project(Repository(clone))
    assert (found.ok, found.mend) == (False, mend)
    assert words in found.found


def test_what_a_project_lacks_is_told_all_at_once_with_file_and_line(clone):
    text = (clone / "pushforward.yaml").read_text()
    assert "path: model\n" in text
    (clone / "pushforward.yaml").write_text(text.replace("path: model\n", "path: modle\n    card: docs/card.md\n"))
    (clone / "dvc.yaml").write_text("stages:\n  train: {cmd: t, outs: [model, data/holdout]}\n")
    readable, *faults = check.project(Repository(clone))
    assert readable.ok
    faults = [one for one in faults if one.found.startswith("pushforward.yaml")]
    assert {(one.name, one.ok, one.optional) for one in faults} == {("project", False, True)}
    line = text.splitlines().index("    path: model") + 1
    told = [one.found for one in faults]
    assert f"pushforward.yaml:{line}: modle (path) is no out of dvc.yaml" in told
    assert f"pushforward.yaml:{line + 1}: docs/card.md is not there" in told


def test_a_hook_that_is_missing_is_found_and_made_again(server, clone):
    for name in ("pre-receive", "post-receive"):
        (Path(server.bare) / "hooks" / name).unlink()
    found = problems(server)
    assert list(found) == ["pre-receive", "post-receive", "self-test"]
    for name in ("pre-receive", "post-receive"):
        assert (found[name].found, found[name].mend) == ("missing", "pushforward init")
    init(clone, bare=Path(server.bare))
    assert problems(server) == {}


def test_a_hook_that_git_would_skip_is_found_and_the_command_mends_it(server):
    (Path(server.bare) / "hooks" / "pre-receive").chmod(0o644)
    found = problems(server)["pre-receive"]
    assert "not executable" in found.found
    subprocess.run(["sh", "-c", found.mend], check=True)
    assert problems(server) == {}


def test_the_test_push_leaves_nothing_behind(server, git):
    bare = Path(server.bare)
    before = git(bare, "for-each-ref"), git(bare, "count-objects")
    assert problems(server) == {}
    assert (git(bare, "for-each-ref"), git(bare, "count-objects")) == before
    (bare / "hooks" / "pre-receive").unlink()
    assert "a push that must be refused was taken: no policy" in problems(server)["self-test"].found
    assert git(bare, "for-each-ref") == before[0]
    assert not (bare / "pushforward" / "dispatch.log").exists(), "and nothing was started"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("#!/bin/sh\nexit 0\n", "a push that must be refused was taken: no policy"),
        ("#!/bin/sh\necho out of order >&2\nexit 1\n", "the hook did not answer: remote: out of order"),
        ("#!/nowhere/python\n", "the hook did not answer: "),
        ("#!/bin/sh\nkill -9 $$\n", "the hook did not answer: "),
    ],
)
def test_a_hook_with_other_content_is_found_and_what_comes_of_it(server, text, found):
    (Path(server.bare) / "hooks" / "pre-receive").write_text(text)
    wrong = problems(server)
    assert wrong["pre-receive"].found == "not as pushforward init writes it"
    assert found in wrong["self-test"].found


def test_a_hook_whose_policy_is_gone_refuses_everything_and_is_found(server):
    (server.folder / "lib" / "pushforward" / "policy" / "hook.py").unlink()
    found = problems(server)
    assert set(found) == {"self-test", "copy"}
    assert found["copy"].found == "not the tool at hand: policy/hook.py"


def test_an_older_copy_of_the_tool_is_found_and_init_renews_it(server, clone):
    for name in ("gate/decision.py", "gate/stats.py", "report/markdown.py", "server/runs.py"):
        (server.folder / "lib" / "pushforward" / name).write_text("# older\n")
    found = problems(server)["copy"]
    assert found.found == "not the tool at hand: gate/decision.py, gate/stats.py, report/markdown.py and 1 more"
    assert found.mend == "pushforward init"
    init(clone, bare=Path(server.bare))
    assert problems(server) == {}


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("keys", 0o755, "others may read it"),
        ("keys/ci", 0o644, "others may read it"),
        ("allowed_signers", 0o664, "others may write it"),
        ("allowed_signers", 0o666, "others may write it"),
        (".", 0o777, "others may write it"),
    ],
)
def test_keys_that_others_may_read_or_change_are_found_and_the_command_mends_it(server, name, mode, said):
    path = server.folder / name
    path.chmod(mode)
    ((_, found),) = problems(server).items()
    assert found.found == f"{path} has mode {mode:03o}: {said}"
    subprocess.run(["sh", "-c", found.mend], check=True)
    assert problems(server) == {}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "keys" / "ci").unlink(), "keys/ci is missing"),
        (lambda folder: (folder / "allowed_signers").unlink(), "allowed_signers is missing"),
        (lambda folder: (folder / "keys" / "ci").write_text("x"), "keys/ci is damaged, or has a passphrase"),
        (lambda folder: (folder / "allowed_signers").write_text("x\n"), "allowed_signers, line 1: not a line"),
        (lambda folder: (folder / "allowed_signers").write_text(""), "own key is not among the allowed signers"),
        (lambda folder: (folder / "allowed_signers").open("a").write("# me\n"), "refs/pushforward/trust is not what"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_keys_that_do_not_fit_together_are_found(server, spoil, said):
    spoil(server.folder)
    assert said in problems(server)["keys"].found


def test_a_revoked_key_of_the_server_is_found_and_init_makes_another(server, clone):
    place = signers.place_of(clone, Path(server.bare))
    signers.revoke(place, signers.public_half(signers.private_key(Path(server.bare))))
    assert problems(server)["keys"].mend == "pushforward init"
    init(clone, bare=Path(server.bare))
    assert problems(server) == {}


def test_refs_that_pushers_would_see_are_found(server, git):
    git(Path(server.bare), "config", "--unset-all", "receive.hideRefs")
    assert problems(server)["receive.hiderefs"].found == "not set"


def test_whether_main_is_protected_is_said(server, clone):
    def found():
        return next(one.found for one in installation.server(Path(server.bare)) if one.name == "protect")

    assert found() == "main takes what is not judged yet; pushforward init --protect-main changes that"
    init(clone, bare=Path(server.bare), protect=True)
    assert found() == "main takes only what has a passing verdict"


def person(clone):
    return {finding.name: finding for finding in check.person(clone)}


def test_what_a_person_needs_to_commit_and_to_sign(server, clone, git, tmp_path):
    found = person(clone)
    assert (found["user.email"].found, found["user.name"].ok) == ("ann@example.org", True)
    assert (found["signing"].ok, found["signing"].optional) == (False, True)
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    git(clone, "config", "gpg.format", "ssh")
    git(clone, "config", "user.signingkey", f"{key}.pub")
    public = signers.read_key(Path(f"{key}.pub"))
    print_of = ssh.fingerprint(public)
    assert person(clone)["signing"].found == f"your key {print_of} is not trusted as ann@example.org"
    place = signers.place_of(clone)
    signers.add(place, public, "ann@example.org")
    assert person(clone)["signing"].ok
    signers.revoke(place, public)
    assert "was revoked at " in person(clone)["signing"].found
    git(clone, "config", "--global", "--unset", "user.email")
    found = person(clone)
    assert found["user.email"].mend == "git config --global user.email YOU@EXAMPLE.ORG"
    assert "is not trusted as yours" in found["signing"].found


@pytest.fixture
def distant(server, clone, git, tmp_path):
    """A clone whose `local` is a server on "another machine": git reaches it through a stand-in for ssh."""
    program = tmp_path / "ssh"
    program.write_text('#!/bin/sh\nwhile [ "$1" != hub ]; do shift; done\nshift\nexec sh -c "$*"\n')
    program.chmod(0o755)
    git(tmp_path, "config", "--global", "core.sshCommand", str(program))
    git(tmp_path, "config", "--global", "ssh.variant", "simple")
    git(clone, "remote", "set-url", "local", f"hub:{server.bare}")
    return clone


def test_a_server_elsewhere_is_tried_from_here_and_looked_at_there(distant, server, git):
    def found():
        return {one.name: one for one in check.everything(distant)}

    first = found()
    assert first["server"].ok
    assert f"ssh hub 'pushforward check --bare '\"'\"'{server.bare}'\"'\"''" in first["server"].found
    assert first["self-test"].ok
    assert "copy" not in first
    hook = Path(server.bare) / "hooks" / "pre-receive"
    hook.unlink()
    assert "no policy" in found()["self-test"].found
    assert "selftest" not in git(Path(server.bare), "for-each-ref")
    git(Path(server.bare), "update-ref", "-d", TRUST)
    assert "has no allowed signers" in found()["server"].found
    Path(server.bare).rename(server.bare + ".away")
    lost = found()
    assert "does not answer" in lost["server"].found
    assert "self-test" not in lost


def test_on_the_server_it_needs_no_clone(server, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    done = run(tmp_path / "elsewhere", monkeypatch, "--bare", server.bare)
    assert f"ok       server: {server.bare}\n" in done.stdout
    assert "signing" not in done.output


@pytest.mark.parametrize(("text", "ok"), [("9.1p1", True), ("10.0p2", True), ("8.9p1", False)])
def test_the_version_of_openssh_counts(tmp_path, monkeypatch, text, ok):
    for name in ("ssh", "ssh-keygen"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho 'OpenSSH_{text} Debian-1, OpenSSL 3' >&2\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = next(finding for finding in check.machine(tmp_path, trust=True) if finding.name == "ssh-keygen")
    assert (found.ok, found.found) == (ok, f"OpenSSH_{text} Debian-1")


def test_a_store_that_takes_no_file_is_found(server, tmp_path):
    shutil.rmtree(tmp_path / "my store")
    (tmp_path / "my store").write_text("not a folder")
    assert "takes no file: Not a directory" in problems(server)["store"].found


def test_a_server_without_its_default_branch_is_found(server, clone, git):
    bare = Path(server.bare)
    git(bare, "fetch", "-q", str(clone), "HEAD:refs/heads/trunk")
    found = problems(server)
    assert list(found) == ["HEAD"]
    assert found["HEAD"].found == f"refs/heads/{server.default_branch} is not there"
    assert found["HEAD"].mend.startswith(f"git push local {server.default_branch}, or git --git-dir=")
    subprocess.run(found["HEAD"].mend.partition(", or ")[2].replace("BRANCH", "trunk"), shell=True, check=True)
    assert problems(server) == {}


def test_a_server_whose_head_names_no_branch_is_found_and_no_crash(server, clone, git):
    bare = Path(server.bare)
    git(bare, "fetch", "-q", str(clone), "HEAD:refs/heads/main")
    (bare / "HEAD").write_text(git(bare, "rev-parse", "refs/heads/main") + "\n")
    assert problems(server)["HEAD"].found == "names no branch"


def test_a_server_that_takes_no_file_is_found(server):
    runs = server.folder / "runs"
    runs.mkdir(exist_ok=True)
    frozen = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(runs)], check=False)
    if frozen.returncode:
        pytest.skip("NOT TESTED HERE: nothing can be mounted read-only")
    try:
        found = problems(server)["writable"]
        assert found.found == f"{runs} takes no file: Read-only file system"
        subprocess.run(found.mend, shell=True, check=True)
        assert problems(server) == {}
    finally:
        subprocess.run(["umount", str(runs)], check=True)


def test_a_lock_of_the_dead_is_found_and_the_command_mends_it(server):
    lock = Path(server.bare) / "refs" / "heads" / "main.lock"
    lock.touch()
    assert problems(server) == {}, "a living git may hold it"
    os.utime(lock, (0, 0))
    found = problems(server)
    assert (found["locks"].found, list(found)) == ("of the dead: refs/heads/main.lock", ["locks"])
    CliRunner().invoke(main, shlex.split(found["locks"].mend)[1:], catch_exceptions=False)
    assert problems(server) == {}


def test_a_disk_of_the_server_that_is_nearly_full_is_found(server, monkeypatch):
    monkeypatch.setattr("pushforward.server.recover.FREE_BYTES", 1 << 60)
    found = problems(server)["space"]
    assert found.found.startswith(f"runs wait: the disk of {server.folder} has ")
    assert found.mend == f"df -h {server.folder}, then pushforward dispatch"


def test_a_hook_that_is_no_script_is_found(server):
    (Path(server.bare) / "hooks" / "post-receive").write_text("#!/bin/sh\nif then\n")
    assert problems(server)["post-receive"].mend == "pushforward init"


def test_a_store_that_is_gone_is_found_and_init_makes_it_again(server, clone, tmp_path):
    shutil.rmtree(tmp_path / "my store")
    found = problems(server)["store"]
    mend = "mount or restore it; for an empty one: pushforward init --move-store"
    assert (found.found, found.mend) == (f"{tmp_path / 'my store'} is missing", mend)
    init(clone, bare=Path(server.bare))
    assert problems(server) == {}


def test_hooks_of_the_user_are_no_problem_but_those_of_the_server_elsewhere_are(server, git, tmp_path):
    git(tmp_path, "config", "--global", "core.hooksPath", "/nowhere")
    assert problems(server) == {}
    git(Path(server.bare), "config", "core.hooksPath", "/nowhere")
    found = problems(server)
    assert found["core.hookspath"].found == "/nowhere"
    assert "no policy" in found["self-test"].found


def test_a_server_that_was_moved_is_told_and_nothing_is_wrong_with_it(server, tmp_path):
    moved = Path(server.bare).rename(tmp_path / "moved.git")
    found = {finding.name: finding for finding in installation.server(moved)}
    assert [finding for finding in found.values() if not finding.ok] == []
    assert found["server"].found == f"{moved}, and was {server.bare}"
    assert {finding.name: finding for finding in installation.server(moved)}["server"].found == str(moved)


def test_settings_that_lose_pushes_are_found(server, git):
    for key, value in (("core.logAllRefUpdates", "false"), ("core.fsync", "none")):
        git(Path(server.bare), "config", key, value)
        assert problems(server)[key.lower()].found == value
        git(Path(server.bare), "config", "--unset", key)
        assert problems(server)[key.lower()].found == "not set"


def test_an_environment_that_is_gone_is_found(server):
    path = Path(server.bare) / "pushforward" / "server.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"python": "/nowhere/python"}))
    assert problems(server)["environment"].found == "/nowhere/python"


def test_a_folder_that_is_no_server_is_one_finding(tmp_path):
    found = list(installation.server(tmp_path))
    assert [(finding.name, finding.ok, finding.mend) for finding in found] == [("server", False, "pushforward init")]


@pytest.mark.parametrize("text", ["", "[]", '{"bare": "x"}'], ids=["empty", "a list", "of another version"])
def test_a_server_that_cannot_be_read_is_a_finding_and_no_crash(server, text):
    (Path(server.bare) / "pushforward" / "server.json").write_text(text)
    assert problems(server)["server"].mend == "pushforward init"


def test_what_is_wrong_is_said_with_the_command_and_exit_code_6(server, clone, monkeypatch):
    (Path(server.bare) / "hooks" / "pre-receive").unlink()
    done = run(clone, monkeypatch)
    assert done.exit_code == 6
    assert "missing  pre-receive: missing\n  next: pushforward init\n" in done.stderr
    assert f"ok       server: {server.bare}\n" in done.stdout


def test_json_is_one_list_whatever_is_wrong(server, clone, monkeypatch):
    for broken in (False, True):
        if broken:
            (Path(server.bare) / "hooks" / "pre-receive").unlink()
        done = run(clone, monkeypatch, "--json")
        found = json.loads(done.stdout)
        assert all(set(finding) == {"name", "ok", "found", "mend", "optional"} for finding in found)
        assert done.exit_code == (0 if all(finding["ok"] or finding["optional"] for finding in found) else 6)
    missing = {"name": "pre-receive", "ok": False, "found": "missing", "mend": "pushforward init", "optional": False}
    assert missing in found


def test_a_clone_without_a_server_is_told_to_make_one(clone, monkeypatch):
    done = run(clone, monkeypatch)
    assert "later    server: this clone has none yet\n  next: pushforward init" in done.output
    assert done.exit_code == 0


def test_a_machine_without_git_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {finding.name: finding for finding in check.machine(tmp_path, trust=True)}
    assert (found["git"].ok, found["git"].found) == (False, "not installed")
    assert found["ssh-keygen"].mend == "apt-get install openssh-client"
    assert found["python"].found == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(("text", "ok"), [("2.38.0", True), ("2.39.5 (Apple Git-154)", True), ("2.37.9", False)])
def test_the_version_of_git_counts(tmp_path, monkeypatch, text, ok):
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\necho git version '{text}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = next(finding for finding in check.machine(tmp_path, trust=True) if finding.name == "git")
    assert (found.ok, found.found) == (ok, text)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("token", None, "token is missing, or empty"),
        ("token", "", "token is missing, or empty"),
        ("registry.json", None, "registry.json is missing, or cut off, and the policy refuses every tag"),
        ("registry.json", "{", "registry.json is missing, or cut off, and the policy refuses every tag"),
        ("registry.json", '{"model": "toy"}', "registry.json is missing, or cut off, and the policy refuses every tag"),
        ("registry.json", "[]", "registry.json is missing, or cut off, and the policy refuses every tag"),
    ],
)
def test_files_that_the_hook_reads_are_found_and_init_makes_them_again(server, clone, name, text, said):
    path = Path(server.bare) / "pushforward" / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    assert (problems(server)["files"].found, problems(server)["files"].mend) == (said, "pushforward init")
    init(clone, bare=Path(server.bare))
    assert problems(server) == {}


@pytest.mark.parametrize("text", [None, "", "x\n", "ref: nowhere\n"])
def test_a_head_that_git_takes_for_none_is_the_only_finding_and_the_command_mends_it(server, clone, text):
    path = Path(server.bare) / "HEAD"
    before = path.read_text()
    path.unlink()
    if text is not None:
        path.write_text(text)
    (found,) = problems(server).values()
    assert (found.name, "git takes the folder for no repository" in found.found) == ("HEAD", True)
    assert list(check.holdings(Path(server.bare), None, quick=True, say=print)) == []
    with pytest.raises(PushforwardError, match="git takes the folder for no repository"):
        list(check.mend(clone, Path(server.bare)))
    branch = before.strip().rpartition("/")[2]
    subprocess.run(["sh", "-c", found.mend.replace("BRANCH", branch)], check=True)
    assert path.read_text() == before
    assert problems(server) == {}


@pytest.mark.parametrize("text", ["garbage\n", None, "", "\n\n"])
def test_signers_that_are_damaged_are_not_published_and_come_back_from_the_ref(server, clone, text):
    path = Path(server.bare) / "pushforward" / "allowed_signers"
    before, published = path.read_text(), Repository(Path(server.bare)).resolve(TRUST)
    path.unlink()
    if text is not None:
        path.write_text(text)
    mend = problems(server)["keys"].mend
    list(check.mend(clone, Path(server.bare)))
    assert Repository(Path(server.bare)).resolve(TRUST) == published
    for command in mend.split(" && ")[:-1]:
        subprocess.run(["sh", "-c", command], check=True)
    init(clone, bare=Path(server.bare))
    assert path.read_text() == before
    assert problems(server) == {}


def test_of_two_servers_of_a_clone_the_one_that_local_names_is_meant(server, clone, git):
    second = init(clone_without(clone, git, "local"), bare=clone.parent / "second.git")
    git(clone, "remote", "add", "first", server.bare)
    assert init(clone).bare == second.bare


def clone_without(clone, git, remote):
    git(clone, "remote", "remove", remote)
    return clone


def test_what_is_lost_with_server_json_is_told(server, clone):
    init(clone, bare=Path(server.bare), protect=True)
    (Path(server.bare) / "pushforward" / "server.json").write_text("")
    told = []
    init(clone, bare=Path(server.bare), say=told.append)
    assert told == ["lost     what only the folder knew: whether --protect-main or --trust-pushers was set"]


def test_a_persons_own_hook_has_no_say_in_the_self_test(clone, server, git, monkeypatch):
    hooks = clone.parent / "their hooks"
    hooks.mkdir()
    (hooks / "pre-push").write_text("#!/bin/sh\nexit 2\n")
    (hooks / "pre-push").chmod(0o755)
    git(clone, "config", "--global", "core.hooksPath", str(hooks))
    assert problems(server) == {}


def test_a_git_that_reaches_no_folder_is_said_with_what_lets_it(clone, server, git):
    git(clone, "config", "--global", "protocol.file.allow", "never")
    found = problems(server)["self-test"]
    assert "git is told to reach no repository in a folder" in found.found
    git(clone, *shlex.split(found.mend)[1:])
    assert problems(server) == {}


def test_settings_that_git_cannot_read_are_the_cause_and_nothing_else_is_told(clone, server, monkeypatch):
    with Path("~/.gitconfig").expanduser().open("a") as file:
        file.write("[color\n")
    said = run(clone, monkeypatch, "--quick")
    assert said.exit_code == 6
    (line,) = (line for line in said.output.splitlines() if line.startswith(("missing", "later")))
    assert line.startswith("missing  repository: git cannot read its settings: bad config line ")
    assert "ok       git: 2." in said.output


def test_who_is_at_work_is_told_as_git_has_them(clone, server, git, monkeypatch):
    for name in ("user.name", "user.email"):
        git(clone, "config", "--global", "--unset", name)
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Ann")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "ann@example.org")
    said = run(clone, monkeypatch, "--quick").output
    assert "ok       user.name: Ann\n" in said
    assert "ok       user.email: ann@example.org\n" in said
