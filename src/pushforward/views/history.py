"""The history: everything that was judged, looked at and promoted, read from git in a fixed number of processes.

However many runs and tags there are, git is asked for them at once. What was read of a git object is kept by the
object's name: it never changes.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from pushforward import params, schema, settings
from pushforward.errors import PushforwardError
from pushforward.gate import verdict as verdicts
from pushforward.git.refs import FOREIGN, HOLDOUTS, NOTES, REPORTS
from pushforward.git.repository import Ref, Repository, tree_entries
from pushforward.judge import ledger, names
from pushforward.judge.looks import State
from pushforward.registry import tags as registry
from pushforward.registry.tags import Registry
from pushforward.report import note, notes
from pushforward.report.note import About
from pushforward.views import changes
from pushforward.views.changes import Change
from pushforward.views.snapshot import Header, Judged, Kept, Looks, Pull, Report, Run, Snapshot, Tag

EVENTS = ("push", "pull_request")
MOST_CHANGES = 500  # that are known at once
PICTURE = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")

Found = tuple[str, bytes] | None
Reader = Callable[[Found], Any]


def _of_model(holdouts: Mapping[str, str], model: str) -> dict[str, str]:
    """The ledgers of a model, and those from before there were several, by the name of the holdout."""
    mine = {name: place for name, place in holdouts.items() if "@" not in name}
    own = f"{model}@"
    return mine | {name.removeprefix(own): place for name, place in holdouts.items() if name.startswith(own)}


class History:
    """Reads a repository, by one of its models; knows what it has read before. Safe to use from several threads."""

    def __init__(self, repository: Repository, model: str = "", head: str = "HEAD", *, whole: bool = True) -> None:
        self.repository, self.model, self.head = repository, model, head
        self.whole = whole  # whether it has every branch of those whose history this is
        self._ledgers = model  # under which name the ledgers of one of several models are
        self._lock = threading.Lock()
        self._seen: tuple[bytes, Snapshot] = (b"", Snapshot())
        self._known: dict[tuple[Reader, str], Any] = {}
        self._looks: dict[tuple[str, str], Looks] = {}
        self._changes: dict[tuple[str, str], Change] = {}

    def snapshot(self) -> Snapshot:
        """The repository as it is now; nothing but the refs is read again where none of them has moved."""
        prefixes = ("refs/heads", "refs/remotes", *registry.PLACES, NOTES, HOLDOUTS, REPORTS)
        listed = self.repository.git("for-each-ref", "--format=%(objectname) %(refname)", *prefixes).stdout
        with self._lock:
            before, snapshot = self._seen
            if listed != before:
                snapshot = self._read(listed.decode("utf-8", "surrogateescape"))
                self._seen = (listed, snapshot)
        return snapshot

    def reports(self, snapshot: Snapshot, commits: Collection[str]) -> dict[str, list[Report]]:
        """The reports of commits, each newest first."""
        known = [commit for commit in commits if commit in snapshot.kept]
        folders = {
            (commit, event): f"{snapshot.reports[commit]}:{event}/plots"
            for commit in known
            if commit in snapshot.reports
            for event in EVENTS
        }
        found = self.objects([*(snapshot.kept[commit] for commit in known), *folders.values()])
        return {
            commit: _reports(
                found[snapshot.kept[commit]],
                {event: _pictures(found.get(folders.get((commit, event), ""))) for event in EVENTS},
            )
            for commit in known
        }

    def pictures(self, snapshot: Snapshot, wanted: Sequence[tuple[str, str, str]]) -> list[bytes | None]:
        """The pictures (commit, event, name), each None where there is none."""
        names = [
            f"{snapshot.reports[commit]}:{event}/plots/{name}.svg"
            if commit in snapshot.reports and event in EVENTS and PICTURE.fullmatch(name)
            else ""
            for commit, event, name in wanted
        ]
        found = self.objects(filter(None, names))
        return [_blob(found.get(name)) for name in names]

    def changes(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Change]:
        """What each commit (second) changes of another (first; "" for none), for all of them at once.

        A commit that is gone has changed nothing that could be told. What lies between two commits never changes, so
        it is known from then on.
        """
        wanted = list(dict.fromkeys(pairs))
        new = [pair for pair in wanted if pair not in self._changes]
        found = self.objects([*filter(None, (commit for pair in new for commit in pair))]) if new else {}
        there = {commit: one[1] for commit, one in found.items() if one is not None and one[0] == "commit"}
        told = [pair for pair in new if pair[0] in there and pair[1] in there]
        trees = {pair: tuple(there[commit][5:45].decode() for commit in pair) for pair in told}
        files = dict(
            zip(told, map(changes.counted, self._between([trees[pair] for pair in told], "--numstat")), strict=True)
        )
        close = [pair for pair in told if changes.comparable(files[pair])]
        patches = dict(zip(close, self._between([trees[pair] for pair in close], "--patch"), strict=True))
        if len(self._changes) + len(new) > MOST_CHANGES:
            self._changes = {pair: change for pair, change in self._changes.items() if pair in wanted}
        for pair in new:
            shown, more = changes.read(files.get(pair, []), patches.get(pair, ""))
            body = _body(there[pair[1]]) if pair[1] in there else ""
            self._changes[pair] = Change(pair[0] if pair in files else "", body, shown, more)
        return {pair: self._changes[pair] for pair in wanted}

    def _between(self, trees: Sequence[tuple[str, ...]], form: str) -> list[str]:
        """What `git diff-tree` says of pairs of trees, by one process; nothing where one of them is not whole here."""
        if not trees:
            return []
        asked = "".join(f"{before} {after}\n" for before, after in trees).encode()
        options = ("-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--stdin", form)
        limits = ("-c", f"core.bigFileThreshold={changes.LARGE}", "-c", "core.quotePath=false")
        done = self.repository.git(*limits, "diff-tree", *options, "--", *changes.MADE, stdin=asked, check=False)
        parts = changes.PAIR.split(done.stdout.decode("utf-8", "replace"))[1:]
        return parts if len(parts) == len(trees) else [""] * len(trees)

    def objects(self, names: Iterable[str]) -> dict[str, Found]:
        """Type and content of objects by their names, read at once."""
        known = list(dict.fromkeys(names))
        return dict(zip(known, self.repository.objects(known), strict=True))

    def looks(self, snapshot: Snapshot, holdouts: Iterable[str]) -> list[Looks]:
        """The ledgers of holdouts. A chain that was tampered with is a problem to show, not one to stop at."""
        return [self._read_looks(holdout, snapshot.holdouts[holdout]) for holdout in holdouts]

    def _read(self, listed: str) -> Snapshot:
        refs = {name: identity for identity, _, name in (line.partition(" ") for line in listed.splitlines())}
        kept, strange = notes.listed(self.repository)
        read = self._learn([(_headers, blob) for blob in kept.values()] + [(_commit, name) for name in kept])
        rules, problems = self._settings()
        model, policy, measured = _told(rules) if rules else (_model(refs), {}, "")
        mine = [name for name in refs if name.startswith((f"refs/tags/{model}@", f"refs/tags/{model}#", FOREIGN))]
        tags = self._learn([(_tag, refs[name]) for name in mine])
        told = {identity: tag for (_, identity), (_, tag) in tags.items()}
        kinds = {identity: kind for (_, identity), (kind, _) in tags.items()}
        folded = [Ref(name, refs[name], kinds[refs[name]], told[refs[name]].target) for name in mine]
        known = registry.fold(model, folded)
        known = registry.without_bare(known, {name: tag.raw for name, tag in told.items()})
        told_of = {commit: read[_headers, blob] for commit, blob in kept.items()}
        about = {commit: read[_commit, commit] or there for commit, (there, *_) in told_of.items()}
        runs = _runs({commit: judged for commit, (_, judged, _) in told_of.items()}, about, known, told)
        return Snapshot(
            model=model,
            models=tuple(rules.project.models) if rules else (model,),
            policy=policy,
            registry=known,
            tags=told,
            runs=runs,
            pulls=self._pulls(runs, {commit for commit in kept if read[_commit, commit]}, refs),
            holdouts=self._newest_first(_of_model(_below(refs, HOLDOUTS), model)),
            kept=kept,
            reports=_below(refs, REPORTS),
            unread=(*(commit for commit, (*_, broken) in told_of.items() if broken), *sorted(strange)),
            problems=(*problems, *known.problems),
            measured=measured,
        )

    def _learn(self, wanted: Sequence[tuple[Reader, str]]) -> dict[tuple[Reader, str], Any]:
        """What the readers make of the objects; those that are not known yet are read at once."""
        new = [one for one in wanted if one not in self._known]
        told = {}
        read = self.objects(name for _, name in new)
        for reader, name in new:
            told[reader, name] = reader(read[name])
            if read[name] is not None:  # what is missing may come later
                self._known[reader, name] = told[reader, name]
        return {one: told[one] if one in told else self._known[one] for one in wanted}

    def _settings(self) -> tuple[settings.Settings | None, list[str]]:
        """The settings of the default branch; none where there are none, or with what is wrong with them."""
        (found,) = self.repository.objects([f"{self.head}:{schema.FILE}"])
        if found is None:
            return None, []
        try:
            rules = settings.parse(found[1])
            rules = rules.of(self.model or next(iter(rules.project.models)))
        except PushforwardError as broken:
            return None, [broken.message]
        self._ledgers = rules.name
        return rules, []

    def _newest_first(self, holdouts: Mapping[str, str]) -> dict[str, str]:
        """Holdouts by the last of their batches: months by themselves, others as the default branch lists them.

        Epochs come before these, by number.
        """
        ends = {name: name.rpartition("_")[2] for name in holdouts}
        listed = [] if params.monthly(ends.values()) or not ends else self._arrived()
        places = {names.part(batch): place for place, batch in enumerate(listed)}
        order = sorted(
            ends, key=lambda name: (names.number(name), places.get(ends[name], -1), ends[name], name), reverse=True
        )
        return {name: holdouts[name] for name in order}

    def _arrived(self) -> list[str]:
        """The batches of the default branch; none where nothing can be read that says them."""
        rules, _ = self._settings()
        try:
            return rules.arrived(lambda file: self.repository.read(self.head, file)) if rules else []
        except PushforwardError:
            return []  # the settings cannot be read: the page says so by itself

    def _pulls(self, runs: Iterable[Run], present: Collection[str], refs: Collection[str]) -> tuple[Pull, ...]:
        """Pull requests by their runs; `present` are the commits that are here, and not in their reports alone."""
        pushes: dict[int, list[Run]] = {}
        for run in runs:
            if run.pull is not None:
                pushes.setdefault(run.pull, []).append(run)
        here = [some[0].commit for some in pushes.values() if some[0].commit in present]
        into = self.repository.resolve(self.head) if here else None
        waiting = self.repository.unmerged(here, into) if into else set(here)
        pulls = []
        for number, some in pushes.items():
            merged = some[0].commit in here and some[0].commit not in waiting
            pulls.append(Pull(number, tuple(some), merged, self.whole and some[0].header.ref not in refs))
        return tuple(sorted(pulls, key=lambda pull: (-pull.newest.about.seconds, -pull.number)))

    def _read_looks(self, holdout: str, tip: str) -> Looks:
        known = self._looks.get((holdout, tip))
        if known is None:
            try:
                state = ledger.Ledger(self.repository, model=self._ledgers).state(holdout)
                known = Looks(holdout, state, self._published(state))
            except (PushforwardError, ValueError) as broken:
                known = Looks(holdout, State(holdout), problem=str(getattr(broken, "message", broken)))
            self._looks[holdout, tip] = known
        return known

    def _published(self, state: State) -> dict[int, verdicts.Verdict]:
        """The numbers that a holdout has published, each as its look left them."""
        names = [f"{state.tip}:{ledger.NUMBERS}/{look.number}.json" for look in state.looks]
        found = {}
        for look, content in zip(state.looks, self.repository.objects(names), strict=True):
            if content is None:
                continue
            if hashlib.sha256(content[1]).hexdigest() != look.sealed:
                raise PushforwardError(f"the numbers of look {look.number} are not what it found")
            found[look.number] = verdicts.Verdict.from_json(content[1])
        return found


def _told(rules: settings.Settings) -> tuple[str, Mapping[str, str], str]:
    """The model's name, who fills an environment and, where none is filled without a person's word, the level."""
    if rules.measures and not rules.promote.metrics:
        return rules.model.name, {}, f"{rules.level} ({schema.LEVELS[rules.level]})"
    return rules.model.name, rules.promote.environments, ""


def _model(refs: Collection[str]) -> str:
    """The model's name by the tags, for want of settings."""
    tags = (registry.parse(name.removeprefix("refs/tags/")) for name in refs)
    return next((tag["model"] for tag in tags if tag), "")


