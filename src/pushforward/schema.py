"""The format of pushforward.yaml: frozen models, one refusal with its line for whatever is not as it must be.

What a pipeline makes or reads is named from the model's `folder`, locks and cards from the root of the repository.
`settings` reads it for whoever judges, `project.adopt` for whoever begins; editors complete the file by the JSON schema
that is published of it (docs/pushforward.schema.json).
"""

import difflib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from pushforward import __version__, files, params, yamlfile
from pushforward.lifecycle import Arrive, Monitor, Serve, Tune
from pushforward.section import Column, FolderPath, KeyOfFile, Name, ProjectPath, Section, key_of_file, places

FILE = files.SETTINGS
NONE = "none"

LEVELS = ("rerun", "metrics", "predictions", "contract")  # 0 to 3
LOSSES = ("logloss", "brier", "accuracy", "absolute", "squared", "poisson", "pinball", "percentage", "huber")
PARAMETERS = {"quantile": "pinball", "delta": "huber"}  # of the gate -> the loss that has it
OF_CLASSES = ("logloss", "brier", "accuracy")  # of labels of several classes; the first two of 0 and 1 as well
AGAIN = ("{events}", "{out}", "...")  # ends a score command that takes the first two of these again and again
OF_HOLDOUT = ("validation", "batches", "data", "serve", "explain")
MOST_MIB, MOST_FILES = 2048, 10_000  # what is taken over from a run at all
RIGHTS = (
    "accept",
    "any",
    "main",
    "version",
)  # what a key may sign beside environments, by name: no environment is called so

