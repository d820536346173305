"""What the judge weighs: the hand-over, the holdout, the champion's own predictions. The shell around the gate."""

import contextlib
import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl

from pushforward import files, settings
from pushforward.errors import TOOL, USAGE, PushforwardError
from pushforward.gate import decision as gate
from pushforward.gate import inspection, leaks
from pushforward.gate import leakage as honesty
from pushforward.gate import verdict as verdicts
from pushforward.gate.evidence import Evidence
from pushforward.gate.verdict import Champion, Digests, Holdout, Verdict
from pushforward.git.refs import VERDICTS, ZERO
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.judge import context as background
from pushforward.judge import handover, identity, ledger, score, seal
from pushforward.judge import holdout as holdouts
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment
from pushforward.pipeline.revision import (
    MANIFEST,
    leaves_at,
    manifest_of,
    model_digest,
    settings_at,
    sha256,
    validation_month,
)
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry import trust
from pushforward.report import plots
from pushforward.report.note import Context, Kind
from pushforward.settings import Settings

PACKAGE = "src/pushforward/"
DRAW_SECONDS = 60.0
GOLDEN_ROWS = 100


@dataclasses.dataclass(frozen=True)
class Question:
    """What is to be judged: `head` was pushed by `event` to `ref`; `subject` ran, a merge for a pull request."""

    head: str
    subject: str
    event: str
    ref: str
    pull: int | None = None


def ask(root: Path, head: str, event: str, ref: str, pull: int | None) -> Question:
    """What is asked of the judge in `root`; number and merge of a pull request come from the forge's refs."""
    repository = Repository(root)
    if event == "push":
        head = repository.commit(head)
        return Question(head, head, event, ref)
    if pull is None:
        heads = repository.remote("ls-remote", "origin", "refs/pull/*/head").text.splitlines()
        mine = [int(name.split("/")[2]) for commit, name in (line.split("\t") for line in heads) if commit == head]
        if not mine:
            raise PushforwardError(
                f"no pull request has the head {head[:9]}", next="git ls-remote origin 'refs/pull/*/head'"
            )
        pull = max(mine)
    merge = f"refs/pull/{pull}/merge"
    repository.remote("fetch", "-q", "origin", f"+{merge}:{merge}")
    subject = repository.commit(merge)
    if head not in repository.git("rev-parse", f"{subject}^@").text.split():
        raise PushforwardError(f"{merge} is not a merge of {head[:9]} any more: the branch has moved on")
    return Question(head, subject, event, ref, pull=pull)


def judge_of(root: Path, question: Question, before: str = "") -> str:
    """The commit whose code, rules and holdout judge the question.

    For a pull request the target branch, which is checked out. For a push the commit that the branch pointed to before
    (`before`; where the forge does not say, the first parent), or the newest one before that whose settings can be
    read: a change of the judge counts from the next push on.
    """
    repository = Repository(root)
    head = repository.commit("HEAD")
    if question.event != "push" or head != question.head:
        return head
    earlier = None if before == ZERO else repository.resolve(before or f"{head}^")
    while earlier is not None:
        try:
            files.check_tree(repository.tree(earlier), pipeline.OWN)
            settings_at(repository, earlier)
        except PushforwardError:
            earlier = repository.resolve(f"{earlier}^")
        else:
            return earlier
    return head


