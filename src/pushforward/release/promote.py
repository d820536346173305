"""A passing verdict -> the lock commit, the version tag, the tags of environments that promote by themselves.

With the version tag goes a commit of `refs/pushforward/registry`, a chain to which every version adds one folder: its
verdict, its signed provenance, golden rows, its card. Both are pushed at once, so of those who promote at the same
time one takes the number, and the others take the next.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pushforward import __version__
from pushforward.errors import NOT_PROMOTED, POLICY, TOOL, PushforwardError
from pushforward.gate.verdict import Verdict, self_scored
from pushforward.git import remote as remotes
from pushforward.git.environment import SERVICE, SERVICE_EMAIL
from pushforward.git.refs import REGISTRY, VERDICTS
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.judge import identity, ledger, names, records
from pushforward.pipeline import declared
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import store as objects
from pushforward.pipeline.lock import LOCK, METRICS, merged, read_lock
from pushforward.pipeline.revision import Revision, sha256
from pushforward.registry import reviews, trust
from pushforward.registry import tags as registry
from pushforward.registry import transaction as tagging
from pushforward.registry.grammar import ACCEPTABLE
from pushforward.registry.reviews import Word
from pushforward.registry.tags import Level, Registered, Registry
from pushforward.registry.transaction import Batch, Hand, Seen, Tag
from pushforward.release import card, entry, hop, provenance, word
from pushforward.release.chain import Evidence
from pushforward.release.entry import CARD, GOLDEN, PROVENANCE, SIGNATURE, VERDICT, Record, folder

SAME = "already is this model, scored by the same code in the same environment"


@dataclass(frozen=True)
class Passed:
    """What a judge has passed: verdict, what it raises, golden rows; and the model, where the judge knows several."""

    verdict: Verdict
    level: Level
    golden: bytes
    model: str = ""


@dataclass(frozen=True)
class Promotion:
    """What was made: the version, the commit that it names and the environments that use it from now on."""

    version: str
    commit: str
    environments: tuple[str, ...]
    new: bool


@dataclass(frozen=True)
class Standing:
    """What the registry has of a commit that passed: the version, whether the commit made it, the words for a report.

    `version` is None where nothing is tagged, `review` the person's word that it rests on.
    """

    version: Registered | None
    made: bool
    words: str
    review: str = ""


def standing(repository: Repository, model: str, commit: str) -> Standing:
    """What became of a passing verdict on `commit`, by the tags that are there now: for the last word of its report."""
    known = registry.fold(model, repository.refs(*registry.PLACES))
    tags = repository.objects([version.tag for version in known.versions])
    for version, tag in zip(known.versions, tags, strict=True):
        told = registry.record(tag[1].decode("utf-8", "replace")) if tag else {}
        if told.get("commit") == commit:
            by = next((one for one in reviews.read(repository, known) if one.tag == told.get("review")), None)
            words = f"nothing to do: tagged as {version.name}{_where(known, version)}"
            return Standing(version, True, words, word.line(by))
    stored = records.read(repository, commit, model)
    there = stored and identity.existing(repository, known, commit, Verdict.from_json(stored).digests)
    if not there:
        return Standing(None, False, "it is not tagged yet; pushforward dispatch on the server tries again")
    words = f"nothing to do, and nothing to tag: it is {there.name} already{_where(known, there)}"
    return Standing(there, False, words)


def standing_of_each(
    repository: Repository, passed: Sequence[str], commit: str, *, several: bool, untagged: str = ""
) -> Standing:
    """What became of passing verdicts on `commit`, in one: the words on each of `several` models by its name.

    `untagged` is said, where it is named, of what is not tagged; the version is that of the first model.
    """
    each = {name: standing(repository, name, commit) for name in passed}
    said = {name: untagged if untagged and not one.version else one.words for name, one in each.items()}
    words = "; ".join(f"{name}: {text}" if several else text for name, text in said.items())
    first = next(iter(each.values()))
    return Standing(first.version, first.made, words)


def _where(known: Registry, version: Registered) -> str:
    """What follows a version's name: where it is in use, else what puts it to use."""
    if known.deprecated(version):
        return ", which is deprecated"
    holding = [name for name in known.environments if known.in_use(name) == version]
    if holding:
        return f", in use in {' and '.join(holding)}"
    return f"; to put it to use: pushforward release {version.version}"


