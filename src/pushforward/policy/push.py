"""A push: its updates, the refs before and after it, what init wrote down of its server. `hook` makes it."""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

from pushforward.git.refs import FOREIGN, HEADS, REGISTRY, TAGS, ZERO, foreign
from pushforward.policy.objects import OBJECT, Objects, git
from pushforward.policy.refusal import shown

FOLDER = "pushforward"


class Update(NamedTuple):
    """One line of a push."""

    old: str
    new: str
    ref: str


class Push:
    """A push and the server that it comes to. `trusted` is a push by a run of this server."""

    def __init__(self, updates: list[Update], *, trusted: bool, now: float) -> None:
        self.updates = updates
        self.trusted = trusted
        self.now = now
        self.objects = Objects()
        self.about = ""
        self._versions: dict[str, dict[tuple[int, ...], str]] = {}

    @cached_property
    def default(self) -> str:
        """The default branch, in full."""
        return git("symbolic-ref", "HEAD").strip()

    @cached_property
    def refs(self) -> dict[str, str]:
        """Branches, tags, the registry's chain and the marks of foreign tags -> object, before the push."""
        places = (HEADS[:-1], TAGS[:-1], REGISTRY, FOREIGN[:-1])
        listed = git("for-each-ref", "--format=%(refname) %(objectname)", *places)
        return {ref: identity for ref, _, identity in (line.partition(" ") for line in listed.splitlines())}

    @cached_property
    def after(self) -> dict[str, str]:
        """The same, after the push."""
        moved = self.refs | {update.ref: update.new for update in self.updates}
        return {ref: identity for ref, identity in moved.items() if identity != ZERO}

    @cached_property
    def folded(self) -> "defaultdict[str, set[str]]":
        """A ref's name without regard to case -> those before and after the push that are called so."""
        found = defaultdict[str, set[str]](set)
        for ref in self.refs | self.after:
            found[ref.casefold()].add(ref)
        return found

    @cached_property
    def folders(self) -> dict[str, str]:
        """Every folder that a ref is in, before or after the push -> such a ref."""
        return {parent: ref for ref in self.refs | self.after for parent in parents(ref)}

    @property
    def versions(self) -> dict[tuple[int, ...], str]:
        """Number -> name of the model's versions before the push."""
        from pushforward.registry.grammar import number

        if self.model not in self._versions:
            mine = (one for one in versions_in(self.refs) if one["model"] == self.model)
            found: dict[tuple[int, ...], str] = {number(one): one[0] for one in mine if one[0] not in self.foreign}
            self._versions[self.model] = found
        return self._versions[self.model]

    @cached_property
    def foreign(self) -> set[str]:
        """The tags in GTO's form from before the server: no versions, no uses, and their numbers are taken."""
        return foreign(self.refs)

    @cached_property
    def server(self) -> dict[str, Any]:
        """What `pushforward init` wrote down."""
        return _file("server.json")

    @cached_property
    def known(self) -> dict[str, Any]:
        """What the project calls its model and environments."""
        return _file("registry.json")

    @property
    def names(self) -> list[str]:
        """What the models here are called."""
        name: str = typed(self.known, "model", str)
        several: list[str] = typed(self.known, "models", list, default=[])
        return several or [name]

    @property
    def model(self) -> str:
        """The model that the tag at hand is of; the first one, where there are several and none of them is meant."""
        return self.about or self.names[0]

    @property
    def environments(self) -> dict[str, str]:
        """Environment -> "auto" or "manual"."""
        named = typed(self.known, "environments", dict)
        from pushforward.registry.grammar import BY_NAME, MAY_ANY, MAY_VERSION

        return {name: how for name, how in named.items() if name not in {MAY_VERSION, MAY_ANY, *BY_NAME}}

    @cached_property
    def models(self) -> set[str]:
        """The names of the models and those that they had before: of them there are versions here."""
        return {*self.names, *(one["model"] for one in versions_in(self.refs) if one[0] not in self.foreign)}

    def to(self, ref: str) -> Update | None:
        """The update of `ref` in this push."""
        return next((update for update in self.updates if update.ref == ref), None)


def read(lines: Iterable[bytes]) -> list[Update]:
    """The updates of one push, as git says them to a hook."""
    texts = (line.decode("utf-8", "surrogateescape").removesuffix("\n") for line in lines)
    updates = [Update(*text.split(" ", 2)) for text in texts]
    if not all(OBJECT.fullmatch(identity) for update in updates for identity in (update.old, update.new)):
        raise ValueError("this is not a push of SHA-1 objects")
    return updates


def versions_in(refs: Iterable[str]) -> "Iterator[re.Match[str]]":
    """The names of versions of any model among refs, in their parts."""
    from pushforward.registry.grammar import VERSION_TAG  # a push of branches would wait for it

    found = (VERSION_TAG.fullmatch(ref.removeprefix(TAGS)) for ref in refs if ref.startswith(TAGS))
    return (match for match in found if match)


def trusted() -> bool:
    """Whether a run of this server pushes: it alone knows the token."""
    given, token = os.environ.get("PUSHFORWARD_TOKEN", ""), f"{FOLDER}/token"
    return bool(given) and os.path.isfile(token) and text(token).strip() == given


def within(push: Push, commit: str, tip: str) -> bool:
    """Whether `commit` is `tip` or in its history."""
    if commit == tip:
        return True
    if push.objects.commit(commit) is None or push.objects.commit(tip) is None:
        return False
    return not git("rev-list", "-n", "1", commit, "--not", tip).strip()


def parents(ref: str) -> list[str]:
    """The folders that a ref is in, as far as other refs could be called so."""
    parts = ref.split("/")
    return ["/".join(parts[:count]) for count in range(3, len(parts))]


def short(ref: str) -> str:
    """A branch, as people call it."""
    return shown(ref.removeprefix(HEADS))


def moved(identity: str) -> str:
    """Where a ref has gone."""
    return "and is gone" if identity == ZERO else f"to {identity[:9]}"


def _file(name: str) -> dict[str, Any]:
    try:
        found = json.loads(text(f"{FOLDER}/{name}"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise TypeError(f"{FOLDER}/{name} cannot be read: damaged, or cut off")
    return found


def text(path: str) -> str:
    """The text in a file, without pathlib, for which every push would wait."""
    with open(path, encoding="utf-8") as handle:
        return handle.read()


def typed(tree: dict[str, Any], key: str, kind: type, **fallback: Any) -> Any:
    """A value of what init wrote down; an error where it is of another type."""
    value = tree.get(key, fallback.get("default"))
    if not isinstance(value, kind):
        raise TypeError(f"{key} is not as pushforward init writes it")
    return value


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, in which no key is twice."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)
