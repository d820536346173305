"""Sections of pushforward.yaml that close the loop: batches that arrive, versions that serve, outcomes, parameters.

`schema` has the file that they stand in.
"""

from typing import Annotated, Literal

from pydantic import Field

from pushforward.section import Name, ProjectPath, Section, places

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
        default=35.0, gt=0, le=3660, description="How long events are kept, to be told to the version that comes next."
    )


class Monitor(Section):
    """What served inputs, predictions and outcomes are held against, and from when on somebody is told."""

    reference: ProjectPath = Field(
        description="An out of the pipeline: a folder of tables of the rows that were trained on, one for each batch."
    )
    outcomes: Annotated[Command, places("{out}")] | None = Field(
        default=None, description="The command that writes what came of it: {out}, Parquet with key, label, known_at."
    )


class Tune(Section):
    """Which parameters are searched, by what number, and how far."""

    trials: int = Field(default=30, ge=1, le=10_000, description="How many sets of parameters are tried.")