def lock_commit(
    repository: Repository, commit: str, locks: Mapping[str, bytes], metrics: dict[str, bytes], *, scratch: Path
) -> str:
    """The commit that a version of `commit` names.

    It is `commit` itself where its own locks are what the run found. Else it is a child of `commit` that changes only
    the locks, metrics/ and what dvc.yaml has git keep of metrics and plots; the same content gives the same child,
    whoever makes it.
    """
    own = Revision(repository, commit)
    lock = merged(locks, own.wdirs)
    honest = own.lock == read_lock(lock)
    found = declared.left(repository, commit, lock, metrics)
    same = all(repository.read(commit, path) == content for path, content in found.items())
    if honest and same:
        return commit
    tree = repository.write_tree(commit, {**locks, **found}, index=scratch / "lock-commit.index", drop=METRICS)
    subject = repository.subject(commit)
    what = ", ".join([*locks, f"{METRICS}/", *(path for path in found if not path.startswith(f"{METRICS}/"))])
    what = " and ".join(what.rsplit(", ", 1))
    message = f"Lock: {subject}\n\nWhat the run of {commit} used and made: {what}, nothing else.\n"
    return repository.write_commit(tree, [commit], message, date=repository.date(commit))


def promote(
    root: Path,
    passed: Passed,
    locks: Mapping[str, bytes],
    metrics: dict[str, bytes],
    *,
    say: Callable[[str], None],
    target: str = "",
) -> Promotion:
    """Tag what has `passed` and push the tags, all or none; retried when another promotion came first.

    A model that already is a version, by its code and its environment too, is never tagged again. A verdict that does
    not say promote is refused, unless a person's word on it stands, and so is one that the gate has not recorded in the
    remote, or whose data the DVC remote does not hold. `target` is the commit that the version is to name, where the
    run has left one already, instead of its locks and metrics.
    """
    verdict = passed.verdict
    if verdict.verdict != "promote" and verdict.verdict not in ACCEPTABLE:
        raise PushforwardError(f"the verdict is {verdict.verdict}: {verdict.reason}", exit_code=NOT_PROMOTED)
    if verdict.event != "push":
        raise PushforwardError("a pull request is promoted by its merge", next="merge it", exit_code=POLICY)
    repository = Repository(root)
    rules = Revision(repository, verdict.commit, passed.model).settings
    remote = authority_of(repository)
    _check_recorded(repository, remote, passed)
    target = target or lock_commit(repository, verdict.commit, locks, metrics, scratch=root / ".git")
    if gone := lost(root, repository, target):
        raise PushforwardError(
            f"the DVC remote lacks or spoils {len(gone)} of the outs in {LOCK}: {', '.join(gone[:3])}",
            next="dvc push from a machine that has them, then push again",
            exit_code=TOOL,
        )
    with trust.ci_key() as key, trust.signers_file(root, remote) as signers:
        hand, environments = Hand(SERVICE, SERVICE_EMAIL, str(key)), rules.promote.environments
        alone = [name for name, how in environments.items() if how == "auto"]
        case = _Case(root, repository, passed, target, key, signers, say, alone, commit=target)
        new = tagging.transact(
            repository, remote, rules.model.name, case.step, hand=hand, signers=signers, environments=environments
        )
    if new:
        say(f"tagged {', '.join(case.tags)} at {case.commit[:9]}")
    if verdict.look is not None and verdict.holdout is not None and case.word is not None:
        # the judge has told nothing by it that it had not told: the holdout stays as it is
        said, look = case.word, verdict.look.number
        ledger.of(root, passed.model).accepted(names.of(verdict.holdout), look, by=said.by, review=said.tag)
    elif verdict.look is not None and verdict.holdout is not None:
        # A promotion has shown what the holdout prefers: it is counted, and the last that may be closes the holdout.
        made = new or standing(repository, rules.model.name, verdict.commit).made
        by = case.name if made else ""
        ledger.of(root, passed.model).promoted(names.of(verdict.holdout), verdict.look.number, by)
    return Promotion(case.name, case.commit, tuple(case.environments), new=new)


