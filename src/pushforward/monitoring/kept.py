"""Records of looks, kept in git: a chain of commits an environment, moved by compare and swap. `look` and views ask.

Each commit holds `monitor.json` and `report.md` of one look, and its parents the looks before it.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pushforward.errors import DATA, TOOL, PushforwardError
from pushforward.git import remote as remotes
from pushforward.git.refs import MONITORED, ZERO
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.git.swap import swap
from pushforward.monitoring import record as records
from pushforward.monitoring.record import Record

RECORD, REPORT = "monitor.json", "report.md"
TRIES = 5
SHOWN = 60  # looks back
FARTHEST = 2000  # looks back, among which the last one at a version is


def ref(environment: str, model: str = "") -> str:
    """Where the looks at an environment are: of one of several models under its name."""
    return f"{MONITORED}{f'{model}@' if model else ''}{environment}"


def looks(repository: Repository, environment: str, model: str = "", *, most: int = SHOWN) -> list[Record]:
    """The looks at an environment in a repository, the newest first; what another version has written is left out."""
    return list(_each(repository, ref(environment, model), most))


def _each(repository: Repository, name: str, most: int) -> Iterator[Record]:
    """The looks of a chain, the newest first, read as far as they are asked for."""
    if repository.resolve(name) is None:
        return
    commits = repository.git("rev-list", "--first-parent", f"--max-count={most}", name).text.split()
    for place in range(0, len(commits), SHOWN):
        for one in repository.objects([f"{commit}:{RECORD}" for commit in commits[place : place + SHOWN]]):
            try:
                found = records.read(one[1]) if one is not None else None
            except PushforwardError:
                continue
            if found is not None:
                yield found


def environments(repository: Repository) -> list[tuple[str, str]]:
    """(model, environment) of all that was looked at; the model "" where it is alone."""
    names = (one.name.removeprefix(MONITORED) for one in repository.refs(MONITORED))
    return sorted((name.rpartition("@")[0], name.rpartition("@")[2]) for name in names)


@dataclass(frozen=True)
class Book:
    """The chains where those count: in `repository`, or in its `remote` where one is named. `model`: of several."""

    repository: Repository
    remote: str = ""
    model: str = ""

    def last(self, environment: str) -> Record | None:
        """The newest look, as it is there now."""
        self._fetch(ref(environment, self.model))
        found = looks(self.repository, environment, self.model, most=1)
        return found[0] if found else None

    def last_at(self, environment: str, version: str) -> Record | None:
        """The newest look at a version, whatever was in use since, as it is there now."""
        name = ref(environment, self.model)
        self._fetch(name)
        return next((one for one in _each(self.repository, name, FARTHEST) if one.version == version), None)

    def put(self, found: Record, report: Callable[[Record], str]) -> str:
        """Add a look, whoever else adds one meanwhile; its commit."""
        name, failure, text = ref(found.environment, self.model), "", found.to_json()
        if not _is_whole(found, text):
            said = f"the look at {found.version} has a number that is not finite and cannot be kept"
            raise PushforwardError(
                said, next="pushforward monitor --dry-run --json, and look at the log", exit_code=DATA
            )
        files = {RECORD: text, REPORT: report(found).encode()}
        for _ in range(TRIES):
            self._fetch(name)
            tip = self.repository.resolve(name)
            with tempfile.TemporaryDirectory(prefix="pushforward-") as folder:
                tree = self.repository.write_tree(EMPTY_TREE, files, index=Path(folder) / "index")
            message = f"{found.decision}: {found.version} in {found.environment}\n"
            date = f"{int(found.at.timestamp())} +0000"
            made = self.repository.write_commit(tree, [tip] if tip else [], message, date=date)
            failure = self._swap(name, tip or "", made)
            if not failure:
                return made
        raise PushforwardError(
            f"{name} cannot be moved: {failure}",
            next="give the job `contents: write`, or pushforward monitor again" if self.remote else "pushforward check",
            exit_code=TOOL,
        )

    def _fetch(self, name: str) -> None:
        if self.remote:
            every = f"+{name}*:{name}*"  # a pattern: what is not there yet is no error
            self.repository.remote("fetch", "-q", "--no-tags", "--no-write-fetch-head", self.remote, every)

    def _swap(self, name: str, old: str, new: str) -> str:
        if not self.remote:
            return "" if self.repository.update_ref(name, new, old or ZERO) else "another process was first"
        return swap(self.repository, self.remote, name, old, new)


def _is_whole(found: Record, text: bytes) -> bool:
    """Whether a look is read as it was: JSON has no number that is not finite, and what is not read is not seen."""
    try:
        return records.read(text) == found
    except PushforwardError:
        return False


def book(root: Path, model: str = "") -> Book:
    """The book of the repository in `root`: the one of its authority."""
    repository = Repository(root)
    there = remotes.authority(repository)
    if there is None:
        return Book(repository, model=model)
    if there.folder is not None and there.folder.is_dir():
        return Book(Repository(there.folder), model=model)
    return Book(repository, there.name, model)