Mail = Annotated[str, Field(pattern=r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}$")]
Event = Literal["verdict", "promotion", "release", "rollback", "verify", "monitor", "arrival", "serving"]


def _loss(words: str) -> str:
    if " " not in words and words not in LOSSES:
        raise ValueError(f"write one of {', '.join(LOSSES)}, or a command with {{labels}} {{predictions}} {{out}}")
    missing = [place for place in ("{labels}", "{predictions}", "{out}") if place not in words]
    if " " in words and missing:
        raise ValueError(f"the command must contain {', '.join(missing)}")
    return words


def _score(words: str) -> str:
    found = words.split()
    if AGAIN[-1] in found and (found.count(AGAIN[-1]) > 1 or tuple(found[-3:]) != AGAIN):
        raise ValueError(f"'{AGAIN[-1]}' ends the command, after the words {{events}} and {{out}} that it repeats")
    return words


def _floor(words: str) -> str:
    missing = [place for place in ("{rows}", "{out}") if place not in words]
    if " " in words and missing:
        raise ValueError(f"the command must contain {', '.join(missing)}; a column has no blank in its name")
    return words


def _batches(words: str) -> str:
    if words.startswith(f"{FILE}:"):
        raise ValueError(f"batches are listed in a file of the pipeline, not in {FILE}")
    return words if words == NONE else key_of_file(words)


class Metric(Section):
    """What a number of the pipeline has to keep to, beside that of the target branch."""

    better: Literal["higher", "lower"] = Field(description="Which way is better.")
    at_least: float | None = Field(default=None, allow_inf_nan=False, description="Below it the commit is held.")
    at_most: float | None = Field(default=None, allow_inf_nan=False, description="Above it the commit is held.")
    gain_at_least: float | None = Field(
        default=None, allow_inf_nan=False, description="How much better than on the target branch it has to be."
    )
    lose_at_most: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="How much worse than on the target branch it may be."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.better == "lower" and self.at_least is not None:
            raise ValueError("where lower is better, the limit is at_most")
        if self.better == "higher" and self.at_most is not None:
            raise ValueError("where higher is better, the limit is at_least")
        return self


def limits(metric: Metric) -> list[str]:
    """The names of the limits that a metric has."""
    return [name for name in Metric.model_fields if name != "better" and getattr(metric, name) is not None]


class Noise(Section):
    """How far the metrics move by chance: the recipe of the target branch with other seeds, once for each."""

    param: str = Field(pattern=r"^[\w-]+(\.[\w-]+)*$", description="The seed, as params.yaml names it: train.seed.")
    runs: int = Field(default=5, ge=2, le=20, description="How many seeds are tried.")


class Predictions(Section):
    """A table that the pipeline makes: one row for each row of the test set."""

    path: ProjectPath = Field(description="The table, an out of the pipeline: CSV or Parquet.")
    label: Column = Field(description="The column of the label.")
    p: Column = Field(default="p", description="The column of what is predicted; with classes P_<class> for each.")
    key: Column = Field(description="The column that names a row, the same from run to run.")
    cluster: Column = Field(
        default=NONE, description="The column of what belongs together, such as the day or the patient; none: each row."
    )
    floor: Column | None = Field(
        default=None, description="What every model has to beat: a column of what something simple predicts."
    )
    test_set: str = Field(
        default="",
        max_length=60,
        description="A person's word that another test set begins: another name than the version in use has.",
    )

    @field_validator("path")
    @classmethod
    def _a_table(cls, path: str) -> str:
        if not path.endswith((".csv", ".parquet")):
            raise ValueError("write the path of a table, .csv or .parquet")
        return path

    @field_validator("test_set")
    @classmethod
    def _printable(cls, name: str) -> str:
        if not name.isprintable():
            raise ValueError("write a name that can be printed")
        return name

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if len({self.key, self.label, self.p}) < 3:
            raise ValueError("'key', 'label' and 'p' are three columns")
        return self


class Holdout(Section):
    """Rows that no model has seen, and by which the judge asks every model."""

    path: ProjectPath = Field(description="The folder with rows, labels and, where there are some, events.")
    key: Column = Field(description="The column that names a row.")
    label: Column = Field(description="The column of the label.")
    cluster: Column = Field(description="The column of what belongs together: the day, the patient; none: each row.")
    time: Column = Field(description="The column that says when a row was asked; none where rows have no time.")
    floor: Annotated[str, AfterValidator(_floor)] | None = Field(
        default=None,
        min_length=1,
        description="What every model has to beat: a column of the labels, or a command as `score` is, run with the "
        "code of whoever judges.",
    )
    share: float = Field(
        default=0.2,
        gt=0,
        le=0.5,
        description="Without batches: the share of all keys that is held out, by a hash of the key.",
    )

    @property
    def floor_is_command(self) -> bool:
        """Whether the floor is what a command predicts, and no column."""
        return self.floor is not None and " " in self.floor


class Model(Section):
    """One model: where its pipeline is, what it makes, and by what it is judged."""

    folder: FolderPath = Field(
        default=".", description="Where its dvc.yaml lies; what its pipeline makes or reads is named from there."
    )
    path: ProjectPath | None = Field(
        default=None, description="The model: an out, a file or a folder, named from `folder`."
    )
    environment: list[ProjectPath] = Field(
        default=[],
        description="The locks of its environment, named from the root: a pip file, uv.lock, poetry.lock, pylock.toml.",
    )
    card: ProjectPath | None = Field(default=None, description="A text that begins the model card of every version.")
    metrics: dict[KeyOfFile, Metric] | None = Field(
        default=None,
        min_length=1,
        description="Level 1. FILE:KEY of a number that the run writes -> its limits.",
    )
    noise: Noise | None = Field(default=None, description="Level 1. How far the metrics move by chance.")
    predictions: Predictions | None = Field(
        default=None, description="Level 2. A table of labels and predictions, written by the pipeline itself."
    )
    holdout: Holdout | None = Field(default=None, description="Level 3, with `score`. Rows that no model has seen.")
    score: Annotated[str, places("{rows}", "{out}"), AfterValidator(_score)] | None = Field(
        default=None,
        description="Level 3. The command that scores: with {rows}, {out} and, where there are, {events}; ending in "
        "'{events} {out} ...' where one run takes several tables of events.",
    )
    classes: list[Annotated[str, Field(min_length=1, max_length=60)]] | None = Field(
        default=None, min_length=2, description="Where labels are texts: which there are, in order."
    )
    loss: Annotated[str, AfterValidator(_loss)] | None = Field(
        default=None, description="What is lost by a prediction: a word, or a command. Default: logloss."
    )
    loss_key: Column | None = Field(
        default=None, description="Of a loss by command: the column of the labels that it has a loss for; default: key."
    )
    validation: ProjectPath | None = Field(
        default=None, description="Level 3. Predictions of a fit that has not seen the validation rows."
    )
    batches: Annotated[str, AfterValidator(_batches)] | None = Field(
        default=None,
        description="Level 3. Where the names of the batches stand, in order; none, the default, where there are none.",
    )
    serve: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", max_length=200)] | None = Field(
        default=None,
        description="Level 3. MODULE:CALLABLE that loads the model to serve it; default: `score`, for each answer.",
    )
    explain: Annotated[str, places("{rows}", "{out}")] | None = Field(
        default=None,
        max_length=500,
        description="Level 3. The command that tells how a prediction comes about: as `score`, of one row, to JSON.",
    )
    data: list[ProjectPath] | None = Field(
        default=None,
        min_length=1,
        description="Level 3. Files of git, .dvc files too, that only gain rows: a change of these alone is a refresh.",
    )

    @property
    def level(self) -> int:
        """0 to 3: what is there says it."""
        if self.holdout is not None:
            return 3
        return 2 if self.predictions is not None else int(self.metrics is not None)

    @field_validator("classes")
    @classmethod
    def _differ(cls, classes: list[str] | None) -> list[str] | None:
        for name in classes or ():
            if (classes or []).count(name) > 1:
                raise ValueError(f"'{name}' is there twice")
        return classes

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """No half of a level: what is begun is there, or the file is refused with what is missing."""
        if self.score is not None and self.holdout is None:
            raise ValueError("'holdout' is missing, which `score` is of; both make level 3")
        if self.holdout is not None and self.score is None:
            raise ValueError("'score' is missing, the command that answers the holdout; both make level 3")
        for name in OF_HOLDOUT:
            if getattr(self, name) is not None and self.holdout is None:
                raise ValueError(f"'{name}' is of level 3, and 'holdout' and 'score' are missing")
        if self.noise is not None and self.metrics is None:
            raise ValueError("'metrics' is missing, whose `noise` this is")
        for name in ("loss", "classes"):
            if getattr(self, name) is not None and self.level < 2:
                raise ValueError(f"'{name}' is of level 2, and 'predictions' is missing")
        self._check_loss()
        if self.level > 0 and self.path is None:
            raise ValueError("'path' is missing: which out the model is")
        return self

    def _check_loss(self) -> None:
        """What goes with a loss, and what does not."""
        word = self.loss or LOSSES[0]
        command = word not in LOSSES
        if self.classes is not None and not command and word not in OF_CLASSES:
            raise ValueError(f"'classes' go with the losses {', '.join(OF_CLASSES)}, not with {word}")
        if word == "accuracy" and self.classes is None:
            raise ValueError("the loss accuracy is of labels of several classes; name them in 'classes'")
        if self.loss_key is not None and not command:
            raise ValueError("'loss_key' is of a loss by command")
        if self.holdout is None or self.score is None:
            return
        if "{events}" in (self.holdout.floor or "") and "{events}" not in self.score:
            raise ValueError("'holdout.floor' asks for {events}, and 'score' does not: then there are none")
        if self.holdout.time == NONE and "{events}" in self.score:
            raise ValueError("'score' asks for {events}, which are known at a moment; name the column holdout.time")
        if "{events}" in (self.explain or "") and "{events}" not in self.score:
            raise ValueError("'explain' asks for {events}, and 'score' does not: then there are none")