def code_of(root: Path, judge: str) -> Path | None:
    """The folder with the judge's own package, where the project carries one that is not what is checked out."""
    repository = Repository(root)
    own = {path: blob for path, blob in repository.tree(judge).items() if path.startswith(PACKAGE)}
    here = {path: blob for path, blob in repository.tree("HEAD").items() if path.startswith(PACKAGE)}
    if f"{PACKAGE}__main__.py" not in own or own == here:
        return None
    with _checkouts(repository, root / ".git" / "judge-code") as checkout:
        return checkout("judge", judge) / PACKAGE.split("/")[0]


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
) -> tuple[Verdict, Context, registry.Level]:
    """Judge the hand-over in `folder` with the code, the rules and the holdout of the commit `judge`.

    Of a pull request nothing is run; a commit on the default branch scores the holdout again. Gives the verdict, what
    the report tells beside it, and which part of the version number a promotion would raise. `work` holds what is made
    on the way, `pictures` gets those of the validation month, the file `golden` some predictions of what passed on the
    default branch, by which whoever serves it can tell that it is the model that was judged.
    """
    started = time.monotonic()
    repository = Repository(root)
    rules = settings_at(repository, judge)
    known = registry.fold(rules.model.name, repository.refs("refs/tags"))
    known = tagging.counting(root, known, rules.promote.environments)
    champion = _earlier(repository, known, question).champion
    context = background.changes(repository, question.ref, question.subject, champion)
    if question.event == "push":
        context = dataclasses.replace(context, override=trust.override(root, repository, question.head))
    reproduction = pipeline.Reproduction()
    level: registry.Level = "minor"
    months: tuple[str, ...] = ()
    digests = Digests()
    mode: verdicts.Mode = "superior" if champion else "first"
    then = ""
    try:
        read = handover.read(folder, rules.server)
        reproduction = read.reproduction
        if read.commit != question.subject:
            raise PushforwardError(f"the hand-over is of {read.commit[:9]}, not of {question.subject[:9]}")
        if reproduction.outcome != "ok":
            raise PushforwardError(reproduction.message, next=reproduction.next)
        asked = settings_at(repository, question.subject)
        months = tuple(asked.data.months[-rules.gate.window :])
        mode = _mode(repository, champion, question.subject)
        digests = _digests(read, repository, question.subject, asked)
        if read.failed:
            words, _, step = read.failed.partition("\n  next: ")
            raise PushforwardError(words, next=step)
        if not read.lock:
            raise PushforwardError(f"the run left no {pipeline.LOCK}")
        _check_claims(repository, _base(repository, question, judge), question.subject, read.metrics)
        context = background.with_metrics(context, read, repository, champion)
        with _checkouts(repository, work) as checkout:
            places = pictures, golden
            case = _Case(repository, rules, asked, known, question, read, mode, judge, checkout, say, *places)
            verdict, context, level = case.judge(context)
        version = _next_version(repository, known, question.subject, digests, level)
        before = identity.before_renaming(repository, known.model, question.subject) if champion is None else None
        context = dataclasses.replace(context, next_version=version, renamed_from=before.name if before else "")
    except PushforwardError as failed:
        if failed.exit_code == TOOL:
            raise  # of the machine, or of another commit: no verdict on this one
        verdict = verdicts.invalid(_reason(failed, reproduction), mode, rules.gate)
        told = "" if failed.message.strip() == verdict.reason else failed.message
        context = dataclasses.replace(context, kind=_kind(reproduction), message=told)
        then = failed.next
    if months and verdict.holdout is None:
        verdict = dataclasses.replace(verdict, holdout=Holdout(months, 0, 0, ""))
    verdict = dataclasses.replace(
        verdict,
        commit=question.head,
        base=judge,
        ref=question.ref,
        event=question.event,
        pull=question.pull,
        champion=Champion(champion.name, champion.commit) if champion else None,
        digests=digests,
        stages=tuple(verdicts.Stage(s.name, s.outcome, s.reason, s.seconds) for s in reproduction.stages),
        touched=_touched(repository, _base(repository, question, judge), question.subject, champion, rules),
        seconds=round(reproduction.seconds + time.monotonic() - started, 1),
    )
    again = f"git fetch local && git switch --detach {question.head} && pushforward repro --clean"
    context = dataclasses.replace(context, next_step=then or background.next_step(verdict, context), reproduce=again)
    return verdict, context, level


def _reason(failed: PushforwardError, reproduction: pipeline.Reproduction) -> str:
    lines = failed.message.strip().splitlines() or ["no reason was given"]
    if reproduction.outcome == "refused":
        return lines[0] if lines[0].startswith("data refused") else f"data refused: {lines[0]}"
    if reproduction.outcome == "failed":
        stage = next((s.name for s in reproduction.stages if s.outcome == "failed"), "")
        why = reproduction.cause or lines[-1]
        return f"{stage} failed: {why}" if stage else why
    return lines[0]


def _kind(reproduction: pipeline.Reproduction) -> Kind:
    if reproduction.outcome == "failed" and not any(stage.outcome == "failed" for stage in reproduction.stages):
        return "judged"  # it came to no training
    kinds: dict[str, Kind] = {"refused": "data-refused", "failed": "training-failed", "ok": "judged"}
    return kinds[reproduction.outcome]


