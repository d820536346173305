"""Hooks of a clone that call a command of ours after a checkout and a merge; `commands.pull` puts them in and out.

A hook that is there already is called first, and is what is left when ours goes. Where `core.hooksPath` is said for
every repository of a machine, or leads to files that git holds, nothing is written: the line to put there is told.
"""

import os
import shlex
import sys
from pathlib import Path

from pushforward.errors import USAGE, PushforwardError
from pushforward.git.repository import Repository

NAMES = ("post-checkout", "post-merge")
MARK = "# by pushforward pull --install-hooks; `pushforward pull --remove-hooks` takes it out"
BEFORE = ".before-pushforward"
SCRIPT = """#!/bin/sh
{mark}
[ ! -x "$0{before}" ] || "$0{before}" "$@" || exit $?
{condition}unset $(git rev-parse --local-env-vars)
{command} || :
"""
# git tells it whether a branch was checked out, or only a file.
CONDITION = {"post-checkout": '[ "$3" = 1 ] || exit 0\n', "post-merge": ""}


def install(root: Path) -> list[Path]:
    """Write the hooks, each before one that was there; the files."""
    folder = _folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    both = [name for name in NAMES if not _is_ours(folder / name) and (folder / f"{name}{BEFORE}").exists()]
    if twice := next((name for name in both if (folder / name).exists()), ""):
        raise PushforwardError(f"{folder} has {twice} and {twice}{BEFORE}", next=f"rm {folder}/{twice}{BEFORE}")
    written = []
    for name in NAMES:
        path = folder / name
        if path.exists() and not _is_ours(path):
            path.rename(folder / f"{name}{BEFORE}")
        path.write_text(SCRIPT.format(mark=MARK, before=BEFORE, condition=CONDITION[name], command=_command()))
        path.chmod(0o755)
        written.append(path)
    return written


def remove(root: Path) -> list[Path]:
    """Take the hooks out, and put back those that were there before; the files of ours that are gone."""
    folder = _folder(root)
    gone = [folder / name for name in NAMES if _is_ours(folder / name)]
    for path in gone:
        path.unlink()
        earlier = path.with_name(f"{path.name}{BEFORE}")
        if earlier.exists():
            earlier.rename(path)
    return gone


def _command() -> str:
    return f"{shlex.quote(sys.executable)} -P -m pushforward pull --hooked"


def _is_ours(path: Path) -> bool:
    return path.is_file() and MARK in path.read_text(encoding="utf-8", errors="replace")


def _folder(root: Path) -> Path:
    """Where git looks for the hooks of this repository alone; refused where others look there too."""
    repository = Repository(root)
    found = Path(repository.git("rev-parse", "--path-format=absolute", "--git-path", "hooks").text)
    told = repository.git("config", "--get", "core.hooksPath", check=False).text
    if not told:
        return found
    line = f"put this line into {found}/post-checkout and {found}/post-merge: {_command()}"
    if not repository.git("config", "--local", "--get", "core.hooksPath", check=False).text:
        raise PushforwardError(
            f"core.hooksPath is {told} for every repository of this user: hooks there run in all of them",
            next=f"{line}; or, for this clone: git config --local core.hooksPath .git/hooks",
            exit_code=USAGE,
        )
    names = [os.path.relpath(found / name, root) for name in NAMES]
    if held := repository.git("ls-files", "--", *names, check=False).text.split("\n")[0]:
        raise PushforwardError(f"git holds {held}: it is everybody's hook", next=line, exit_code=USAGE)
    return found