def _runs(
    judged: Mapping[str, Sequence[Judged]],
    about: Mapping[str, About],
    known: Registry,
    tags: Mapping[str, Tag],
) -> tuple[Run, ...]:
    """All runs, newest first; of one commit, the newest report first."""
    made = {
        str(tags[version.tag].record.get("commit", version.commit)): str(version.version) for version in known.versions
    }
    found: list[tuple[int, int, Run]] = []
    for commit, reports in judged.items():
        for place, one in enumerate(reports):
            version = made.get(commit, "") if (one.context.carried_by or one.verdict.event) == "push" else ""
            run = Run(commit, one.verdict, about[commit], version, one.context)
            found.append((-about[commit].seconds, place, run))
    return tuple(run for *_, run in sorted(found, key=lambda row: row[:2]))


def _below(refs: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): identity for name, identity in refs.items() if name.startswith(prefix)}


def _headers(found: Found) -> tuple[About, tuple[Judged, ...], bool]:
    """What is kept of a commit, its verdicts, and whether there are some that cannot be read."""
    content = found[1] if found else b""
    try:
        whole = Kept.model_validate_json(content)  # a list of a thousand runs wants a tenth of each, and at once
    except ValidationError:
        kept = note.load(content)
        readable = [_readable(one) for one in kept.reports]
        return kept.commit, tuple(one for one in readable if one), True
    return whole.commit, whole.reports, not whole.reports