def _earlier(repository: Repository, known: registry.Registry, question: Question) -> registry.Registry:
    """The registry without what this very commit has made, so that judging twice gives the same verdict."""
    own = {
        version.commit
        for version in known.versions
        if question.subject in {version.commit, repository.resolve(f"{version.commit}^")}
    }
    versions = tuple(version for version in known.versions if version.commit not in own)
    uses = tuple(use for use in known.assignments if use.commit not in own)
    return dataclasses.replace(known, versions=versions, assignments=uses)


def _mode(repository: Repository, champion: registry.Registered | None, subject: str) -> verdicts.Mode:
    after = leaves_at(repository, subject)
    if champion is None:
        return verdicts.mode([], None, after)
    return verdicts.mode(repository.changed(champion.commit, subject), leaves_at(repository, champion.commit), after)


class _Case:
    """One question and everything that takes part in its answer; `judge` gives the verdict."""

    def __init__(
        self,
        repository: Repository,
        rules: Settings,
        asked: Settings,
        known: registry.Registry,
        question: Question,
        read: handover.Handover,
        mode: verdicts.Mode,
        judge: str,
        checkout: Callable[[str, str], Path],
        say: Callable[[str], None],
        pictures: Path | None,
        golden: Path | None,
    ) -> None:
        self.repository, self.rules, self.asked, self.known = repository, rules, asked, known
        self.earlier = _earlier(repository, known, question)
        self.champion = self.earlier.champion
        self.question, self.read, self.mode, self.checkout, self.say = question, read, mode, checkout, say
        self.contract, self.pictures, self.golden = rules.model, pictures, golden
        self.painter: ProcessPoolExecutor | None = None
        self.drawn: Future[dict[str, bytes]] | None = None
        self.probability = rules.gate.metric in {"logloss", "brier"}
        self.months = tuple(asked.data.months[-rules.gate.window :])
        self.root = checkout("judge", judge)
        self.work = self.root.parent
        self.trusted = question.event == "push"

    def judge(self, context: Context) -> tuple[Verdict, Context, registry.Level]:
        contract, rules = self.contract, self.rules.gate
        self.say(f"holdout {' '.join(self.months)}")
        pushed = (self.question.subject, self.read.lock) if self.trusted else None
        champion = self.champion.commit if self.champion else None
        holdout = holdouts.build(self.root, self.rules, self.asked.data.months, pushed=pushed, champion=champion)
        rows, events, labels = holdouts.tables(holdout, self.rules)
        keys = labels[contract.key]
        unsound, doubts = self._sound(rows, labels)
        if unsound:
            raise PushforwardError(unsound)
        challenger = self._predictions(self.read.folder / handover.PREDICTIONS, keys)
        manifest = manifest_of(self.read.folder / handover.MODEL)
        theirs: Any = None
        champion_manifest: dict[str, Any] = {}
        with ThreadPoolExecutor(1) as beside:
            # Scoring waits for a child process, most of it for one of the cores.
            scored = None
            if self.champion is not None:
                self.say(f"champion {self.champion.name}, scored by its own code")
                champion_root, champion_manifest = self._champion(self.champion)
                scored = beside.submit(self._score_champion, self.champion, champion_root, holdout, keys)
            panel = self._validation(manifest, champion_manifest)
            dishonest = self._probe(holdout, rows, events)
            theirs = scored.result() if scored else None
        context = background.with_months(context, manifest, champion_manifest)
        evidence = Evidence(
            y=labels[contract.label].cast(pl.Float64).to_numpy(),
            champion=theirs,
            challenger=challenger,
            clusters=labels[contract.cluster].cast(pl.String).to_numpy(),
            mode=self.mode,
            months=self.months,
            slices={name: labels[name].cast(pl.String).to_numpy() for name in rules.slices if name in labels.columns},
            challenger_until=_until(manifest),
            champion_until=_until(champion_manifest),
            problems=(dishonest,) if dishonest else (),
            doubts=doubts,
        )
        verdict = self._look(evidence, holdout)
        size = Holdout(self.months, labels.height, labels[contract.cluster].n_unique(), holdouts.digest(holdout))
        level = _level(self.mode, manifest, champion_manifest)
        months = background.rates(labels, contract.cluster, contract.label, sealed=not verdict.numbers)
        context = dataclasses.replace(context, months=months)
        if self.trusted and verdict.verdict != "invalid":
            ledger.of(self.repository.path).supersede(ledger.name(self.months))
        earlier = self.earlier.versions
        context = background.with_history(context, rows, manifest, contract, self.repository, earlier)
        self._hang_up()
        if self.trusted and verdict.verdict == "promote" and self.golden is not None:
            self.golden.parent.mkdir(parents=True, exist_ok=True)
            self.golden.write_bytes(golden_rows(contract.key, keys, challenger))
        return dataclasses.replace(verdict, holdout=size, validation=panel), context, level

    def _sound(self, rows: pl.DataFrame, labels: pl.DataFrame) -> tuple[str, tuple[str, ...]]:
        """Why nothing can be judged on the holdout, or ""; and what a person must look at."""
        contract, rules = self.contract, self.rules.gate
        try:
            batches = holdouts.batches(self.root, self.rules)
        except PushforwardError as lost:
            self.say(f"the holdout is not compared with its batches: {lost.message}")
            batches = None
        found = inspection.sample(labels[contract.key], labels[contract.cluster], contract.holdout, self.months)
        if wrong := inspection.problem(found, batches):
            return wrong, ()
        doubts = [inspection.doubt(found, batches, rules.suspect_rows)]
        if self.probability:
            names = leaks.Names(contract.label, contract.cluster, contract.time, (contract.key, *rules.cleared))
            told = rows.select(contract.key).join(labels, on=contract.key, how="left", maintain_order="left")
            doubts.append(leaks.doubt(leaks.leaks(rows, told, rules.suspect_column, names=names)))
        return "", tuple(doubt for doubt in doubts if doubt)

    def _predictions(self, path: Path, keys: pl.Series) -> honesty.Floats:
        return score.read_predictions(path, keys, probability=self.probability)

    def _look(self, evidence: Evidence, holdout: Path) -> Verdict:
        """The verdict; a comparison with the champion uses the holdout up, so its look is reserved first."""
        rules = self.rules.gate
        shown = rules.reveal == "numbers"
        word = gate.noun(self.contract.cluster, evidence.clusters)
        told = gate.without_look(evidence, rules, cluster=word)
        if told is None or told.verdict == "promote":
            self._check_name()
        if told is not None:
            return told if shown else seal.public(told, None)
        book, name = ledger.of(self.repository.path), ledger.name(self.months)
        assert evidence.champion is not None  # noqa: S101, without one no look is needed
        key = ledger.Key(
            # Of the predictions, not of the model: the same model scored by other code is another challenger.
            challenger=sha256(evidence.challenger.tobytes()),
            champion=sha256(evidence.champion.tobytes()),
            holdout=holdouts.digest(holdout),
            rules=ledger.digest(json.dumps([rules.model_dump(), evidence.mode], sort_keys=True)),
        )
        try:
            look = book.reserve(
                name, key, alpha=rules.alpha, looks=rules.looks, mode=evidence.mode, commit=self.question.head
            )
        except ledger.ClosedError as closed:
            return verdicts.unanswered(closed.message, evidence.mode, rules)
        verdict = gate.judge(evidence, rules.model_copy(update={"alpha": look.alpha}), cluster=word)
        verdict = dataclasses.replace(verdict, rules=rules.model_dump())
        book.settle(name, look, verdict.verdict, verdict.to_json(), reveal=shown)
        state = book.state(name)
        # What passes on the default branch retires the holdout with its tag, unless it is the month's refresh.
        refresh = state.refresh is not None and state.refresh.number == look.number
        retires = self.trusted and verdict.verdict == "promote" and not refresh
        if not (shown or retires or state.retired):
            verdict = seal.public(verdict, look)
        spent = verdicts.Look(look.number, look.of, look.alpha, look.replayed)
        return dataclasses.replace(verdict, look=spent, ledger=state.tip)

    def _check_name(self) -> None:
        """A version is of the name that its judge knows: what would pass under another one cannot be tagged."""
        before, after = self.contract.name, self.asked.model.name
        if before != after:
            raise PushforwardError(
                f"the model is renamed from {before} to {after} by a commit that changes what it predicts; rename it "
                f"by itself, or push once more on top of this: the next push is judged as {after}"
            )

    def _score(self, settings_of: Settings, checkout: Path, commit: str, holdout: Path, told: Path, out: Path) -> None:
        model = settings_of.model
        python = environment.interpreter(self.repository, commit, model.requirements, folder=self.work / "environments")
        score.score(checkout, model, holdout / holdouts.ROWS, told, out, python_bin=python, timeout=score.SCORE_SECONDS)

    def _champion(self, champion: registry.Registered) -> tuple[Path, dict[str, Any]]:
        """A checkout of the champion with its model, and its manifest; refused where it is not what was tagged."""
        root = self.checkout("champion", champion.commit)
        rules = settings.load(root)
        pipeline.fetch(root, rules.model.path, *([rules.model.validation] if rules.model.validation else []))
        recorded = registry.record(self.repository.git("cat-file", "tag", champion.tag).text)
        found = model_digest(root / rules.model.path)
        if recorded.get("model") != found:
            said = str(recorded.get("model"))[:12]
            raise PushforwardError(
                f"the model of {champion.name} has SHA-256 {found[:12]}…, its tag says {said}…",
                next=f"git show {champion.name}",
            )
        return root, manifest_of(root / rules.model.path)

    def _score_champion(
        self, champion: registry.Registered, root: Path, holdout: Path, keys: pl.Series
    ) -> honesty.Floats:
        out = self.work / "champion.parquet"
        self._score(settings.load(root), root, champion.commit, holdout, holdout / holdouts.EVENTS, out)
        return self._predictions(out, keys)

    def _probe(self, holdout: Path, rows: pl.DataFrame, events: pl.DataFrame) -> str:
        """What is wrong with how the challenger scores, or "".

        A commit on the default branch is asked again here: it must give the predictions that were handed over, and none
        of them may change with the future. For a pull request its own jailed run has scored; that is compared.
        """
        contract = self.contract
        keys = rows[contract.key]
        before = self._predictions(self.read.folder / handover.PREDICTIONS, keys)
        if not self.trusted:
            return self._probe_handed_over(rows, events, before)
        root, model = self.checkout("challenger", self.question.subject), self.asked.model
        files.remove(root, model.path)  # whatever git has there
        files.copy(self.read.folder, handover.MODEL, root / model.path)

        def answer(told: Path, out: Path) -> honesty.Floats:
            try:
                self._score(self.asked, root, self.question.subject, holdout, told, out)
            except score.ScoringError as failed:
                raise PushforwardError(failed.message, next=failed.next, exit_code=USAGE) from failed
            return self._predictions(out, keys)

        def replaced(told: Path, out: Path) -> honesty.Floats:
            with honesty.with_the_future_replaced():
                return answer(told, out)

        self.say("challenger, scored again, and with the future replaced")
        again = answer(holdout / holdouts.EVENTS, self.work / "challenger.parquet")
        differs = int((again.view("u8") != before.view("u8")).sum())
        if differs:
            return f"the model, scored again, gives other predictions than the run handed over in {differs:,} rows"
        found = honesty.probe(
            rows, events, before, replaced, key=contract.key, time=contract.time, folder=self.work / "probe"
        )
        return found.sentence() if found else ""

    def _probe_handed_over(self, rows: pl.DataFrame, events: pl.DataFrame, before: honesty.Floats) -> str:
        if not honesty.applies(events):
            return ""
        folder, contract = self.read.folder / handover.PROBES, self.contract
        count = len(honesty.instants(rows, contract.time))
        with honesty.with_the_future_replaced():
            afters = [self._predictions(folder / f"{place}.parquet", rows[contract.key]) for place in range(count)]
        said = folder / handover.SOURCE
        source = said.read_bytes()[:200].decode("utf-8", "replace") if said.is_file() else ""
        found = honesty.compare(rows, events, before, afters, key=contract.key, time=contract.time, source=source)
        return found.sentence() if found else ""

    def _validation(self, manifest: dict[str, Any], champion: dict[str, Any]) -> verdicts.Validation | None:
        """Numbers on the validation month: paired where the champion has the same rows, else the challenger's alone."""
        contract, month = self.contract, validation_month(manifest)
        path = self.read.folder / handover.VALIDATION
        if not (contract.validation and month and path.is_file()):
            return None
        slices = self.rules.gate.slices
        table = score.read_validation(path, contract, month, slices)
        theirs = None
        if self.champion is not None and validation_month(champion) == month:
            root = self.checkout("champion", self.champion.commit)
            model = settings.load(root).model
            if model.validation and (root / model.validation).is_file():
                other = score.read_validation(root / model.validation, model, month, slices)
                if other[model.key].to_list() == table[contract.key].to_list():
                    # The labels of a version; those of the hand-over are its own words.
                    table = other.rename({"p": "champion"}).with_columns(p=table["p"])
                    theirs = table["champion"].to_numpy()
        evidence = Evidence(
            y=table[contract.label].to_numpy(),
            champion=theirs,
            challenger=table["p"].to_numpy(),
            clusters=table[contract.cluster].cast(pl.String).to_numpy(),
            mode="first" if theirs is None else "superior",
            months=(month,),
            slices={name: table[name].cast(pl.String).to_numpy() for name in slices},
        )
        self._draw(evidence)
        word = gate.noun(contract.cluster, evidence.clusters)
        return gate.validation(evidence, self.rules.gate, cluster=word)

    def _draw(self, evidence: Evidence) -> None:
        """Have the pictures of the validation month drawn beside; the run's tables as they are, never judged by."""
        if self.pictures is None:
            return
        tables: dict[str, dict[str, bytes]] = {"learning.csv": {}, "importance.csv": {}}
        for name, table in tables.items():
            found = self.read.metrics.get(name)
            table |= {"challenger": found} if found else {}
            path = f"{pipeline.METRICS}/{name}"
            theirs = self.repository.read(self.champion.commit, path) if self.champion else None
            table |= {"champion": theirs} if theirs else {}
        # In a process of its own: what draws them is a whole browser engine, and no verdict may die of it.
        self.painter = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self.drawn = self.painter.submit(
            plots.draw,
            evidence.y,
            evidence.challenger,
            evidence.champion,
            evidence.clusters,
            metric=self.rules.gate.metric,
            learning=tables["learning.csv"],
            importance=tables["importance.csv"],
        )

    def _hang_up(self) -> None:
        """Put the pictures where they were asked for."""
        if self.pictures is None or self.painter is None or self.drawn is None:
            return
        try:
            drawn = self.drawn.result(timeout=DRAW_SECONDS)
        except (BrokenProcessPool, TimeoutError):
            self.say("the pictures could not be drawn")
            return
        finally:
            self.painter.shutdown(wait=False, cancel_futures=True)
        self.pictures.mkdir(parents=True, exist_ok=True)
        for name, picture in drawn.items():
            (self.pictures / name).write_bytes(picture)


