"""Who is at work and what they sign with, however git was told: files, variables, an agent."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushforward.errors import PushforwardError
from pushforward.git import person
from pushforward.git.repository import Repository
from pushforward.registry import signers

ANN = person.Identity("Ann", "ann@example.org")
HERS = "[user]\n\tname = Ann\n\temail = ann@example.org\n"


@pytest.fixture
def home() -> Path:
    """A home whose git knows nobody."""
    path = Path("~").expanduser()
    (path / ".gitconfig").write_text("[init]\n\tdefaultBranch = main\n")
    return path


@pytest.fixture
def clone(tmp_path: Path, git, home) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "-q")
    return folder


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key pair; the file of its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    return tmp_path / "key.pub"


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent without a key."""
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    socket, pid = (re.search(rf"SSH_{name}=([^;]+)", said)[1] for name in ("AUTH_SOCK", "AGENT_PID"))
    monkeypatch.setenv("SSH_AUTH_SOCK", socket)
    yield
    os.kill(int(pid), 15)


def body(path: Path) -> str:
    return " ".join(path.read_text().split()[:2])


# Who.


@pytest.mark.parametrize(
    "told",
    ["home", "xdg", "global", "variables", "include", "of the folder", "committer", "names", "EMAIL"],
)
def test_who_is_at_work_is_known_however_git_was_told(clone, home, tmp_path, monkeypatch, git, told):
    file = tmp_path / "hers"
    file.write_text(HERS)
    if told == "home":
        (home / ".gitconfig").write_text(HERS)
    elif told == "xdg":
        (tmp_path / "xdg" / "git").mkdir(parents=True)
        (tmp_path / "xdg" / "git" / "config").write_text(HERS)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    elif told == "global":
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
    elif told == "variables":
        monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
        for at, (name, value) in enumerate((("user.name", "Ann"), ("user.email", "ann@example.org"))):
            monkeypatch.setenv(f"GIT_CONFIG_KEY_{at}", name)
            monkeypatch.setenv(f"GIT_CONFIG_VALUE_{at}", value)
    elif told == "include":
        (home / ".gitconfig").write_text(f"[include]\n\tpath = {file}\n")
    elif told == "of the folder":
        (home / ".gitconfig").write_text(f'[includeIf "gitdir:{tmp_path}/"]\n\tpath = {file}\n')
    elif told == "committer":
        (home / ".gitconfig").write_text("[user]\n\tname = Bo\n\temail = bo@x\n" + HERS.replace("user", "committer"))
    elif told == "names":
        monkeypatch.setenv("GIT_COMMITTER_NAME", "Ann")
        monkeypatch.setenv("GIT_COMMITTER_EMAIL", "ann@example.org")
    else:
        (home / ".gitconfig").write_text("[user]\n\tname = Ann\n")
        monkeypatch.setenv("EMAIL", "ann@example.org")
    assert person.identity(Repository(clone)) == ANN
    # as git itself would write it
    said = git(clone, "var", "GIT_COMMITTER_IDENT")
    assert said.startswith("Ann <ann@example.org> ")


def test_nobody_is_guessed_from_the_machine(clone, git):
    assert person.identity(Repository(clone)) == person.Identity("", "")
    git(clone, "config", "user.name", "Ann")
    assert person.identity(Repository(clone)) == person.Identity("Ann", "")
    with pytest.raises(PushforwardError, match="git does not know your address"):
        person.address(Repository(clone))


def test_what_a_server_writes_is_the_services_whoever_is_at_work(repository, monkeypatch):
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "eve@example.org")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "eve@example.org")
    made = Repository(repository)
    commit = made.write_commit(made.git("rev-parse", "HEAD^{tree}").text, [], "Lock\n", date="0 +0000")
    assert made.git("log", "-1", "--format=%ae %ce", commit).text == "pushforward@localhost pushforward@localhost"


# With what.


def sign(clone: Path, key: str) -> str:
    """What git, asked as a person asks it, signs with here."""
    env = os.environ | {"GIT_COMMITTER_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A"}
    run = ["git", "-C", str(clone), "-c", "user.name=A", "-c", "user.email=a@b"]
    subprocess.run([*run, "commit", "-q", "--allow-empty", "-m", "x"], env=env, check=True)
    subprocess.run([*run, "tag", "-s", "-m", "x", "signed"], env=env, check=True)
    raw = subprocess.run([*run, "cat-file", "tag", "signed"], capture_output=True, check=True).stdout
    from pushforward.registry import ssh

    return ssh.key_of(raw[raw.index(b"-----BEGIN") :]) or ""