def not_compared(verdict: Verdict) -> str:
    """The version in use that a verdict was not held against, whose test set is another; "" for any other verdict."""
    first = self_scored(verdict) and verdict.mode == "first"
    return verdict.champion.version if first and verdict.champion else ""


def lost(
    root: Path, repository: Repository, commit: str, path: str = "", *, store: objects.Store | None = None
) -> list[str]:
    """The outs of `commit`, or those at and below `path`, that are not whole in `store`, or the DVC remote of `root`.

    In a remote that is a folder every object is hashed, any other one is asked what it has.
    """
    outs = {
        name: oid
        for name, oid in objects.outs(repository, commit).items()
        if not path or f"{name}/".startswith(f"{path}/")
    }
    if not outs:
        return []
    place = store or objects.places(root).remote
    if place is None:
        return pipeline.absent(root, outs)
    return [name for name, oid in outs.items() if not place.is_whole(oid)]


def authority_of(repository: Repository) -> str:
    """The remote that the tags go to: the one whose ledger the verdict was recorded by."""
    if there := remotes.authority(repository):
        return there.name
    raise PushforwardError("this checkout has no git remote to promote to", next="git remote add origin URL")


def _check_recorded(repository: Repository, remote: str, passed: Passed) -> None:
    """Only what the gate has recorded in the remote counts, not what a folder says."""
    verdict, ref = passed.verdict, f"{VERDICTS}{passed.verdict.commit}"
    repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", remote, f"+{ref}*:{ref}*")
    if repository.read(ref, records.file_of(passed.model)) != verdict.to_json().encode():
        raise PushforwardError(
            f"this is not the verdict that the gate has recorded on {verdict.commit[:9]}",
            next="pushforward gate",
            exit_code=POLICY,
        )