def _digests(read: handover.Handover, repository: Repository, subject: str, asked: Settings) -> Digests:
    folder = read.folder / handover.MODEL
    manifest = manifest_of(folder)
    return Digests(
        model=model_digest(folder),
        manifest=sha256((folder / MANIFEST).read_bytes()),
        data=sha256(json.dumps(manifest.get("data"), sort_keys=True, separators=(",", ":")).encode()),
        lock=sha256(read.lock),
        params=sha256(repository.read(subject, "params.yaml") or b""),
        environment=environment.digest(repository, subject, asked.model.requirements),
    )


def _until(manifest: dict[str, Any]) -> str:
    """The last month that a model has trained on, by its manifest: `training.months`."""
    training = manifest.get("training")
    months = training.get("months") if isinstance(training, dict) else None
    return max(str(month) for month in months) if isinstance(months, list) and months else ""


def _level(mode: verdicts.Mode, manifest: dict[str, Any], champion: dict[str, Any]) -> registry.Level:
    if champion and manifest.get("inputs") != champion.get("inputs"):
        return "major"
    return "patch" if mode == "refresh" else "minor"


def _next_version(
    repository: Repository, known: registry.Registry, subject: str, digests: Digests, level: registry.Level
) -> str:
    """The version that a promotion would make of what was judged; "" where it is one already."""
    if identity.existing(repository, known, subject, digests) is not None:
        return ""
    taken = {ref.name.removeprefix("refs/tags/") for ref in repository.refs("refs/tags")}
    return f"{known.model}@{known.next_version(level, taken)}"


