"""Adoption: what the run of a pull request has made, taken over when the same tree is pushed to the default branch.

Nothing is trained or scored twice then. The hand-over is judged again, as that of a stranger is: by its predictions and
its probes, against the judge's own champion. What it holds of models comes into cache and store by what the verdict on
the pull request binds: model and lock by SHA-256, and each object by the name that this lock has for it. What else is
new, such as another month, no hand-over holds, and is made again. It needs an owner who says that whoever pushes is
trusted (`server.adopt`): where it is on, a run is believed for what it says that its model predicts.
"""

import contextlib
import hashlib
import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pushforward import durable, files
from pushforward.actions.result import WorkflowResult
from pushforward.errors import PushforwardError
from pushforward.gate.verdict import Verdict
from pushforward.git import kept as left
from pushforward.git.server import ADOPTABLE, Server
from pushforward.judge import handover
from pushforward.judge import judged as verdicts
from pushforward.pipeline.lock import LISTING, LOCK, merged, read_lock
from pushforward.pipeline.revision import Revision, model_digest
from pushforward.pipeline.store import Store, members
from pushforward.server import ends
from pushforward.server.ends import Ended
from pushforward.server.plan import Plan
from pushforward.server.subject import Subject
from pushforward.settings import Settings
from pushforward.untrusted import plain_json

TRAIN = "train"  # the artifact that the judge is handed
SAID = "said.json"
MOST = 20  # pull requests whose results wait to be merged
SHARED = 0o444  # of an object, which many folders may share


def is_on(server: Server, rules: Settings) -> bool:
    """Whether results are taken over: as the settings say, else where the owner trusts whoever may push."""
    return server.trust if rules.server.adopt is None else rules.server.adopt


def keep(subject: Subject, ended: Sequence[Ended], judged: Path) -> None:
    """Keep what the run of a pull request has handed over, where the verdict in `judged` is on that.

    That of one workflow alone, `ended` before its judge. A full disk is no fault of the verdict.
    """
    first = [one for one in ended if not one.judge]
    if subject.job.event == "pull_request" and len(first) == 1 and first[0].source == "pull_request":
        with contextlib.suppress(OSError, PushforwardError), _alone(subject.server):
            _keep(subject, first[0].flow.file, judged / TRAIN, judged / "verdict")


def instead(subject: Subject, planned: Plan, to: Path, say: Callable[[str], None]) -> WorkflowResult | None:
    """The end of the workflow of a push that need not run: what it would hand over lies in `to`. None where it must."""
    found = find(subject, planned.line[0].file) if len(planned.line) == 1 else None
    if found is None or not found.take(to):
        return None
    say(f"  {planned.line[0].file}: as #{found.pull} ran the same files; nothing is run again")
    return ends.well(planned.line[0])


def _keep(subject: Subject, flow: str, handed: Path, verdict: Path) -> None:
    server, rules = subject.server, subject.settings
    if not (is_on(server, rules) and server.store and all(one.score for one in rules.each)):
        return
    if not _is_of(verdict, handed) or _objects(subject, handed) is None:
        return
    tree = _tree(subject)
    folder = files.place(server.folder, ADOPTABLE)
    fresh = folder / f"{tree}{durable.UNFINISHED}"
    files.remove(folder, fresh.name)
    fresh.mkdir(parents=True)
    shutil.copytree(handed, fresh / TRAIN, symlinks=True)
    said = {"pull": subject.job.pull, "flow": flow, "files": dict(_listed(fresh))}
    durable.write(fresh / SAID, json.dumps(said))
    files.remove(folder, tree)
    fresh.rename(folder / tree)
    for old in sorted(folder.iterdir(), key=lambda one: one.lstat().st_mtime)[:-MOST]:
        files.remove(folder, old.name)


@dataclass(frozen=True)
class Adopted:
    """What the run of pull request `pull` has left, whole, in `folder`."""

    subject: Subject
    folder: Path
    pull: int

    def take(self, to: Path) -> bool:
        """Bring its objects into cache and store, and its hand-over to `to`, as that of this commit; whether it could.

        What is not all there is not taken, and the workflow runs.
        """
        server = self.subject.server
        try:
            with _alone(server):
                found = _objects(self.subject, self.folder / TRAIN)
                for oid, content in (found or {}).items():
                    for store in (Store(Path(server.store)), Store(server.folder / "cache")):
                        _put(store, oid, content)
                files.remove(to.parent, to.name)
                shutil.copytree(self.folder / TRAIN, to)
            self._sign(to / handover.RECORD)
        except (OSError, PushforwardError, shutil.Error):
            found = None
        if found is None:
            files.remove(to.parent, to.name)
        return found is not None

    def _sign(self, record: Path) -> None:
        """Say in the record of the hand-over that it is of this commit, and whose stages it tells of."""
        told = plain_json(record.read_bytes(), record.name)
        for stage in told["stages"]:
            if stage["outcome"] in ("ran", "restored"):
                stage |= {"outcome": "restored", "reason": f"as the run of #{self.pull} made it", "seconds": 0.0}
        told |= {"commit": self.subject.commit, "pulled": 0, "pushed": 0, "seconds": 0.0}
        durable.write(record, json.dumps(told, indent=1))


