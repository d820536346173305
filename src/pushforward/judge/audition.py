"""A holdout and its predictions under the judge's own checks, all that they say at once; the rehearsal asks it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from pushforward import files, percent
from pushforward.errors import PushforwardError
from pushforward.gate import inspection, stats
from pushforward.judge import handover, table
from pushforward.judge import holdout as holdouts
from pushforward.judge.epochs import misplaced, scarcity
from pushforward.judge.score import read_asked
from pushforward.judge.validation import clusters_of
from pushforward.text import figure, plural

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pushforward.settings import Settings


class Rows:
    """The holdout in a checkout, as far as it can be read."""

    def __init__(self, root: Path, rules: "Settings") -> None:
        self.root, self.rules, self.contract = root, rules, rules.contract
        self.months = tuple(rules.arrived(lambda file: files.read(root, file))[-rules.gate.window :])
        self.labels: pl.DataFrame | None = None
        self.refusal: PushforwardError | None = None
        try:
            self.labels = holdouts.tables(files.place(root, self.contract.holdout), rules)[2]
        except PushforwardError as wrong:
            self.refusal = wrong

    def faults(self, *, known: bool) -> Iterator[tuple[str, str]]:
        """What is wrong, and what to do; what stops the reading is left out where it is `known` already."""
        if self.refusal is not None and not known:
            yield self.refusal.message.splitlines()[0], self.refusal.next or table.EDIT
        if self.labels is None:
            return
        if wrong := inspection.problem(*self._found(self.labels)):
            yield wrong, table.EDIT
        alone = np.arange(self.labels.height)
        if not self.rules.batched and (strange := misplaced(self.labels[self.contract.key], self.rules)):
            yield strange, table.EDIT
        found = (scarcity(self.labels, clusters, self.rules) for clusters in (self._clusters(self.labels), alone))
        for wrong in dict.fromkeys(filter(None, found)):
            yield wrong, table.EDIT

    def doubts(self) -> list[str]:
        """What a person would have to look at before a promotion."""
        if self.labels is None:
            return []
        told = inspection.doubt(*self._found(self.labels), self.rules.gate.suspect_rows)
        return [told] if told else []

    def sentence(self) -> str:
        """What a verdict would rest on, "" where nothing can be read."""
        if self.labels is None:
            return ""
        contract, rows = self.contract, self.labels.height
        told = f"{rows:,} rows"
        if contract.cluster is None:
            told += ", taken as independent"
        else:
            told += f", {self.labels[contract.cluster].n_unique():,} {plural(contract.cluster)}"
        if self.rules.binary and contract.loss is None:
            told += f", {percent.share(float(self.labels[contract.label].cast(pl.Float64).mean() or 0.0))} positive"  # type: ignore[arg-type]
        return f"{told}, {self.rules.gate.metric}"

    def read(self, folder: Path) -> "NDArray[np.float64]":
        """The predictions that a scoring has left in `folder`, as the judge reads them."""
        name = table.place(files.place(self.root, self.contract.holdout), holdouts.ROWS, self.contract.holdout)
        keys = table.read(name, name.name)[self.contract.key] if self.labels is None else self.labels[self.contract.key]
        return read_asked(folder / f"{handover.PREDICTIONS}{name.suffix}", keys, self.rules)

    def compare(self, first: "NDArray[np.float64]", again: "NDArray[np.float64]") -> tuple[str, str]:
        """(what keeps two scorings from passing for the same, what is to be known of them), "" where nothing is."""
        off = np.abs(first - again)
        if not off.any():
            return "", ""
        rows = int(off.reshape(len(off), -1).any(axis=1).sum())
        told = f"scored twice, {rows:,} of {len(off):,} predictions differ by up to {figure(float(off.max()))}"
        if stats.differing(first, again).any():
            return told, ""
        return "", f"{told}, which passes for rounding"

    def _found(self, labels: pl.DataFrame) -> tuple[inspection.Sample, inspection.Batches | None]:
        """The rows of the holdout, and what is known of its batches."""
        contract = self.contract
        clusters = None if contract.cluster is None else labels[contract.cluster]
        found = inspection.sample(labels[contract.key], clusters, contract.holdout, self.months)
        try:
            return found, holdouts.batches(self.root, self.rules, found)
        except PushforwardError:
            return found, None  # a judge too goes without what it cannot read

    def _clusters(self, labels: pl.DataFrame) -> "NDArray[Any]":
        return clusters_of(labels, self.contract.cluster)
