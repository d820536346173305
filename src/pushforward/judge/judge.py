"""What the judge weighs: the hand-over, the holdout, the champion's own predictions. The shell around the gate."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pushforward import params
from pushforward.errors import TOOL, PushforwardError
from pushforward.gate import inspection, leaks
from pushforward.gate import leakage as honesty
from pushforward.gate import verdict as verdicts
from pushforward.gate.evidence import Evidence
from pushforward.gate.verdict import Champion, Digests, Holdout, Verdict
from pushforward.git import kept
from pushforward.git import remote as remotes
from pushforward.git.repository import Repository
from pushforward.judge import context as background
from pushforward.judge import epochs, floor, handover, identity, ledger, losses, measured, passed, self_scored, waiting
from pushforward.judge import holdout as holdouts
from pushforward.judge.case import Case
from pushforward.judge.change import (
    arrived,
    base_of,
    check_batches,
    check_claims,
    earlier_than,
    level_of,
    mode_of,
    next_version,
    recipe_of,
    touched_by,
)
from pushforward.judge.early import Early, early
from pushforward.judge.growth import grown
from pushforward.judge.look import Rows, look
from pushforward.judge.made import Made
from pushforward.judge.pictures import Painter
from pushforward.judge.probe import probe
from pushforward.judge.question import Question
from pushforward.judge.rival import Rival
from pushforward.judge.validation import clusters_of, validation
from pushforward.judge.waiting import window_of
from pushforward.pipeline import fitted
from pushforward.pipeline.lock import LOCK
from pushforward.pipeline.revision import Revision, data_digest, manifest_bytes, manifest_of, model_digest, sha256
from pushforward.pipeline.stages import Reproduction
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry import trust
from pushforward.report.note import Context, Kind
from pushforward.settings import Settings


@dataclasses.dataclass
class _Hearing:
    """What is known of an answer so far; one that ends in a refusal tells all that was known by then."""

    question: Question
    judge: Revision
    subject: Revision
    known: registry.Registry
    champion: registry.Registered | None
    context: Context
    mode: verdicts.Mode
    months: tuple[str, ...] = ()
    digests: Digests = dataclasses.field(default_factory=Digests)
    reproduction: Reproduction = dataclasses.field(default_factory=Reproduction)
    metrics: dict[str, bytes] = dataclasses.field(default_factory=dict)
    level: registry.Level = "minor"

    @property
    def rules(self) -> Settings:
        """What the judge goes by."""
        return self.judge.settings

    @property
    def base(self) -> str | None:
        """The commit from which the change starts."""
        return base_of(self.judge.repository, self.question, self.judge.commit)

    @property
    def window(self) -> int:
        """How many of the newest batches are the holdout."""
        return window_of(self.judge, self.subject)

    def take(self, folder: Path) -> handover.Handover:
        """What the run handed over in `folder`, to be weighed by its predictions."""
        read = self._received(folder)
        if not self.rules.self_scored:
            self.months = tuple(arrived(self.judge, self.subject)[-self.window :])
            check_batches(self.judge, self.subject)
            self.mode = self._mode()
        self.digests = _digests(read, self.subject)
        self._check(read)
        self.context = background.with_metrics(self.context, read, self.subject, self.champion)
        return read

    @property
    def _extended(self) -> int:
        """The window, where it is one that what arrives may extend; else 0."""
        rules = self.rules
        return self.window if not rules.measures and rules.batched and rules.extend else 0

    def _mode(self) -> verdicts.Mode:
        """How it is to be judged, by what differs from the champion."""
        champion, subject, trusted = self.champion, self.subject, self.question.event == "push"
        named = self.rules.contract.data
        added = grown(subject.repository, champion.commit, subject.commit, named) if champion else ()
        return mode_of(subject, champion, added, trusted=trusted, window=self._extended)

    def measure(self, folder: Path, golden: Path | None) -> Verdict:
        """The verdict on what the run in `folder` wrote by itself: below the level at which rows are scored."""
        read = self._received(folder)
        self.digests = measured.digests(read, self.subject)
        self._check(read)
        about = self.question, self.judge, self.subject, read, self.context
        verdict, self.context = measured.answer(*about, first=self.champion is None)
        self.mode = verdict.mode
        if verdict.verdict == "promote":
            self.name()
            if golden is not None:
                golden.parent.mkdir(parents=True, exist_ok=True)
                golden.write_bytes(passed.NO_ROWS)
        return verdict

    def _received(self, folder: Path) -> handover.Handover:
        """The hand-over in `folder`; refused where it is another commit's, or says that the pipeline has failed."""
        subject = self.subject.commit
        read = handover.read(folder, self.rules.server, self.subject.wdirs)
        self.reproduction = read.reproduction
        if read.commit != subject:
            raise PushforwardError(f"the hand-over is of {read.commit[:9]}, not of {subject[:9]}")
        if self.reproduction.outcome != "ok":
            raise PushforwardError(self.reproduction.message, next=self.reproduction.next)
        return read.of(self.subject.model)

    def _check(self, read: handover.Handover) -> None:
        """Refuse what the run could not finish, and a commit that claims what its run has not found."""
        if read.failed:
            words, _, step = read.failed.partition("\n  next: ")
            raise PushforwardError(words, next=step)
        if not read.lock:
            raise PushforwardError(f"the run left no {LOCK}")
        self.metrics = dict(read.metrics)
        check_claims(self.subject.repository, self.base, self.subject.commit, read.metrics)

    def name(self) -> None:
        """Say what a promotion would be called, and by what name the model went before."""
        repository, subject, known = self.subject.repository, self.subject.commit, self.known
        version = next_version(repository, known, subject, self.digests, self.level)
        before = identity.before_renaming(repository, known.model, subject) if self.champion is None else None
        self.context = dataclasses.replace(
            self.context, next_version=version, renamed_from=before.name if before else ""
        )

    def refused(self, failed: PushforwardError) -> Verdict:
        """The verdict on what cannot be judged."""
        verdict = verdicts.invalid(
            _reason(failed, self.reproduction), self.mode, None if self.rules.measures else self.rules.gate
        )
        told = "" if failed.message.strip() == verdict.reason else failed.message
        self.context = dataclasses.replace(self.context, kind=_kind(self.reproduction), message=told)
        return verdict

    def signed(self, verdict: Verdict, seconds: float) -> Verdict:
        """The verdict with what it is on, and how it came about."""
        asked, champion = self.question, self.champion
        trusted = asked.event == "push"
        if self.rules.self_scored:
            verdict = verdicts.of_its_own_word(verdict)
        if self.months and verdict.holdout is None:
            verdict = dataclasses.replace(verdict, holdout=Holdout(self.months, 0, 0, ""))
        return dataclasses.replace(
            verdict,
            commit=asked.head,
            base=self.judge.commit,
            ref=asked.ref,
            event=asked.event,
            pull=asked.pull,
            champion=Champion(champion.name, champion.commit) if champion else None,
            digests=self.digests,
            stages=tuple(verdicts.Stage(s.name, s.outcome, s.reason, s.seconds) for s in self.reproduction.stages),
            touched=touched_by(
                self.subject,
                self.base,
                champion,
                self.rules,
                trusted=trusted,
                metrics=self.metrics,
                window=self._extended,
            ),
            seconds=round(self.reproduction.seconds + seconds, 1),
        )


