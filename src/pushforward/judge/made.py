"""The holdout of a case as its judge makes it: of the data that it knows, and of the rows that a change adds.

What a change does to data otherwise counts from the next push on, as every change of what judges does. The judge asks.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import polars as pl

from pushforward.errors import DATA, TOOL, PushforwardError
from pushforward.gate import inspection
from pushforward.gate import leakage as honesty
from pushforward.git.refs import HEADS
from pushforward.judge import holdout as holdouts
from pushforward.judge import score
from pushforward.judge.case import Case
from pushforward.judge.growth import Growth, grown, taken
from pushforward.judge.score import PredictionsError
from pushforward.pipeline import folders, frozen


class Made:
    """The holdout that a case is judged on, made at the first use."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._batches: inspection.Batches | None = None  # what was found of them, once that was asked

    @cached_property
    def growth(self) -> tuple[Growth, ...]:
        """How the files differ, from the judge to the commit, that are named as ones that only gain rows."""
        case = self.case
        return grown(case.repository, case.judge.commit, case.subject.commit, case.contract.data)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is believed of the data, and by nobody seen."""
        case, known = self.case, self._batches
        gaps = [] if known is None else inspection.gaps(known, case.batches)
        listed = [f"{case.contract.holdout} is made of no row of {', '.join(gaps)}, though listed"] if gaps else []
        unread = [one.unread for one in self.growth if one.unread] if case.trusted else []
        return (*listed, *(f"{path}: that it gained rows only is what `data` says" for path in unread))

    def batches(self, found: inspection.Sample) -> inspection.Batches | None:
        """What the holdout, of which `found` is, is made of, of every month; None where nothing has it any more."""
        _ = self.holdout
        try:
            self._batches = holdouts.batches(self.case.root, self.case.rules, found)
        except PushforwardError as lost:
            self.case.say(f"the holdout is not compared with its batches: {lost.message}")
        return self._batches

    @cached_property
    def _added(self) -> Mapping[str, bytes]:
        """The files whose new rows count already, as the commit has them; of batches their list says what counts."""
        case = self.case
        paths = () if case.rules.batched else taken(self.growth, trusted=case.trusted)
        return {path: content for path in paths if (content := case.subject.read(path)) is not None}

    @cached_property
    def holdout(self) -> Path:
        """The folder."""
        case = self.case
        case.say(f"holdout {' '.join(case.months)}" if case.months else "holdout")
        pushed = (case.question.subject, case.read.locks) if case.trusted else None
        with self._as_of_the_judge():
            return holdouts.build(
                case.root,
                case.rules,
                case.batches,
                pushed=pushed,
                champion=self._champion,
                grown=self._added,
                window=case.window,
            )

    @contextmanager
    def _as_of_the_judge(self) -> Iterator[None]:
        """Say of a holdout that cannot be made whose code that is; the commit itself may have mended it by now."""
        case, judge = self.case, self.case.judge.commit
        try:
            yield
        except PushforwardError as wrong:
            if wrong.exit_code == TOOL or judge == case.subject.commit:
                raise
            who, step = f"the target branch ({judge[:9]})", "mend that there; this is judged by what it has"
            if case.trusted:
                who = f"{case.question.ref.removeprefix(HEADS)} before this push ({judge[:9]})"
                step = "if this push mends it, it judges from the next on: push again with a change that trains; "
                step += "words alone let this verdict stand"
            told = f"the holdout is made by {who}, which cannot: {wrong.message}"
            raise PushforwardError(told, next=step, exit_code=wrong.exit_code) from wrong

    @property
    def before(self) -> Callable[[], pl.DataFrame] | None:
        """What gives the labels without the rows that the change adds; None where it adds none."""
        return self._labels_before if self._added else None

    def answers(self, labels: pl.DataFrame) -> honesty.Floats:
        """What the run predicts for these rows; where it had other data than the judge, what has changed is said."""
        path = self.case.read.predictions
        try:
            return self.case.predictions(path, labels[self.case.contract.key])
        except PredictionsError as wrong:
            why, then = self._other_data()
            if months := self._unanswered(path, labels):
                wrong = PredictionsError(f"{wrong.message}; it has none of {', '.join(months)}")
            if not why:
                raise wrong from None
            told = f"{why}; so it is judged on the data of {self.case.judge.commit[:9]}: {wrong.message}"
            raise PushforwardError(told, next=then, exit_code=DATA) from wrong

    def trained_without(self, keys: pl.Series) -> tuple[str, ...]:
        """The tables that the model is made of and that have none of the held out keys; refused where one has some.

        Not asked of batches, whose model says in its manifest what it has trained on, nor of a pull request: its lock
        is what the pushed code says, and the push of its merge is asked.
        """
        case = self.case
        if case.rules.batched or not case.trusted:
            return ()
        wrong, clean = holdouts.trained_on(case.root, case.rules, keys)
        if wrong:
            raise PushforwardError(wrong, next="split the data by the rule of docs/contract.md", exit_code=DATA)
        return clean

    def _other_data(self) -> tuple[str, str]:
        """Why the run has scored another holdout than the judge, and what to do; "" where no data has changed."""
        case = self.case
        if moved := self._frozen():
            told = f"what dvc.lock has of the frozen {moved[0]} is another one, and counts from the next push on"
            return told, f"dvc unfreeze {moved[0]}; or push again, which is judged by what this push has frozen"
        if case.rules.batched:
            return "", ""
        for one in self.growth:
            if one.path not in self._added:
                step = "add rows only; another change of the data counts from the next push on"
                return one.lost or one.unread, step
        paths, _ = holdouts.sources_of(folders.whole_here(case.root), case.rules)
        changed = set(case.repository.changed(case.judge.commit, case.subject.commit))
        for path in sorted(changed & paths):
            step = f"name it in models.{case.contract.name}.data on the target branch, if it only gains rows"
            return f"{path} has changed, and `data` does not name it", step
        return "", ""

    def _frozen(self) -> list[str]:
        """The stages that the commit freezes with other outs than the judge knows of them."""
        case = self.case
        known = frozen.known(case.repository, case.judge.commit, self._champion, case.rules.outs)
        return frozen.moved(case.repository, case.subject.commit, known, case.asked.outs)

    def _unanswered(self, path: Path, labels: pl.DataFrame) -> list[str]:
        """The months of the holdout for none of whose rows there is a prediction."""
        contract = self.case.contract
        if contract.cluster is None:
            return []
        found = inspection.sample(labels[contract.key], labels[contract.cluster], contract.holdout, self.case.months)
        if not (found.monthly and found.dated):
            return []
        told = score.keys_in(path, contract.key)
        return [] if told is None else inspection.missing(found, told)

    @property
    def _champion(self) -> str | None:
        return self.case.champion.commit if self.case.champion else None

    def _labels_before(self) -> pl.DataFrame:
        case = self.case
        root = case.checkout("before", case.judge.commit)
        with self._as_of_the_judge():
            holdout = holdouts.build(root, case.rules, case.judge.batches, pushed=None, champion=self._champion)
        return holdouts.tables(holdout, case.rules)[2]
