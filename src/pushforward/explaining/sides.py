"""The two that are asked for a row: which commits, and what each says by its own code, in a jail where there is one.

A version's code, and that of the branch that counts, may run without one, as `verify` runs it; any other may not.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import polars as pl

from pushforward import files
from pushforward.errors import USAGE, PushforwardError
from pushforward.explaining import told
from pushforward.explaining.rows import Found
from pushforward.git.refs import RUNS, TRIALS
from pushforward.git.repository import Repository
from pushforward.judge import score, table
from pushforward.judge.holdout import EVENTS
from pushforward.pipeline import checkout as throwaway
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment, folders, part
from pushforward.pipeline import store as objects
from pushforward.pipeline.lock import feeding, read_lock
from pushforward.pipeline.revision import Revision, manifest_of, settings_here, validation_month
from pushforward.pipeline.storage import is_project, storage
from pushforward.registry import authority
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.release import pull, rebuild
from pushforward.sandbox import jail
from pushforward.settings import Settings

EXPLAIN_SECONDS = 300.0
LIMIT_BYTES = 16 * 1024 * 1024  # of the predictions of one row, however many classes they are of


@dataclass(frozen=True)
class Side:
    """A commit that is asked: its name for people, the version that it is, if any, and whether it is vouched for.

    `mine` says whether it is what the clone has checked out, or came before that: its pipeline may be run here. One
    that has not `ran`, as far as its authority knows, has no lock that could be believed.
    """

    name: str
    of: Revision
    version: str
    vouched: bool
    mine: bool = False
    ran: bool = True


@dataclass(frozen=True)
class Asked:
    """The sides: whom the question is about, and whom to hold beside it, None where there is nobody."""

    challenger: Side
    champion: Side | None
    newest: Revision | None


def sides(root: Path, *, model: str, of: str, against: str) -> Asked:
    """Whom to ask in the clone `root`: `of` and `against` are versions, branches or commits that were run.

    By themselves: the newest commit of this branch that was run, and the version in use; where these are the same, the
    version before it.
    """
    read = authority.reading(root, settings_here(root).project.models, RUNS, TRIALS)
    name = settings_here(root).of(model).model.name
    rules = settings_here(root).of(name)
    known = registry.fold(name, read.repository.refs(*registry.PLACES))
    known = tagging.counting(root, known, rules.promote.environments, repository=read.repository)

    def side(found: pull.Found) -> Side:
        version = known.at(found.commit)
        pushed = found.commit if version else of_run(read.repository, found.commit)
        landed = read.repository.git("merge-base", "--is-ancestor", pushed, read.head, check=False)
        mine = Repository(root).git("merge-base", "--is-ancestor", pushed, "HEAD", check=False)
        short = str(version.version) if version else found.name.removeprefix("the run of ")
        return Side(
            short,
            Revision(read.repository, found.commit, name),
            version.name if version else "",
            vouched=version is not None or landed.returncode == 0,
            mine=mine.returncode == 0,
        )

    def newest(asked: str) -> pull.Found | None:
        try:
            return pull.find(root, read, asked, name)
        except pull.NoRunError:
            return None

    def chosen(asked: str) -> Side:
        try:
            return side(pull.find(root, read, asked, name))
        except pull.NoRunError:
            clone = Repository(root)
            commit = clone.resolve(asked) or ""
            if not commit or clone.git("merge-base", "--is-ancestor", commit, "HEAD", check=False).returncode != 0:
                raise
            return Side(commit[:9], Revision(clone, commit, name), "", vouched=False, mine=True, ran=False)

    branch = Repository(root).git("symbolic-ref", "-q", "--short", "HEAD", check=False).text
    used, found = known.champion, None if of else newest(branch or "HEAD")
    if not of and found is None and used is None:
        raise PushforwardError(
            f"nothing of {branch or 'HEAD'} was run yet, and no version is in use", next="git push local main"
        )
    challenger = chosen(of) if of else side(found or pull.Found(used.name, used.commit))  # type: ignore[union-attr]
    other = chosen(against) if against else None
    if other is None and used is not None:
        if used.commit == challenger.of.commit:
            earlier = [one for one in known.versions if one.version < used.version and not known.deprecated(one)]
            used = earlier[-1] if earlier else None
        other = side(pull.Found(used.name, used.commit)) if used else None
    main = newest(read.head.rpartition("/")[2]) if read.head != "HEAD" else None
    main = main or newest(read.repository.git("symbolic-ref", "-q", "--short", "HEAD", check=False).text)
    return Asked(challenger, other, Revision(read.repository, main.commit, name) if main else None)


def of_run(repository: Repository, commit: str) -> str:
    """The commit that was pushed, of a lock commit or another: of a pull request's run the head that it merged."""
    for ref, place in ((RUNS, ""), (TRIALS, "^2")):
        found = next((one.name.removeprefix(ref) for one in repository.refs(ref) if one.object == commit), "")
        if found:
            return repository.resolve(f"{found}{place}") or found
    return commit


