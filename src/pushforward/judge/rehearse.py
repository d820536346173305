"""The rehearsal of a push: what a run and its judge would trip over, all of it at once, before anything is pushed.

`pushforward rehearse` asks it. All happens in a scratch clone, with copies of what the cache holds; neither the
repository nor its store nor a server is written to.
"""

import os
import posixpath
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from posixpath import dirname

from pushforward import files, schema, section, settings
from pushforward.errors import PushforwardError
from pushforward.gate import decision
from pushforward.gate.evidence import problem_of
from pushforward.git.repository import Repository
from pushforward.judge import (
    audition,
    challenge,
    context,
    epochs,
    handover,
    identity,
    ledger,
    measured,
    plan,
    self_scored,
    stock,
)
from pushforward.judge.case import gate_of
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment, folders, lint
from pushforward.pipeline.checkout import OWN, checkout
from pushforward.pipeline.revision import Revision
from pushforward.pipeline.storage import LOCAL, home, storage
from pushforward.project import faults as projects
from pushforward.project.adopt import IGNORE
from pushforward.project.faults import Fault
from pushforward.project.survey import survey
from pushforward.settings import Settings
from pushforward.text import figure, sample

Say = Callable[[str], None]
NAMED = re.compile(r"(?P<file>[\w./-]+\.(?:ya?ml|dvc|lock|toml|txt|csv|parquet|json))(?::(?P<line>\d+))?: (?P<what>.+)")
LINED = re.compile(r"line (?P<line>\d+), column \d+: (?P<what>.+)")
NAMES = re.compile(
    r"'([^']+)'|(stage \S+ needs [^,]+)|changed (\S+?)/?, which|no stage makes ([^,]+), which|has the out (.+)$"
)
ABSENT = re.compile(r"No such file or directory: '(?P<path>[^']+)'")


@dataclass
class Rehearsal:
    """What a push of `commit` would come to: what keeps it from its verdict, and what that would rest on.

    `unasked` are paths that the rehearsal has not seen, for they are not committed. `remarks` keep nobody from a push.
    """

    commit: str
    branch: str
    level: int = 0
    faults: list[Fault] = field(default_factory=list)
    rests_on: str = ""
    remarks: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)

    def add(self, found: Fault) -> None:
        """One more fault, unless it is known."""
        if found not in self.faults:
            self.faults.append(found)


def rehearse(root: Path, *, worktree: bool, say: Say) -> Rehearsal:
    """Rehearse a push of HEAD of the clone in `root`, or of its work tree as if it were committed."""
    repository = Repository(root)
    head = repository.commit("HEAD")
    branch = repository.git("symbolic-ref", "-q", "--short", "HEAD", check=False).text or "HEAD:refs/heads/my-idea"
    found = Rehearsal(head, branch, unasked=[] if worktree else repository.unclean())
    with tempfile.TemporaryDirectory(prefix="pushforward-rehearse-") as folder:
        place = Path(os.path.realpath(folder))
        there = storage(root)
        mine = replace(there, cache=place / "cache")
        clone = checkout(repository, head, place / "clone", storage=mine)
        # a hard link of a person's own would hand a stage the cache itself
        config = mine.config().replace("[cache]\n", "[cache]\n    type = reflink,copy\n", 1)
        files.write(clone, posixpath.join(home(clone), LOCAL), config.encode())
        if worktree:
            _commit_all(root, clone)
        _Rehearsing(root, clone, found, say).all(there.cache)
    found.faults.sort()
    return found


def _commit_all(root: Path, clone: Path) -> None:
    """Have the scratch clone be what a commit of everything in the work tree of `root` would be."""
    own, copy = Repository(root), Repository(clone)
    for path in own.unclean():
        if path.endswith("/"):  # a folder of which git has nothing yet
            inside = own.git("ls-files", "-z", "--others", "--exclude-standard", "--", path).stdout.decode()
        else:
            inside = path
        for one in filter(None, inside.split("\0")):
            files.remove(clone, one)
            if (root / one).is_file():
                files.copy(root, one, files.place(clone, one))
    copy.git("add", "-A")
    head = copy.commit("HEAD")
    commit = copy.write_commit(copy.git("write-tree").text, [head], "What is not committed", date=copy.date("HEAD"))
    copy.git("update-ref", "HEAD", commit)