def weigh(
    root: Path,
    folder: Path,
    question: Question,
    *,
    judge: str,
    work: Path,
    say: Callable[[str], None],
    pictures: Path | None = None,
    golden: Path | None = None,
    begun: Early | None = None,
) -> tuple[Verdict, Context, registry.Level]:
    """Judge the hand-over in `folder` with the code, the rules and the holdout of the commit `judge`.

    Of a pull request nothing is run; a commit on the default branch scores the holdout again. Gives the verdict, what
    the report tells beside it, and which part of the version number a promotion would raise. `work` holds what is made
    on the way, `pictures` gets those of the validation month, the file `golden` some predictions of what passed on the
    default branch, by which whoever serves it can tell that it is the model that was judged. `begun` is what was begun
    before this was asked.
    """
    started = time.monotonic()
    hearing = _begin(root, question, judge)
    then = ""
    try:
        if hearing.rules.measures:
            verdict = hearing.measure(folder, golden)
        else:
            read = hearing.take(folder)
            part = handover.part(folder, question.model)
            needed = early(root, part, question, judge, work) if begun is None else contextlib.nullcontext(begun)
            with needed as ready, ready.checkouts as checkout:
                about = question, hearing.judge, hearing.subject, hearing.known
                case = Case(*about, read, hearing.mode, checkout, say)
                if hearing.rules.self_scored:
                    verdict, hearing.context, hearing.level = self_scored.answer(case, hearing.context, golden)
                else:
                    with Painter(pictures, say, ready.drawer) as painter:
                        verdict, hearing.context, hearing.level = _answer(case, hearing.context, painter, golden)
            hearing.name()
    except PushforwardError as failed:
        if failed.exit_code == TOOL:
            raise  # of the machine, or of another commit: no verdict on this one
        verdict = hearing.refused(failed)
        then = failed.next
    verdict = hearing.signed(verdict, time.monotonic() - started)
    again = f"git fetch {_called(root)} && git switch --detach {question.head} && pushforward repro --clean"
    context = hearing.context
    if verdict.verdict != "invalid":
        more = (*background.frozen_in(hearing.subject), *background.unlocked(hearing.subject), *background.given())
        context = dataclasses.replace(context, remarks=(*context.remarks, *more))
    context = dataclasses.replace(context, next_step=then or background.next_step(verdict, context), reproduce=again)
    return verdict, context, hearing.level