@dataclass(frozen=True)
class Answer:
    """What a side says of the row.

    `predicted` is by column of `score`; `validated` the same of the fit that had not seen the validation month, where
    the row is of it and there is such a table; `trained` whether the model has trained on the row's month, None where
    that is not known. `told` are the project's own steps, and `doubts` what does not agree, or why there are none.
    """

    side: Side
    predicted: Mapping[str, float]
    validated: Mapping[str, float]
    trained: bool | None
    told: told.Told
    doubts: tuple[str, ...]


class Place:
    """Where a side's data and code are: a checkout for what it has made, another with its code and its model alone."""

    def __init__(
        self, side: Side, clone: Path, folder: Path, base: Revision | None, say: Callable[[str], None]
    ) -> None:
        self.side, self.clone, self.folder, self.base, self.say = side, clone, folder, base, say
        self.doubts: list[str] = []

    @cached_property
    def rules(self) -> Settings:
        """What the commit says of its model; refused where the judge asks no model."""
        found = self.side.of.settings
        if not found.measures and not found.score:
            raise PushforwardError(
                f"{self.side.name}: {found.model.name} is at level {found.level}, and its run has scored itself: there "
                "is no command that could be asked for one row",
                next="pushforward adopt --level 3",
                exit_code=USAGE,
            )
        _ = found.contract
        return found

    @cached_property
    def data(self) -> Path:
        """The checkout into which outs are brought."""
        of = self.side.of
        cache = storage(self.clone).cache if is_project(self.clone) else self.folder / "cache"
        there = rebuild.Source(of.repository, of.commit, "", self.clone, None, of.model)
        made = rebuild.checkout(there, self.folder / "data", cache=cache)
        if not self.side.ran:
            self._seed(made)
        return made

    def _seed(self, checkout: Path) -> None:
        """As the judge does: begin with what the default branch has made, and DVC runs what is another."""
        base = self.base
        champion, source = (base.commit, base.repository) if base else (None, None)
        pipeline.seed(Repository(checkout), champion, self.rules.outs, source=source)

    def bring(self, *outs: str) -> None:
        """Have what the commit has made in `data`: fetched, or of what this clone has checked out made again.

        Of a change that is not merged a server keeps nothing that its pipeline has made.
        """
        missing = [out for out in outs if not (self.data / out).exists()]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            self.say(f"fetching {missing[0]}{more} of {self.side.name}")
        for out in missing:
            contract = self.rules.contract
            if not self.side.ran and out in (contract.holdout, contract.path, contract.validation):
                self._make(out)  # after which the lock is that of all it is made of
                continue
            try:
                pipeline.fetch(self.data, out, say=self.say)
            except PushforwardError as lost:
                if not self.side.mine:
                    raise PushforwardError(
                        f"{self.side.name}: {lost.message}",
                        next="git switch to its branch: what is checked out is made again here; "
                        "or ask once it is merged",
                        exit_code=lost.exit_code,
                    ) from lost
                self._make(out)

    def bring_fed(self) -> None:
        """The same for what the holdout was made of."""
        self.bring(*feeding(folders.whole_here(self.data), self.rules.contract.holdout))

    def _make(self, out: str) -> None:
        wanted = objects.outs(self.side.of.repository, self.side.of.commit).get(out, "")
        self.say(f"{out} of {self.side.name} is in no store: making it here")
        if self.side.ran:
            self._seed(self.data)
        environment.enter(environment.project(self.data))
        with part.alone(self.data):
            pipeline.build(self.data, out, say=self.say)
        made = read_lock(folders.whole_here(self.data))
        found = {str(one["path"]): str(one.get("md5", "")) for stage in made.values() for one in stage.get("outs", [])}
        if self.side.ran and wanted and found.get(out) != wanted:
            self.doubts.append(f"{out} was made again here, and is not the one of its run")

    def ask(self, found: Found, batch: str) -> Answer:
        """What the side says of the row; its commands are told of the events that `found` has, and of no other."""
        rules, contract = self.rules, self.rules.contract
        self.bring(contract.path)
        code = throwaway.checkout(self.side.of.repository, self.side.of.commit, self.folder / "code")
        files.remove(code, contract.path)
        files.copy(self.data, contract.path, files.place(code, contract.path))
        given = self._given(found)
        self.say(f"asking {self.side.name}")
        asked = score.Command("score", contract.score, "scoring", contract.folder)
        out = f"predictions{found.suffix}"
        left = self._left(asked, given, out, LIMIT_BYTES, score.SCORE_SECONDS)
        files.write(self.folder, f"read/{out}", left)
        values = score.read_asked(self.folder / "read" / out, found.row[contract.key], rules).reshape(-1).tolist()
        predicted = dict(zip(contract.predicted, values, strict=True))
        said, doubts = told.Told(), list(self.doubts)
        if not rules.explain:
            doubts.append("its settings name no `explain` command, so its steps are not known")
        else:
            asked = score.Command("explain", rules.explain, "explaining", contract.folder)
            said = told.parse(self._left(asked, given, "explained.json", told.LIMIT_BYTES, EXPLAIN_SECONDS))
            doubts += said.doubts(predicted)
        manifest = manifest_of(code / contract.path)
        return Answer(
            self.side, predicted, self._validated(found, manifest), _trained(manifest, batch), said, tuple(doubts)
        )

    def _given(self, found: Found) -> dict[str, Path]:
        """What its commands are given, written before any of them runs, in a folder that none of them writes."""
        folder = self.folder / "given"
        folder.mkdir()
        given = {"{rows}": folder / f"rows{found.suffix}"}
        table.write(found.row, given["{rows}"])
        if self.rules.contract.events and found.events is not None:
            given["{events}"] = folder / EVENTS
            found.events.write_parquet(given["{events}"])
        return given

    def _left(self, asked: score.Command, given: Mapping[str, Path], name: str, most: int, seconds: float) -> bytes:
        """What a command leaves as the file `name`, of `most` bytes.

        It writes two folders that are fresh, its own and its /tmp: one command finds nothing there of another, and
        this process writes nothing where a command has been, which may have left a link.
        """
        work = self.folder / asked.setting
        (work / "out").mkdir(parents=True)
        side = self.side.of
        python = environment.interpreter(
            side.repository, side.commit, self.rules.environment, folder=environment.cache()
        )
        places = {**given, "{out}": work / "out" / name}
        jailed = self._jailed(python, work)
        score.command(self.folder / "code", asked, places, python_bin=python, timeout=seconds, jailed=jailed)
        return told.taken(places["{out}"], most, asked.setting)

    def _jailed(self, python: Path, work: Path) -> score.Jailed | None:
        """How a command is run in a jail; None where this machine has none and the code is vouched for."""
        found = machine(trust=self.side.vouched)
        if found.kind == "none":
            return None
        policy = jail.Policy(
            writable=(work / "out",),
            readable=(self.folder / "code", self.folder / "given", python.parent.parent),
            untrusted=not self.side.vouched,
        )
        scratch = work / "jail"
        scratch.mkdir(parents=True)
        return lambda words, cwd: found.wrap(words, policy, cwd=cwd.absolute(), scratch=scratch)

    def _validated(self, found: Found, manifest: Mapping[str, Any]) -> dict[str, float]:
        """What the fit that had not seen the validation month said of the row, by column; nothing where none did."""
        contract, month = self.rules.contract, validation_month(dict(manifest))
        if contract.validation is None or not month or found.held:
            return {}
        self.bring(contract.validation)
        try:
            rows = score.read_validation(self.data / contract.validation, contract, month, ())
        except score.PredictionsError:
            return {}
        mine = rows.filter(pl.col(contract.key).cast(pl.String) == str(found.row[contract.key][0]))
        return {name: float(mine[name][0]) for name in contract.predicted} if mine.height else {}


@cache
def machine(*, trust: bool) -> jail.Jail:
    """The jail of this machine; with `trust` none where there is none, without it that is refused."""
    return jail.find(trust=trust)


def scratch() -> "tempfile.TemporaryDirectory[str]":
    """A folder for all of it, gone in the end."""
    return tempfile.TemporaryDirectory(prefix="pushforward-explain-")


def _trained(manifest: Mapping[str, Any], batch: str) -> bool | None:
    """Whether a model has trained on the rows of a month, by its manifest; None where that says nothing."""
    training = manifest.get("training")
    months = training.get("months") if isinstance(training, dict) else None
    return batch in months if batch and isinstance(months, list) else None
