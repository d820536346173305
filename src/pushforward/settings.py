"""The settings: what a repository is told in pushforward.yaml, of one model at a time. Every verb asks.

The file itself is `schema`'s. `Settings.model` is there at every level; what the judge goes by is `Settings.limits` at
levels 0 and 1, `Settings.contract` above.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pushforward import __version__, files, params, schema
from pushforward.errors import PushforwardError
from pushforward.lifecycle import Serve
from pushforward.schema import Gate, Metric, Model, Noise, Predictions, Project, Promote, Server
from pushforward.section import Column, Name, ProjectPath, Section

OLD = ("model", "data", "gate", "promote", "server")  # sections of params.yaml that were ours before pushforward.yaml
OLD_MODEL = frozenset(("name", "path", "score", "holdout"))
SCORED = schema.LEVELS.index("predictions")  # the first level at which predictions are judged
COMMAND = "command"  # what the gate calls a loss of the project's own

RelativePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_-]*(?:[./][A-Za-z0-9_-]+)*$", max_length=200)]


class GateRules(Gate):
    """The rules of the gate for one model: with its loss."""

    metric: Literal[
        "logloss", "brier", "accuracy", "absolute", "squared", "poisson", "pinball", "percentage", "huber", "command"
    ] = "logloss"

    @property
    def probability(self) -> bool:
        """Whether what is predicted are probabilities."""
        return self.metric in schema.OF_CLASSES

    @model_validator(mode="after")
    def _parameter_of_its_loss(self) -> Self:
        self.check((self.metric,))
        return self


class Outline(Section):
    """What a model has at every level; what its pipeline makes or reads is named from the root, `folder` included."""

    name: Name
    folder: str = "."
    path: str | None
    environment: list[ProjectPath]
    card: ProjectPath | None = None

    def beside(self, path: str) -> str:
        """What is named from the model's folder, from the root."""
        return path if self.folder == "." else f"{self.folder}/{path}"

    def named(self, path: str) -> str:
        """What is named from the root, from the model's folder, as pushforward.yaml has it."""
        return path if self.folder == "." else path.removeprefix(f"{self.folder}/")


class ModelContract(Outline):
    """Level 3: what the model is, how any revision of it scores rows, and which rows it is asked.

    At level 2 the pipeline has answered by itself: `score` is empty, `holdout` the table with labels and predictions,
    and `written` the column of the latter, or with classes what comes before `_<class>`.
    `validation` is an out of the pipeline: the predictions `p` of a fit that has not seen the validation month, with
    the columns of the labels. It is what reviewers see of a model while the holdout's numbers are sealed. Every model
    has to beat what something simple predicts, such as a mean by group: `floor`, a column of the labels, or what
    `floor_command` writes, asked as a model is.
    `cluster` and `time` are None where the settings say `none`: rows that belong to nothing, rows without a moment.
    `loss` is a command that computes what is lost at each key, of the rows or of the column `loss_key` of the labels.
    `share` of all keys is the holdout where there are no batches, and `data` are files that only gain rows.
    Where labels are texts, `classes` are those that there are, in order, and predictions a probability for each.
    """

    path: RelativePath
    score: str
    holdout: RelativePath
    key: Column
    label: Column
    cluster: Column | None
    time: Column | None
    classes: list[str] = Field(default=[])
    floor: Column | None = None
    floor_command: str | None = None
    loss: str | None = None
    loss_key: Column | None = None
    validation: RelativePath | None = None
    share: float = 0.2
    data: list[ProjectPath] = Field(default=[])
    written: Column = "p"

    @property
    def predicted(self) -> tuple[str, ...]:
        """The columns of a table of predictions, beside the key."""
        return tuple(f"p_{name}" for name in self.classes) or ("p",)

    @property
    def events(self) -> bool:
        """Whether the features remember events: then the score command asks for them."""
        return "{events}" in self.score

    @property
    def repeats(self) -> bool:
        """Whether one run of the score command takes several tables of events."""
        return tuple(self.score.split()[-3:]) == schema.AGAIN


