"""The person at work, as git has them: who they are, and what they sign with. Git is asked, not one of its settings."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from pushforward import process
from pushforward.errors import PushforwardError
from pushforward.git import environment
from pushforward.git.repository import Repository

IDENT = re.compile(r"(?P<name>.*) <(?P<email>[^<>]*)> \d+ [+-]\d{4}")
NO_ADDRESS = "git config --global user.email YOU@EXAMPLE.ORG"
PUBLIC = "~/.ssh/id_ed25519.pub"
LITERAL = ("key::", "ssh-")  # what git takes for a key itself, and not for the path of one
OTHER_FORMATS = {"openpgp": "OpenPGP", "x509": "X.509"}
COMMAND = "gpg.ssh.defaultKeyCommand"
PATIENCE_SECONDS = 20.0


class Identity(NamedTuple):
    """A name and an address, each "" where git knows none."""

    name: str
    email: str


def identity(repository: Repository) -> Identity:
    """Who commits and tags here: by variables, settings of any file or of the role, never as git would guess it."""
    asked = repository.by_person("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
    found = IDENT.fullmatch(asked.text)
    if asked.returncode == 0 and found:
        return Identity(found["name"], found["email"])
    name, email = (_setting(repository, key) for key in ("user.name", "user.email"))
    return Identity(name, email or environment.identity().get("EMAIL", ""))  # which that setting has git forget


def address(repository: Repository) -> str:
    """The address under which the person at work commits and tags."""
    if found := identity(repository).email:
        return found
    raise PushforwardError("git does not know your address", next=NO_ADDRESS)


def signing_key(repository: Repository) -> str:
    """The ssh key that git signs with for the person at work: the path of its file, or the key itself ("ssh-… …")."""
    form = _setting(repository, "gpg.format")
    key = _setting(repository, "user.signingkey", "--type=path")
    if form != "ssh":
        raise _other_format(form, key)
    command = _setting(repository, COMMAND)
    if not key and command:
        return _by_command(repository, command)
    if not key:
        raise _unknown("git config --global user.signingkey")
    if key.startswith(LITERAL):
        return key.removeprefix("key::")
    path = repository.path / key
    if not path.is_file():
        raise PushforwardError(f"your signing key {key} is missing", next="git config --global user.signingkey KEY.pub")
    return str(path)


def _by_command(repository: Repository, command: str) -> str:
    """The first key that a command names, as git takes it: an agent's own, most often."""
    try:
        words = shlex.split(command)
        done = process.run(
            words, cwd=repository.path, env=environment.personal(), check=False, timeout=PATIENCE_SECONDS
        )
        first, said = done.text.partition("\n")[0], done.stderr.decode("utf-8", "replace").strip()
    except ValueError as broken:
        done, first, said = None, "", str(broken)
    if done is not None and done.returncode == 0 and first.startswith(LITERAL):
        return first.removeprefix("key::")
    why = (said or first).partition("\n")[0][:200] or "nothing"
    what = "what git takes for none" if first.startswith(("ecdsa-", "sk-")) else "no key"
    raise PushforwardError(
        f"`{command}`, which {COMMAND} asks for the key that you sign with, names {what}: {why}",
        next="ssh-add, in this shell; or git config --global user.signingkey KEY.pub",
    )


def _other_format(form: str, key: str) -> PushforwardError:
    """Why what git signs here is not signed with an ssh key."""
    if not form and (key.startswith(LITERAL) or key.endswith(".pub")):
        return PushforwardError(
            "user.signingkey is an ssh key, and gpg.format does not say ssh, so git would ask gpg for it",
            next="git config --global gpg.format ssh",
        )
    if not form and not key:
        return _unknown("git config --global gpg.format ssh && git config --global user.signingkey")
    if form in {"", *OTHER_FORMATS}:
        return PushforwardError(
            f"git signs with {OTHER_FORMATS[form or 'openpgp']} here, and only the signature of an ssh key counts",
            next=f"{_made()}git config gpg.format ssh && git config user.signingkey {PUBLIC} && "
            f"pushforward trust {PUBLIC}, which leaves your other repositories as they are",
        )
    return PushforwardError(f"gpg.format is {form!r:.60}, which git does not know", next="git config gpg.format ssh")


def _unknown(config: str) -> PushforwardError:
    return PushforwardError(
        "git does not know which ssh key you sign with",
        next=f"{_made()}{config} {PUBLIC} && pushforward trust {PUBLIC}",
    )


def _made() -> str:
    """The command that makes a key, where there is none of the usual name."""
    return "" if Path(PUBLIC).expanduser().is_file() else "ssh-keygen -t ed25519 && "


def _setting(repository: Repository, key: str, *how: str) -> str:
    return repository.by_person("config", *how, "--get", key).text