class Gate(Section):
    """What a challenger must show at levels 2 and 3."""

    quantile: float | None = Field(default=None, gt=0, lt=1, description="Of the loss pinball.")
    delta: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Of the loss huber, in the unit of the label."
    )
    window: int = Field(default=2, ge=1, le=400, description="How many of the newest batches are the holdout.")
    extend: int = Field(
        default=0,
        ge=0,
        le=400,
        exclude=True,  # of how often is judged; a look tells its own plan
        description="How many more batches a window may grow by while a look that could not tell stays open.",
    )
    renews: int = Field(
        default=500,
        ge=100,
        exclude=True,  # of when is judged, not of how: a verdict does not name it among its rules
        description="Without batches: how many unseen keys of the holdout open the next epoch.",
    )
    alpha: float = Field(default=0.05, gt=0, le=0.2, description="How often all looks together may be wrong.")
    looks: int = Field(default=10, ge=1, le=1000, description="How many questions a holdout answers before it retires.")
    promotions: int = Field(
        default=3,
        ge=1,
        le=1000,
        exclude=True,  # of how long is judged, not of how: a verdict does not name it among its rules
        description="How many changes may be promoted on a holdout before it retires.",
    )
    margin: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="What counts as better, in units of the loss."
    )
    refresh_margin: float = Field(
        default=0.01, ge=0, le=0.2, description="How much worse the same recipe may be on new data, as a share."
    )
    slices: list[Column] = Field(default=[], description="Columns of the labels, each value of which is looked at.")
    reveal: Literal["verdict", "numbers", "pass"] = Field(
        default="verdict",
        description="What is told of a holdout in use: the verdict alone, its numbers, or no more than what passes.",
    )
    suspect_jump: float = Field(default=0.03, gt=0, le=0.5, description="A gain of AUC at once that a person looks at.")
    suspect_fall: float = Field(
        default=0.5, gt=0, le=1, description="A fall of the loss at once, as a share, that a person looks at; 1: none."
    )
    suspect_auc: float | None = Field(default=None, gt=0.5, le=1, description="An AUC that a person looks at.")
    suspect_column: float = Field(
        default=0.95, gt=0.5, le=1, description="The AUC of one column of the rows that a person looks at."
    )
    suspect_rows: float = Field(
        default=0.2, ge=0, le=1, description="A change in the number of rows, as a share, that a person looks at."
    )
    cleared: list[Column] = Field(default=[], description="Columns of the rows that a person has looked at.")

    def check(self, losses: Iterable[str]) -> None:
        """Refuse a parameter that none of the losses has, and a loss without its own."""
        for key, owner in PARAMETERS.items():
            if owner in losses and getattr(self, key) is None:
                raise ValueError(f"the loss {owner} needs gate.{key}")
            if owner not in losses and getattr(self, key) is not None:
                raise ValueError(f"gate.{key} is of the loss {owner}, which no model has")