@dataclass(frozen=True)
class Settings:
    """What a repository is told; `where` names the file in errors, `name` the model that is meant, "" the only one."""

    project: Project
    where: str = schema.FILE
    name: str = ""

    def of(self, name: str) -> "Settings":
        """The same for one of several models; where there is one alone it is meant, whatever it is called."""
        if not self.several:
            return self
        if name and name not in self.project.models:
            raise PushforwardError(
                f"{self.where} has no model {name}; it has {', '.join(self.project.models)}", next=f"edit {schema.FILE}"
            )
        return replace(self, name=name) if name else self

    @property
    def each(self) -> "list[Settings]":
        """The same for every model, in the order of the file; for the one that is meant, where one is."""
        return [self] if self.name else [self.of(name) for name in self.project.models]

    @property
    def several(self) -> bool:
        """Whether the repository has more than one model."""
        return len(self.project.models) > 1

    @property
    def all_of_several(self) -> bool:
        """Whether it has, and none of them is meant by itself."""
        return self.several and not self.name

    @property
    def environment(self) -> list[str]:
        """The locks of the one environment that the pipeline is run in, whichever model it makes."""
        (first, told), *others = ((name, model.environment) for name, model in self.project.models.items())
        if other := next((name for name, locks in others if locks != told), ""):
            raise self._refusal(
                f"models.{other}.environment is another than that of {first}: one pipeline is run in one"
            )
        return told

    @cached_property
    def model(self) -> Outline:
        """The model, at whichever level."""
        name, model = self._one
        path = self._placed(model.path)
        return Outline(name=name, folder=model.folder, path=path, environment=model.environment, card=model.card)

    @property
    def measures(self) -> bool:
        """Whether runs are measured: their numbers are told, and held against limits, and no row is scored."""
        return self.level < SCORED

    @property
    def model_path(self) -> str:
        """Where the model lies; refused where the settings name none."""
        if self.model.path is None:
            name, _ = self._one
            raise self._refusal(f"models.{name}.path is missing: which out the model is")
        return self.model.path

    @property
    def score(self) -> str:
        """The command that scores; "" where the judge asks no model."""
        return self._one[1].score or ""

    @property
    def entry(self) -> str:
        """MODULE:CALLABLE that loads the model to serve it; "" where its score command answers."""
        return self._one[1].serve or ""

    @property
    def explain(self) -> str:
        """The command that tells how a prediction comes about; "" where the project has none."""
        return self._one[1].explain or ""

    @property
    def serve(self) -> Serve:
        """What a version may take to answer, and which others get a share."""
        return self.project.serve

    @property
    def self_scored(self) -> bool:
        """Whether what the pipeline predicted by itself is judged: the judge asks no model."""
        return self.level == SCORED

    @property
    def predictions(self) -> Predictions | None:
        """The table with labels and predictions that the pipeline makes, where there is one."""
        told = self._one[1].predictions
        return told.model_copy(update={"path": self._placed(told.path)}) if told is not None else None

    @property
    def noise(self) -> Noise | None:
        """Level 1: which seed is tried how often beside a run, where that is asked for."""
        name, model = self._one
        if model.noise is not None and self.several:
            raise self._refusal(f"models.{name}.noise: seeds are tried for a model that is alone in its repository")
        return model.noise if self.measures else None

    @property
    def limits(self) -> dict[str, Metric]:
        """Levels 0 and 1: the limits of what a run writes, by file:path; refused where none could promote."""
        name, model = self._one
        found = {self._placed(key) or key: metric for key, metric in (model.metrics or {}).items()}
        if self.project.promote.metrics and not any(schema.limits(metric) for metric in found.values()):
            raise self._refusal(f"promote.metrics: no number of models.{name}.metrics has a limit that it could keep")
        return found

    @cached_property
    def contract(self) -> ModelContract:
        """How the judge reaches the project; refused where nothing is predicted that it could judge."""
        name, model = self._one
        if self.measures:
            raise self._below()
        if lacking := next(_unjudged(model), ""):
            raise self._refusal(f"models.{name}.{lacking} is not judged yet")
        if self.project.promote.metrics:
            level = f"level {model.level} ({schema.LEVELS[model.level]})"
            raise self._refusal(f"promote.metrics is of level 1, and at {level} what passes is promoted; take it out")
        told = model.model_dump(include={"folder", "environment", "card", "loss_key"})
        told |= {"path": self._placed(model.path), "validation": self._placed(model.validation)}
        told |= {"classes": model.classes or [], "data": [self._placed(path) for path in model.data or []]}
        told |= {"loss": model.loss if self.gate.metric == COMMAND else None}
        told |= _scored(model)
        told |= {column: None for column in ("cluster", "time") if told[column] == schema.NONE}
        try:
            told["holdout"] = self._placed(told["holdout"])
            return ModelContract(name=name, **told)
        except ValidationError as invalid:
            first = invalid.errors()[0]
            said = f"models.{name}.{'.'.join(map(str, first['loc']))} (it is {first['input']!r})"
            raise self._refusal(f"{said} has to be of letters, digits and _, a path also of - . and /") from None

    @cached_property
    def gate(self) -> GateRules:
        """The rules of the gate, with the model's loss; a loss of the project's own is `command` there."""
        _, model = self._one
        word = model.loss or schema.LOSSES[0]
        metric = word if word in schema.LOSSES else COMMAND
        others = {key: None for key, owner in schema.PARAMETERS.items() if owner != metric}  # of another model's loss
        return GateRules.model_validate({**self.project.gate.model_dump(), **others, "metric": metric})

    @property
    def binary(self) -> bool:
        """Whether labels are 0 or 1, and predictions the probability of 1."""
        return self.gate.probability and not self.contract.classes

    @property
    def outs(self) -> list[str]:
        """What a run has to make: each model, or the one that is meant, and at level 3 what it is judged by."""
        if self.all_of_several:
            return list(dict.fromkeys(path for one in self.each for path in one.outs))
        _, model = self._one
        asked = (one.path for one in (model.holdout, model.predictions) if one is not None)
        return [place for path in (model.path, *asked, model.validation) if (place := self._placed(path))]

    @property
    def validation(self) -> str | None:
        """The out with predictions of a fit that has not seen the validation rows, where there is one."""
        return self._placed(self._one[1].validation)

    @property
    def promote(self) -> Promote:
        """What becomes of a version that passes."""
        return self.project.promote

    @property
    def server(self) -> Server:
        """What the local server runs."""
        return self.project.server

    @property
    def level(self) -> int:
        """0 to 3; of several models the lowest, where none is meant."""
        return self._one[1].level if self.name else self.project.level

    @property
    def highest(self) -> int:
        """The highest level of its models."""
        return max(one.level for one in self.each)

    @property
    def batches(self) -> tuple[str, str]:
        """The file and the key that list the batches; two empty texts where there are none."""
        named = self._one[1].batches or schema.NONE
        file, colon, key = named.partition(":")
        return (self._placed(file) or "", key) if colon else ("", "")

    @property
    def renews(self) -> int:
        """How many unseen keys open an epoch, where there are no batches."""
        return self.project.gate.renews

    @property
    def extend(self) -> int:
        """How many more batches a window may grow by, while a look that could not tell stays open."""
        return self.project.gate.extend if self.batched else 0

    @property
    def promotions(self) -> int:
        """How many changes may be promoted on a holdout before it retires."""
        return self.project.gate.promotions

    @property
    def batched(self) -> bool:
        """Whether data arrives in batches; where not, the holdout is by a hash of the key, and judged in epochs."""
        return self.batches != ("", "")

    def arrived(self, read: Callable[[str], bytes | None], at: str = "") -> list[str]:
        """The names of the batches that have arrived, none where there are none.

        `read` gives the pipeline's files, `at` is before their names.
        """
        name = self.contract.name
        if self.self_scored:
            raise self._below()
        if not self.batched:
            return []
        file, key = self.batches
        text = read(file)
        if text is None:
            raise self._refusal(f"models.{name}.batches names {file}, which is not there")
        names, needed = params.batches(text, key, f"{at}{file}"), self.gate.window + 2
        if len(names) < needed:
            raise PushforwardError(
                f"{at}{file}: {key} has {len(names)} batches; a holdout of {self.gate.window} (gate.window), "
                f"one to validate on and one to train on need {needed}",
                next=f"edit {file}",
            )
        return names

    def check_tool(self) -> None:
        """Refuse to judge by another version than the settings name: its rules may be others."""
        if self.project.tool.split(".")[:2] != __version__.split(".")[:2]:
            named = self.project.tool
            raise PushforwardError(
                f"{self.where} names pushforward {named} as the version that judges, and this is {__version__}",
                next=f"run pushforward {named}, or pushforward adopt --update, which names {__version__}",
            )

    def _placed(self, path: str | None) -> str | None:
        """What is named from the model's folder, from the root."""
        folder = self._one[1].folder
        return path if path is None or folder == "." else f"{folder}/{path}"

    @property
    def _one(self) -> tuple[str, Model]:
        if self.name:
            return self.name, self.project.models[self.name]
        if self.several:
            names, first = ", ".join(self.project.models), next(iter(self.project.models))
            raise PushforwardError(
                f"{self.where} has several models: {names}", next=f"say which: --model {first}, or {first}@v1.0.0"
            )
        ((name, model),) = self.project.models.items()
        return name, model

    def _below(self) -> PushforwardError:
        name, model = self._one
        return PushforwardError(
            f"{self.where}: the model {name} is at level {model.level} ({schema.LEVELS[model.level]}), and judging it "
            "needs level 3: `holdout`, rows that no model has seen, and `score`, the command that scores them",
            next="pushforward adopt --level 3",
        )

    def _refusal(self, words: str) -> PushforwardError:
        return PushforwardError(f"{self.where}: {words}", next=f"edit {schema.FILE}")


