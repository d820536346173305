"""Make a server of a clone: a bare repository with hooks, a DVC remote beside it, the git remote `local`."""

import compileall
import configparser
import contextlib
import json
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

from pushforward import durable, git, remote, signers, trust
from pushforward.errors import TOOL, PushforwardError
from pushforward.git import Repository
from pushforward.remote import LOCAL as REMOTE
from pushforward.trust import FOLDER

HOOKS = ("pre-receive", "post-receive")
LIMIT_PUSH = 1024**3
# A push sees thousands of refs less; the last line that fits counts, and versions are pushed with their registry.
HIDDEN = ("refs/pushforward", "!refs/pushforward/registry")
INSTALL = "apt-get install openssh-client"

# The hook of names needs no site-packages; it starts in a tenth of a second.
PRE_RECEIVE = """#!/bin/sh
# Made by `pushforward init`, and made again by every init.
unset PYTHONHOME PYTHONPATH
exec {python} -I -S {lib}/pushforward/policy.py
"""
POST_RECEIVE = """#!/bin/sh
# Made by `pushforward init`, and made again by every init.
unset PYTHONHOME PYTHONDONTWRITEBYTECODE
PYTHONPATH={lib} exec {python} -m pushforward.receive
"""


@dataclass(frozen=True)
class Server:
    """A bare repository that judges what is pushed to it. Paths are absolute."""

    bare: str
    python: str
    store: str
    remote: str
    name: str
    trust: bool = False
    protect: bool = False

    @property
    def repository(self) -> Repository:
        """The bare repository."""
        return Repository(Path(self.bare))

    @property
    def folder(self) -> Path:
        """Where the server keeps what is not in git: caches, logs, its copy of the tool."""
        return Path(self.bare) / FOLDER

    @property
    def default_branch(self) -> str:
        """The branch whose passing commits are promoted."""
        return self.repository.git("symbolic-ref", "--short", "HEAD").text

    def know(self, model: str, environments: Mapping[str, str], reads: Iterable[str] = ()) -> None:
        """Tell the policy hook, which reads no YAML, which registry tags there may be and what the pipeline reads.

        `environments` says of each whether it is "auto" or "manual"; without `reads` what was known of them stays.
        """
        path = self.folder / "registry.json"
        known: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):  # damaged, it is written anew
            known = json.loads(path.read_text())
        said = {"model": model, "environments": dict(environments), "reads": list(reads) or known.get("reads", [])}
        if said != known:
            durable.write(path, json.dumps(said) + "\n")

    @staticmethod
    def load(bare: Path) -> "Server":
        """The server in `bare`."""
        path = bare / FOLDER / "server.json"
        if not path.is_file():
            raise PushforwardError(f"{bare} is not a server of pushforward", next="pushforward init")
        try:
            return Server(**json.loads(path.read_text()))
        except (ValueError, TypeError):
            raise PushforwardError(f"{path} is of another version, or cut off", next="pushforward init") from None

    def save(self) -> None:
        """Write it down, whole or not at all."""
        durable.write(self.folder / "server.json", json.dumps(asdict(self), indent=1) + "\n")


