"""Sections of pushforward.yaml that close the loop: batches that arrive, versions that serve, outcomes, parameters.

`schema` has the file that they stand in.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pushforward.section import LONGEST_PATH, KeyOfFile, Name, ProjectPath, Section, places

Command = Annotated[str, Field(min_length=1, max_length=500)]
Dotted = Annotated[str, Field(pattern=r"^[\w-]+(\.[\w-]+)*$", max_length=200)]
Value = bool | int | float | str | list[bool | int | float | str]


class Arrive(Section):
    """Where batches come from, when they should, and what becomes of a new one."""

    source: Annotated[Command, places("{out}")] = Field(
        description="The command that lists what there is: writes {out}, a JSON list of {batch, digest}, in order."
    )
    expect: Literal["daily", "weekly", "monthly"] | None = Field(
        default=None, description="How often a batch should arrive; what has not is an alarm."
    )
    grace_days: int = Field(default=7, ge=0, le=366, description="How late a batch may be before that.")
    merge: Literal["never", "promote"] = Field(
        default="never", description="Whether a batch is merged by itself: never, or where its verdict is promote."
    )
    stages: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}$")]] = Field(
        default=[],
        max_length=20,
        description="The stages that look at a batch before it is committed; left out: those of this batch alone.",
    )
    corrected: KeyOfFile | None = Field(
        default=None,
        description="The mapping FILE:KEY in which a correction writes the digest: the stage that fetches reads it.",
    )


class Serve(Section):
    """What a version may take to answer, and which others get a share of the requests: those of other environments."""

    canary: Name | None = Field(
        default=None, description="The environment whose version answers `share` of the requests."
    )
    shadow: Name | None = Field(default=None, description="The environment whose version is asked too, and not heard.")
    share: float = Field(default=0.1, gt=0, le=1, description="The share of the requests that either is asked.")
    slower: float = Field(
        default=3.0, ge=1, le=1000, description="How many times as long as the version in use a canary may take."
    )
    memory_mb: int = Field(default=4096, ge=64, le=1_048_576, description="The memory that a version may take, in MiB.")
    load_seconds: float = Field(default=120.0, gt=0, le=3600, description="How long a version may take to load.")
    answer_seconds: float = Field(default=10.0, gt=0, le=600, description="How long a request waits for its answer.")
    remember_days: float = Field(
        default=35.0,
        gt=0,
        le=3660,
        description="How long events are kept to be told to the next version, by known_at against the newest.",
    )
    look_seconds: float = Field(
        default=600.0, ge=1, le=86_400, description="How often a canary is held against what came of its answers."
    )


class Monitor(Section):
    """What served inputs, predictions and outcomes are held against, and from when on somebody is told."""

    reference: ProjectPath = Field(
        description="An out of the pipeline: the rows that were trained on, a folder of tables for each batch, or one."
    )
    log: str | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_PATH,
        description="Where `serve` leaves what it has answered: a folder, or a URL that DVC can read; remote://NAME/PATH.",
    )
    outcomes: Annotated[Command, places("{out}")] | None = Field(
        default=None, description="The command that writes what came of it: {out}, Parquet with key, label, known_at."
    )
    needs: list[ProjectPath] = Field(
        default=[],
        max_length=100,
        description="Outs that this command reads, or folders of outs; they are brought first.",
    )
    retrain: KeyOfFile | None = Field(
        default=None,
        description="FILE:KEY of the moment until which the pipeline takes data in: a retrain sets it to the day.",
    )
    alpha: float = Field(
        default=0.05, gt=0, le=0.2, description="How often all looks at one version together may be wrong."
    )
    lose_at_most: float = Field(
        default=0.1, ge=0, le=2, description="How much more than promised a version may lose live, as a share."
    )
    bias_at_most: float = Field(
        default=0.05, gt=0, le=0.5, description="How far the mean probability may be off the rate of what came."
    )
    missing_at_most: float = Field(
        default=0.05, ge=0, le=1, description="The share of the answers that are old enough and may have no outcome."
    )
    drift_days: int = Field(default=7, ge=1, le=92, description="Whole days whose inputs are held against training.")
    silent_days: float = Field(default=2.0, gt=0, description="Days without an answer that a person looks at.")
    stale_days: int | None = Field(
        default=None, ge=1, description="Days after which the version in use is trained anew whatever it loses."
    )


class Searched(Section):
    """Where a parameter is looked for: from low to high, of whole numbers where both are, or among a few values."""

    low: int | float | None = Field(default=None, allow_inf_nan=False, description="The lowest value.")
    high: int | float | None = Field(default=None, allow_inf_nan=False, description="The highest value.")
    log: bool = Field(default=False, description="Whether a factor counts, and not a difference: .01 to .1 as .1 to 1.")
    one_of: list[Value] | None = Field(
        default=None, min_length=2, max_length=100, description="Values, instead of low and high."
    )

    @property
    def whole(self) -> bool:
        """Whether whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.one_of is None) == (self.low is None and self.high is None):
            raise ValueError("write low and high, or one_of")
        if self.one_of is not None:
            if self.log:
                raise ValueError("'log' is of low and high")
            return self
        if self.low is None or self.high is None:
            raise ValueError(f"'{'low' if self.low is None else 'high'}' is missing")
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"with log, low {self.low} has to be above 0")
        return self


class Tune(Section):
    """Which parameters are searched, by what number, and how far."""

    space: dict[Dotted, Searched] = Field(
        min_length=1, max_length=50, description="Parameter, as params.yaml names it -> where it is looked for."
    )
    metric: KeyOfFile | None = Field(
        default=None,
        description="FILE:KEY of a number of the pipeline on rows of validation. Default, with batches: the loss that "
        "the judge goes by, on batches that are older than the holdout.",
    )
    better: Literal["lower", "higher"] = Field(default="lower", description="Which way the metric is better.")
    trials: int = Field(default=30, ge=1, le=10_000, description="How many sets of parameters are tried.")
    timeout_minutes: int | None = Field(
        default=None, ge=1, le=7 * 24 * 60, description="When no trial begins any more."
    )
    folds: int = Field(
        default=3, ge=1, le=50, description="With batches: in how many moments of the past a set is tried."
    )
    seed: Dotted | None = Field(
        default=None, description="The seed, as params.yaml names it: what is found is tried again with others."
    )
    seeds: int = Field(default=5, ge=2, le=50, description="With how many.")

    def touches(self, key: str) -> str:
        """The parameter of the space that is this key, or a section that it stands in, or a part of it; "" if none."""
        return next((name for name in self.space if f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.")), "")

    @model_validator(mode="after")
    def _seed_apart(self) -> Self:
        if self.seed in self.space:
            raise ValueError(f"'{self.seed}' is the seed, and is not searched")
        if self.better == "higher" and self.metric is None:
            raise ValueError("'better' is of `metric`; of a loss lower is better")
        return self