def _called(root: Path) -> str:
    """What a clone calls the repository that is judged for: a server has the name that `pushforward init` gives it."""
    there = remotes.followed(Repository(root))
    return remotes.LOCAL if there is None or there.is_server else there.name


def _begin(root: Path, question: Question, judge: str) -> _Hearing:
    """What is known before the hand-over is read."""
    repository = Repository(root)
    judging, subject = (Revision(repository, commit, question.model) for commit in (judge, question.subject))
    rules = judging.settings
    rules.check_tool()
    _ = rules.limits if rules.measures else rules.contract
    known = registry.fold(rules.model.name, repository.refs(*registry.PLACES))
    known = tagging.counting(root, known, rules.promote.environments)
    champion = earlier_than(repository, known, question).champion
    context = background.changes(subject, question.ref, champion.commit if champion else None)
    if question.event == "push":
        context = dataclasses.replace(context, override=trust.override(root, repository, question.head))
    mode: verdicts.Mode = "superior" if champion else "first"
    return _Hearing(question, judging, subject, known, champion, context, mode)


def _reason(failed: PushforwardError, reproduction: Reproduction) -> str:
    lines = failed.message.strip().splitlines() or ["no reason was given"]
    if reproduction.outcome == "refused":
        return lines[0] if lines[0].startswith("data refused") else f"data refused: {lines[0]}"
    if reproduction.outcome == "failed":
        stage = next((s.name for s in reproduction.stages if s.outcome == "failed"), "")
        why = reproduction.cause or lines[-1]
        return f"{stage} failed: {why}" if stage else why
    return lines[0]


def _kind(reproduction: Reproduction) -> Kind:
    if reproduction.outcome == "failed" and not any(stage.outcome == "failed" for stage in reproduction.stages):
        return "judged"  # it came to no training
    kinds: dict[str, Kind] = {"refused": "data-refused", "failed": "training-failed", "ok": "judged"}
    return kinds[reproduction.outcome]


