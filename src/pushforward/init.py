"""Make a server of a clone: a bare repository with hooks, a DVC remote beside it, the git remote `local`."""

import compileall
import configparser
import json
import os
import secrets
import shlex
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from pushforward import git
from pushforward.errors import PushforwardError
from pushforward.git import Repository

HOOKS = ("pre-receive", "post-receive")
REMOTE = "local"
FOLDER = "pushforward"
LIMIT_PUSH = 1024**3

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

    def know(self, model: str, environments: list[str]) -> None:
        """Tell the policy hook, which reads no YAML, which registry tags there may be."""
        fresh = self.folder / "registry.new"
        fresh.write_text(json.dumps({"model": model, "environments": environments}) + "\n")
        fresh.replace(self.folder / "registry.json")

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
        path = self.folder / "server.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self), indent=1) + "\n")
        fresh.replace(path)


def init(clone: Path, *, bare: Path | None = None, trust: bool = False) -> Server:
    """Make or renew the server of `clone`; what was pushed and judged stays.

    `trust` lets topic branches run without a jail where the machine has none.
    """
    repository = Repository(clone)
    top = repository.git("rev-parse", "--show-toplevel", check=False).text
    if not top:
        raise PushforwardError(f"{clone} is not a git repository", next="git init && git add -A && git commit")
    clone = Path(top)
    if not (clone / "params.yaml").is_file():
        raise PushforwardError(f"{clone} has no params.yaml", next="run this in the root of your project")
    from pushforward import settings  # a hook reads this module too, and must not wait for pydantic

    wanted = settings.load(clone)
    branch = repository.git("symbolic-ref", "--short", "HEAD", check=False).text
    if not branch:
        raise PushforwardError("no branch is checked out, and one has to be the default", next="git switch main")
    remote, store = _store(clone)
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
    server = Server(str(bare), sys.executable, store, remote, f"{bare.parent.name}/{bare.stem}", trust)
    lib = server.folder / "lib"
    _copy_tool(lib)
    _write_token(server.folder / "token")
    quoted = {"python": shlex.quote(sys.executable), "lib": shlex.quote(str(lib))}
    for name, text in zip(HOOKS, (PRE_RECEIVE, POST_RECEIVE), strict=True):
        hook = bare / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(text.format(**quoted))
        hook.chmod(0o755)
    server.save()
    server.know(wanted.model.name, list(wanted.promote.environments))
    return server


def _own(repository: Repository) -> Path | None:
    """The server that this clone already has."""
    url = repository.git("remote", "get-url", REMOTE, check=False)
    path = Path(url.text)
    return path if url.returncode == 0 and (path / FOLDER / "server.json").is_file() else None


def _server_of(repository: Repository) -> Path | None:
    """The server that a remote of this clone already is; a colleague's clone joins it."""
    for name in repository.git("remote").text.split():
        url = Path(repository.git("remote", "get-url", name).text)
        if name != REMOTE and (url / FOLDER / "server.json").is_file():
            return url.absolute()
    return None


def _add_remote(repository: Repository, bare: Path) -> None:
    known = repository.git("remote", "get-url", REMOTE, check=False)
    if known.returncode == 0 and Path(known.text) != bare:
        raise PushforwardError(
            f"the git remote '{REMOTE}' already is {known.text}", next=f"git remote rename {REMOTE} other"
        )
    if known.returncode != 0:
        repository.git("remote", "add", REMOTE, str(bare))
    spec = f"+{git.NOTES}*:{git.NOTES}*"  # a pattern, for there are none before the first verdict
    if spec not in repository.git("config", "--get-all", f"remote.{REMOTE}.fetch", check=False).text.split("\n"):
        # `git fetch` brings the reports along, `git log` shows where there is one
        repository.git("config", "--add", f"remote.{REMOTE}.fetch", spec)


def _configure(bare: Repository) -> None:
    settings = {
        "core.logAllRefUpdates": "true",  # what was pushed is known even where the hook never started
        "core.fsync": "all",
        "core.hooksPath": str(bare.path / "hooks"),  # a hooksPath of the user's would switch the policy off
        "receive.advertisePushOptions": "true",
        "receive.fsckObjects": "true",
        "receive.maxInputSize": str(LIMIT_PUSH),
        "receive.hideRefs": "refs/pushforward",
        "gc.reflogExpire": "never",
        "gc.reflogExpireUnreachable": "never",
    }
    for key, value in settings.items():
        bare.git("config", key, value)


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
    compileall.compile_dir(str(lib), quiet=2)


def _write_token(path: Path) -> None:
    """What tells a push by a run of this server from a push by a person."""
    if not path.is_file():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32) + "\n")
