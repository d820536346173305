"""Versions: made from a commit that passed, written down in the chain, all there. `tags` asks, after the signature."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pushforward.git import kept
from pushforward.git.kept import LOCK
from pushforward.git.refs import REGISTRY, VERDICTS, ZERO
from pushforward.policy import store
from pushforward.policy.lock import Out, outs, wdirs
from pushforward.policy.objects import OBJECT
from pushforward.policy.push import Push, once, short, typed, versions_in, within
from pushforward.policy.record import Tag
from pushforward.policy.refusal import PolicyError, shown
from pushforward.policy.signature import signer
from pushforward.registry.ssh import FOR_FILES, DoubtError

DIGEST = re.compile(r"[0-9a-f]{64}")
METRICS = "metrics"
PLAIN, FOLDER = "100644", "40000"
MOST_KEPT = 1000
RECORDED_FILES = ("verdict.json", "provenance.json", "golden.json", "card.md")
Entry = tuple[str, str] | None  # the mode and object of a file or folder, where there is one
ENTRY_FILES = (*RECORDED_FILES, "provenance.json.sig")


def check(push: Push, name: str, number: tuple[int, ...], tag: Tag) -> None:
    """The next number, made from a commit of the default branch that passed, written down, and all there."""
    record = tag.record
    if len(list(versions_in(update.ref for update in push.updates))) > 1:
        raise PolicyError("one push makes one version", "git push one of them")
    _successor(push, number, record)
    commit = record.get("commit")
    if not isinstance(commit, str) or not OBJECT.fullmatch(commit) or push.objects.commit(commit) is None:
        raise PolicyError("its record names no commit that is here", "pushforward promote")
    locks = _locks(push, tag)
    made = _lock_commit(push, tag.target, commit, locks)
    tip = push.after.get(push.default)
    if tip is None or not within(push, commit, tip):
        raise PolicyError(
            f"{commit[:9]} is not on {short(push.default)}", f"merge it, then git push local {short(push.default)}"
        )
    verdict = _passed(push, commit, record)
    if not locks or kept.digest(locks, LOCK) != record.get("lock"):
        raise PolicyError(f"{LOCK} of {tag.target[:9]} is not the one in its record", "pushforward promote")
    if made and record["lock"] != verdict["lock"]:
        raise PolicyError(f"{LOCK} of the lock commit is not the one that was judged", "pushforward promote")
    _chained(push, name, tag)
    store.check(push, tag.target, _outs(push, tag.target, locks))


def _locks(push: Push, tag: Tag) -> dict[str, bytes]:
    """The locks that the record is of, by path: the root's, where it names no other."""
    names = tag.record.get("locks", [LOCK])
    if not isinstance(names, list) or not 0 < len(names) <= MOST_KEPT:
        raise PolicyError("its record names no locks", "pushforward promote")
    found: dict[str, bytes] = {}
    for name in names:
        sound = isinstance(name, str) and kept.is_lock(name) and name not in found
        lock = push.objects.read(f"{tag.target}:{name}", "blob") if sound else None
        if lock is None:
            raise PolicyError(f"its record names {shown(str(name))}, which is no lock of it", "pushforward promote")
        found[name] = lock
    return found


def _outs(push: Push, target: str, locks: Mapping[str, bytes]) -> list[Out]:
    """The outs of all locks of a commit, named from the root."""
    found: list[Out] = []
    for path, lock in locks.items():
        folder = path.rpartition("/")[0]
        pipeline = push.objects.read(f"{target}:{f'{folder}/' if folder else ''}dvc.yaml", "blob") or b""
        found += outs(lock, folder, wdirs(pipeline) if b"wdir" in pipeline else ())
    return found


def _successor(push: Push, number: tuple[int, ...], record: dict[str, Any]) -> None:
    newest = max(push.versions, default=None)
    highest = max((one for one in (newest, _foreign(push)) if one), default=None)
    if highest is None:
        following = [(1, 0, 0)]
    else:
        major, minor, patch = highest
        following = [(major + 1, 0, 0), (major, minor + 1, 0), (major, minor, patch + 1)]
    if number not in following:
        names = ", ".join("v" + ".".join(str(part) for part in one) for one in following)
        raise PolicyError(f"the next one is {' or '.join(names.rsplit(', ', 1))}", "pushforward promote")
    previous = push.versions[newest] if newest else None
    place = len(push.versions) + 1
    if record.get("number") != place or isinstance(record.get("number"), bool):
        raise PolicyError(f"the next one is number {place}, its record says another", "pushforward promote")
    if record.get("previous", ...) != previous:
        raise PolicyError(f"the one before is {previous or 'none'}, its record says another", "pushforward promote")


def _foreign(push: Push) -> tuple[int, ...] | None:
    """The highest number that GTO has given before this server was there: the first version goes on after it."""
    if not push.foreign:
        return None
    from pushforward import gto  # few servers have one, and every version would wait for it

    return gto.newest(push.foreign, push.model)


def _lock_commit(push: Push, target: str, commit: str, locks: Mapping[str, bytes]) -> bool:
    """Whether `target` is a lock commit of `commit`; refused where it is neither that nor `commit` itself."""
    if target == commit:
        return False
    child, parent = push.objects.commit(target), push.objects.commit(commit)
    if child is None or parent is None or child.parents != (commit,):
        raise PolicyError(
            f"it names neither {commit[:9]} of its record nor a lock commit of that", "pushforward promote"
        )
    before, after = push.objects.tree(parent.tree), push.objects.tree(child.tree)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    others = {name: (before.get(name), after.get(name)) for name in changed - {LOCK, METRICS}}
    if others and (strange := _strange(push, target, locks, others)):
        raise PolicyError(f"the lock commit changes {shown(strange)} too", "pushforward promote")
    modes = after.get(LOCK, (PLAIN if LOCK not in locks else "", ""))[0], after.get(METRICS, (FOLDER, ""))[0]
    if modes != (PLAIN, FOLDER):
        raise PolicyError(f"{LOCK} is no plain file, or {METRICS}/ no folder", "pushforward promote")
    return True