def _answer(
    case: Case, context: Context, painter: Painter, golden: Path | None
) -> tuple[Verdict, Context, registry.Level]:
    contract = case.contract
    made = Made(case)
    holdout = made.holdout
    with contextlib.ExitStack() as beside:
        rival = beside.enter_context(Rival(case, case.champion, holdout)) if case.champion else None
        rows, events, labels = holdouts.tables(holdout, case.rules)
        keys = labels[contract.key]
        unsound, doubts = _sound(case, made, rows, labels)
        if unsound:
            raise PushforwardError(unsound)
        challenger, clean = made.answers(labels), made.trained_without(keys)
        manifest = manifest_of(case.read.part / handover.MODEL)
        found = rival.found() if rival else None
        # Scoring waits for a child process, most of it for one of the cores.
        scored = rival.scored(found, keys) if rival and found else None
        if scored and events is not None and len(events) > 1:
            scored.result()  # of so many, memory is scarcer than cores
        panel = validation(case, painter, manifest, found)
        answers = probe(case, holdout, rows, events)
        theirs = scored.result() if scored else None
    champion_manifest = found.manifest if found else {}
    if case.asks and not answers.wrong:
        challenger = case.predictions(case.scratch("challenger", holdout), keys)
        case.keep(holdout, case.scratch("challenger", holdout))
    context = background.with_months(context, manifest, champion_manifest)
    manifests, mode = (manifest, champion_manifest), recipe_of(case.mode, manifest, champion_manifest)
    asked = epochs.asked(case, (rows, labels), holdout, made.before, opens=case.trusted and not answers.wrong)
    of_both = challenger[asked.order], None if theirs is None else theirs[asked.order]
    evidence = _evidence(case, mode, asked.labels, of_both, manifests, (answers.wrong, doubts))
    if not answers.wrong:
        evidence = _beside(case, asked, evidence)
    verdict = look(
        case, evidence, Rows(asked.digest, asked.epoch, asked.labels if case.rules.batched else None, panel.numbers)
    )
    size = _size(case, asked, evidence)
    closed = not verdict.numbers or bool(contract.classes or contract.loss)  # the mean of such labels is no rate
    dated = params.monthly(case.months)
    months = background.rates(labels, contract.cluster, contract.label, sealed=closed) if dated else ()
    remarks = _remarks(case, asked, made, answers.differ, knows=bool(manifest or clean))
    named = case.rules.name if case.rules.several else ""
    context = dataclasses.replace(context, months=months, remarks=remarks, moved=panel.moved, model=named)
    if case.trusted and verdict.verdict != "invalid":
        _supersede(case, asked)
    past = _past(case, rows) if context.months_added else None
    context = background.with_history(context, rows, manifest, contract, case.repository, case.earlier.versions, past)
    painter.hang_up()
    if case.trusted and passed.may_be(verdict.verdict) and golden is not None:
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_bytes(passed.golden_rows(contract.key, keys, challenger))
    level = level_of(mode, *manifests)
    return dataclasses.replace(verdict, holdout=size, validation=panel.numbers), context, level


def _beside(case: Case, asked: epochs.Asked, evidence: Evidence) -> Evidence:
    """The evidence with what is to be beaten, and by the project's own losses where it has some."""
    below, name = floor.predictions(case, asked.labels, asked.folder)
    evidence = dataclasses.replace(evidence, floor=below, floor_name=name)
    return losses.given(case, evidence, asked.labels, asked.folder) if case.contract.loss else evidence


def _remarks(case: Case, asked: epochs.Asked, made: Made, differ: str, *, knows: bool) -> tuple[str, ...]:
    """What is to be known beside the verdict: of the epoch, of the data, of the project."""
    word = params.noun(case.months) if case.rules.batched else "row"
    of_epoch = asked.epoch.remarks if asked.epoch else ()
    return (*of_epoch, *made.remarks, *background.remarks(case.contract, differ, word, knows=knows))


def _size(case: Case, asked: epochs.Asked, evidence: Evidence) -> Holdout:
    days, told = len(set(evidence.clusters.tolist())), asked.epoch.told if asked.epoch else None
    book = ledger.of(case.repository.path, case.subject.model)
    until = waiting.until(book, case.rules, case.months) if case.months else ""
    return Holdout(case.months, asked.labels.height, days, asked.digest, told, until)


