"""A look at what is in use in an environment: log, outcomes and reference are read, then it is decided.

`commands.monitor` calls it. The version is what the tags say, its promise what the registry's chain says, the limits
are those of the default branch; the project's command runs in a checkout of that, in its own environment.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import polars as pl

from pushforward import params
from pushforward.errors import DATA, USAGE, PushforwardError
from pushforward.gate import loss as losses
from pushforward.gate.loss import Loss
from pushforward.gate.verdict import Verdict
from pushforward.git.refs import REGISTRY
from pushforward.judge import score
from pushforward.judge.losses import TITLE
from pushforward.lifecycle import Monitor
from pushforward.monitoring import asking, kept, live, lost, outcomes, predicted, tables
from pushforward.monitoring.decision import Ages, Found, decide
from pushforward.monitoring.drift import Finding, alarms
from pushforward.monitoring.live import Live, Question
from pushforward.monitoring.outcomes import KEY, KNOWN, LABEL, TIME, Wait
from pushforward.monitoring.past import Past, compared, load
from pushforward.monitoring.record import Day, Looked, Predicted, Reason, Record
from pushforward.monitoring.tables import ROW
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment as environments
from pushforward.pipeline import store as objects
from pushforward.pipeline.revision import Revision
from pushforward.registry import authority
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry.authority import Authority
from pushforward.registry.tags import Registered
from pushforward.release import entry
from pushforward.release.entry import VERDICT
from pushforward.settings import Settings

CLUSTER = "cluster"
OLD = timedelta(days=1)  # how old a look of another job may be
SLACK = timedelta(days=1)  # by which clocks and zones differ
MOVED = ("index", "mean", "slow index", "slow mean")  # kinds of findings by which values have moved; the rest is broken


@dataclass(frozen=True)
class Asked:
    """What is to be looked at: an environment of a model, by the log in a folder or at a URL, at a moment."""

    root: Path
    environment: str
    model: str
    log: str
    now: datetime
    say: Callable[[str], None]


@dataclass(frozen=True)
class _Joined:
    """The answers of a version with their labels, those that count, and from which age and which day on they do."""

    answers: pl.DataFrame
    old: pl.DataFrame
    wait: Wait
    first: date | None


def look(asked: Asked) -> Record | None:
    """What is found of the version in use, and what is to be done about it; None where the environment is empty."""
    with authority.of(asked.root) as source, tempfile.TemporaryDirectory(prefix="pushforward-") as scratch:
        main = Revision(source.repository, source.repository.commit("HEAD"), asked.model)
        asking.limits(main)
        used = _in_use(asked, source, main.settings)
        if used is None:
            return None
        return _Look(asked, source, main, used, Path(scratch)).record()


def held(asked: Asked, told: Mapping[str, Record]) -> Record | None:
    """The look of another job at what is asked, of those told by model; None where the environment is empty.

    That job has run the project's code, so what git knows of the version is put in the place of what it says; refused
    where it is of another version than is in use, or of another day.
    """
    with authority.of(asked.root) as source, tempfile.TemporaryDirectory(prefix="pushforward-") as scratch:
        main = Revision(source.repository, source.repository.commit("HEAD"), asked.model)
        asking.limits(main)
        used, found = _in_use(asked, source, main.settings), told.get(main.settings.model.name)
        if found is None and used is None:
            return None
        if found is None:
            raise _unheld("none is there")
        if used is None or (found.environment, found.version) != (asked.environment, used.name):
            now = used.name if used is not None else "no version"
            raise _unheld(f"it is of {found.version} in {found.environment}, and {asked.environment} has {now}")
        if not asked.now - OLD <= found.at <= asked.now:
            raise _unheld(f"it was taken at {found.at:%Y-%m-%d %H:%M}, and it is {asked.now:%Y-%m-%d %H:%M}")
        taken = _Look(asked, source, main, used, Path(scratch))
        if found.first is not None and found.first < taken.since:
            raise _unheld(f"it counts from {found.first} on, and {used.name} was committed after {taken.since}")
        return taken.known(found)


def _unheld(why: str) -> PushforwardError:
    return PushforwardError(f"the look is not taken: {why}", next="pushforward monitor", exit_code=DATA)


def _in_use(asked: Asked, source: Authority, rules: Settings) -> Registered | None:
    known = registry.fold(rules.model.name, source.repository.refs(*registry.PLACES))
    known = tagging.counting(asked.root, known, rules.promote.environments, repository=source.repository)
    there = sorted({*known.environments, *rules.promote.environments})
    if asked.environment not in there:
        raise PushforwardError(
            f"no environment is called {asked.environment!r:.80}", next=f"one of: {', '.join(there)}", exit_code=USAGE
        )
    return known.in_use(asked.environment)


class _Look:
    """One look; each thing is read once. In `scratch` is all that is checked out and fetched."""

    def __init__(self, asked: Asked, source: Authority, main: Revision, used: Registered, scratch: Path) -> None:
        self.asked, self.source, self.main, self.used, self.scratch = asked, source, main, used, scratch
        self.own = Revision(source.repository, used.commit, asked.model)
        self.project = asking.Project(asked.root, source, main, scratch, asked.say)
        self.unread: list[str] = []

    @cached_property
    def limits(self) -> Monitor:
        """The limits of the default branch."""
        return asking.limits(self.main)

    @cached_property
    def kind(self) -> Loss | None:
        """The loss by which the version was judged; None where nothing was, or at keys that are not those of rows."""
        rules = self.own.settings
        if rules.self_scored or rules.contract.loss_key is not None:
            return None
        if rules.contract.loss is not None:
            return losses.given(TITLE)
        return losses.of(rules.gate, len(rules.contract.classes))

    def record(self) -> Record:
        """All that was found, and the decision."""
        answers = self.answers
        promised = self._promised()
        joined = self._joined(answers)
        measured = self._measured(joined, promised) if joined is not None else None
        looked, told = self._compared(answers), self._predictions(answers)
        far = alarms((*told.looked, *looked))
        found = Found(
            self.limits,
            self._ages(answers),
            promised,
            measured,
            drifted=tuple(one.words for one in far if one.kind in MOVED),
            broken=tuple(one.words for one in far if one.kind not in MOVED),
            waiting=self._waiting(),
            unread="; ".join(self.unread),
        )
        decided = decide(found)
        return Record(
            self.used.model,
            self.asked.environment,
            self.used.name,
            self.used.commit,
            self.asked.now,
            decided.word,
            tuple(Reason(rule, words) for rule, words in decided.reasons),
            self._metric,
            found.ages,
            self.limits,
            promised,
            measured,
            tuple(self._days(joined)) if joined is not None else (),
            drift=_recorded(looked),
            predicted=Predicted(told.against, _recorded(told.looked)),
            waiting=found.waiting,
            first=joined.first if joined is not None and self._counts(joined.first) else None,
        )

    def _counts(self, first: date | None) -> bool:
        """Whether looks to come may count from a day on."""
        return first is not None and first >= self.since

    def known(self, told: Record) -> Record:
        """A look of another job, with what git knows of the version and what it is held against."""
        return replace(
            told,
            model=self.used.model,
            commit=self.used.commit,
            metric=self._metric,
            limits=self.limits,
            promise=self._promised(),
            waiting=self._waiting(),
            before="",
            proposed="",
            step="",
            run="",
        )

    @property
    def _metric(self) -> str:
        return self.kind.title if self.kind is not None else ""

    def _promised(self) -> live.Promise | None:
        if self.verdict is None or self.kind is None:
            return None
        return live.promise(self.verdict, self.kind)

    @cached_property
    def answers(self) -> pl.DataFrame:
        """What the version has answered, asked until the moment of the look."""
        rules = self.own.settings.contract
        probability = self.own.settings.gate.probability
        found = tables.answers(self._log(), self.used.name, rules.predicted, probability=probability)
        self.asked.say(f"{found.height:,} answers of {self.used.name}")
        return found.filter(pl.col(TIME) <= self.asked.now)

    @cached_property
    def verdict(self) -> Verdict | None:
        """The verdict on the version."""
        content = entry.read(self.source.repository, REGISTRY, self.used.name, VERDICT)
        return None if content is None else Verdict.from_json(content)

    def _joined(self, answers: pl.DataFrame) -> _Joined | None:
        """Answers and outcomes; None where nobody tells any, or they cannot be had: then the record says so."""
        if self.limits.outcomes is None or self.kind is None:
            return None
        if answers.height and not (answers[KEY] != "").any():
            self.unread.append("the outcomes: no answer of the log has a key that one could come to")
            return None
        now, by_command = self.asked.now, self.own.settings.contract.loss is not None
        try:
            told = self._outcomes()
            every = outcomes.joined(answers, told, now)
            joined = self._lost(lost.once(every)) if by_command else every
            if wrong := live.unfit(joined.filter(pl.col(LABEL).is_not_null()), self.kind, self._columns):
                raise tables.TableError(wrong, "edit the command monitor.outcomes of pushforward.yaml")
        except PushforwardError as failed:
            self.unread.append(f"the outcomes: {failed.message.splitlines()[0]}")
            return None
        past = self._past(told)
        seen = pl.concat([joined.select(TIME, KNOWN), *([past] if past is not None else [])])
        wait = outcomes.learned(seen[TIME], seen[KNOWN], now, never=self.limits.missing_at_most)
        self.asked.say(wait.words)
        clustered = self._clustered(joined)
        first = self._first(outcomes.settled(every, wait, now))
        return _Joined(clustered, outcomes.settled(clustered, wait, now), wait, first)

    @cached_property
    def since(self) -> date:
        """The day before that of the version's commit: an answer that is said to be older was not asked then.

        The first of all days where the moment of the look is before it too, as that of a past which is played again.
        """
        told = self.source.repository.git("log", "-1", "--format=%ct", self.used.commit).text
        day = (datetime.fromtimestamp(int(told), UTC) - SLACK).date()
        return day if day <= self.asked.now.date() else date.min

    def _first(self, old: pl.DataFrame) -> date | None:
        """The first day of answers that count: what says that it was asked before there was the version is no first."""
        days = old.filter(pl.col(LABEL).is_not_null())[TIME].dt.date()
        sound = days.filter(days >= self.since)
        found = (sound if len(sound) else days).min()
        return found if isinstance(found, date) else None

    def _begun(self) -> date | None:
        """The first day that looks before have counted; none that cannot be."""
        last = kept.book(self.asked.root, self.asked.model).last_at(self.asked.environment, self.used.name)
        return last.first if last is not None and self._counts(last.first) else None

    def _lost(self, joined: pl.DataFrame) -> pl.DataFrame:
        """With what the project's own command says that each answer lost: the version's, which took its promise."""
        contract = self.own.settings.contract
        assert contract.loss is not None  # noqa: S101, who asks has one
        own = self.own
        folder = environments.cache()
        python = environments.interpreter(own.repository, own.commit, own.settings.environment, folder=folder)
        asked = score.Command("loss", contract.loss, "the loss of what was answered", contract.folder)

        def run(places: dict[str, Path]) -> None:
            score.command(self._version, asked, places, python_bin=python, timeout=score.SCORE_SECONDS)

        return lost.given(joined, contract, run, self.scratch)

    @property
    def _columns(self) -> tuple[str, ...]:
        """The columns of joined answers that the loss is of."""
        contract = self.own.settings.contract
        return contract.predicted if contract.loss is None else (lost.LOSS,)

    def _outcomes(self) -> pl.DataFrame:
        rules, out = self.main.settings.contract, self.scratch / "outcomes.parquet"
        self.project.ask(out)
        given = self.own.settings.contract.loss is not None
        return tables.outcomes(out, rules.key, rules.label, rules.classes, given=given)

    def _past(self, told: pl.DataFrame) -> pl.DataFrame | None:
        """When the outcomes of the rows that were trained on were known, where the command tells these too."""
        if self.past is None:
            return None
        joined = outcomes.joined(self.past.asked, told, self.asked.now)
        return joined.select(TIME, KNOWN) if outcomes.covered(joined) else None

    @cached_property
    def past(self) -> Past | None:
        """The rows that the version was trained on; None where they have no time, or cannot be had, which is said."""
        rules = self.own.settings.contract
        if rules.time is None:
            return None
        skip = [rules.label]
        if rules.cluster is not None and f"{ROW}{rules.cluster}" not in self.answers.columns:
            skip.append(rules.cluster)
        wanted = rules.beside(self.limits.reference)
        try:
            outs = self._outs(wanted)
            return load(list(outs.items()), lambda: self._tables(wanted, [*outs]), rules.key, rules.time, skip=skip)
        except PushforwardError as failed:
            self.unread.append(f"monitor.reference: {failed.message.splitlines()[0]}")
            return None

    def _outs(self, wanted: str) -> dict[str, str]:
        """The objects of the version's own that hold what is `wanted`, a path from the root."""
        there = objects.outs(self.source.repository, self.used.commit)
        outs = {path: oid for path, oid in there.items() if path == wanted or path.startswith(f"{wanted}/")}
        if not outs:
            raise PushforwardError(f"{self.used.name} has no out {wanted}")
        return outs

    def _tables(self, wanted: str, outs: list[str]) -> list[Path]:
        checkout = self.project.brought(self._version, outs)
        place = checkout / wanted
        return [place] if place.is_file() else sorted(path for path in place.rglob("*.parquet") if path.is_file())

    def _compared(self, answers: pl.DataFrame) -> tuple[Finding, ...]:
        """What was looked at of the answers of the last days; nothing where there are none, or no past."""
        if self.past is None or not answers.height:
            return ()
        key, today = self.own.settings.contract.key, self.asked.now.date()
        return compared(self.past, answers, key, today, self.limits.drift_days)

    def _predictions(self, answers: pl.DataFrame) -> predicted.Told:
        """Predictions as served, held against those of rows that no fit of the version has seen."""
        rules = self.own.settings.contract
        return predicted.compared(
            self._unseen(), answers, rules.predicted, self.asked.now.date(), self.limits.drift_days
        )

    def _unseen(self) -> predicted.Unseen | None:
        """The predictions of the validation that the verdict has read; None where there is none, or it is not there."""
        rules = self.own.settings.contract
        told = self.verdict.validation if self.verdict is not None else None
        if rules.validation is None or told is None or self.past is None:
            return None
        try:
            outs, place = self._outs(rules.validation), rules.validation
            came = outs | self._outs(rules.beside(self.limits.reference))
            bring = lambda: self.project.brought(self._version, [*outs]) / place  # noqa: E731
            return predicted.load(list(came.items()), bring, rules, told.month, self.past.asked)
        except PushforwardError as failed:
            self.unread.append(f"validation: {failed.message.splitlines()[0]}")
            return None

    @cached_property
    def _version(self) -> Path:
        """A checkout of the version in use."""
        return self.project.checkout(self.own, "version")

    def _log(self) -> Path:
        """The folder of the log; what is at a URL is brought by DVC first."""
        if self.asked.log and "://" not in self.asked.log:
            return Path(self.asked.log)  # from where it was typed
        where = self.asked.log or self.limits.log
        if where is None:
            raise PushforwardError(
                "nothing says where the log of `pushforward serve` is",
                next="pushforward monitor --log DIR, or name monitor.log in pushforward.yaml",
                exit_code=USAGE,
            )
        if "://" not in where:
            return self.asked.root / where
        self.asked.say(f"bringing {where}")
        pipeline.bring(self.project.newest, where, self.scratch / "log")
        return self.scratch / "log"

    def _clustered(self, joined: pl.DataFrame) -> pl.DataFrame:
        """With what belongs together: the contract's cluster where the answers have it, else the day that was asked."""
        named, day = self._cluster(joined), pl.col(TIME).dt.date().cast(pl.String)
        found = pl.coalesce(pl.col(named).cast(pl.String), day) if named else day
        return joined.with_columns(found.alias(CLUSTER))

    def _cluster(self, joined: pl.DataFrame) -> str:
        """The column of joined answers that has the contract's cluster, "" where none has."""
        cluster = self.own.settings.contract.cluster
        names = (cluster, f"{ROW}{cluster}") if cluster is not None else ()
        return next((name for name in names if name in joined.columns), "")

    def _measured(self, joined: _Joined, promised: live.Promise | None) -> Live:
        assert self.kind is not None  # noqa: S101, or nothing is joined
        question = Question(
            self.kind,
            self._columns,
            promised,
            self.limits.lose_at_most,
            self.limits.alpha,
            dict(self._slices(joined.answers)),
            CLUSTER,
            self.own.settings.contract.cluster if self._cluster(joined.answers) else None,
            self._begun(),
            joined.first,
        )
        return live.measure(joined.answers, joined.old, joined.wait, question)

    def _slices(self, answers: pl.DataFrame) -> Iterator[tuple[str, str]]:
        """The slices of the gate that are inputs, or come with the outcomes."""
        for name in self.main.settings.gate.slices:
            column = next((one for one in (f"{ROW}{name}", name) if one in answers.columns), None)
            if column is not None and name != self.main.settings.contract.label:
                yield name, column

    def _days(self, joined: _Joined) -> Iterator[Day]:
        """What the answers of each day lost, for a picture."""
        assert self.kind is not None  # noqa: S101, or nothing is joined
        there = joined.old.filter(pl.col(LABEL).is_not_null())
        if not there.height:
            return
        found = self.kind.rows(there[LABEL].to_numpy(), score.matrix(there, self._columns))
        days = there.with_columns(pl.col(TIME).dt.date().cast(pl.String).alias("day"), pl.Series("lost", found))
        for day, rows, loss in days.group_by("day").agg(pl.len(), pl.col("lost").mean()).sort("day").iter_rows():
            yield Day(day, rows, loss)

    def _ages(self, answers: pl.DataFrame) -> Ages:
        now, nothing = self.asked.now, timedelta()
        form = f"refs/tags/{self.used.name}"
        told = self.source.repository.git("for-each-ref", "--format=%(creatordate:unix)", form).text
        made = datetime.fromtimestamp(int(told), UTC) if told.isdigit() else now
        last = answers[TIME].max() if answers.height else None
        return Ages(
            max(now - made, nothing),
            self._batch_age(),
            max(now - last, nothing) if isinstance(last, datetime) else None,
        )

    def _batch_age(self) -> timedelta | None:
        """How long ago the newest month that the version trained on has ended; None where batches are no months."""
        rules = self.own.settings
        trained = self.own.batches[: -rules.gate.window] if rules.batched else []
        if not trained or not params.monthly(trained):
            return None
        end = datetime.fromisoformat(f"{params.next_month(trained[-1])}-01").replace(tzinfo=UTC)
        return max(self.asked.now - end, timedelta())

    def _waiting(self) -> tuple[str, ...]:
        """The batches that the default branch has and the version has not."""
        if not (self.main.settings.batched and self.own.settings.batched):
            return ()
        known = set(self.own.batches)
        return tuple(name for name in self.main.batches if name not in known)


def _recorded(looked: tuple[Finding, ...]) -> tuple[Looked, ...]:
    return tuple(Looked(one.column, one.kind, one.measured, one.limit, one.words, one.far) for one in looked)
