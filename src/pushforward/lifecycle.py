"""Sections of pushforward.yaml that close the loop: batches that arrive, versions that serve, outcomes, parameters.

`schema` has the file that they stand in.
"""

from typing import Annotated, Literal

from pydantic import Field

from pushforward.section import LONGEST_PATH, KeyOfFile, Name, ProjectPath, Section, places

Command = Annotated[str, Field(min_length=1, max_length=500)]


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


class Serve(Section):
    """Which versions get a share of the requests beside the one that answers: those in use in other environments."""

    canary: Name | None = Field(
        default=None, description="The environment whose version answers `share` of the requests."
    )
    shadow: Name | None = Field(default=None, description="The environment whose version is asked too, and not heard.")
    share: float = Field(default=0.1, gt=0, le=1, description="The share of the requests that either is asked.")


class Monitor(Section):
    """What served inputs, predictions and outcomes are held against, and from when on somebody is told."""

    reference: ProjectPath = Field(
        description="An out of the pipeline: a folder of tables of the rows that were trained on, one for each batch."
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
        default=[], max_length=100, description="Outs of the pipeline that this command reads; they are brought first."
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


class Tune(Section):
    """Which parameters are searched, by what number, and how far."""

    trials: int = Field(default=30, ge=1, le=10_000, description="How many sets of parameters are tried.")
