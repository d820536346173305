"""params.yaml -> frozen models; unknown key, wrong type, out of range: refused with line and hint.

The sections below belong to pushforward. Every other section belongs to the project's own stages, which check it.
"""

import datetime
import difflib
import functools
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from pushforward import __version__, files, pointers
from pushforward.errors import PushforwardError

FILE = "params.yaml"
LIMIT_BYTES = 64 * 1024
MOST_MIB, MOST_FILES = 2048, 10_000  # what is taken over from a run at all
LIMIT_DEPTH = 40
PLAIN_CHARACTERS = 4096  # what is shorter takes no time, however deep it nests
PLAIN = (bool, int, float, str, type(None))
# What ruamel.yaml lets through from a tag with a text that does not fit it, such as `!!int ""`.
ODD = (LookupError, AttributeError, TypeError)
RIGHTS = ("any", "main", "version")  # what a key may sign beside environments, by name: no environment is called so
MONTH = re.compile(r"[12]\d{3}-(0[1-9]|1[0-2])")

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,62}$")]
RelativePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_-]*(?:[./][A-Za-z0-9_-]+)*$", max_length=200)]
Column = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]


class Section(BaseModel):
    """A section that refuses what it does not know, and never coerces."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelContract(Section):
    """How pushforward reaches a project: what the model is, how any revision of it scores rows.

    `validation` is an out of the pipeline: the predictions `p` of a fit that has not seen the validation month, with
    the columns of the labels. It is what reviewers see of a model while the holdout's numbers are sealed. `floor` is a
    column of the labels that every model has to beat: what something simple predicts, such as a mean by group. `card`
    is a file whose text begins the model card of every version: what the model is for, and what not.
    """

    name: Name
    path: RelativePath
    score: str
    holdout: RelativePath
    key: Column
    label: Column
    cluster: Column
    time: Column
    floor: Column | None = None
    validation: RelativePath | None = None
    card: RelativePath | None = None
    requirements: list[RelativePath] = Field(min_length=1)

    @field_validator("score")
    @classmethod
    def _has_its_places(cls, command: str) -> str:
        missing = [place for place in ("{rows}", "{events}", "{out}") if place not in command]
        if missing:
            raise ValueError(f"the command must contain {', '.join(missing)}")
        return command


class Data(Section):
    """Which months have arrived."""

    months: list[str] = Field(min_length=1)

    @field_validator("months")
    @classmethod
    def _consecutive(cls, months: list[str]) -> list[str]:
        for month in months:
            if not MONTH.fullmatch(month):
                raise ValueError(f"'{month}' is not a month; write it as \"2013-05\", in quotes")
        for before, after in itertools.pairwise(months):
            if after != next_month(before):
                raise ValueError(f"after '{before}' comes '{next_month(before)}', not '{after}'")
        return months


class GateRules(Section):
    """What a challenger must show. `cluster` and the columns come from the contract."""

    metric: Literal[
        "logloss", "brier", "accuracy", "absolute", "squared", "poisson", "pinball", "percentage", "huber"
    ] = "logloss"
    quantile: float | None = Field(default=None, gt=0, lt=1)  # of pinball
    delta: float | None = Field(default=None, gt=0, allow_inf_nan=False)  # of huber, in the unit of the label
    window: int = Field(default=2, ge=1, le=12)
    alpha: float = Field(default=0.05, gt=0, le=0.2)
    looks: int = Field(default=10, ge=1, le=1000)
    margin: float = Field(default=0.0, ge=0, allow_inf_nan=False)  # in units of the metric
    refresh_margin: float = Field(default=0.01, ge=0, le=0.2)
    slices: list[Column] = []
    reveal: Literal["verdict", "numbers"] = "verdict"
    suspect_jump: float = Field(default=0.03, gt=0, le=0.5)
    suspect_fall: float = Field(default=0.5, gt=0, le=1)  # of the loss at once, as a share; 1 asks nobody
    suspect_auc: float | None = Field(default=None, gt=0.5, le=1)
    suspect_column: float = Field(default=0.95, gt=0.5, le=1)  # by one column of the rows, or one value of it
    suspect_rows: float = Field(default=0.2, ge=0, le=1)  # of a month, as a share of the month before; 0 asks nobody
    cleared: list[Column] = []  # columns of the rows that a person has looked at

    @property
    def probability(self) -> bool:
        """Whether what is predicted are probabilities of labels that are 0 or 1."""
        return self.metric in {"logloss", "brier"}

    @model_validator(mode="after")
    def _parameter_of_its_loss(self) -> "GateRules":
        for name, owner in (("quantile", "pinball"), ("delta", "huber")):
            if self.metric == owner and getattr(self, name) is None:
                raise ValueError(f"gate.metric {owner} needs gate.{name}")
            if self.metric != owner and getattr(self, name) is not None:
                raise ValueError(f"gate.{name} is of the metric {owner}, and gate.metric is {self.metric}")
        return self


class Promote(Section):
    """In which environments a passing version is put to use, and by whom."""

    environments: dict[Name, Literal["auto", "manual"]] = {"staging": "auto", "production": "manual"}

    @field_validator("environments")
    @classmethod
    def _not_rights(cls, environments: dict[str, str]) -> dict[str, str]:
        for name in environments:
            if name in RIGHTS:
                raise ValueError(f"'{name}' says what a key may sign ({', '.join(RIGHTS)}); name it otherwise")
        return environments


class Server(Section):
    """What the local server runs, and how many runs go on side by side; GitHub does not read that.

    What a run may hand to the judge is bounded there too, by what the target branch says: files, and MiB of all of
    them, the model among them.
    """

    workflows: list[str] = ["train", "judge", "release", "verify", "retrain", "monitor"]
    jobs: int = Field(default=2, ge=1, le=64)
    timeout_minutes: int = Field(default=60, ge=1, le=24 * 60)
    handover_mib: int = Field(default=200, ge=1, le=MOST_MIB)
    handover_files: int = Field(default=1000, ge=1, le=MOST_FILES)


class Settings(Section):
    """The sections of params.yaml that pushforward reads."""

    model: ModelContract
    data: Data
    gate: GateRules = GateRules()
    promote: Promote = Promote()
    server: Server = Server()

    @model_validator(mode="after")
    def _enough_months(self) -> "Settings":
        if len(self.data.months) < self.gate.window + 2:
            raise ValueError(
                f"data.months has {len(self.data.months)} months; a holdout of {self.gate.window} (gate.window), "
                f"a month to validate on and one to train on need {self.gate.window + 2}"
            )
        return self


def next_month(month: str) -> str:
    """The month after `month`, both as YYYY-MM."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12}-{number % 12 + 1:02d}"


