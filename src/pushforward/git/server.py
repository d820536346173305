"""A server: the bare repository that judges what is pushed to it, and the folder of what is not in git."""

import contextlib
import json
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pushforward import durable, files
from pushforward.errors import TOOL, PushforwardError
from pushforward.git import whereabouts
from pushforward.git.refs import HEADS
from pushforward.git.repository import Repository

FOLDER = "pushforward"
INVALID = ".invalid"  # the branch that the file HEAD names where git keeps refs in tables


# Its folders, and its files.
SPOOL = "spool"
ASKED = "asked"  # runs that no ref asks for
PUSHED = "pushed"  # tags that were pushed, until it is known what they start
DELETED = "deleted"  # what deleted branches were at; the policy writes it
ANSWERS = "answers"  # predictions that the judge has made
ADOPTABLE = "adoptable"  # what runs of pull requests have left, by the tree that they ran
KEPT = (
    "keys",
    "runs",
    "locks",
    "lib",
    "cache",
    "environments",
    "releases",
    "aside",
    "deleted",
    ANSWERS,
    ADOPTABLE,
    ASKED,
    PUSHED,
    SPOOL,
)
TOLD = (
    "server.json",
    "registry.json",
    "allowed_signers",
    "token",
    "seal",
    "schedule.json",
    "queue.json",
    "dispatch.log",
    "dispatch.fault",
)
SHOWN = 0o644  # for the policy hook of whoever pushes
# What server.json holds, and nothing else.
WRITTEN: dict[str, type] = {
    "id": str,
    "place": str,
    "python": str,
    "store": str,
    "remote": str,
    "name": str,
    "trust": bool,
    "protect": bool,
}
# A hook finds the tool from where it lies itself. The hook of names needs no site-packages: it starts in a tenth of a
# second. What is gone, or was killed, is said, or git would tell the pusher a number. How pushers have git
# configured is nothing to the server.
HOOK = """#!/bin/sh
# Made by `pushforward init`, and made again by every init.
unset PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE XDG_CONFIG_HOME
unset GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_CONFIG_NOSYSTEM GIT_CONFIG_COUNT
own=${{0%/*}}/../pushforward known={python}
python=$known
[ -x "$python" ] || python=${{0%/*}}/../{beside}
gone=
[ -f "$own/lib/pushforward/policy/hook.py" ] || gone="the server's copy of the tool is gone: pushforward/lib"
[ -x "$python" ] || gone="the server's Python is not there, or not for this user to run"
again='make env, then pushforward init, in the clone that made the server'
{command}
"""
# Its own path comes last: nothing there is taken for a module of the standard library.
START = "import sys; sys.path.append(sys.argv[1]); from pushforward.policy.hook import main; sys.exit(main())"
PRE_RECEIVE = """\
[ -n "$gone" ] || "$python" -I -S -c {start} "$own/lib"
code=$?
if [ -n "$gone" ]; then
  printf 'pushforward: %s\\n  next: %s\\n' "$gone" "$again" >&2
  exit 1
fi
if [ $code -gt 1 ]; then
  printf 'pushforward: the policy was killed (%s); nothing of this push was taken\\n  next: push again\\n' $code >&2
fi
exit $code"""
# Python's own last words go where the server's others are; the pusher is told what they come to.
POST_RECEIVE = """\
updates=$(cat)
if [ -z "$gone" ]; then
  exec 3>&1
  said=$(printf '%s\\n' "$updates" | PYTHONPATH=$own/lib "$python" -m pushforward.server.post_receive 2>&1 >&3 3>&-)
  code=$?
  [ $code -ne 0 ] || exit 0
  gone="what tells of it was killed ($code), and runs go on without it" again='pushforward check'
  [ $code -gt 128 ] || gone="the server's copy of the tool is damaged, or its environment"
  [ $code -gt 128 ] || again='pushforward init, in the clone that made the server'
  [ -z "$said" ] || [ ! -w "$own/dispatch.log" ] || printf '%s\\n' "$said" >>"$own/dispatch.log"
fi
[ -z "$PUSHFORWARD_RUN" ] || exit 0
named=
while read -r old new ref; do
  case $new in *[!0]*) named="$named${named:+, }${ref#refs/*/} $(printf %.9s "$new")" ;; esac
done <<END
$updates
END
printf 'the push is taken, but the server could not go on: %s\\n' "$gone"
printf '  next: %s, then pushforward dispatch, on the server' "$again"
[ -z "$named" ] || printf ', which judges %s; so does the next push after it' "$named"
echo"""
COMMANDS = {"pre-receive": PRE_RECEIVE.format(start=shlex.quote(START)), "post-receive": POST_RECEIVE}


