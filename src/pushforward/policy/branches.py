"""Branches: how the default branch moves, and which files a branch may bring. `hook` asks for every branch."""

import contextlib
import re

from pushforward.git.refs import PASSED, ZERO
from pushforward.policy.objects import entries, git
from pushforward.policy.push import Push, Update, short, typed
from pushforward.policy.refusal import CONTROL, PolicyError, readable

MOST_FILES = 100_000
# What a file system of Apple's does not see in a name.
IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
WORKFLOWS = ".github/workflows"


def check_default(push: Push, update: Update) -> None:
    """It stays, moves forward, keeps its roots; where it is protected, it takes what has passed."""
    if update.new == ZERO:
        raise PolicyError("the default branch cannot be deleted", "git push without the colon")
    if update.old == ZERO or push.objects.commit(update.new) is None:
        return
    for line in git("rev-list", "--left-right", "--parents", f"{update.old}...{update.new}").splitlines():
        commit, *parents = line[1:].split()
        if line.startswith("<"):
            raise PolicyError("it only moves forward", "git fetch, then git rebase, then git push")
        if not parents:
            raise PolicyError(
                f"it brings a history that begins on its own, at {commit[:9]}",
                f"git rebase --root --onto local/{short(update.ref)}",
            )
    if typed(push.server, "protect", bool, default=False):
        _protected(push, update)


def _protected(push: Push, update: Update) -> None:
    """Only a tree that a pull request has passed or a person accepted, or that the pipeline cannot tell from before."""
    commit = push.objects.commit(update.new)
    if commit is None:
        return
    kept_out, passed = "", push.objects.find(PASSED + commit.tree) is not None
    if any("@review#" in ref for ref in push.refs):
        from pushforward.policy import reviews  # few servers have one, and every push would wait for it

        kept_out = reviews.rejected(push, commit)
        passed = passed or (not kept_out and reviews.accepted(push, commit))
    if passed and not kept_out:
        return
    reads = [str(path) for path in typed(push.known, "reads", list, default=[])]
    args = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", update.old, update.new, "--", *reads)
    changed = [path for path in git("--literal-pathspecs", *args).split("\0") if path]
    if changed:
        from pushforward.policy import override  # few pushes need one, and every push would wait for it

        override.check(push, update.new, changed, kept_out)


def check(push: Push, update: Update) -> None:
    """What a branch names is a commit, and its files can be checked out anywhere without a surprise."""
    if push.objects.commit(update.new) is None:
        raise PolicyError("a branch names a commit, nothing else", f"git push local HEAD:{update.ref}")
    with contextlib.closing(entries(update.new)) as listed:
        for number, (mode, path) in enumerate(listed, 1):
            if number > MOST_FILES:
                raise PolicyError(
                    f"it has more than {MOST_FILES:,} files", "dvc add the folder, then git rm --cached it"
                )
            _file_of_tip(mode, path)


def _file_of_tip(mode: str, path: bytes) -> None:
    where = "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in path)[-100:]
    name = path.decode("utf-8", "surrogateescape")
    last = name.rpartition("/")[2]
    if mode == "160000" or last.casefold() == ".gitmodules":
        raise PolicyError(f"{where} is of a submodule, and none is fetched here", f"git rm '{where}', and commit")
    if CONTROL.search(last) or not readable(path):
        raise PolicyError(
            f"the name {where} has characters that cannot be shown", "git mv it to a plain name, and commit"
        )
    if _like_git(last):
        raise PolicyError(f"{where} can be taken for git's own folder", f"git rm -r '{where}', and commit")
    if mode == "120000" and (name.startswith(f"{WORKFLOWS}/") or name in {".github", WORKFLOWS}):
        raise PolicyError(f"{where} is a symbolic link; a workflow is a file", f"git rm '{where}', and commit")


def _like_git(name: str) -> bool:
    """Whether some file system takes `name` for .git, or for a way out."""
    plain = IGNORED.sub("", name).casefold().partition(":")[0]
    return plain.rstrip(" .") in {".git", "git~1", ""}
