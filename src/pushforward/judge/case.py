"""A case before the judge: one question and everything that takes part in its answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pushforward import settings
from pushforward.errors import USAGE, PushforwardError
from pushforward.gate import leakage as honesty
from pushforward.gate import verdict as verdicts
from pushforward.git.repository import Repository
from pushforward.judge import handover, recall, score, table
from pushforward.judge import holdout as holdouts
from pushforward.judge.change import arrived, earlier_than
from pushforward.judge.question import Question
from pushforward.judge.recall import Recall
from pushforward.judge.score import Command, Pair
from pushforward.judge.waiting import window_of
from pushforward.pipeline import environment
from pushforward.pipeline.revision import Revision
from pushforward.registry import tags as registry
from pushforward.settings import GateRules, ModelContract, Settings


def gate_of(rules: Settings) -> GateRules:
    """The rules of the gate; where labels are of several classes, each class is a slice too."""
    gate, contract = rules.gate, rules.contract
    if not contract.classes or contract.loss_key or contract.label in gate.slices:
        return gate
    return gate.model_copy(update={"slices": [*gate.slices, contract.label]})


def slices_of(gate: GateRules, contract: ModelContract, labels: pl.DataFrame) -> dict[str, NDArray[Any]]:
    """What each row is in each slice's column, as text."""
    found = {name: labels[name].cast(pl.String).to_numpy() for name in gate.slices if name in labels.columns}
    if contract.classes and contract.label in gate.slices:
        places = labels[contract.label].cast(pl.Int64).to_numpy()
        found[contract.label] = np.asarray(contract.classes, dtype=object)[places]
    return found


@dataclass(frozen=True)
class Case:
    """One question and everything that takes part in its answer.

    `judge` is the revision whose rules hold, `subject` the one that ran, `read` what its run left; `checkout` gives a
    folder with any revision for one role.
    """

    question: Question
    judge: Revision
    subject: Revision
    known: registry.Registry
    read: handover.Handover
    mode: verdicts.Mode
    checkout: Callable[[str, str], Path]
    say: Callable[[str], None]

    @property
    def repository(self) -> Repository:
        """Where all of them are."""
        return self.judge.repository

    @property
    def rules(self) -> Settings:
        """What the judge goes by."""
        return self.judge.settings

    @property
    def asked(self) -> Settings:
        """What the subject says of itself."""
        return self.subject.settings

    @cached_property
    def earlier(self) -> registry.Registry:
        """The registry without what this very commit has made."""
        return earlier_than(self.repository, self.known, self.question)

    @property
    def champion(self) -> registry.Registered | None:
        """The version to be compared with."""
        return self.earlier.champion

    @property
    def contract(self) -> ModelContract:
        """How the judge reaches the project."""
        return self.rules.contract

    @property
    def months(self) -> tuple[str, ...]:
        """The months, or batches, of the holdout; none where it is by keys."""
        return tuple(self.batches[-self.window :])

    @cached_property
    def window(self) -> int:
        """How many of the newest batches they are."""
        return window_of(self.judge, self.subject)

    @cached_property
    def batches(self) -> list[str]:
        """The batches that have arrived, in order; none where the holdout is by keys."""
        return arrived(self.judge, self.subject)

    @property
    def trusted(self) -> bool:
        """Whether the pushed code may run here: what is on the default branch may."""
        return self.question.event == "push"

    @property
    def asks(self) -> bool:
        """Whether the pushed code is asked here once more; what a server has adopted was asked, and probed, before."""
        return self.question.asks

    @cached_property
    def gate(self) -> GateRules:
        """The rules of the gate for these labels."""
        return gate_of(self.rules)

    def slices(self, labels: pl.DataFrame) -> dict[str, NDArray[Any]]:
        """What each row is in each slice's column, as text."""
        return slices_of(self.gate, self.contract, labels)

    @cached_property
    def root(self) -> Path:
        """A checkout of the judge."""
        return self.checkout("judge", self.judge.commit)

    @property
    def work(self) -> Path:
        """Where what is made on the way lies."""
        return self.root.parent

    def predictions(self, path: Path, keys: pl.Series) -> honesty.Floats:
        """The predictions in a file, one for each of `keys`."""
        return score.read_asked(path, keys, self.rules)

    def scratch(self, name: str, holdout: Path) -> Path:
        """Where predictions go that are made on the way: of the kind that the rows are of."""
        return self.work / f"{name}{table.place(holdout, holdouts.ROWS, self.contract.holdout).suffix}"

    def told(self, settings_of: Settings, holdout: Path) -> Path | None:
        """The events that a model is told of; None where its features remember none."""
        return holdout / holdouts.EVENTS if settings_of.contract.events else None

    def score(self, settings_of: Settings, checkout: Path, commit: str, holdout: Path, pairs: Sequence[Pair]) -> None:
        """Have the model in `checkout` score the rows of `holdout`, told of each of these, in its own environment."""
        model = settings_of.contract
        python = environment.interpreter(self.repository, commit, model.environment, folder=environment.cache())
        rows = table.place(holdout, holdouts.ROWS, self.contract.holdout)
        score.score_each(checkout, model, rows, pairs, python_bin=python, timeout=score.SCORE_SECONDS)

    def own(self, command: Command, places: dict[str, Path]) -> None:
        """Run a command of the settings with the judge's own code and environment; what it writes is in `{out}`."""
        commit, wanted = self.judge.commit, self.contract.environment
        python = environment.interpreter(self.repository, commit, wanted, folder=environment.cache())
        try:
            score.command(self.root, command, places, python_bin=python, timeout=score.SCORE_SECONDS)
        except score.ScoringError as failed:
            raise PushforwardError(failed.message, next=failed.next, exit_code=USAGE) from failed

    def settings_in(self, root: Path) -> Settings:
        """What a checkout of another version says of this model."""
        return settings.load(root).of(self.contract.name)

    def keep(self, holdout: Path, out: Path) -> None:
        """Keep what the judge has made the subject answer, for when it is the champion."""
        told = self.told(self.asked, holdout)
        self.recall.keep(self.named(self.subject.commit, self.read.part / handover.MODEL, holdout, told), out)

    @cached_property
    def recall(self) -> Recall:
        """The predictions that the judge has kept."""
        return recall.of(self.repository.path)

    def named(self, commit: str, model: Path, holdout: Path, told: Path | None) -> str:
        """What predictions of the rows in `holdout` are known by; "" where no lock says with what they are made."""
        rows = table.place(holdout, holdouts.ROWS, self.contract.holdout)
        revision = Revision(self.repository, commit, self.contract.name)
        return "" if revision.unlocked else recall.name_of(revision, model, [rows, *([told] if told else [])])
