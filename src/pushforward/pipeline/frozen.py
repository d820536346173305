"""Frozen stages of a commit: they never run, so what they have made is known by the lock that was committed.

Whoever seeds a run or makes a holdout asks here. A stage that makes the model or the holdout is none: what is judged
is made by a run, and not claimed by a commit; nor is one that finds a metric.
"""

import posixpath
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pushforward.git.repository import Repository
from pushforward.pipeline import declared, folders, lint
from pushforward.pipeline.lock import addressed, family, read_lock, within, worked_in, write_lock

Locks = dict[str, dict[str, Any]]  # path of a lock -> its stages by name, as the lock has them


def families(repository: Repository, commit: str) -> frozenset[str]:
    """The stages that the dvc.yaml of a commit freeze, as DVC names them from the root, a loop's without its items."""
    texts = folders.texts_at(repository, commit)
    return frozenset(addressed(name, folder) for folder, text in texts.items() for name in _named(folder, text))


def _named(folder: str, text: bytes) -> Iterator[str]:
    if not lint.may_say("frozen", text):
        return
    with folders.named(folder):
        stages = lint.load(text).get("stages")
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        body = stage.get("do", stage) if isinstance(stage, dict) else None
        if isinstance(body, dict) and body.get("frozen", False) is not False:
            yield str(name)


def entries(repository: Repository, commit: str, made: Collection[str]) -> Locks:
    """What the locks of a commit say of its frozen stages, by lock and stage; of those that make one of the outs `made`
    nothing, nor of those that find a metric.
    """
    known = families(repository, commit)
    if not known:
        return {}
    told, wdirs = declared.at(repository, commit), folders.wdirs_at(repository, commit)
    found: Locks = {}
    for path, text in folders.locks_at(repository, commit).items():
        folder = posixpath.dirname(path)
        for name, entry in read_lock(text).items():
            at = posixpath.join(folder, worked_in(name, wdirs.get(path, {})))
            placed = [posixpath.normpath(posixpath.join(at, one["path"])) for one in entry.get("outs", [])]
            claims = any(told.shows(place) or any(within(place, one) for one in made) for place in placed)
            sound = all(isinstance(one.get("md5", ""), str) for one in entry.get("outs", []))  # or nobody's object
            if sound and family(name, folder) in known and not claims:
                found.setdefault(path, {})[name] = entry
    return found


def over(locks: Mapping[str, bytes], own: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """The locks with these entries in the place of their own."""
    return {**locks, **{path: write_lock({**read_lock(locks.get(path)), **own[path]}) for path in own}}


def found(repository: Repository, commit: str | None) -> Locks:
    """What the locks of a commit say of every stage; nothing without one."""
    locks = {} if commit is None else folders.locks_at(repository, commit)
    return {path: dict(read_lock(text)) for path, text in locks.items()}


def begun(
    repository: Repository, champion: str, locks: Mapping[str, bytes], still: Collection[str]
) -> dict[str, bytes]:
    """The locks of `champion` without what it has frozen and the commit at hand, whose families are `still`, has not.

    No run has made what they say of that, and DVC would take it for unchanged.
    """
    thawed = families(repository, champion) - set(still)
    found = {path: read_lock(text) for path, text in locks.items()} if thawed else {}
    kept = {
        path: {name: entry for name, entry in stages.items() if family(name, posixpath.dirname(path)) not in thawed}
        for path, stages in found.items()
    }
    return {**locks, **{path: write_lock(stages) for path, stages in kept.items() if len(stages) < len(found[path])}}


def known(repository: Repository, commit: str, champion: str | None, made: Collection[str]) -> Locks:
    """What a judge of `commit` knows of each stage: of the run of `champion`, and what `commit` itself has frozen."""
    locks = {} if champion is None else folders.locks_at(repository, champion)
    if champion is not None:
        locks = begun(repository, champion, locks, families(repository, commit))
    return {path: dict(read_lock(text)) for path, text in over(locks, entries(repository, commit, made)).items()}


def moved(repository: Repository, commit: str, before: Locks, made: Collection[str]) -> list[str]:
    """The frozen stages of a commit whose committed outs are not those known `before`; as DVC names them."""
    return [
        addressed(name, posixpath.dirname(path))
        for path, stages in sorted(entries(repository, commit, made).items())
        for name, entry in sorted(stages.items())
        if _outs(entry) != _outs(before.get(path, {}).get(name))
    ]


def judged_by(
    before: Locks, locks: Mapping[str, bytes], there: Collection[str], here: Collection[str]
) -> tuple[dict[str, bytes], list[str]]:
    """The locks of a run with the judge's own word, as known `before`, on the stages that its commit freezes (`there`);
    and which of them are others.

    A frozen stage has not run, so nothing says that the judge's code would make the same. What the judge does not know
    is left out, and made; unless it is frozen `here` too, and cannot be.
    """
    own_word, other = dict(locks), list[str]()
    for path, text in locks.items() if there else ():
        folder, stages, own = posixpath.dirname(path), dict(read_lock(text)), before.get(path, {})
        names = {name: addressed(name, folder) for name in stages}
        claimed = [name for name in names if family(name, folder) in there]
        lost = {name for name in claimed if name not in own and family(name, folder) in here}
        wrong = [name for name in claimed if name not in lost and _outs(stages[name]) != _outs(own.get(name))]
        other += [names[name] for name in wrong]
        # in whole: what the same outs are made from is a claim too
        said = {name for name in claimed if name in own and stages[name] != own[name]}
        if said or wrong:
            kept = {name: entry for name, entry in stages.items() if name not in wrong}
            own_word[path] = write_lock(kept | {name: own[name] for name in said})
    return own_word, other


def _outs(entry: Mapping[str, Any] | None) -> dict[str, Any]:
    return {one["path"]: one.get("md5") for one in (entry or {}).get("outs", [])}
