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

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from pushforward import files, yamlfile
from pushforward.errors import PushforwardError

FILE = "params.yaml"
MOST_MIB, MOST_FILES = 2048, 10_000  # what is taken over from a run at all
OF_CLASSES = ("logloss", "brier", "accuracy")  # of labels of several classes; the first two of 0 and 1 as well
PLAIN = (bool, int, float, str, type(None))
RIGHTS = ("any", "main", "version")  # what a key may sign beside environments, by name: no environment is called so
MONTH = re.compile(r"[12]\d{3}-(0[1-9]|1[0-2])")

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,62}$")]
RelativePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_-]*(?:[./][A-Za-z0-9_-]+)*$", max_length=200)]
NONE = "none"


def _named(value: object) -> object:
    if value is None:
        raise ValueError(f"write the name of a column, or {NONE}")
    return None if value == NONE else value


Column = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]

ColumnOrNone = Annotated[Column | None, BeforeValidator(_named)]

ClassName = Annotated[str, Field(min_length=1, max_length=60)]


class Section(BaseModel):
    """A section that refuses what it does not know, and never coerces."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ModelContract(Section):
    """How pushforward reaches a project: what the model is, how any revision of it scores rows.

    `cluster` and `time` are None where the settings say `none`: rows that belong to nothing, rows without a moment.
    `loss` is a command that computes what is lost at each key, of the rows or of the column `loss_key` of the labels.
    Where labels are texts, `classes` are those that there are, in order, and predictions a probability for each.
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
    cluster: ColumnOrNone
    time: ColumnOrNone
    classes: list[ClassName] = Field(default=[], min_length=2)
    floor: Column | None = None
    loss: str | None = None
    loss_key: Column | None = None
    validation: RelativePath | None = None
    card: RelativePath | None = None
    requirements: list[RelativePath] = Field(min_length=1)

    @field_validator("score")
    @classmethod
    def _has_its_places(cls, command: str) -> str:
        missing = [place for place in ("{rows}", "{out}") if place not in command]
        if missing:
            raise ValueError(f"the command must contain {', '.join(missing)}")
        return command

    @field_validator("loss")
    @classmethod
    def _has_what_it_compares(cls, command: str | None) -> str | None:
        missing = [place for place in ("{labels}", "{predictions}", "{out}") if place not in (command or place)]
        if missing:
            raise ValueError(f"the command must contain {', '.join(missing)}")
        return command

    @field_validator("classes")
    @classmethod
    def _differ(cls, classes: list[str]) -> list[str]:
        for name in classes:
            if classes.count(name) > 1:
                raise ValueError(f"'{name}' is there twice")
        return classes

    @property
    def predicted(self) -> tuple[str, ...]:
        """The columns of a table of predictions, beside the key."""
        return tuple(f"p_{name}" for name in self.classes) or ("p",)

    @model_validator(mode="after")
    def _events_in_time(self) -> "ModelContract":
        if self.events and self.time is None:
            raise ValueError("model.score asks for {events}, which are known at a moment; name the column model.time")
        return self

    @property
    def events(self) -> bool:
        """Whether the features remember events: then the score command asks for them."""
        return "{events}" in self.score


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
        "logloss", "brier", "accuracy", "absolute", "squared", "poisson", "pinball", "percentage", "huber", "command"
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
        """Whether what is predicted are probabilities."""
        return self.metric in OF_CLASSES

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

    @property
    def binary(self) -> bool:
        """Whether labels are 0 or 1, and predictions the probability of 1."""
        return self.gate.probability and not self.model.classes

    @model_validator(mode="after")
    def _metric_of_its_labels(self) -> "Settings":
        metric = self.gate.metric
        if (metric == "command") != (self.model.loss is not None):
            raise ValueError("gate.metric command and model.loss, the command, go together; one of them is missing")
        if self.model.loss is None and self.model.loss_key is not None:
            raise ValueError("model.loss_key is of a model.loss")
        if self.model.loss is not None and self.model.floor is not None:
            raise ValueError("model.floor is compared by a loss of pushforward's own; with model.loss there is none")
        if self.model.classes and metric not in (*OF_CLASSES, "command"):
            raise ValueError(f"model.classes go with gate.metric {', '.join(OF_CLASSES)}, not with {metric}")
        if metric == "accuracy" and not self.model.classes:
            raise ValueError("gate.metric accuracy is of labels of several classes; name them in model.classes")
        return self

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
            raise yamlfile.refusal(where, tree, (section,), f"unknown section '{section}'; did you mean '{close[0]}'?")
    try:
        return Settings.model_validate({name: yamlfile.plain(tree[name]) for name in own if name in tree})
    except ValidationError as invalid:
        first = invalid.errors()[0]
        inside: Any = own[str(first["loc"][0])].annotation if first["loc"] else None
        known = list(getattr(inside, "model_fields", own))
        raise yamlfile.refusal(where, tree, first["loc"], yamlfile.explain(first, known)) from None


def load(folder: Path) -> Settings:
    """The settings of the checkout in `folder`."""
    text = files.read(folder, FILE)
    if text is None:
        raise PushforwardError(f"{folder} has no {FILE}", next="run this inside a checkout of your project")
    return parse(text)


def plain(text: bytes, where: str = FILE) -> dict[str, Any]:
    """Every section of params.yaml, of whosever stages, as plain values."""
    found: dict[str, Any] = yamlfile.plain(_load(text, where))
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

    walk("", yamlfile.plain(_load(text, where)))
    return flat


def _load(text: bytes, where: str) -> CommentedMap:
    tree = yamlfile.load(text, where)
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
            raise yamlfile.refusal(
                where, tree, path, f'quote the date at {name}, or DVC cannot read the file: "{text}"'
            )
        if tag := getattr(value, "tag", None) and value.tag.value:
            raise yamlfile.refusal(
                where, tree, path, f"'{name}' has the tag {tag}, which DVC cannot read; write it without"
            )
        kind = type(value).__name__.removeprefix("Commented").lower()
        raise yamlfile.refusal(
            where, tree, path, f"'{name}' is a value of the kind {kind}, which DVC cannot read; write text"
        )


def _odd(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """What is no number, text, list or mapping, by its path; a tag of somebody's own makes anything such a thing."""
    if isinstance(node, (CommentedMap, CommentedSeq)) and not node.tag.value:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if not isinstance(key, PLAIN):
                yield (*path, key), key
            yield from _odd(value, (*path, key))
    elif not isinstance(node, PLAIN):
        yield path, node