def _base(repository: Repository, question: Question, judge: str) -> str | None:
    """The commit from which a change starts: where a branch left its target, what a push found there."""
    if question.event == "push":
        return judge if judge != question.head else repository.resolve(f"{question.head}^")
    return repository.merge_base(judge, question.head)


def _touched(
    repository: Repository,
    base: str | None,
    subject: str,
    champion: registry.Registered | None,
    rules: Settings,
) -> tuple[str, ...]:
    """What of the judge a change touches: its code and rules, the making of the holdout, the contract, `metrics/`."""
    if base is None or base == subject:
        return ()
    lock = repository.read(champion.commit if champion else base, pipeline.LOCK)
    try:
        before, after = leaves_at(repository, base), leaves_at(repository, subject)
        return verdicts.touched(
            repository.changed(base, subject), before, after, pipeline.making(lock, rules.model.holdout)
        )
    except PushforwardError:
        return ()  # params.yaml cannot be read: that is the verdict already


def _check_claims(repository: Repository, base: str | None, subject: str, metrics: dict[str, bytes]) -> None:
    """Refuse a change that commits other metrics than its run has found."""
    if base is None:
        return
    for path in repository.changed(base, subject):
        folder, _, name = path.rpartition("/")
        claimed = (
            repository.read(subject, path) if folder == pipeline.METRICS and handover.NAME.fullmatch(name) else None
        )
        if claimed is not None and not _same(claimed, metrics.get(name)):
            raise PushforwardError(
                f"{path} was committed with other numbers than the run has found",
                next=f"git checkout {base[:9]} -- {pipeline.METRICS}, or dvc repro and commit what it makes",
            )