def parse(text: bytes, where: str = FILE) -> Settings:
    """Read the settings from the bytes of params.yaml; `where` names them in errors."""
    tree = _load(text, where)
    own = Settings.model_fields
    for section in tree:
        close = difflib.get_close_matches(str(section), own, n=1, cutoff=0.75)
        if section not in own and close and close[0] not in tree:
            raise _refusal(where, tree, (section,), f"unknown section '{section}'; did you mean '{close[0]}'?")
    try:
        return Settings.model_validate({name: _plain(tree[name]) for name in own if name in tree})
    except ValidationError as invalid:
        first = invalid.errors()[0]
        raise _refusal(where, tree, first["loc"], _explain(first)) from None


def load(folder: Path) -> Settings:
    """The settings of the checkout in `folder`."""
    text = files.read(folder, FILE)
    if text is None:
        raise PushforwardError(f"{folder} has no {FILE}", next="run this inside a checkout of your project")
    return parse(text)


def plain(text: bytes, where: str = FILE) -> dict[str, Any]:
    """Every section of params.yaml, of whosever stages, as plain values."""
    found: dict[str, Any] = _plain(_load(text, where))
    return found


@functools.lru_cache(maxsize=16)
def flatten(text: bytes, where: str = FILE) -> dict[str, Any]:
    """Every leaf of params.yaml by its dotted key, not to be changed; lists are leaves."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            flat[prefix] = value

    walk("", _plain(_load(text, where)))
    return flat


def _load(text: bytes, where: str) -> CommentedMap:
    if len(text) > LIMIT_BYTES:
        raise _broken(f"{where} has {len(text):,} bytes; the limit is {LIMIT_BYTES:,}", where)
    if stands_for := pointers.committed(text[: pointers.FIRST_BYTES]):
        raise PushforwardError(f"{where} is {stands_for[0]}, not what it points to", next=stands_for[1])
    try:
        source = text.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise _broken(f"{where} is not UTF-8 at byte {wrong.start}", where) from None
    try:
        if len(source) > PLAIN_CHARACTERS or not {"&", "*"}.isdisjoint(source):
            _check_events(source, where)
        tree = _tree(source)
    except MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise _broken(f"{where}{at}: {broken.problem or broken.context}", where) from None
    except RecursionError:
        raise _broken(f"{where} is nested too deeply", where) from None
    except (YAMLError, ValueError, *ODD) as broken:
        raise _broken(f"{where}: {(str(broken).splitlines() or ['it cannot be read'])[0]}", where) from None
    if not isinstance(tree, CommentedMap):
        raise _broken(f"{where} must be a mapping of sections", where)
    _check_kinds(tree, where)
    return tree


def _check_kinds(tree: CommentedMap, where: str) -> None:
    """Refuse a value, or a key, of a kind that no stage can be given: DVC takes numbers, texts, lists and mappings.

    A date without quotes is one; DVC ends on it as on a bug of its own, whichever section holds it.
    """
    for path, value in _odd(tree):
        name = ".".join(str(part) for part in path)
        if isinstance(value, datetime.date):
            text = value.isoformat()
            raise _refusal(where, tree, path, f'quote the date at {name}, or DVC cannot read the file: "{text}"')
        if tag := getattr(value, "tag", None) and value.tag.value:
            raise _refusal(where, tree, path, f"'{name}' has the tag {tag}, which DVC cannot read; write it without")
        kind = type(value).__name__.removeprefix("Commented").lower()
        raise _refusal(where, tree, path, f"'{name}' is a value of the kind {kind}, which DVC cannot read; write text")


def _odd(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """What is no number, text, list or mapping, by its path; a tag of somebody's own makes anything such a thing."""
    if isinstance(node, (CommentedMap, CommentedSeq)) and not node.tag.value:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if not isinstance(key, PLAIN):
                yield (*path, key), key
            yield from _odd(value, (*path, key))
    elif not isinstance(node, PLAIN):
        yield path, node


