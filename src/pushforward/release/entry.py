"""The entry of a version: its folder in the registry's chain and the record in its tag; `promote` writes both."""

import functools
import json
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pushforward import untrusted
from pushforward.errors import DATA, POLICY, PushforwardError
from pushforward.git.repository import Repository
from pushforward.text import plain

VERDICT = "verdict.json"
GOLDEN = "golden.json"
CARD = "card.md"
PROVENANCE = "provenance.json"
SIGNATURE = f"{PROVENANCE}.sig"
# The files whose SHA-256 a version's tag has, by their key in its record.
RECORDED = {"verdict": VERDICT, "provenance": PROVENANCE, "golden": GOLDEN, "card": CARD}
FILES = frozenset({*RECORDED.values(), SIGNATURE})


@dataclass(frozen=True)
class Record:
    """What a version's tag says: digests by SHA-256, commits by git's name, the version before and its own number."""

    schema: Annotated[int, Field(ge=2, le=2)]
    model: str
    manifest: str
    data: str
    lock: str
    params: str
    environment: str
    verdict: str
    ledger: str | None
    commit: str
    previous: str | None
    number: int
    provenance: str
    golden: str
    card: str
    pushforward: str
    locks: tuple[str, ...] = ()  # of which `lock` is, where the root's is not the only one
    review: str = ""  # the tag object of the person's word that it rests on, where the verdict does not promote
    reviews: int = 0  # the number of the last word there was then: what was said later came too late
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")


class _Golden(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    version: Annotated[int, Field(ge=1, le=1, alias="schema")]
    key: str
    rows: Annotated[list[dict[str, int | float | str | list[float]]], Field(min_length=1)]


def golden(content: bytes, key: str, classes: int = 0) -> list[tuple[int | str, float | list[float]]]:
    """The golden rows, by the column `key`: what the model gave for them when it was judged, one or one a class."""
    try:
        told = _Golden.model_validate_json(content)
    except ValidationError as wrong:
        raise PushforwardError(
            f"{GOLDEN} is not of the form expected: {untrusted.where(wrong)}", exit_code=DATA
        ) from None
    rows = [(row.get(key), row.get("p")) for row in told.rows]
    fits = [len(p) == classes if isinstance(p, list) else not classes and isinstance(p, int | float) for _, p in rows]
    found = [
        (name, [float(one) for one in p] if isinstance(p, list) else float(p))
        for (name, p), fit in zip(rows, fits, strict=True)
        if fit and isinstance(name, int | str) and isinstance(p, int | float | list)
    ]
    if told.key != key or len(found) < len(rows):
        why = f"not every row has a {plain(key)} and {f'{classes} numbers' if classes else 'a number'} p"
        raise PushforwardError(f"{GOLDEN} is not of the form expected: {why}", exit_code=DATA)
    return found


@functools.cache
def _form() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def record(found: dict[str, Any], name: str) -> Record:
    """The record that was found in the tag `name`; a field unknown, missing or of another type is an error."""
    try:
        return _form().validate_json(
            json.dumps(found)
        )  # a dict is no instance where it is strict, an object of JSON is
    except ValidationError as wrong:
        raise PushforwardError(
            f"the record in {name} has another form: {untrusted.where(wrong)}", exit_code=POLICY
        ) from None


def folder(name: str) -> str:
    """Where the chain keeps what belongs to the version `name`."""
    return f"versions/{name}"


def read(repository: Repository, at: str, name: str, file: str) -> bytes | None:
    """What the chain at `at`, a commit or its ref, keeps of the version `name`; None where it does not."""
    return repository.read(at, f"{folder(name)}/{file}")
