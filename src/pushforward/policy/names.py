"""Names: what a branch or tag may be called, and whose a tag is. `hook` asks for every ref that is pushed."""

import re

from pushforward.git.refs import HEADS, TAGS, ZERO
from pushforward.policy.push import Push, Update, moved, parents
from pushforward.policy.refusal import PolicyError, shown

BRANCH = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}"
TAG = r"[A-Za-z0-9][A-Za-z0-9._/+@#!-]{0,99}"
# What git itself takes for no ref; it would say so after the other refs of the push have moved.
FUNNY = r"\.\.|//|@\{|(?:^|/)\.|\.lock(?:/|$)|[./]$|^@$"
RESERVED = r"(?i)^(?:HEAD$|refs/|heads/|tags/|[0-9a-f]{40}$)"
MARKED = r"[^@#]*[@#].*"
# A version or a use of some model, well or badly written: no other tag may look like one.
LIKE_REGISTRY = r"(?i)[^@#]*@v\d.*|[^@#]*#.*#.*|[@#].*"
LOOK_ALIKE = str.maketrans("01i", "oll")
MOST_PARTS = 20


def check(push: Push, update: Update) -> None:
    """What a branch or tag may be called, and that nothing else has that name."""
    ref = update.ref
    if not ref.startswith((HEADS, TAGS)):
        raise PolicyError("only branches and tags are taken here", "git push local HEAD:refs/heads/<name>")
    kind = HEADS if ref.startswith(HEADS) else TAGS
    here, ours = push.refs.get(ref, ZERO), kind == TAGS and is_registry(push, ref)
    if here != update.old and not ours:
        raise PolicyError(f"it has moved meanwhile, {moved(here)}", "git fetch, then git rebase, then git push")
    if [one.ref for one in push.updates].count(ref) > 1:
        raise PolicyError("it is named twice in one push", "git push it once")
    if here != ZERO:
        return  # it can be moved on and deleted, whatever it is called
    name = ref.removeprefix(kind)
    if ours:
        return  # its grammar is narrower
    another = f"git push local HEAD:{kind}<name>"
    if not re.fullmatch(BRANCH if kind == HEADS else TAG, name):
        letters = "a-z A-Z 0-9 . _ / -" if kind == HEADS else "a-z A-Z 0-9 . _ / + @ # ! -"
        raise PolicyError(f"a name is up to 100 of {letters} and begins with a letter or digit", another)
    if re.search(FUNNY, name):
        raise PolicyError("no part of a name is empty, begins or ends with a dot, or ends with .lock", another)
    if re.search(RESERVED, name):
        raise PolicyError("git reads that name as something else", another)
    if ref.count("/") >= MOST_PARTS:
        raise PolicyError(f"a name has at most {MOST_PARTS} parts", another)
    if update.new != ZERO:
        _unique(push, kind, name)


def is_registry(push: Push, ref: str) -> bool:
    """Whether a tag has the registry's rules: the form of a version or use of any model, or a model's name of ours.

    What remains is of others: the releases of packages in one repository (`pkg@1.2.3`), a build (`v2.0#rc`). Nobody
    reads those as the registry's, whatever the model is called next. They are names like any other then.
    """
    name = ref.removeprefix(TAGS)
    if not re.fullmatch(MARKED, name):
        return False
    if re.fullmatch(LIKE_REGISTRY, name):
        return True
    return _of_ours(push, name) or name in push.foreign


def _of_ours(push: Push, name: str) -> bool:
    """Whether people would take the beginning of a tag's name for a model of ours, in a folder or not."""
    begins = re.split("[@#]", name, maxsplit=1)[0]
    ours = {_spelled(model) for model in push.models}
    return not {_spelled(begins), *map(_spelled, re.split("[/=]", begins))}.isdisjoint(ours)


def _spelled(name: str) -> str:
    """A name without what people overlook in it: case, marks between letters, digits that look like letters."""
    return re.sub("[^a-z0-9]", "", name.casefold()).translate(LOOK_ALIKE)


def _unique(push: Push, kind: str, name: str) -> None:
    """No ref beside it that people, git or another file system would take for it."""
    another = f"git push local HEAD:{kind}<another name>"
    other = TAGS if kind == HEADS else HEADS
    if other + name in push.after:
        raise PolicyError(f"a {'tag' if other == TAGS else 'branch'} has that name already", another)
    ref = kind + name
    for like in push.folded[ref.casefold()]:
        if like != ref:
            raise PolicyError(f"{shown(like)} differs from it only in case", another)
    # git would find this out only after the other refs of the push have moved
    above = next((parent for parent in parents(ref) if parent in push.folded[parent.casefold()]), "")
    if beside := above or push.folders.get(ref, ""):
        raise PolicyError(f"{shown(beside)} is there, and one cannot be the folder of the other", another)