@dataclass
class _Case:
    """One promotion of the commit `target`; `step` says what is to be tagged as the registry stands, and remembers it.

    `environments` are those that promote by themselves. What was said last is in `name`, `commit` and `tags`.
    """

    root: Path
    repository: Repository
    passed: Passed
    target: str
    key: Path
    signers: Path
    say: Callable[[str], None]
    environments: list[str]
    name: str = ""
    commit: str = ""
    tags: list[str] = field(default_factory=list)
    word: Word | None = None
    reviews: int = 0

    @property
    def verdict(self) -> Verdict:
        """What was said of it."""
        return self.passed.verdict

    def step(self, seen: Seen) -> Batch | None:
        """The version and the uses that are still to be made, or None."""
        known = seen.known
        self._ask_for_word(known)
        self.reviews = known.reviews[-1].counter if known.reviews else 0
        if self.environments and (other := identity.before_renaming(self.repository, known.model, self.target)):
            self.say(f"not compared with {other.name}, its name before: a person puts {known.model} to use")
            self.environments = []
        if self.environments and (other_rows := not_compared(self.verdict)):
            self.say(f"not compared with {other_rows}: a person puts {known.model} to use")
            self.environments = []
        there = identity.existing(self.repository, known, self.verdict.commit, self.verdict.digests)
        if there is not None:
            self.name, self.commit = there.name, there.commit
            if deprecation := known.deprecated(there):
                self.environments = []
                self.say(f"{there.name} {SAME}, and {deprecation.name} has deprecated it; nothing to tag")
                return None
            if all(known.in_use(environment) == there for environment in self.environments):
                self.say(f"{there.name} {SAME}; nothing to tag")
                return None
            tags, refs = [], tuple[str, ...]()
        else:
            self.name, self.commit = f"{known.model}@{known.next_version(self.passed.level, seen.taken)}", self.target
            tag, chain = self._register(seen)
            tags, refs = [tag], (f"{chain}:{REGISTRY}",)
        tags += [self._use(seen, name) for name in self.environments if there is None or known.in_use(name) != there]
        self.tags = [tag.name for tag in tags]
        return Batch(tuple(tags), refs)

    def _ask_for_word(self, known: Registry) -> None:
        """Refuse what the gate did not pass, unless a person's word takes it, against the version that is in use."""
        verdict = self.verdict
        if verdict.verdict == "promote":
            return
        self.word = word.on(self.repository, known, verdict, self.signers)
        if self.word is None:
            raise PushforwardError(
                f"the verdict is {verdict.verdict}: {verdict.reason}",
                next=f"pushforward accept {verdict.commit[:9]} -m WHY, by who may",
                exit_code=NOT_PROMOTED,
            )
        if identity.existing(self.repository, known, verdict.commit, verdict.digests) is None:
            word.check_champion(known, self.word)

    def _register(self, seen: Seen) -> tuple[Tag, str]:
        """The version's tag, and the commit that adds its folder to the chain."""
        number = len(seen.known.versions) + 1
        newest = seen.known.newest
        before = self._before(newest, seen.tip) if newest and seen.tip else None
        made = provenance.statement(
            self.root,
            Revision(self.repository, self.target, self.passed.model),
            self.verdict,
            number=number,
            previous=before,
            accepted=word.line(self.word),
            say=self.say,
        )
        previous = newest.name if newest else ""
        about = card.of(self.repository, self.name, self.verdict, made, previous=previous)
        files = {
            VERDICT: self.verdict.to_json().encode(),
            PROVENANCE: made,
            SIGNATURE: trust.sign_file(made, self.key),
            GOLDEN: self.passed.golden,
            CARD: card.markdown(about).encode(),
        }
        record = self._record(previous or None, number, files)
        inside = {f"{folder(self.name)}/{name}": content for name, content in files.items()}
        tree = self.repository.write_tree(seen.tip or EMPTY_TREE, inside, index=self.root / ".git" / "registry.index")
        parents = [seen.tip] if seen.tip else []
        date = self.repository.date(self.verdict.commit)
        chain = self.repository.write_commit(tree, parents, f"Register {self.name}\n", date=date)
        message = registry.message(f"{self.name}: {word.line(self.word) or self.verdict.reason}", record)
        return Tag(self.name, self.target, message, lambda signer: signer.allows("version")), chain

    def _before(self, newest: Registered, tip: str) -> bytes | None:
        """The statement that the next one goes on from, which is the one that its version's tag names."""
        if entry.read(self.repository, tip, newest.name, PROVENANCE) is None:
            return None
        remote = authority_of(self.repository)
        before = Evidence(self.repository, newest.name, lambda: trust.signers_file(self.root, remote), at=tip)
        with hop.following(f"pushforward verify {newest.version}"):
            return before.recorded(PROVENANCE)

    def _record(self, previous: str | None, number: int, files: Mapping[str, bytes]) -> dict[str, Any]:
        digests, made = self.verdict.digests, Revision(self.repository, self.target)
        told = asdict(
            Record(
                schema=2,
                model=digests.model,
                manifest=digests.manifest,
                data=digests.data,
                lock=made.locks_digest,
                params=digests.params,
                environment=digests.environment,
                ledger=self.verdict.ledger or None,
                commit=self.verdict.commit,
                previous=previous,
                number=number,
                pushforward=__version__,
                verdict=sha256(files[VERDICT]),
                provenance=sha256(files[PROVENANCE]),
                golden=sha256(files[GOLDEN]),
                card=sha256(files[CARD]),
                locks=tuple(made.locks) if set(made.locks) > {LOCK} or LOCK not in made.locks else (),
                review=self.word.tag if self.word else "",
                reviews=self.reviews if self.word else 0,
            )
        )
        return {key: value for key, value in told.items() if key not in {"locks", "review", "reviews"} or value}

    def _use(self, seen: Seen, environment: str) -> Tag:
        known = seen.known
        before = known.in_use(environment)
        name = f"{known.model}#{environment}#{known.next_counter(environment, seen.taken)}"
        told = registry.use_record(
            self.name, before, reason=word.line(self.word) or "it passed the gate", by="pushforward promote"
        )
        message = registry.message(f"{environment}: {self.name} from now on", told)
        return Tag(name, self.commit, message, lambda signer: signer.allows(environment, auto=True))