def _check_events(source: str, where: str) -> None:
    """Refuse, before anything is built, what grows while it is: an alias can stand for a million values."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(source):
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise _broken(f"{where} uses a YAML anchor or alias; write the value out", where)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > LIMIT_DEPTH:
            raise _broken(f"{where}:{event.start_mark.line + 1} is nested too deeply", where)


@functools.lru_cache(maxsize=16)
def _tree(source: str) -> Any:
    """A text of YAML with its line numbers, not to be changed; a judge asks for the same few again and again."""
    return YAML(typ="rt").load(source)


def _plain(node: Any) -> Any:
    """The plain Python value of a ruamel node (it subclasses str, float and int to keep formatting)."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _explain(error: Any) -> str:
    loc = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        section = Settings.model_fields[loc[0]].annotation
        known = list(getattr(section, "model_fields", {}))
        close = difflib.get_close_matches(loc[-1], known, n=1)
        if close:
            return f"unknown key '{'.'.join(loc)}'; did you mean '{close[0]}'?"
        other = f"pushforward {__version__} has no such setting, another version may; take it out, or run that version"
        return f"unknown key '{'.'.join(loc)}': {other} (known: {', '.join(known)})"
    if error["type"] == "missing":
        return f"'{'.'.join(loc)}' is missing"
    if error["type"] in ("model_type", "dict_type"):
        return f"'{'.'.join(loc)}' must hold keys of its own; write them below it, or take the line out"
    text = str(error["msg"]).removeprefix("Value error, ")
    if not loc:
        return text
    given = error.get("input")
    shown = f" (it is {given!r})" if isinstance(given, (str, int, float, bool)) and "'" not in text else ""
    return f"'{'.'.join(loc)}': {text[0].lower()}{text[1:]}{shown}"


def _refusal(where: str, tree: CommentedMap, loc: tuple[Any, ...], text: str) -> PushforwardError:
    line, node = 0, tree
    for part in loc:
        try:
            line = node.lc.key(part)[0] if isinstance(node, CommentedMap) else node.lc.item(part)[0]
            node = node[part]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return PushforwardError(f"{where}:{line + 1}: {text}", next=f"edit {where.rpartition(':')[2]}")


def _broken(text: str, where: str) -> PushforwardError:
    return PushforwardError(text, next=f"edit {where.rpartition(':')[2]}")