class Promote(Section):
    """In which environments a passing version is put to use, and by whom."""

    environments: dict[Name, Literal["auto", "manual"]] = Field(
        default={"staging": "auto", "production": "manual"},
        description="Environment -> auto (every version that passes), or manual (a person's tag).",
    )
    metrics: bool = Field(
        default=False,
        description="Whether at level 1 what keeps its limits is promoted by itself, marked `by: metrics`.",
    )

    @field_validator("environments")
    @classmethod
    def _not_rights(cls, environments: dict[str, str]) -> dict[str, str]:
        for name in environments:
            if name in RIGHTS:
                raise ValueError(f"'{name}' says what a key may sign ({', '.join(RIGHTS)}); name it otherwise")
        return environments


class Repro(Section):
    """How `pushforward repro` runs the pipeline."""

    jobs: int = Field(
        default=1,
        ge=1,
        le=64,
        description="How many stages run side by side where none of them needs another. Each takes its own memory, and "
        "what a stage does not name in dvc.yaml is not waited for.",
    )


class Report(Section):
    """What a forge shows of a verdict."""

    pictures: Literal["shown", "links", "none"] = Field(
        default="shown",
        description="Pictures of both models in the comment on a pull request: shown, links alone, or none.",
    )


class Target(Section):
    """Somebody who is told of what happens, by a webhook or by mail; the address itself is in no repository."""

    url_env: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]{0,63}$",
        description="What the address is called, in the environment, or on a server in keys/notify.env: "
        "https://… of a webhook, smtps://USER:PASSWORD@HOST of a mail server.",
    )
    to: list[Mail] = Field(default=[], max_length=50, description="By mail: to whom.")
    sender: Mail | None = Field(default=None, description="By mail: from whom.")
    events: list[Event] = Field(default=[*get_args(Event)], min_length=1, description="What is told; default all.")

    @model_validator(mode="after")
    def _mail_or_webhook(self) -> Self:
        if bool(self.to) != (self.sender is not None):
            raise ValueError("a mail has `to` and `sender`, a webhook neither")
        return self


class Server(Section):
    """What the local server runs; a forge does not read that."""

    when_closed: Literal["train", "skip"] = Field(
        default="train",
        description="What becomes of a push whose holdout answers no more: it is trained and shown on the validation "
        "month, or not trained until the next holdout opens.",
    )
    workflows: list[str] = Field(
        default=["train", "judge", "release", "verify", "retrain", "monitor", "arrive"],
        description="The files of .github/workflows that it runs, by name, without .yml.",
    )
    required: list[str] = Field(
        default=[],
        description="Workflows beside the judge, by name as above, that must be green: red before the judge, nothing "
        "is judged; red after it, a protected default branch does not take the commit. One that is not started is not "
        "waited for.",
    )
    adopt: bool | None = Field(
        default=None,
        description="Whether a push to the default branch takes over what the run of a pull request with the very same "
        "files has made and scored, instead of running again. Default: where all who push are trusted (init).",
    )
    jobs: int = Field(default=2, ge=1, le=64, description="How many runs go on side by side.")
    timeout_minutes: int = Field(default=60, ge=1, le=24 * 60, description="What a run may take.")
    handover_mib: int = Field(default=200, ge=1, le=MOST_MIB, description="What a run may hand over, in MiB.")
    handover_files: int = Field(default=1000, ge=1, le=MOST_FILES, description="What a run may hand over, in files.")


