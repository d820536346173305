"""A change, held against where it begins: what of the judge it touches, what it claims, and what it would be called."""

import dataclasses
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pushforward import params, schema
from pushforward.errors import PushforwardError
from pushforward.gate import verdict as verdicts
from pushforward.gate.verdict import Digests
from pushforward.git.repository import Repository
from pushforward.judge import handover, identity
from pushforward.judge.growth import Growth, grown, taken
from pushforward.judge.holdout import sources_of
from pushforward.judge.question import Question
from pushforward.pipeline import declared, frozen
from pushforward.pipeline.lock import LOCK, METRICS
from pushforward.pipeline.revision import Revision
from pushforward.registry import tags as registry
from pushforward.settings import Settings

WINDOW = f"{schema.FILE}: gate.window"


def earlier_than(repository: Repository, known: registry.Registry, question: Question) -> registry.Registry:
    """The registry without what this very commit has made, so that judging twice gives the same verdict."""
    own = {
        version.commit
        for version in known.versions
        if question.subject in {version.commit, repository.resolve(f"{version.commit}^")}
    }
    versions = tuple(version for version in known.versions if version.commit not in own)
    uses = tuple(use for use in known.assignments if use.commit not in own)
    return dataclasses.replace(known, versions=versions, assignments=uses)


def mode_of(
    subject: Revision,
    champion: registry.Registered | None,
    grown: tuple[Growth, ...],
    *,
    trusted: bool,
    window: int = 0,
) -> verdicts.Mode:
    """Whether a change is the refresh of data that arrived, or has to be better than what is in use.

    `grown` says how the files have changed since the champion that are named as ones that only gain rows. A `window`
    that what arrives may extend is no other recipe.
    """
    if champion is None:
        return verdicts.mode([], None, subject.leaves, arrivals=subject.arrivals)
    before = Revision(subject.repository, champion.commit, subject.model)
    changed = subject.repository.changed(before.commit, subject.commit)
    changed = declared.without(subject.repository, subject.commit, changed)
    changed += _frozen(subject, frozen.found(subject.repository, champion.commit))
    added = taken(grown, trusted=trusted)
    leaves = _but_window(window, before, subject)
    return verdicts.mode(changed, *leaves, arrivals=subject.arrivals, grown=added)


def base_of(repository: Repository, question: Question, judge: str) -> str | None:
    """The commit from which a change starts: where a branch left its target, what a push found there."""
    if question.event == "push":
        return judge if judge != question.head else repository.resolve(f"{question.head}^")
    return repository.merge_base(judge, question.head)


def touched_by(
    subject: Revision,
    base: str | None,
    champion: registry.Registered | None,
    rules: Settings,
    *,
    trusted: bool,
    metrics: Mapping[str, bytes] = MappingProxyType({}),
    window: int = 0,
) -> tuple[str, ...]:
    """What of the judge a change touches: code, locks, rules, loss, the making of the holdout, contract, metrics.

    Who commits the `metrics` that the run has found, with the lock that names them, touches nothing by it; nor who
    extends the `window` by what has arrived, where that is how it is judged.
    """
    if base is None or base == subject.commit:
        return ()
    repository = subject.repository
    try:
        lock = Revision(repository, champion.commit if champion else base).whole_lock
        before = Revision(repository, base, subject.model)
        made = set(rules.model.environment), set[str]()
        added: tuple[str, ...] = ()
        if not rules.measures:
            # of a table that the run has scored all of the pipeline is the maker
            paths, keys = (set(), set()) if rules.self_scored else sources_of(lock, rules)
            made = made[0] | paths | identity.judging(before), keys
            added = taken(grown(repository, base, subject.commit, rules.contract.data), trusted=trusted)
        claims = _claims(repository, base, subject.commit)
        own = {path for path, claimed in claims.items() if _same(claimed, metrics.get(path))}
        changed = [path for path in repository.changed(base, subject.commit) if path not in own]
        known = frozen.known(repository, base, champion.commit if champion else None, rules.outs)
        also = tuple(_frozen(subject, known))
        leaves = _but_window(window, before, subject)
        return verdicts.touched(changed, *leaves, made, arrivals=subject.arrivals, grown=added) + also
    except PushforwardError:
        return ()  # the settings cannot be read: that is the verdict already


