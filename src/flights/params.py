"""params.yaml, read strictly: a section becomes a frozen model, anything unexpected is refused with its line.

Of pushforward.yaml the pipeline needs one key: how many months are the holdout.
"""

import difflib
import functools
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flights.errors import SETTINGS, StageError, shown
from flights.months import check_month, month_after

MAX_BYTES = 64 * 1024
MAX_NODES = 10_000


class Section(BaseModel):
    """A section of params.yaml: no unknown keys, no type coercion, no change after reading."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


Settings = TypeVar("Settings", bound=Section)
Model = TypeVar("Model", bound=BaseModel)


class Data(Section):
    """`data`: the months that have arrived, oldest first, without a gap."""

    months: Annotated[list[str], Field(min_length=1)]

    @field_validator("months")
    @classmethod
    def _consecutive(cls, months: list[str]) -> list[str]:
        for month in months:
            check_month(month)
        for before, month in pairwise(months):
            if month != month_after(before):
                raise ValueError(f"after {before} comes {month_after(before)}, not {month}")
        return months


class _Gate(BaseModel):
    """The one key of `gate` that the pipeline needs; the rest of the section belongs to the judge."""

    model_config = ConfigDict(strict=True, frozen=True)
    window: Annotated[int, Field(ge=1, le=12)]


@dataclass(frozen=True)
class Split:
    """Which months are for what: all lists oldest first; the validation month is the last training month."""

    training: list[str]
    validation: str
    holdout: list[str]


def read_section(name: str, model: type[Settings], path: Path = Path("params.yaml")) -> Settings:
    """Section `name` of `path` as `model`; raises `StageError` (exit code 2) with file, line, key and the rule."""
    document = _document(path)
    if name not in document:
        raise StageError(f"{path}: section {name} is missing", exit_code=SETTINGS)
    return _validated(name, model, document, path)


def read_months(path: Path = Path("params.yaml")) -> list[str]:
    """`data.months`: the months that have arrived, oldest first."""
    return read_section("data", Data, path).months


def read_split(path: Path = Path("params.yaml"), rules: Path = Path("pushforward.yaml")) -> Split:
    """Training, validation and holdout months by `data.months` of `path` and `gate.window` of `rules`.

    The last `gate.window` months are the holdout and are never trained on. At least two months must remain:
    one to fit on and one to validate on.
    """
    months = read_months(path)
    window = _validated("gate", _Gate, _document(rules), rules).window
    if len(months) < window + 2:
        raise StageError(
            f"{path}: data.months lists {len(months)}, gate.window {window} needs at least {window + 2}: "
            f"one to fit, one to validate, {window} to judge",
            next_step="add months to data.months or lower gate.window",
            exit_code=SETTINGS,
        )
    return Split(training=months[:-window], validation=months[-window - 1], holdout=months[-window:])


def _document(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        message = f"{path} is missing in {Path.cwd()}"
        raise StageError(message, next_step="run from the repository root", exit_code=SETTINGS) from None
    return _parsed(raw, path)


@functools.cache
def _parsed(raw: bytes, path: Path) -> dict[str, Any]:
    """The document in a file, which one stage asks for section by section; nobody writes into it."""
    # Imported here: a stage that only borrows the month arithmetic should not pay for a YAML parser.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(raw) > MAX_BYTES:
        raise StageError(f"{path}: {len(raw)} bytes; at most {MAX_BYTES} are read", exit_code=SETTINGS)
    try:
        document = YAML(typ="rt", pure=True).load(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise StageError(f"{path}: byte {error.start} is not UTF-8", exit_code=SETTINGS) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise StageError(f"{path}{where}: {error.problem or error.context}", exit_code=SETTINGS) from None
    except YAMLError as error:
        raise StageError(f"{path}: {str(error).splitlines()[0]}", exit_code=SETTINGS) from None
    if not isinstance(document, dict):
        raise StageError(f"{path}: expected sections, found {type(document).__name__}", exit_code=SETTINGS)
    return document


def _validated(name: str, model: type[Model], document: dict[str, Any], path: Path) -> Model:
    try:
        section = _plain(document.get(name))
    except ValueError as error:
        raise StageError(f"{path}{_line(document, [name])}: {name}: {error}", exit_code=SETTINGS) from None
    try:
        return model.model_validate(section)
    except ValidationError as error:
        # A misspelt key is also a missing one; the misspelling is what a person can find.
        found = error.errors(include_url=False)
        first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
        location = [name, *[key for key in first["loc"] if not str(key).startswith("function-")]]
        key = ".".join(str(part) for part in location)
        message = _message(first, model)
        raise StageError(f"{path}{_line(document, location)}: {key}: {message}", exit_code=SETTINGS) from None


def _plain(node: Any) -> Any:
    """The parsed YAML without its position marks: builtin types only, so that strict typing sees what was written."""
    left = [MAX_NODES]

    def plain(part: Any) -> Any:
        # A few lines of aliases of aliases stand for billions of nodes.
        left[0] -= 1
        if left[0] < 0:
            raise ValueError(f"more than {MAX_NODES} values")
        if isinstance(part, dict):
            return {str(key): plain(value) for key, value in part.items()}
        if isinstance(part, list):
            return [plain(value) for value in part]
        if isinstance(part, bool) or part is None:
            return part
        return next((builtin(part) for builtin in (int, float, str) if isinstance(part, builtin)), part)

    return plain(node)


def _message(first: Any, model: type[BaseModel]) -> str:
    if first["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(first["loc"][-1]), list(model.model_fields), n=1)
        hint = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(model.model_fields)}"
        return f"unknown key; {hint}"
    text = str(first["msg"]).removeprefix("Value error, ")
    return text if first["type"] in {"missing", "value_error"} else f"{text}, found {shown(first['input'])}"


def _line(document: Any, location: list[Any]) -> str:
    """`:<line>` of the deepest part of `location` that the file holds."""
    line, node = "", document
    for part in location:
        try:
            line = f":{node.lc.data[part][0] + 1}"
            node = node[part]
        except (AttributeError, KeyError, TypeError, IndexError):
            break
    return line