@dataclass(frozen=True)
class Server:
    """A bare repository that judges what is pushed to it. Paths are absolute.

    `id` tells it from every other server. It `was` somewhere else when it was written down, unless that is empty.
    """

    bare: str
    python: str
    store: str
    remote: str
    name: str
    trust: bool = False
    protect: bool = False
    id: str = field(default="", compare=False)
    was: str = field(default="", compare=False)

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
        with contextlib.suppress(OSError, UnicodeDecodeError):  # asked dozens of times by every run
            said = (Path(self.bare) / "HEAD").read_text(encoding="utf-8")
            branch = said.removeprefix(f"ref: {HEADS}").removesuffix("\n")
            if said.startswith(f"ref: {HEADS}") and branch.strip() == branch != INVALID:
                return branch
        return self.repository.git("symbolic-ref", "--short", "HEAD").text

    def know(self, models: Iterable[str], environments: Mapping[str, str], reads: Iterable[str] = ()) -> None:
        """Tell the policy hook, which reads no YAML, which registry tags there may be and what the pipeline reads.

        `environments` says of each whether it is "auto" or "manual"; without `reads` what was known of them stays.
        """
        path, known = self.folder / "registry.json", self.known()
        names = list(models)
        told: dict[str, Any] = {"model": names[0]} | ({"models": names} if len(names) > 1 else {})
        told |= {"environments": dict(environments), "reads": list(reads) or known.get("reads", [])}
        if told != known:
            durable.write(path, json.dumps(told) + "\n", mode=SHOWN)

    def known(self) -> dict[str, Any]:
        """What the policy hook was told last; nothing where that is lost or damaged, and every tag is refused."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            found = json.loads((self.folder / "registry.json").read_text(encoding="utf-8"))
            if isinstance(found, dict) and isinstance(found.get("model"), str):
                return found
        return {}

    @staticmethod
    def load(bare: Path) -> "Server":
        """The server in `bare`, wherever that is now; an error where it is a copy of one that is still there."""
        path = bare / whereabouts.SETTINGS
        no_link_in(bare / FOLDER)
        if not path.is_file():
            raise PushforwardError(f"{bare} is not a server of pushforward", next="pushforward init")
        known = said(bare)
        if known.keys() != WRITTEN.keys() or not all(isinstance(known[name], kind) for name, kind in WRITTEN.items()):
            raise PushforwardError(f"{path} is of another version, or cut off", next="pushforward init")
        whereabouts.refuse_copy(bare, known)
        place = known.pop("place")
        was = place if place != os.path.realpath(bare) and not _same(Path(place), bare) else ""
        found = Server(str(bare.resolve() if ".." in bare.parts else bare.absolute()), **known, was=was)
        return replace(found, python=_python(found), store=store_now(found.store, was, bare)) if was else found

    def save(self) -> None:
        """Write it down as of this place, whole or not at all."""
        known = {name: getattr(self, name) for name in WRITTEN if name != "place"}
        known["place"] = os.path.realpath(self.bare)
        text = json.dumps({name: known[name] for name in WRITTEN}, indent=1) + "\n"
        durable.write(self.folder / "server.json", text, mode=SHOWN)

    def settle(self) -> "Server":
        """The same server, written down as of where it is now; its hooks and its claim on the store follow."""
        if not self.was or not os.access(self.folder, os.W_OK):
            return self
        self.save()
        write_hooks(self)
        if self.store:
            whereabouts.claim(Path(self.store), Path(self.bare), instead=Path(self.was))
        return replace(self, was="")


def said(bare: Path) -> dict[str, Any]:
    """What the server in `bare` says of itself; nothing where that is damaged. Of another version it may be too."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):
        found = json.loads((bare / whereabouts.SETTINGS).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _same(place: Path, bare: Path) -> bool:
    return place.exists() and place.samefile(bare)


def _python(moved: Server) -> str:
    """The interpreter of a server that was moved: where it was, else where it is if it was moved along."""
    along = whereabouts.beside(moved.python, moved.was, Path(moved.bare))
    return str(along) if not Path(moved.python).exists() and along.exists() else moved.python


def store_now(store: str, was: str, bare: Path) -> str:
    """The store of a server that was moved or copied: what came along and says that it is its own, else what it was."""
    if not store:
        return ""
    along = whereabouts.beside(store, was, bare)
    came_along = along.is_dir() and Path(was) in whereabouts.claims(along)
    return str(along) if came_along else store


def write_hook(path: Path, text: str) -> None:
    """Put a hook in place, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    durable.write(path, text, mode=0o755)


def readable(repository: Repository) -> None:
    """Refuse a server that git cannot read: all that is asked of it would seem to be lost."""
    asked = repository.git("config", "--list", check=False)
    if asked.returncode == 0:
        return
    said = asked.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
    file = repository.path / "config"
    name = shlex.quote(str(file))
    anew = f"mv {name} {name}.damaged && pushforward init, or edit that line"
    raise PushforwardError(
        f"git cannot read the settings of {repository.path}: {said}",
        next=anew if str(file) in said else "git config --list --show-origin",
        exit_code=TOOL,
    )


def followable(repository: Repository) -> None:
    """Refuse a server with a ref that git cannot follow: nobody could say what it holds."""
    asked = repository.git("for-each-ref", "--format=%(objecttype)", check=False)
    if asked.returncode != 0:
        said = asked.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise PushforwardError(
            f"git cannot follow the refs of {repository.path}: {said}",
            next=f"pushforward check --mend --bare {shlex.quote(str(repository.path))}",
            exit_code=TOOL,
        )


def unshared(repository: Repository) -> str:
    """That a server's settings share it with nobody, where its folders say that it was; "" for no such thing."""
    group = 0o2020  # for its group to write, and what is made inside is the group's too: as `git init --shared` does
    folders = (repository.path / "objects", repository.path / "refs")
    was = all(folder.is_dir() and folder.stat().st_mode & group == group for folder in folders)
    if not was or repository.git("config", "--get", "core.sharedRepository", check=False).text:
        return ""
    return "core.sharedRepository: it is not set, and the folders of the server are for their group to write"


def shares(bare: Path) -> str:
    """The command that lets the group of a server push again."""
    return f"git --git-dir={shlex.quote(str(bare))} config core.sharedRepository group && pushforward init"


def misplaced(bare: Path) -> list[tuple[Path, str]]:
    """What is a file where a server has to have a folder, or the other way round; and the word for what has to be."""
    own = bare / FOLDER
    if not own.exists() or not ((bare / "HEAD").exists() or (bare / "objects").exists()):
        return []  # it is no server: whatever lies there has nothing to be
    kinds = [(bare / name, "folder") for name in ("hooks", "logs", FOLDER)] + [(own / name, "folder") for name in KEPT]
    kinds += [(bare / name, "file") for name in ("HEAD", "config", "packed-refs")] + [
        (own / name, "file") for name in TOLD
    ]
    there = [(path, kind) for path, kind in kinds if (own.is_dir() or path.parent != own) and path.exists()]
    return [(path, kind) for path, kind in there if path.is_dir() != (kind == "folder") and not path.is_symlink()]


def refuse_misplaced(bare: Path) -> None:
    """Refuse a server in which a file stands for a folder, or a folder for a file."""
    for path, kind in misplaced(bare):
        raise PushforwardError(
            f"{path} is no {kind}, and has to be one",
            next=f"pushforward check --mend --bare {shlex.quote(str(bare))}, which keeps it aside",
        )


def no_link_in(folder: Path) -> None:
    """Refuse a server's folder in which somebody has put a link: only what is the server's may be tidied there."""
    for path in sorted(folder.glob("*")):
        unlinked(path)


def unlinked(path: Path) -> None:
    """Refuse a file or folder of a server in whose place somebody has put a link."""
    if path.is_symlink():
        there = shlex.quote(str(path))
        raise files.LinkError(str(path), next=f'to="$(realpath {there})" && rm {there} && mv "$to" {there}')


def hooks(server: Server) -> dict[str, str]:
    """The text of the server's hooks, by name."""
    beside = os.path.relpath(server.python, os.path.realpath(server.bare))
    quoted = {"python": shlex.quote(server.python), "beside": shlex.quote(beside)}
    return {name: HOOK.format(**quoted, command=command) for name, command in COMMANDS.items()}


def write_hooks(server: Server) -> None:
    """Put the server's hooks in place."""
    for name, text in hooks(server).items():
        write_hook(Path(server.bare) / "hooks" / name, text)
