"""Reports in git: a note per commit for people, and beside it, in the same ref, the JSON that it was made of.

`git notes --ref=pushforward show` and `git log --notes=pushforward` show the note. The JSON is a file of the note's
tree, which git keeps and shows nobody: both move at once or not at all, and whoever fetches one has the other.
"""

import random
import time
from collections.abc import Callable, Container
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward.durable import locked
from pushforward.errors import TOOL, MachineError, PushforwardError
from pushforward.git import remote as remotes
from pushforward.git.environment import SERVICE, SERVICE_EMAIL
from pushforward.git.refs import NOTES
from pushforward.git.repository import Repository
from pushforward.git.swap import swap

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pushforward.report.note import Report, Workflow

LOCK = "notes.lock"
FOLDER = "reports"  # an odd number of letters, or git would look for notes in there
PATIENCE_SECONDS = 120.0
STUCK = 6
ASKED = 200  # commits that are looked up one by one rather than in a list of all

Step = Callable[[list["Report"]], list["Report"]]


def of(root: Path, *refs: str) -> Repository:
    """The repository whose reports count for the one in `root`; a clone of another machine's has fetched them.

    And what begins with `refs`, which is read with them.
    """
    repository = Repository(root)
    there = remotes.authority(repository)
    if there is None:
        return repository
    if there.folder is not None and there.folder.is_dir():
        return Repository(there.folder)
    _fetch(repository, there.name, *refs)
    return repository


def newest(repository: Repository) -> str:
    """The object that the ref of the reports names; "" where there is none yet.

    Raises MachineError where the ref cannot be read: nobody knows then what has been judged.
    """
    found = repository.names(NOTES, whole=True).get(NOTES, "")
    if not found and (repository.lost(NOTES) or repository.git("symbolic-ref", "-q", NOTES, check=False).text):
        raise _unreadable()  # it had a name, or is another name of one, that git lists nowhere
    return found


def read(repository: Repository, commit: str) -> "list[Report]":
    """The reports of `commit`, newest first. Raises MachineError where nobody can tell."""
    from pushforward.report import note  # whoever only lists reports does not wait for it

    content = repository.read(NOTES, _path(commit))
    if content is None and (there := newest(repository)):
        content = _read(repository, there, commit)
    return [*note.load(content).reports] if content else []


def later(repository: Repository, commit: str, known: Container[str]) -> str:
    """The first commit above `commit`, on the way to HEAD, that is `known` to have a report, or "": a push has one."""
    above = repository.git("rev-list", "--reverse", "--ancestry-path", f"{commit}..HEAD", check=False)
    return next((one for one in above.text.splitlines() if one in known), "")


def kept(repository: Repository) -> dict[str, str]:
    """Commit -> the object that holds the JSON of its reports, for every commit that has some."""
    return listed(repository)[0]


def reported(repository: Repository) -> set[str]:
    """Every commit that has a report, be it one that another version has written."""
    mine, strange = listed(repository)
    return strange.union(mine)


def among(repository: Repository, commits: "Collection[str]", at: str = "") -> set[str]:
    """Those of the commits that have a report, as `reported` says; a few are asked for, however many others there are.

    Git has a note under one of three names, and may part them further only where there are very many. `at` is what
    `newest` says, where that is known. Raises MachineError where nobody can tell.
    """
    if not commits or not (at := at or newest(repository)):
        return set()
    if len(commits) > ASKED:
        return reported(repository).intersection(commits)
    names = [
        (commit, f"{at}:{path}")
        for commit in commits
        for path in (_path(commit), commit, f"{commit[:2]}/{commit[2:]}", f"{commit[:2]}/{commit[2:4]}/{commit[4:]}")
    ]
    asked = "".join(f"{name}\n" for name in (f"{at}^{{tree}}", *(name for _, name in names))).encode()
    itself, *found = repository.git("cat-file", "--batch-check=%(objecttype)", stdin=asked).text.splitlines()
    if itself != "tree":
        raise _unreadable()
    return {commit for (commit, _), line in zip(names, found, strict=True) if line == "blob"}


def texts(repository: Repository, commits: "Iterable[str]") -> list[bytes]:
    """The JSON of the reports of those commits that have some."""
    found = repository.objects([f"{NOTES}:{_path(commit)}" for commit in commits])
    return [content[1] for content in found if content is not None]


def listed(repository: Repository) -> tuple[dict[str, str], set[str]]:
    """What `kept` says, and the commits with a note that has no JSON beside it: another version has written that.

    Raises MachineError where nobody can tell.
    """
    if not (there := newest(repository)):
        return {}, set()
    try:
        tree = repository.tree(there)
    except PushforwardError as lost:
        raise _unreadable() from lost
    mine, noted = dict[str, str](), set[str]()
    for path, entry in tree.items():
        if path.startswith(f"{FOLDER}/"):
            mine[path.removeprefix(f"{FOLDER}/").removesuffix(".json").replace("/", "")] = entry.split()[-1]
        else:
            noted.add(path.replace("/", ""))  # git parts the names where there are many
    return mine, noted - mine.keys()


def _read(repository: Repository, at: str, commit: str) -> bytes | None:
    """The JSON of the reports of `commit` in the notes `at`, or None; MachineError where git has lost what says so."""
    place = _path(commit)
    listed = repository.git("ls-tree", "--full-tree", "--name-only", at, place, check=False)
    content = repository.read(at, place) if listed.text else None
    if listed.returncode != 0 or (listed.text and content is None):
        raise _unreadable()
    return content