@pytest.mark.parametrize("told", ["path", "private", "~", "relative", "key::", "literal", "command", "command, file"])
def test_the_key_is_the_one_that_git_signs_with(clone, home, key, agent, git, tmp_path, told):
    git(clone, "config", "--global", "gpg.format", "ssh")
    subprocess.run(["ssh-add", "-q", str(key.with_suffix(""))], check=True)
    private, text = key.with_suffix(""), key.read_text().strip()
    values = {
        "path": str(key),
        "private": str(private),
        "~": f"~/{os.path.relpath(key, home)}",
        "relative": os.path.relpath(key, clone),
        "key::": f"key::{text}",
        "literal": text,
    }
    if told in values:
        git(clone, "config", "--global", "user.signingkey", values[told])
    if told == "private":
        key.unlink()
        assert signers.mine(Repository(clone)) == " ".join(text.split()[:2]) == sign(clone, told)
        return
    if told == "command":
        git(clone, "config", "--global", "gpg.ssh.defaultKeyCommand", "ssh-add -L")
    if told == "command, file":
        script = tmp_path / "which key"
        script.write_text(f"#!/bin/sh\necho 'key::{text}'\necho another\n")
        script.chmod(0o755)
        git(clone, "config", "--global", "gpg.ssh.defaultKeyCommand", shlex.quote(str(script)))
    assert signers.mine(Repository(clone)) == body(key) == sign(clone, told)


REFUSED = {
    "nothing": ({}, "git does not know which ssh key you sign with", "gpg.format ssh && git config --global user.sign"),
    "ssh alone": ({"gpg.format": "ssh"}, "git does not know which ssh key", "git config --global user.signingkey ~/"),
    "openpgp": (
        {"gpg.format": "openpgp", "user.signingkey": "0xABCD"},
        "git signs with OpenPGP here, and only the signature of an ssh key counts",
        "git config gpg.format ssh && git config user.signingkey ~/.ssh/id_ed25519.pub && pushforward trust",
    ),
    "a key of gpg's": ({"user.signingkey": "0xABCD"}, "git signs with OpenPGP here", "which leaves your other reposit"),
    "x509": ({"gpg.format": "x509"}, r"git signs with X\.509 here", "git config gpg.format ssh"),
    "no format": (
        {"user.signingkey": "~/.ssh/id_ed25519.pub"},
        "user.signingkey is an ssh key, and gpg.format does not say ssh",
        "git config --global gpg.format ssh",
    ),
    "no file": ({"gpg.format": "ssh", "user.signingkey": "/no.pub"}, "your signing key /no.pub is missing", "user.sig"),
    "a command that fails": (
        {"gpg.format": "ssh", "gpg.ssh.defaultKeyCommand": "sh -c 'echo locked >&2; exit 3'"},
        "`sh -c 'echo locked >&2; exit 3'`, which gpg.ssh.defaultKeyCommand asks .* names no key: locked",
        "ssh-add, in this shell",
    ),
    "a command that is not there": (
        {"gpg.format": "ssh", "gpg.ssh.defaultKeyCommand": "no-such-program"},
        "no-such-program is not installed",
        "",
    ),
    "a command without an end": (
        {"gpg.format": "ssh", "gpg.ssh.defaultKeyCommand": "sh -c 'echo"},
        "names no key: No closing quotation",
        "ssh-add",
    ),
    "a command that says nothing": (
        {"gpg.format": "ssh", "gpg.ssh.defaultKeyCommand": "true"},
        "names no key: nothing",
        "ssh-add",
    ),
    "a key that git takes for none": (
        {"gpg.format": "ssh", "gpg.ssh.defaultKeyCommand": "echo ecdsa-sha2-nistp256 AAAA"},
        "names what git takes for none: ecdsa-sha2-nistp256 AAAA",
        "ssh-add",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_git_cannot_sign_with_is_said_with_what_to_type(clone, git, name):
    settings, why, step = REFUSED[name]
    for key, value in settings.items():
        git(clone, "config", "--global", key, value)
    with pytest.raises(PushforwardError, match=why) as refused:
        person.signing_key(Repository(clone))
    assert step in refused.value.next


def test_an_agent_without_a_key_is_said(clone, agent, git):
    git(clone, "config", "--global", "gpg.format", "ssh")
    git(clone, "config", "--global", "gpg.ssh.defaultKeyCommand", "ssh-add -L")
    with pytest.raises(PushforwardError, match=r"`ssh-add -L`.* names no key: The agent has no identities") as refused:
        person.signing_key(Repository(clone))
    assert refused.value.next.startswith("ssh-add, in this shell")