def _readable(report: note.Report) -> Judged | None:
    try:
        return Judged(verdict=Header.model_validate(report.verdict))
    except ValidationError:
        return None


def _commit(found: Found) -> About | None:
    """What a commit says of itself; None where it is not here."""
    if found is None or found[0] != "commit":
        return None
    return note.about(found[1])


def _body(commit: bytes) -> str:
    """What the message of a commit says below its subject."""
    message = commit.decode("utf-8", "replace").partition("\n\n")[2]
    return message.lstrip("\n").partition("\n\n")[2].strip()


def _tag(found: Found) -> tuple[str, Tag]:
    if found is None or found[0] != "tag":
        return found[0] if found else "", Tag()
    return "tag", Tag(found[1])


def _blob(found: Found) -> bytes | None:
    return found[1] if found and found[0] == "blob" else None


def _pictures(found: Found) -> tuple[str, ...]:
    if found is None or found[0] != "tree":
        return ()
    names = [name.removesuffix(".svg") for name in tree_entries(found[1]) if name.endswith(".svg")]
    return tuple(name for name in names if PICTURE.fullmatch(name))


def _reports(found: Found, pictures: Mapping[str, tuple[str, ...]]) -> list[Report]:
    reports = []
    for one in note.load(found[1] if found else b"").reports:
        try:
            verdict = verdicts.Verdict.from_json(json.dumps(one.verdict))
        except PushforwardError:
            verdict = None
        reports.append(Report(one.text, one.event, verdict, one.context, pictures.get(one.event, ())))
    return reports