def init(clone: Path, *, bare: Path | None = None, trust: bool = False, protect: bool | None = None) -> Server:
    """Make or renew the server of `clone`; what was pushed and judged, and whose signatures count, stays.

    `trust` lets topic branches run without a jail where the machine has none. `protect` lets the default branch move
    only to what has a passing verdict, or changes nothing that the pipeline reads; None leaves it as it is.
    """
    repository = Repository(clone)
    top = repository.git("rev-parse", "--show-toplevel", check=False).text
    if not top:
        raise PushforwardError(f"{clone} is not a git repository", next="git init && git add -A && git commit")
    within, clone = clone.resolve(), Path(top)
    _check_form(repository)
    if not (clone / "params.yaml").is_file() and (within / "params.yaml").is_file():
        part = shlex.quote(str(within.relative_to(clone.resolve())))
        raise PushforwardError(
            f"{within} is a folder of the repository {clone}, and a project has to be a repository of its own",
            next=f"cd {shlex.quote(top)} && git subtree split -q -P {part} -b project && "
            f"git clone -q -b project . {shlex.quote(f'{top}-{within.name}')}",
        )
    if not (clone / "params.yaml").is_file():
        raise PushforwardError(f"{clone} has no params.yaml", next="run this in the root of your project")
    from pushforward import objects, settings  # a hook reads this module too, and must not wait for pydantic

    if shutil.which("ssh-keygen") is None:
        raise PushforwardError(
            "ssh-keygen is not installed, and versions are signed with it", next=INSTALL, exit_code=TOOL
        )
    wanted = settings.load(clone)
    branch = repository.git("symbolic-ref", "--short", "HEAD", check=False).text
    if not branch:
        raise PushforwardError("no branch is checked out, and one has to be the default", next="git switch main")
    stored, store = _store(clone)
    joined = None if bare else _server_of(repository)
    bare = joined or Path(os.path.normpath((bare or _own(repository) or clone.parent / f"{clone.name}.git").absolute()))
    _add_remote(repository, bare)
    if joined:
        return Server.load(joined)
    if not (bare / "HEAD").is_file():
        repository.git("init", "-q", "--bare", "-b", branch, str(bare))
    _configure(Repository(bare))
    if store:
        Path(store).mkdir(parents=True, exist_ok=True)
        objects.Store(Path(store)).claim(bare)
    if protect is None:
        protect = _protected(bare)
    server = Server(str(bare), sys.executable, store, stored, f"{bare.parent.name}/{bare.stem}", trust, protect)
    _copy_tool(server.folder / "lib")
    _write_token(server.folder / "token")
    signers.own_key(bare)
    server.know(wanted.model.name, wanted.promote.environments)
    server.save()
    for name, text in hooks(server).items():
        _write_hook(bare / "hooks" / name, text)
    return server


def renew(server: Server) -> Iterator[str]:
    """Give a server the settings, the hooks and the copy of the tool that init makes; a line for what was otherwise."""
    before = server.repository.git("config", "--local", "--list", check=False).text
    _configure(server.repository)
    if server.repository.git("config", "--local", "--list", check=False).text != before:
        yield f"{server.bare}/config is as pushforward init makes it"
    for name, text in hooks(server).items():
        path = Path(server.bare) / "hooks" / name
        if not (path.is_file() and os.access(path, os.X_OK) and path.read_bytes() == text.encode()):
            _write_hook(path, text)
            yield f"{path} is as pushforward init makes it"
    own, copy = Path(__file__).parent, server.folder / "lib" / FOLDER
    if _sources(own) != _sources(copy):
        _copy_tool(server.folder / "lib")
        yield f"{copy} is the tool at hand"