def _scored(model: Model) -> dict[str, Any]:
    """Where labels and predictions come from: the holdout and its command, or at level 2 the one table with both."""
    if model.holdout is None:
        assert model.predictions is not None  # noqa: S101, or there is no contract
        asked = model.predictions.model_dump(exclude={"path", "p", "test_set"})
        return asked | {"holdout": model.predictions.path, "written": model.predictions.p, "score": "", "time": None}
    asked = model.holdout.model_dump(exclude={"path"}) | {"holdout": model.holdout.path, "score": model.score}
    if model.holdout.floor_is_command:
        asked |= {"floor": None, "floor_command": model.holdout.floor}
    return asked


def _unjudged(model: Model) -> Iterator[str]:
    """What the format has and the judge cannot answer for yet."""
    # what would hold a commit must not be passed over; a metric without a limit asks nothing
    limits = ((key, limit) for key, metric in (model.metrics or {}).items() for limit in schema.limits(metric))
    yield from (f'metrics."{key}".{limit}' for key, limit in limits)
    if model.noise is not None:
        yield "noise"


def parse(text: bytes, where: str = schema.FILE) -> Settings:
    """Read the settings of a repository from the bytes of pushforward.yaml; `where` names them in errors."""
    return Settings(schema.parse(text, where), where)


