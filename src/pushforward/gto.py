"""GTO's tags: their grammar, for whoever meets a registry that GTO has kept. Standard library only, as the policy asks.

`project.survey` tells what there is, `server.foreign` takes it over, `registry.tags` and the policy go on from its
numbers.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

WORD = r"[a-zA-Z0-9](?:[a-zA-Z0-9/_-]*[a-zA-Z0-9])?"
NUMBER = r"(?:0|[1-9]\d{0,8})"
TAG = re.compile(
    rf"(?P<artifact>(?:[a-zA-Z0-9_./-]+=)?(?P<name>{WORD}))"
    rf"(?:(?:#(?P<stage>{WORD})|@(?P<version>v(?P<number>{NUMBER}\.{NUMBER}\.{NUMBER})(?:-[0-9A-Za-z.-]+)?"
    r"(?:\+[0-9A-Za-z.-]+)?))(?P<cancel>!?)|@(?:deprecated|created))(?:#(?P<counter>\d{1,9}))?"
)


class Tag(NamedTuple):
    """The name of a tag in its parts: of an `artifact`, which is called `name` in some folder, or in none.

    It names a `version` of that `number`, or the `counter`-th time that one is put into a `stage`, unless it `cancels`
    either; an artifact that is created or deprecated has none of them.
    """

    artifact: str
    name: str
    version: str
    number: tuple[int, int, int] | None
    stage: str
    counter: int
    cancels: bool


def parse(text: str) -> Tag | None:
    """The parts of a tag's name, or None where it is none of GTO's."""
    found = TAG.fullmatch(text)
    if found is None:
        return None
    major, minor, patch = (int(part) for part in (found["number"] or "0.0.0").split("."))
    return Tag(
        found["artifact"],
        found["name"],
        found["version"] or "",
        (major, minor, patch) if found["number"] else None,
        found["stage"] or "",
        int(found["counter"] or 0),
        bool(found["cancel"]),
    )


def newest(names: Iterable[str], model: str) -> tuple[int, int, int] | None:
    """The highest number that a version of a model has in one of the tags `names`, in whatever folder it is."""
    numbers = (tag.number for tag in map(parse, names) if tag and tag.name == model)
    return max((number for number in numbers if number), default=None)


def last(names: Iterable[str], model: str, stage: str) -> int:
    """The highest counter of a stage of a model in one of the tags `names`; 0 where there is none."""
    tags = (tag for tag in map(parse, names) if tag and (tag.name, tag.stage) == (model, stage))
    return max((tag.counter for tag in tags), default=0)
