"""The pre-receive hook: policy on names only. Standard library only, and it never runs a repository's code.

Run by git in the bare repository, with `<old> <new> <ref>` lines on standard input. All of a push or none of it:
one refused ref refuses the push.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ZERO = "0" * 40
BRANCH = re.compile(r"refs/heads/(?!-)(?!HEAD$)(?!refs/)[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
TAG = re.compile(r"refs/tags/(?!-)[A-Za-z0-9][A-Za-z0-9._/+@#!-]{0,119}")
REGISTRY = re.compile(r"refs/tags/[^@#]*[@#].*")
VERSION = re.compile(r"refs/tags/[a-z][a-z0-9-]{1,62}@v(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})")
ENVIRONMENT = re.compile(r"refs/tags/([a-z][a-z0-9-]{1,62})#([a-z][a-z0-9-]{1,62})#([1-9]\d{0,8})")
OWNED = ("refs/notes/", "refs/pushforward/", "refs/pull/")

Git = Callable[..., str]


def refusals(updates: Iterable[tuple[str, str, str]], *, trusted: bool, default: str, git: Git) -> list[str]:
    """Why a push is refused: one text for each ref that may not move, each with the next command to type.

    `trusted` is a push by a run of this server; `git(*args)` gives a command's output, empty on failure.
    """
    found = []
    for old, new, ref in updates:
        why = _name(ref, new, trusted, default) or _tag(ref, old, new, trusted, git)
        moved = ref == f"refs/heads/{default}" and ZERO not in {old, new}
        if not why and moved and git("merge-base", old, new) != old:
            why = f"{ref} only moves forward\n  next: git fetch, then git rebase, then git push"
        if why:
            found.append(f"{_shown(ref)} refused: {why}")
    return found


def _name(ref: str, new: str, trusted: bool, default: str) -> str:
    if ref.startswith(OWNED):
        if trusted:
            return ""
        return "this server writes it, nobody else\n  next: git push a branch; reports come back as notes"
    if not ref.startswith(("refs/heads/", "refs/tags/")):
        return "only branches and tags are taken here\n  next: git push local HEAD:refs/heads/<name>"
    if not BRANCH.fullmatch(ref) and not TAG.fullmatch(ref):
        return (
            "the name may hold up to 100 of a-z A-Z 0-9 . _ / - and begin with a letter or digit\n"
            f"  next: git push local HEAD:{ref.partition('/')[0]}/{ref.split('/')[1]}/<name>"
        )
    if ref.startswith("refs/heads/") and REGISTRY.fullmatch(ref.replace("/heads/", "/tags/", 1)):
        return "it looks like a version\n  next: git push local HEAD:refs/heads/<name>"
    if ref == f"refs/heads/{default}" and new == ZERO:
        return "the default branch cannot be deleted\n  next: git push without the colon"
    return ""


def _tag(ref: str, old: str, new: str, trusted: bool, git: Git) -> str:
    if not REGISTRY.fullmatch(ref):
        return ""
    if old != ZERO:
        return "a registry tag never moves and is never deleted\n  next: git fetch --tags --force"
    use = ENVIRONMENT.fullmatch(ref)
    if not use and not VERSION.fullmatch(ref):
        return "a registry tag is <model>@v<major>.<minor>.<patch> or <model>#<environment>#<n>\n  next: git tag -d"
    if git("cat-file", "-t", new) != "tag":
        return "a registry tag is annotated\n  next: git tag -a"
    if f"\ntag {ref.removeprefix('refs/tags/')}\n" not in git("cat-file", "tag", new):
        return "the tag object inside has another name\n  next: git tag -a with the name that you push"
    if trusted:
        return ""
    if not use:
        return "a version is made by a passing push, not by hand\n  next: git push the commit to the default branch"
    return _assignment(new, use[1], use[2], int(use[3]), git)


def _assignment(new: str, model: str, environment: str, counter: int, git: Git) -> str:
    target = git("rev-parse", f"{new}^{{commit}}")
    known = _known()
    if known and (model != known["model"] or environment not in known["environments"]):
        names = ", ".join(f"{known['model']}#{name}#<n>" for name in known["environments"])
        return f"there is no such environment (promote.environments in params.yaml)\n  next: one of {names}"
    there = git("for-each-ref", f"--points-at={target}", "--format=%(refname)", "refs/tags").split()
    if not any(VERSION.fullmatch(name) and name.startswith(f"refs/tags/{model}@") for name in there):
        return "it names a commit that no version names\n  next: git tag --list '*@v*'"
    used = git("for-each-ref", "--format=%(refname)", f"refs/tags/{model}#{environment}#*").split()
    expected = max((int(name.rpartition("#")[2]) for name in used), default=0) + 1
    if counter != expected:
        return f"the next one is number {expected}\n  next: git tag -a '{model}#{environment}#{expected}'"
    return ""


def _known() -> dict[str, Any]:
    path = Path("pushforward") / "registry.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def _shown(ref: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", ref)[:120]


def _git(*args: str) -> str:
    # The quarantine's own variables must stay: without them the new objects cannot be read.
    done = subprocess.run(["git", *args], capture_output=True, check=False)
    return done.stdout.decode("utf-8", "replace").strip("\n") if done.returncode == 0 else ""


def _trusted(environment: Mapping[str, str], token: Path) -> bool:
    given = environment.get("PUSHFORWARD_TOKEN", "")
    return bool(given) and token.is_file() and token.read_text().strip() == given


def main() -> int:
    """Read the updates of one push; 0 accepts it, 1 refuses it whole."""
    lines = [line.rstrip("\n").split(" ", 2) for line in sys.stdin]
    updates = [(old, new, ref) for old, new, ref in lines]
    default = _git("symbolic-ref", "--short", "HEAD") or "main"
    token = Path("pushforward") / "token"
    found = refusals(updates, trusted=_trusted(os.environ, token), default=default, git=_git)
    for text in found[:3]:
        print(f"pushforward: {text}", file=sys.stderr)
    if len(found) > 3:
        print(f"pushforward: and {len(found) - 3} more; nothing of this push was taken", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