class Project(Section):
    """What pushforward is told of a repository."""

    tool: str = Field(
        pattern=r"^\d+\.\d+\.\d+([a-z0-9.+-]*)$",
        description="The version of pushforward that judges; a change counts from the next push on.",
    )
    models: dict[Name, Model] = Field(min_length=1, description="The models of this repository, by name.")
    gate: Gate = Field(default=Gate(), description="The rules of the gate, at levels 2 and 3.")
    promote: Promote = Field(default=Promote(), description="What becomes of a version that passes.")
    notify: dict[Name, Target] = Field(
        default={}, max_length=20, description="Who is told of verdicts, versions, uses, arrivals; by name."
    )
    repro: Repro = Field(default=Repro(), description="How the pipeline runs.")
    report: Report = Field(default=Report(), description="The comment on a pull request.")
    arrive: Arrive | None = Field(default=None, description="Where batches come from, and when they should.")
    serve: Serve = Field(default=Serve(), description="What `pushforward serve` does beside answering.")
    monitor: Monitor | None = Field(default=None, description="What is held against what while a version serves.")
    tune: Tune | None = Field(default=None, description="Which parameters are searched, and how far.")
    server: Server = Field(default=Server(), description="The local server; a forge does not read that.")

    @property
    def level(self) -> int:
        """The lowest level of its models: what is true of all of them."""
        return min(model.level for model in self.models.values())

    @model_validator(mode="after")
    def _agree(self) -> Self:
        seen: dict[tuple[str, str | None], str] = {}
        for name, model in self.models.items():
            if (other := seen.setdefault((model.folder, model.path), name)) != name:
                raise ValueError(f"the models '{other}' and '{name}' are the same out of {model.folder}/dvc.yaml")
        self.gate.check({model.loss or LOSSES[0] for model in self.models.values()})
        self._check_searched()
        return self

    def _check_searched(self) -> None:
        for model in self.models.values():
            file, _, key = (model.batches or NONE).partition(":")
            if self.tune and file == params.FILE and (name := self.tune.touches(key)):
                raise ValueError(
                    f"tune.space has '{name}', and {file}:{key} lists the batches: a trial would see the holdout"
                )


def parse(text: bytes, where: str = FILE) -> Project:
    """Read a project from the bytes of pushforward.yaml; `where` names them in errors."""
    tree = yamlfile.load(text, where)
    own = Project.model_fields
    for section in tree:
        close = difflib.get_close_matches(str(section), own, n=1, cutoff=0.6)
        if section not in own:
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(own)}"
            raise yamlfile.refusal(where, tree, (section,), f"unknown section '{section}'; {hint}")
    try:
        return Project.model_validate(yamlfile.plain(tree))
    except ValidationError as invalid:
        # a key that is misspelt is also one that is missing: the word that is there says more
        first = min(invalid.errors(), key=lambda error: error["type"] != "extra_forbidden")
        loc = tuple(part for part in first["loc"] if part != "[key]")
        words = yamlfile.explain({**first, "loc": loc}, _known(loc))
        if loc == ("tool",) and first["type"] == "missing":
            words += f': write tool: "{__version__}", the version that judges'
        if loc[-2:] == ("predictions", "key") and first["type"] == "missing":
            words += ": without it no row can be held against the same row of the version in use"
        if loc and first["type"] == "value_error" and words.startswith(f"'{'.'.join(map(str, loc))}': "):
            words = f"{'.'.join(map(str, loc))}: {words.partition(': ')[2]}"
        raise yamlfile.refusal(where, tree, loc, words) from None


def load(folder: Path) -> Project | None:
    """The project in the folder; None where it has no pushforward.yaml."""
    text = files.read(folder, FILE)
    return None if text is None else parse(text)


def json_schema() -> dict[str, Any]:
    """The format as a JSON schema, for editors."""
    return Project.model_json_schema() | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FILE,
    }


def _known(loc: tuple[Any, ...]) -> list[str]:
    """The keys that there are where the last of `loc` is none."""
    here: Any = Project
    for part in loc[:-1]:
        fields: Mapping[str, FieldInfo] = getattr(here, "model_fields", {})
        here = _section(fields[str(part)].annotation if str(part) in fields else here)
    return list(getattr(here, "model_fields", {}))


def _section(kind: Any) -> Any:
    """The section that a value of this type holds, itself or by name; the type where it holds none."""
    if get_origin(kind) in (Union, types.UnionType):
        return _section(next(one for one in get_args(kind) if one is not type(None)))
    if get_origin(kind) is dict:
        return _section(get_args(kind)[1])
    return kind