def load(folder: Path) -> Settings:
    """The settings of the checkout in `folder`."""
    text = files.read(folder, schema.FILE)
    if text is None:
        old = files.read(folder, params.FILE)
        raise absent(f"{folder} has no {schema.FILE}", old, "pushforward adopt, which writes it")
    return parse(text)


def absent(words: str, old: bytes | None, then: str) -> PushforwardError:
    """The refusal of a place without settings: its params.yaml, where it has one, may hold them in the old form."""
    tree = {} if old is None else _plain_or_nothing(old)
    sections = outdated(tree)
    return moved(sections) if sections else PushforwardError(words, next=then)


def moved(sections: tuple[str, ...]) -> PushforwardError:
    """The refusal of the old form."""
    return PushforwardError(
        f"{params.FILE} has {', '.join(sections)} of pushforward, which are in {schema.FILE} from this version on",
        next="pushforward adopt --update, which moves them",
    )


def outdated(tree: Mapping[str, Any]) -> tuple[str, ...]:
    """The sections of a params.yaml that are ours, as they were before pushforward.yaml."""
    model = tree.get("model")
    if not isinstance(model, dict) or not set(model) >= OLD_MODEL:
        return ()
    return tuple(name for name in OLD if name in tree)


def _plain_or_nothing(text: bytes) -> dict[str, Any]:
    try:
        return params.plain(text)
    except PushforwardError:
        return {}