def _frozen(subject: Revision, known: frozen.Locks) -> list[str]:
    """The frozen stages of a change of which its lock says something else than what is known: data of no run."""
    moved = frozen.moved(subject.repository, subject.commit, known, subject.settings.outs)
    return [f"{LOCK}: {name} (frozen)" for name in moved]


def _but_window(window: int, before: Revision, subject: Revision) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The leaves of both, without the window where that of the subject is the one that it is judged on."""
    told = before.leaves, subject.leaves
    if not window or subject.settings.gate.window != window:
        return told
    before_, after = ({key: value for key, value in one.items() if key != WINDOW} for one in told)
    return before_, after


def arrived(judge: Revision, subject: Revision) -> list[str]:
    """The batches that have arrived, where the judge goes by some; a change that names none has added none."""
    if not judge.settings.batched:
        return []
    return subject.batches if subject.settings.batched else judge.batches


def check_batches(judge: Revision, subject: Revision) -> None:
    """Refuse batches that were renamed or moved: another name would make a holdout that was looked at a new one.

    Those that both lists have keep their order, and what is new in the holdout comes after all that were there.
    Months need no such check: their names are their order, and the rows of the holdout are held against them.
    """
    new = subject.batches
    if judge.settings.batches != subject.settings.batches or not new or params.monthly(new):
        return
    old = judge.batches
    places = {name: place for place, name in enumerate(old)}
    kept = [places[name] for name in new if name in places]
    arrived = [name for name in new[-subject.settings.gate.window :] if name not in places]
    after = new[new.index(old[-1]) :] if old[-1] in new else []
    strange = next((name for name in arrived if name not in after), "")
    if kept == sorted(kept) and not strange:
        return
    what = f"'{strange}' does not come after '{old[-1]}'" if strange else "the order is another one"
    raise PushforwardError(
        f"{verdicts.named(subject.arrivals)}: {what}: a batch keeps its name and its place, and a new one comes last",
        next=f"git diff {judge.commit[:9]} -- {subject.settings.batches[0]}",
    )


def check_claims(repository: Repository, base: str | None, subject: str, metrics: Mapping[str, bytes]) -> None:
    """Refuse a change that commits other metrics than its run has found."""
    if base is None:
        return
    for path, claimed in _claims(repository, base, subject).items():
        if not _same(claimed, metrics.get(path)):
            raise PushforwardError(
                f"{path} was committed with other numbers than the run has found",
                next=f"git checkout {base[:9]} -- {METRICS}, or dvc repro and commit what it makes",
            )


def _claims(repository: Repository, base: str, subject: str) -> dict[str, bytes]:
    """The metrics that a change commits, by path; what it takes away is none."""
    found: dict[str, bytes] = {}
    for path in repository.changed(base, subject):
        folder, _, name = path.rpartition("/")
        claimed = repository.read(subject, path) if folder == METRICS and handover.NAME.fullmatch(name) else None
        if claimed is not None:
            found[path] = claimed
    return found


def _same(claimed: bytes, found: bytes | None) -> bool:
    if found is None or claimed == found:
        return claimed == found
    try:
        return bool(json.loads(claimed) == json.loads(found))
    except (ValueError, RecursionError):
        return False


def recipe_of(mode: verdicts.Mode, manifest: dict[str, Any], champion: dict[str, Any]) -> verdicts.Mode:
    """The mode, where how a model was fitted counts: another device, memory or cluster is another recipe."""
    other = manifest.get("fitted") != champion.get("fitted")
    return "superior" if mode == "refresh" and other else mode


def level_of(mode: verdicts.Mode, manifest: dict[str, Any], champion: dict[str, Any]) -> registry.Level:
    """Which part of the version number a promotion would raise."""
    if manifest and champion and manifest.get("inputs") != champion.get("inputs"):
        return "major"
    return "patch" if mode == "refresh" else "minor"


def next_version(
    repository: Repository, known: registry.Registry, subject: str, digests: Digests, level: registry.Level
) -> str:
    """The version that a promotion would make of what was judged; "" where it is one already."""
    if identity.existing(repository, known, subject, digests) is not None:
        return ""
    taken = {ref.name.removeprefix("refs/tags/") for ref in repository.refs("refs/tags")}
    return f"{known.model}@{known.next_version(level, taken)}"
