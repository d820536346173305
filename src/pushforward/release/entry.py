"""The entry of a version: its folder in the registry's chain and the record in its tag; `promote` writes both."""

import functools
import json
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from pushforward import untrusted
from pushforward.errors import POLICY, PushforwardError
from pushforward.git.repository import Repository

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
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")


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