def _write_hook(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    durable.write(path, text, mode=0o755)


def _sources(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _check_form(repository: Repository) -> None:
    kind = repository.git("rev-parse", "--show-object-format", check=False).text
    if kind == "sha256":
        raise PushforwardError(
            f"{repository.path} has objects named by SHA-256, which DVC cannot read", next=git.AS_SHA1
        )


def hooks(server: Server) -> dict[str, str]:
    """The text of the server's hooks, by name."""
    quoted = {"python": shlex.quote(server.python), "lib": shlex.quote(str(server.folder / "lib"))}
    return {name: text.format(**quoted) for name, text in zip(HOOKS, (PRE_RECEIVE, POST_RECEIVE), strict=True)}


def welcome(server: Server, clone: Path) -> trust.Signer:
    """The key of the person at work. Where git signs with it and the server is theirs, it is trusted for everything.

    An error where git does not know it, or where a colleague's clone has joined and nobody trusts it yet.
    """
    repository, bare = Repository(clone), Path(server.bare)
    key, who = signers.mine(repository), signers.address(repository)
    for there in trust.read(trust.server_file(bare).read_text()):
        if there.key == key:
            return there
    if _server_of(repository) == bare:
        raise PushforwardError("nobody trusts your key here yet", next="pushforward trust KEY.pub")
    return signers.add(signers.place_of(clone, bare), key, who)


def join(clone: Path) -> remote.Remote | None:
    """Join the server that `local` is on another machine; None where `local` is a folder of this one, or is not.

    What the server runs and knows stays there: this only has `git fetch` bring its reports along.
    """
    repository = Repository(clone)
    local = remote.of(repository)
    if local is None or local.folder is not None:
        return None
    if not repository.remote("ls-remote", REMOTE, trust.REF, check=False).text:
        raise PushforwardError(
            f"the git remote '{REMOTE}' is {local.url}, and no server of pushforward answers there",
            next=local.command("pushforward check"),
            exit_code=TOOL,
        )
    _fetch_reports(repository)
    return local


def _protected(bare: Path) -> bool:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # of another version, it may still say this much
        return json.loads((bare / FOLDER / "server.json").read_text()).get("protect") is True
    return False


def _own(repository: Repository) -> Path | None:
    """The server that this clone already has."""
    local = remote.of(repository)
    there = local and local.folder and (local.folder / FOLDER / "server.json").is_file()
    return local.folder if local and there else None


def _server_of(repository: Repository) -> Path | None:
    """The server that a remote of this clone already is; a colleague's clone joins it."""
    for name in repository.git("remote").text.split():
        asked = remote.of(repository, name)
        if name != REMOTE and asked and asked.folder and (asked.folder / FOLDER / "server.json").is_file():
            return Path(os.path.normpath(asked.folder.absolute()))
    return None


def _add_remote(repository: Repository, bare: Path) -> None:
    known = remote.of(repository)
    if known is not None and known.folder != bare:
        raise PushforwardError(
            f"the git remote '{REMOTE}' already is {known.url}", next=f"git remote rename {REMOTE} other"
        )
    if known is None:
        repository.git("remote", "add", REMOTE, str(bare))
    _fetch_reports(repository)


def _fetch_reports(repository: Repository) -> None:
    # `git fetch` brings the reports along, a pattern, for there are none before the first verdict; and all versions:
    # by itself it follows tags of branches only, and a version may name a lock commit beside them
    for spec in (f"+{git.NOTES}*:{git.NOTES}*", "refs/tags/*:refs/tags/*"):
        if spec not in repository.git("config", "--get-all", f"remote.{REMOTE}.fetch", check=False).text.split("\n"):
            repository.git("config", "--add", f"remote.{REMOTE}.fetch", spec)
    # with fetch.prune a fetch would delete each tag that is of this clone, or of another remote, and not of the server
    if not repository.git("config", "--get", f"remote.{REMOTE}.prune", check=False).text:
        repository.git("config", f"remote.{REMOTE}.prune", "false")


def _configure(bare: Repository) -> None:
    settings = {
        "core.logAllRefUpdates": "true",  # what was pushed is known even where the hook never started
        "core.fsync": "all",
        "core.hooksPath": str(bare.path / "hooks"),  # a hooksPath of the user's would switch the policy off
        "receive.advertisePushOptions": "true",
        "receive.fsckObjects": "true",
        "receive.maxInputSize": str(LIMIT_PUSH),
        "gc.reflogExpire": "never",
        "gc.reflogExpireUnreachable": "never",
    }
    for key, value in settings.items():
        bare.git("config", key, value)
    if hidden(bare) != HIDDEN:
        bare.git("config", "--unset-all", "receive.hideRefs", check=False)
        for ref in HIDDEN:
            bare.git("config", "--add", "receive.hideRefs", ref)


def hidden(bare: Repository) -> tuple[str, ...]:
    """What the server's own configuration says of the refs that pushers need not see."""
    return tuple(bare.git("config", "--local", "--get-all", "receive.hideRefs", check=False).text.split("\n"))


def _store(clone: Path) -> tuple[str, str]:
    """The name of the project's default DVC remote, and its folder; "" where it is not a folder of this machine."""
    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read(clone / ".dvc" / "config")
    except configparser.Error as broken:
        raise PushforwardError(f".dvc/config: {str(broken).splitlines()[0]}", next="dvc config --list") from None
    name = config.get("core", "remote", fallback="")
    url = config.get(f"'remote \"{name}\"'", "url", fallback="") if name else ""
    if not url:
        raise PushforwardError(
            ".dvc/config names no default remote", next=f"dvc remote add -d store ../{clone.name}.dvc"
        )
    return name, "" if "://" in url else os.path.normpath(clone / ".dvc" / url)


def _copy_tool(lib: Path) -> None:
    """The server runs a copy of its own: an edit of the tool does not reach it until the next init."""
    fresh, old = lib.with_name("lib.new"), lib.with_name("lib.old")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(Path(__file__).parent, fresh / FOLDER, ignore=shutil.ignore_patterns("__pycache__"))
    if lib.exists():
        lib.rename(old)
    fresh.rename(lib)
    shutil.rmtree(old, ignore_errors=True)
    # by the hash of their source, so that checkouts of the same files can use them
    compileall.compile_dir(str(lib), quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)


def _write_token(path: Path) -> None:
    """What tells a push by a run of this server from a push by a person."""
    if not path.is_file():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32) + "\n")