def _supersede(case: Case, asked: epochs.Asked) -> None:
    """Retire the holdouts before the one that a push to the default branch was judged on."""
    book = ledger.of(case.repository.path, case.subject.model)
    if asked.epoch is None:
        book.supersede(case.months, case.subject.batches, grown=bool(case.rules.extend))
    else:
        book.supersede_epochs(asked.epoch.told.number)


def _evidence(
    case: Case,
    mode: verdicts.Mode,
    labels: pl.DataFrame,
    predictions: tuple[honesty.Floats, Any],
    manifests: tuple[dict[str, Any], dict[str, Any]],
    wrong: tuple[str, tuple[str, ...]],
) -> Evidence:
    """What the gate decides on; of two things the challenger's comes first."""
    contract = case.contract
    dishonest, doubts = wrong
    return Evidence(
        y=np.zeros(labels.height) if contract.loss else labels[contract.label].cast(pl.Float64).to_numpy(),
        champion=predictions[1],
        challenger=predictions[0],
        clusters=clusters_of(labels, contract.cluster),
        mode=mode,
        months=case.months,
        slices=case.slices(labels),
        challenger_until=_until(manifests[0], case.batches),
        champion_until=_until(manifests[1], case.batches),
        problems=(dishonest,) if dishonest else (),
        doubts=doubts,
        classes=tuple(contract.classes),
    )


def _sound(case: Case, made: Made, rows: pl.DataFrame, labels: pl.DataFrame) -> tuple[str, tuple[str, ...]]:
    """Why nothing can be judged on the holdout, or ""; and what a person must look at."""
    contract, rules = case.contract, case.rules.gate
    if not case.rules.batched and (wrong := epochs.misplaced(labels[contract.key], case.rules)):
        return wrong, ()
    clusters = None if contract.cluster is None else labels[contract.cluster]
    found = inspection.sample(labels[contract.key], clusters, contract.holdout, case.months)
    batches = made.batches(found)
    if wrong := inspection.problem(found, batches):
        return wrong, ()
    doubts = [inspection.doubt(found, batches, rules.suspect_rows)]
    if case.rules.binary:
        names = leaks.Names(contract.label, contract.cluster, contract.time, (contract.key, *rules.cleared))
        told = rows.select(contract.key).join(labels, on=contract.key, how="left", maintain_order="left")
        doubts.append(leaks.doubt(leaks.leaks(rows, told, rules.suspect_column, names=names)))
    return "", tuple(doubt for doubt in doubts if doubt)


def _past(case: Case, rows: pl.DataFrame) -> pl.DataFrame | None:
    """Rows of the months before those of the holdout; None where nothing has them any more."""
    try:
        return holdouts.earlier(case.root, case.rules, rows)
    except PushforwardError as lost:
        case.say(f"drift is told by the days of the holdout alone: {lost.message}")
        return None


def _digests(read: handover.Handover, subject: Revision) -> Digests:
    model = read.part / handover.MODEL
    fitted.of(manifest_of(model))  # or it cannot be read
    manifest, path = manifest_bytes(model), subject.settings.model.path
    if path is None or not model.exists():
        raise PushforwardError("the run handed over no model", next="edit models in pushforward.yaml")
    return Digests(
        model=model_digest(model),
        manifest=sha256(manifest) if manifest else "",
        data=data_digest(manifest, read.lock, path),
        lock=kept.digest(read.locks, LOCK),
        params=subject.params_digest,
        environment=subject.environment,
    )


def _until(manifest: dict[str, Any], batches: Sequence[str]) -> str:
    """The last batch that a model has trained on, by its manifest (`training.months`) and the order of `batches`."""
    training = manifest.get("training")
    months = training.get("months") if isinstance(training, dict) else None
    told = [str(month) for month in months] if isinstance(months, list) else []
    if params.monthly(told):
        return max(told)
    places = {name: place for place, name in enumerate(batches)}
    return max(told, key=lambda name: places.get(name, -1), default="")
