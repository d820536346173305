"""What was judged, recorded in git where everybody reads it: report, pictures, numbers that were sealed until now.

A server calls it from its own process, after all that the run has left; on a forge `pushforward record` does, with the
token of the judge's job.
"""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pushforward.errors import TOOL, PushforwardError
from pushforward.gate.verdict import Verdict
from pushforward.git.refs import HOLDOUTS, REPORTS, RUNS
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.git.swap import swap
from pushforward.judge import ledger, seal
from pushforward.pipeline.revision import Revision
from pushforward.registry.reviews import Word
from pushforward.report import note, notes, words
from pushforward.report.note import Context, Report
from pushforward.report.several import Parts, markdown_of
from pushforward.text import prose

LIMIT_PICTURE = 1 << 20  # bytes of each
LIMIT_PICTURES = 32  # of a report


def report(verdict: Verdict, context: Context, parts: Parts = MappingProxyType({})) -> Report:
    """The report of a verdict; where it is the word on several models, with what was said of each in its text."""
    return note.of(verdict, context, markdown_of(verdict, context, parts))


def pictures(folder: Path) -> dict[str, bytes]:
    """The pictures that the judge has drawn into `folder`, by name; what is too large is none."""
    found = [path for path in sorted(folder.glob("*.svg")) if path.is_file() and not path.is_symlink()]
    small = [path for path in found if path.stat().st_size < LIMIT_PICTURE]
    return {path.name: path.read_bytes() for path in small[:LIMIT_PICTURES]}


def last_word(context: Context, step: str) -> Context:
    """What the report tells once it is known what came of a verdict: `step`, and nothing that is still to come."""
    return dataclasses.replace(context, next_step=step, next_version="", next_command="")


@dataclass(frozen=True)
class Recorded:
    """Where a report was recorded, and the commit that holds its pictures, "" where it has none."""

    place: str
    pictures: str


def record(root: Path, told: Report, drawn: Mapping[str, bytes], run: str = "") -> Recorded:
    """Record a report where those count for the checkout in `root`, and open what has retired.

    `run` is what the run of a push leaves in git: the commit itself, or its lock commit.
    """
    book, lock = ledger.of(root), root / ".git" / notes.LOCK
    repository, remote, commit = book.repository, book.remote, str(told.verdict.get("commit", ""))
    try:
        if run:
            _put_run(repository, commit, run, remote)
        made = (
            put_pictures(repository, commit, told.event, drawn, scratch=root / ".git", remote=remote) if drawn else ""
        )
        notes.put(repository, commit, told, lock=lock, remote=remote)
        if remote:
            repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", remote, f"+{HOLDOUTS}*:{HOLDOUTS}*")
        open_retired(repository, [*repository.names(HOLDOUTS)], lock=lock, remote=remote)
    except PushforwardError as failed:
        raise PushforwardError(
            f"the verdict on {commit[:9]} is not in the history: {failed.message}",
            next="give the job `contents: write`, or run it again; the verdict itself stands"
            if remote
            else failed.next,
            exit_code=failed.exit_code,
        ) from failed
    return Recorded(remote or str(repository.path), made)


def put_pictures(
    repository: Repository, commit: str, event: str, drawn: Mapping[str, bytes], *, scratch: Path, remote: str = ""
) -> str:
    """Put the pictures of a report in the place of those for the same event, here or in `remote`; their commit."""
    ref, place = f"{REPORTS}{commit}", f"{event}/plots"
    if remote:
        repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", remote, f"+{ref}*:{ref}*")
    base = repository.resolve(ref) or ""
    files = {f"{place}/{name}": picture for name, picture in drawn.items()}
    tree = repository.write_tree(base or EMPTY_TREE, files, index=scratch / "pictures.index", drop=place)
    made = repository.write_commit(tree, [], f"Pictures of {commit}\n", date=repository.date(commit))
    if not remote:
        repository.set_ref(ref, made)
    elif made != base and (failure := swap(repository, remote, ref, base, made)):
        raise PushforwardError(f"{ref} cannot be moved in {remote}: {failure}", exit_code=TOOL)
    return made


def review(repository: Repository, said: Word, *, lock: Path, remote: str = "", step: str = "") -> None:
    """Say in the report of what was judged which word a person has said of it, and `step`: what came of that."""
    commit, told = said.subject.commit, f"{said.told} ({said.name})"
    for kept in notes.read(repository, commit):
        if kept.event != said.subject.event:
            continue
        context = dataclasses.replace(last_word(kept.context, step or said.step), review=told)
        title, _, rest = _without_review(kept.text).partition("\n")
        text = f"{title}\n\n{words.review_alert(context, prose)}\n{rest}"
        notes.renew(repository, commit, dataclasses.replace(kept, context=context, text=text), lock=lock, remote=remote)


def _without_review(text: str) -> str:
    """A report without the word that it tells of: a later one takes its place."""
    title, _, rest = text.partition("\n")
    found = re.match(r"\n> \[!IMPORTANT\]\n> \*\*[^\n]*\n", rest)
    return f"{title}\n{rest[found.end() :]}" if found else text


def _put_run(repository: Repository, commit: str, run: str, remote: str) -> None:
    """Record what a run has left of a pushed commit; of two runs of one commit the newer counts."""
    ref = f"{RUNS}{commit}"
    if not remote:
        repository.set_ref(ref, run)
        return
    repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", remote, f"+{ref}*:{ref}*")
    base = repository.resolve(ref) or ""
    if run != base and (failure := swap(repository, remote, ref, base, run)):
        raise PushforwardError(f"{ref} cannot be moved in {remote}: {failure}", exit_code=TOOL)


def open_retired(repository: Repository, refs: Iterable[str], *, lock: Path, remote: str = "") -> None:
    """Write the numbers of those holdouts that have retired into the reports that kept them back.

    Not into a report of several models: which of their looks it kept back, it does not say.
    """
    book = ledger.Ledger(repository)
    for holdout in (ref.removeprefix(HOLDOUTS) for ref in refs if "@" not in ref):
        state = book.state(holdout)
        numbers = book.numbers(holdout) if state.retired else {}
        for look in (look for look in state.looks if look.number in numbers):
            for kept in notes.read(repository, look.commit):
                if kept.verdict.get("sealed") and not _of_several(repository, kept):
                    whole = seal.opened(json.dumps(kept.verdict), numbers[look.number])
                    notes.renew(repository, look.commit, report(whole, kept.context), lock=lock, remote=remote)


def _of_several(repository: Repository, kept: Report) -> bool:
    """Whether the judge of a report knew several models; one alone goes on with its ledger when others come beside."""
    base = kept.verdict.get("base")
    try:
        return bool(base) and Revision(repository, str(base)).settings.several
    except PushforwardError:
        return False