def _strange(push: Push, target: str, locks: Mapping[str, bytes], changed: dict[str, tuple[Entry, Entry]]) -> str:
    """A path of those `changed`, or below, that is no lock, and no file of the run's as a lock names it, or "".

    Git keeps metrics and plots where dvc.yaml says so; which they are, only the locks tell without YAML.
    """
    found: dict[str, set[str]] | None = None
    left, asked = sorted(changed.items(), reverse=True), 0
    while left:
        path, (before, after) = left.pop()
        asked += 1
        if asked > MOST_KEPT or after is None:
            return path
        if after[0] == FOLDER and (before is None or before[0] == FOLDER):
            was, now = (push.objects.tree(entry[1]) if entry else {} for entry in (before, after))
            names = sorted((name for name in was.keys() | now.keys() if was.get(name) != now.get(name)), reverse=True)
            left += [(f"{path}/{name}", (was.get(name), now.get(name))) for name in names]
            continue
        if after[0] == PLAIN and path in locks:
            continue
        if after[0] != PLAIN or not kept.sound(path):
            return path
        if found is None:
            found = {}
            for out in (one for one in _outs(push, target, locks) if one.store):
                for place in (out.path, *out.others):
                    found.setdefault(place, set()).add(out.md5)
        content = push.objects.read(after[1], "blob") or b""
        if not any(kept.is_found(path, content, md5) for md5 in found.get(path, ())):
            return path
    return ""


def _passed(push: Push, commit: str, record: dict[str, Any]) -> dict[str, Any]:
    """The digests in the verdict that this server has of `commit`; refused unless it says promote and agrees."""
    where = f"{VERDICTS}{commit}:"
    own = push.objects.read(f"{where}{push.model}.json", "blob") if len(push.names) > 1 else None
    text = own or push.objects.read(f"{where}verdict.json", "blob")
    if text is None:
        raise PolicyError(
            f"this server has no passing verdict of {commit[:9]} (a version follows its verdict)",
            f"git push local {short(push.default)}, alone, and wait for its verdict",
        )
    if not _sound(record, "verdict") or _sha256(text) != record["verdict"]:
        raise PolicyError(
            f"its record names another verdict than this server has of {commit[:9]}", "pushforward promote"
        )
    verdict = json.loads(text, object_pairs_hook=once)
    if (verdict.get("event"), verdict.get("commit")) != ("push", commit):
        raise PolicyError(f"the verdict of {commit[:9]} does not promote it", f"pushforward report {commit[:9]}")
    if verdict.get("verdict") != "promote" or "review" in record:
        from pushforward.policy import reviews  # few versions rest on one

        reviews.ground(push, record, verdict)
    digests: dict[str, Any] = typed(verdict, "digests", dict)
    for part in ("model", "manifest", "data", "params", "environment"):
        if record.get(part) != digests.get(part) or (part == "model" and not _sound(record, part)):
            raise PolicyError(f"the {part} in its record is not what was judged", "pushforward promote")
    if (record.get("ledger") or "") != verdict.get("ledger", ""):
        raise PolicyError("its record names another look at the holdout than its verdict", "pushforward promote")
    return digests


def _chained(push: Push, name: str, tag: Tag) -> None:
    """The same push adds the version's folder to the registry's chain, and nothing else."""
    update = push.to(REGISTRY)
    if update is None:
        raise PolicyError(f"it comes without its entry in {REGISTRY}", "pushforward promote")
    old = push.refs.get(REGISTRY, ZERO)
    parents = () if old == ZERO else (old,)
    commit = push.objects.commit(update.new)
    if commit is None or commit.parents != parents:
        raise PolicyError(
            f"{REGISTRY} has moved meanwhile, or by more than one commit", "git fetch, pushforward promote"
        )
    before = push.objects.tree(f"{old}^{{tree}}") if parents else {}
    after = push.objects.tree(commit.tree)
    was, now = (push.objects.tree(tree.pop("versions", ("", ZERO))[1]) for tree in (before, after))
    mode, folder = now.pop(name, ("", ZERO))
    if after != before or now != was or name in was:
        raise PolicyError(f"{REGISTRY} changes more than versions/{name}/", "pushforward promote")
    entry = push.objects.tree(folder) if mode == "40000" else {}
    if set(entry) - set(ENTRY_FILES) or any(mode != "100644" for mode, _ in entry.values()):
        raise PolicyError(f"versions/{name}/ holds something else than {', '.join(ENTRY_FILES)}", "pushforward promote")
    content = {file: push.objects.read(identity, "blob") or b"" for file, (_, identity) in entry.items()}
    for file in RECORDED_FILES:
        part = file.partition(".")[0]
        if not _sound(tag.record, part) or _sha256(content.get(file, b"")) != tag.record[part]:
            raise PolicyError(f"versions/{name}/{file} is not the one in its record", "pushforward promote")
    statement, armor = content["provenance.json"], content.get("provenance.json.sig", b"")
    try:
        signer(push, tag.signed._replace(content=statement, signature=armor), FOR_FILES)
    except DoubtError as doubt:
        raise PolicyError(f"versions/{name}/provenance.json: {doubt.message}", doubt.next) from None


def _sound(record: dict[str, Any], part: str) -> bool:
    return isinstance(record.get(part), str) and bool(DIGEST.fullmatch(record[part]))


def _sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()