def _same(claimed: bytes, found: bytes | None) -> bool:
    if found is None or claimed == found:
        return claimed == found
    try:
        return bool(json.loads(claimed) == json.loads(found))
    except (ValueError, RecursionError):
        return False


def golden_rows(key: str, keys: pl.Series, predictions: honesty.Floats) -> bytes:
    """What the model gives for rows that are spread evenly over the holdout: JSON, the same bytes for the same."""
    step = max(1.0, len(keys) / GOLDEN_ROWS)
    places = [int(place * step) for place in range(min(GOLDEN_ROWS, len(keys)))]
    named = keys if keys.dtype.is_integer() else keys.cast(pl.String)
    rows = [{key: named[place], "p": float(predictions[place])} for place in places]
    return json.dumps({"schema": 1, "key": key, "rows": rows}, allow_nan=False, separators=(",", ":")).encode()


def record(root: Path, verdict: Verdict) -> None:
    """Put what passed on the default branch where a promotion and the policy of the remote look for it.

    It is a commit of `verdict.json` at `refs/pushforward/verdict/<pushed commit>` in the repository that the looks are
    counted in. Any other verdict leaves no trace there.
    """
    if verdict.verdict != "promote" or verdict.event != "push":
        return
    book, ref = ledger.of(root), f"{VERDICTS}{verdict.commit}"
    if book.remote:
        book.repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", book.remote, f"+{ref}*:{ref}*")
    before = book.repository.resolve(ref)
    content = {"verdict.json": verdict.to_json().encode()}
    tree = book.repository.write_tree(EMPTY_TREE, content, index=root / ".git" / "verdict.index")
    date, parents = book.repository.date(verdict.commit), [before] if before else []
    commit = book.repository.write_commit(tree, parents, f"Verdict on {verdict.commit}\n", date=date)
    if book.remote:
        book.repository.remote("push", "-q", book.remote, f"{commit}:{ref}")
    else:
        book.repository.git("update-ref", ref, commit)


@contextlib.contextmanager
def _checkouts(repository: Repository, work: Path) -> Iterator[Callable[[str, str], Path]]:
    """Gives a checkout of any revision for one role, as a folder of `work` that shares the repository's objects.

    Two roles of one revision are two folders: the judge's holds another lock and other months than the commit.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    local = pipeline.storage(repository.path).config()

    def checkout(role: str, revision: str) -> Path:
        commit = repository.commit(revision)
        folder = work / f"{role}-{commit[:12]}"
        if not folder.exists():
            repository.copy(folder, commit)
            files.cut(folder, repository.tree(commit), pipeline.OWN)
            files.write(folder, ".dvc/config.local", local.encode())
        return folder

    yield checkout