class _Rehearsing:
    """One rehearsal: the repository, its scratch clone, and what is found."""

    def __init__(self, root: Path, clone: Path, found: Rehearsal, say: Say) -> None:
        self.root, self.clone, self.found, self.say = root, clone, found, say
        self.branch = survey(root).branch

    def all(self, cache: Path) -> None:
        """Every step; one that cannot be taken keeps none from the others that can."""
        self.say("what is written: settings, dvc.yaml, workflows, environment")
        self._static()
        self.say("what the store holds")
        with self._told("the store", ".dvc/config"):
            for fault in stock.lacking(self.root, self.clone):
                self.found.add(fault)
        stock.link(cache, self.clone.parent / "cache")
        try:
            rules = settings.load(self.clone)
        except PushforwardError as unreadable:
            if (self.clone / schema.FILE).exists():  # what is not there is told already
                self._add(unreadable, schema.FILE)
            return
        self.found.level = rules.level
        with self._told("the environment", schema.FILE):
            self.found.remarks += context.unlocked(Revision(Repository(self.clone), "HEAD"))
        if not self._environment():
            return
        self._run(rules)
        for one in rules.each:
            self._ask(one)

    def _ask(self, rules: Settings) -> None:
        """What the judge would ask of one model."""
        if rules.self_scored:
            self._read_own(rules)
            return
        if rules.measures:
            self._measure(rules)
        if rules.level < len(schema.LEVELS) - 1:
            of = f"{rules.name}: " if rules.several else ""
            told = f"at level {rules.level} ({schema.LEVELS[rules.level]}) there is no holdout and no score to rehearse"
            self.found.remarks.append(f"{of}{told}")
            return
        with self._told("the settings", schema.FILE):
            rules.check_tool()
            rules.arrived(lambda file: files.read(self.clone, file))
            self._judge(rules)

    def _static(self) -> None:
        """What can be told without a run."""
        repository = Repository(self.clone)
        with self._told("the commit", lint.FILE):
            self._project()
        tree = repository.tree("HEAD")
        with self._told("the commit", "."):
            files.check_tree(tree, OWN)
        with self._told("the commit", "."):
            lint.check_bytecode(tree)
        with self._told("the stages", lint.FILE):
            folders.check(self.clone, set(tree))
        try:
            names = settings.load(self.clone).project.server.workflows
        except PushforwardError:  # which is told with the project
            names = schema.Server().workflows
        for path, problem in stock.workflows(self.clone, tree, names):
            self.found.add(Fault(path, 0, problem, f"edit {path}"))

    def _project(self) -> None:
        """What the files of the project say by themselves: before its pipeline has run, and of what that made."""
        # a detached clone knows no default branch, and `stock` looks into the store
        for fault in projects.faults(replace(survey(self.clone), branch=self.branch, remotes=())):
            self.found.add(fault)

    def _environment(self) -> bool:
        """Whether what stages and `score` run with is there: a push builds it too."""
        with self._told("the environment", schema.FILE):
            environment.make(self.clone, say=self.say)
            return True
        return False

    def _run(self, rules: Settings) -> None:
        """The pipeline, as a push runs it; what it cannot make is tried by itself, so that the rest can be judged."""
        self.say("the pipeline, in a scratch clone")
        repository = Repository(self.clone)
        with self._told("the store", ".dvc/config"):
            if rules.highest > 1 or rules.promote.metrics:
                storage(self.clone).refuse_read_only()
        with self._told("the run", lint.FILE):
            pipeline.seed(repository, identity.last(Repository(self.root), rules.project.models), rules.outs)
            there = bool(storage(self.clone).url)  # without a store there is nothing to pull, which is told already
            done = pipeline.reproduce(self.clone, pull=there, push=False, wanted=rules.outs, say=self.say)
            if done.outcome == "ok":
                pipeline.untouched(repository, unignored=any(fault.file == IGNORE for fault in self.found.faults))
                out = self.clone.parent / "run"
                out.mkdir()
                handover.write(self.clone, out, self.found.commit, done, None)
                for one in rules.each:
                    part = out / handover.MODELS / one.name if rules.several else out
                    handover.add(self.clone, part, one.model.path, handover.tables(one))
                handover.read(out, rules.server, folders.wdirs_here(self.clone))
            else:
                last = done.cause or next(iter(done.message.strip().splitlines()[-1:]), "it gave no reason")
                stage = next((one.name for one in done.stages if one.outcome == "failed"), "")
                what = f"stage {stage} {done.outcome}: {last[:300]}" if stage else last[:300]
                self.found.add(
                    Fault(
                        lint.FILE, 0, what, done.next or (f"mend what stage {stage} runs" if stage else "edit dvc.yaml")
                    )
                )
        for path in rules.outs:
            if not (self.clone / path).exists():
                with self._told("the run", lint.FILE):
                    pipeline.build(self.clone, path, say=self.say)

    def _measure(self, rules: Settings) -> None:
        """The numbers that the run wrote, and their limits; one that asks for the number before has none to ask."""
        out = self.clone.parent / "run"
        if not out.is_dir():
            return  # the run has said why
        with self._told("the metrics", schema.FILE):
            new, unread = measured.numbers(handover.read_metrics(out))
            self.found.remarks += unread
            for key, metric in rules.limits.items():
                if key not in new:
                    line = projects.line_of(survey(self.clone), "models", rules.model.name, "metrics", key)
                    what = f'metrics."{key}": the run wrote no such number'
                    then = f"have the stage that makes {key.partition(':')[0]} write it, or mend the name"
                    self.found.add(Fault(schema.FILE, line, what, then))
                    continue
                guards = measured.held(key, metric, None, new[key])
                self.found.remarks += [f"a push would be held: {one.detail}" for one in guards if one.outcome == "fail"]

    def _knows(self, told: str) -> bool:
        """Whether a fault tells of the same already: of a file that is named there, or of the same cause."""
        named = {one for found in NAMES.findall(told) for one in found if one}
        same = {*named, told.partition(" failed: ")[2] or told}
        words = re.compile("|".join(rf"(?<![\w/.-]){re.escape(one)}(?![\w/-])" for one in same))
        known = self.found.faults
        return any(
            words.search(fault.what) or not named.isdisjoint((fault.file, dirname(fault.file))) for fault in known
        )

    def _judge(self, rules: Settings) -> None:
        """The holdout as the judge reads it, and the score command where nothing lies but code, model and rows."""
        contract = rules.contract
        if not (self.clone / contract.holdout).exists():
            return  # the run has said why
        self.say(f"{contract.holdout}, as the judge reads it")
        with self._told("the holdout", contract.holdout):
            self._project()
        known = any(fault.file == schema.FILE and contract.holdout in fault.what for fault in self.found.faults)
        rows = audition.Rows(self.clone, rules)
        for what, then in rows.faults(known=known):
            self.found.add(Fault(contract.holdout, 0, what.removeprefix(f"{contract.holdout}: "), then))
        if (self.clone / contract.path).exists():
            self._score(rules, rows)
        self.found.remarks += rows.doubts()
        if not rules.batched and rows.labels is not None:
            with self._told("the epoch", contract.holdout):
                book = ledger.of(self.root, rules.name)
                self.found.remarks.append(epochs.foreseen(book, rows.labels[contract.key], rules))
        told = rows.sentence()
        told = f"{rules.name}: {told}" if told and rules.several else told
        self.found.rests_on = "; ".join(filter(None, (self.found.rests_on, told)))
        with self._told("what it can tell", schema.FILE):
            self.found.remarks += _power(self.root, rules.name)

    def _read_own(self, rules: Settings) -> None:
        """The table that the pipeline has scored by itself, as the judge reads it; without the champion's."""
        told = rules.predictions
        assert told is not None  # noqa: S101, it is at this level
        with self._told("the table of predictions", told.path):
            rules.check_tool()
            if not (self.clone / told.path).exists():
                return  # the run has said why
            self.say(f"{told.path}, as the judge reads it")
            mine = self_scored.read(self.clone / told.path, told, rules.contract, told.path)
            found, labels = self_scored.evidence(rules, mine, None)
            if rules.contract.loss is None and (wrong := problem_of(found, gate_of(rules))):
                self.found.add(Fault(told.path, 0, wrong, self_scored.MEND))
            word = decision.noun(rules.contract.cluster, found.clusters)
            size = sample(labels.height, len(set(found.clusters.tolist())), word)
            self.found.rests_on = f"{size}, {rules.gate.metric}, self-scored"

    def _score(self, rules: Settings, rows: audition.Rows) -> None:
        """Score twice, as the run and its judge do, and where rows remember events with the future replaced."""
        contract, answers = rules.contract, []
        leak = ""
        line = projects.line_of(survey(self.clone), "models", contract.name, "score")
        for time, probe in (("scored", False), ("scored again", True)):
            self.say(f"{contract.holdout}, {time} with the tracked files, {contract.path} and the rows alone")
            out = self.clone.parent / f"{time} {contract.name}".replace(" ", "-")
            try:
                leak = challenge.answer(self.clone, rules, out, probe=probe, forget=False, say=lambda _: None)
                answers.append(rows.read(out))
            except PushforwardError as failed:
                what = failed.message.splitlines()[0]
                then = self._alone(what, contract.path) or failed.next or "mend the score command"
                self.found.add(Fault(schema.FILE, line, f"score: {what}", then))
                return
        wrong, told = rows.compare(*answers)
        if wrong:
            self.found.add(Fault(schema.FILE, line, f"score: {wrong}", "have it answer alike: seeds, one thread"))
        if leak and not wrong:  # a model that answers otherwise each time seems to see the future too
            then = f"have it read of the events only what was known by then: by a row's {contract.time}"
            self.found.add(Fault(schema.FILE, line, f"score: {leak}", then))
        if told:
            self.found.remarks.append(told)

    def _alone(self, what: str, model: str) -> str:
        """What to write where `score` wants a file that the pipeline makes and the judge does not have."""
        lacks = ABSENT.search(what)
        if lacks is None or not section.sound(lacks["path"]) or not (self.clone / lacks["path"]).exists():
            return ""
        return f"have the stage that makes {model} keep {lacks['path']} in it: the judge has code, model and rows alone"

    @contextmanager
    def _told(self, doing: str, file: str) -> Iterator[None]:
        """Make a fault of what cannot be done."""
        try:
            yield
        except PushforwardError as wrong:
            self._add(wrong, file, doing)

    def _add(self, wrong: PushforwardError, file: str, doing: str = "") -> None:
        first = wrong.message.splitlines()[0].replace(f"{self.clone}/", "")
        then = (wrong.next or f"mend {doing or file}").replace(f"{self.clone}/", "")
        if self._knows(first):
            return
        named = NAMED.match(first)
        if named is None:
            self.found.add(Fault(file, 0, first, then))
            return
        lined = LINED.match(named["what"])
        line, what = (lined["line"], lined["what"]) if lined else (named["line"], named["what"])
        self.found.add(Fault(named["file"], int(line or 0), what, then))


def _power(root: Path, model: str) -> list[str]:
    """What the holdout can tell, by the challengers judged so far."""
    found = plan.plan(root, model)
    if found.closed:
        return [found.closed]
    return [
        f"a true gain of {figure(one.gain)} would be found, if it differs as {one.like}"
        for one in found.typical
        if one.like in ("typical", "those so far")
    ]