def _unreadable() -> MachineError:
    return MachineError(f"{NOTES} is damaged", next="pushforward check, where it lies")


def put(repository: Repository, commit: str, report: "Report", *, lock: Path, remote: str = "") -> None:
    """Put a report on top of those of `commit`, in the place of an earlier one for the same event."""
    _change(
        repository,
        commit,
        lambda reports: [report, *(one for one in reports if one.event != report.event)],
        lock=lock,
        remote=remote,
    )


def beside(repository: Repository, commit: str, told: "Sequence[Workflow]", *, lock: Path) -> None:
    """Tell below the reports of `commit` how its single workflows have ended; of a commit without a report, nothing.

    Of each run the newest word stands; what is known of others stays.
    """
    _change(repository, commit, lambda reports: reports, lock=lock, workflows=told)


def drop(repository: Repository, commit: str, event: str, *, lock: Path) -> None:
    """Take the report for an event away from `commit`; a note without reports goes."""
    _change(repository, commit, lambda reports: [one for one in reports if one.event != event], lock=lock)


def renew(repository: Repository, commit: str, report: "Report", *, lock: Path, remote: str = "") -> None:
    """Put a report in the place of the one for the same event, wherever among those of `commit` that is."""
    _change(
        repository,
        commit,
        lambda reports: [report if one.event == report.event else one for one in reports],
        lock=lock,
        remote=remote,
    )


def _change(
    repository: Repository,
    commit: str,
    step: Step,
    *,
    lock: Path,
    remote: str = "",
    workflows: "Sequence[Workflow]" = (),
) -> None:
    """Read, decide, write: by compare and swap, and once more from what is there where somebody else was first.

    In `remote` where one is named, else in the repository itself. Under a lock, so that those of one machine come one
    after the other.
    """
    from pushforward.report import note

    started, stuck, known = time.monotonic(), 0, None
    with locked(lock):
        while True:
            if remote:
                _fetch(repository, remote)
            tip = newest(repository)
            kept, itself = repository.objects([f"{tip or NOTES}:{_path(commit)}", commit])
            content = kept[1] if kept else _read(repository, tip, commit) if tip else None
            there = note.load(content) if content else note.Kept(note.About(), ())
            before = [*there.reports]
            after = step(before)
            known_ones = {one.id: one for one in (*there.workflows, *workflows)}
            told = tuple(sorted(known_ones.values(), key=lambda one: one.id))
            if after == before and (told == there.workflows or not after):
                return
            about = note.about(itself[1]) if itself and itself[0] == "commit" else note.About()
            failure = _write(
                repository, commit, note.text(after, told), note.dump(after, about, told) if after else b"", tip
            )
            if remote and not failure and (failure := swap(repository, remote, NOTES, tip, NOTES)):
                repository.git("update-ref", *(("-d", NOTES) if not tip else (NOTES, tip)))
            if not failure:
                return
            stuck = stuck + 1 if tip == known else 0
            known = tip
            if stuck > STUCK or time.monotonic() - started > PATIENCE_SECONDS:
                raise PushforwardError(
                    f"{NOTES} cannot be moved{f' in {remote}' if remote else ''}: {failure}",
                    next=f"git push {remote} {NOTES}, to see why" if remote else f"git fsck, in {repository.path}",
                    exit_code=TOOL,
                )
            time.sleep(random.uniform(0.005, 0.02 * 2 ** min(stuck, 5)))  # noqa: S311


def _write(repository: Repository, commit: str, text: str, data: bytes, tip: str) -> str:
    """Move the ref of the notes here, from `tip`, to one with this note; why it did not move, or "".

    One process, which moves the ref only to what follows the commit that it is at. Without `data` the note goes.
    """
    lines = [b"commit %s\n" % NOTES.encode()]
    lines.append(b"committer %s <%s> %d +0000\n" % (SERVICE.encode(), SERVICE_EMAIL.encode(), int(time.time())))
    lines += [_data(f"Report on {commit}\n".encode()), b"from %s\n" % tip.encode() if tip else b""]
    # git takes a note under any of these names, and would show what is under two of them twice
    here = f"{commit[:2]}/{commit[2:]}"
    gone = [commit, f"{commit[:2]}/{commit[2:4]}/{commit[4:]}", *(() if data else (here, _path(commit)))]
    lines += [b"D %s\n" % path.encode() for path in gone]
    for path, content in ((here, text.encode()), (_path(commit), data)) if data else ():
        lines.append(b"M 100644 inline %s\n%s" % (path.encode(), _data(content)))
    done = repository.git("fast-import", "--quiet", "--date-format=raw", stdin=b"".join(lines), check=False)
    return "" if done.returncode == 0 else done.stderr.decode("utf-8", "replace").strip()[:300] or "it did not move"


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _path(commit: str) -> str:
    return f"{FOLDER}/{commit[:2]}/{commit[2:]}.json"


def _fetch(repository: Repository, remote: str, *refs: str) -> None:
    # patterns, for there are none before the first verdict
    specs = [f"+{ref}*:{ref}*" for ref in (NOTES, *refs)]
    repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", remote, *specs)