def find(subject: Subject, flow: str) -> Adopted | None:
    """What the run of a pull request with this very tree has left by the workflow `flow`; None where there is nothing.

    That it may be taken over is said by the commit that judges, not by the one that is pushed.
    """
    server = subject.server
    if subject.job.event != "push" or not server.store:
        return None
    with contextlib.suppress(PushforwardError, OSError, ValueError, KeyError, TypeError):
        if not is_on(server, Revision(subject.repository, subject.judge).settings):
            return None
        folder = files.place(server.folder, f"{ADOPTABLE}/{_tree(subject)}")
        said = plain_json((folder / SAID).read_bytes(), SAID)
        if said["flow"] == flow and said["files"] == dict(_listed(folder)):
            return Adopted(subject, folder, int(said["pull"]))
    return None


def _alone(server: Server) -> contextlib.AbstractContextManager[None]:
    """What runs of pull requests have left, for one run at a time: two may be of the same tree."""
    return durable.locked(server.folder / f"{ADOPTABLE}.lock")


def _tree(subject: Subject) -> str:
    return subject.repository.git("rev-parse", f"{subject.commit}^{{tree}}").text


def _is_of(verdict: Path, handed: Path) -> bool:
    """Whether the judge, unchanged, has come to a word on the very models and the lock in a hand-over, by SHA-256."""
    lock = left.digest(handover.locks_in(handed), LOCK)
    try:
        for name, folder in (verdicts.parts(verdict) or {"": verdict}).items():
            told = Verdict.from_json((folder / "verdict.json").read_bytes())
            model = model_digest(handover.part(handed, name) / handover.MODEL)
            if told.verdict == "invalid" or told.touched:  # who has changed what judges is asked by the judge itself
                return False
            if (told.digests.model, told.digests.lock) != (model, lock):
                return False
    except (OSError, ValueError, PushforwardError):
        return False
    return True


def _objects(subject: Subject, handed: Path) -> Mapping[str, Path | bytes] | None:
    """The objects that the lock of a hand-over names and the store lacks, as it holds them.

    None where it does not hold one of them, or other bytes.
    """
    revision, store = Revision(subject.repository, subject.commit), Store(Path(subject.server.store))
    lock = merged(handover.locks_in(handed), revision.wdirs)
    outs = [out for entry in read_lock(lock).values() for out in entry.get("outs", []) if out.get("md5")]
    in_git, holds = handover.read_metrics(handed), dict(_held(revision.settings, handed))
    found: dict[str, Path | bytes] = {}
    for out in outs:
        path, oid = str(out["path"]), str(out["md5"])
        if path in in_git or _stored(store, oid):
            continue
        content = _content(holds[path]) if path in holds else {}
        if oid not in content:
            return None
        found |= content
    return found


def _stored(store: Store, oid: str) -> bool:
    """Whether a store has an object, and of a folder each file; whether they are whole, it looks after itself."""
    path = store.plain(oid)
    if path is None or not oid.endswith(LISTING):
        return path is not None
    return all(store.plain(one) is not None for one in members(oid, path.read_bytes()).values())


def _held(rules: Settings, handed: Path) -> Iterator[tuple[str, Path]]:
    """What of each model is in a hand-over, by its path in the project: itself, and its validation table."""
    for one in rules.each:
        part = handover.part(handed, one.contract.name) if rules.all_of_several else handed
        yield one.contract.path, part / handover.MODEL
        if (table := one.contract.validation) is not None:
            yield table, part / f"{handover.VALIDATION}{Path(table).suffix}"


def _content(path: Path) -> Mapping[str, Path | bytes]:
    """A file, or a folder with all that is in it, as DVC's objects by name."""
    if not path.is_dir():
        return {_md5(path): path} if path.is_file() else {}
    inside = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    names = {name: _md5(file) for name, file in inside.items()}
    listing = json.dumps([{"md5": names[name], "relpath": name} for name in sorted(names)], sort_keys=True).encode()
    whole = f"{hashlib.md5(listing, usedforsecurity=False).hexdigest()}{LISTING}"
    return {**{names[name]: file for name, file in inside.items()}, whole: listing}


def _md5(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _put(store: Store, oid: str, content: Path | bytes) -> None:
    """Put an object into a store that lacks it, whole or not at all."""
    if store.plain(oid) is not None:
        return
    place = store.slot(oid)
    place.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        durable.write(place, content, mode=SHARED)
        return
    fresh = place.with_name(f"{place.name}.{secrets.token_hex(4)}{durable.UNFINISHED}")
    try:
        shutil.copyfile(content, fresh)
        if _md5(fresh) != oid:
            raise OSError(f"{content.name} is another file than it was")
        fresh.chmod(SHARED)
        durable.sync(fresh)
        fresh.replace(place)
    finally:
        fresh.unlink(missing_ok=True)
    durable.sync(place.parent)


def _listed(folder: Path) -> Iterator[tuple[str, str]]:
    """The SHA-256 of each file of what was kept, by its path; of a link there is none."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            yield name, ""
        elif path.is_file() and name != SAID:
            with path.open("rb") as handle:
                yield name, hashlib.file_digest(handle, "sha256").hexdigest()
