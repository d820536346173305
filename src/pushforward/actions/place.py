"""The folders of one run: what act reads, what steps may write, and how both go. For `act` and what it is made of."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pushforward.actions import artifacts as artifact_folder
from pushforward.actions.event import Repository
from pushforward.actions.workflow import FOLDER
from pushforward.errors import PushforwardError
from pushforward.git import repository as git
from pushforward.sandbox import processes
from pushforward.sandbox.jail import PLAIN, Jail, reclaim

ACTIONS = Path(__file__).parent / "stand_ins"
# act and bash cut the path of a step's script at blanks and quotes; these they take as they are.
PLAIN_PATH = re.compile(r"[\w./+@%=,~-]+")
# What bash reads before a script: act gives steps a terminal, on which who reads would wait for ever.
NO_TERMINAL = "if [ -t 0 ]; then exec </dev/null; fi\nunset BASH_ENV\n"
MAX_GITHUB_FILES = 1000
MAX_GITHUB_BYTES = 16 << 20


def export(repository: Repository, sha: str, folder: Path) -> None:
    """Write the plain files of `.github` at `sha` into `folder`, straight from the objects.

    No attribute of the pushed tree has a say (`export-ignore` would hide files), and no link leads out.
    """
    found = git.Repository(repository.path)
    listed = {
        path: entry.split()
        for path, entry in found.tree(sha).items()
        if path.startswith(".github/") and entry.startswith("100")
    }
    if len(listed) > MAX_GITHUB_FILES:
        raise PushforwardError(f".github has {len(listed)} files; the limit is {MAX_GITHUB_FILES}")
    sizes = found.git("cat-file", "--batch-check=%(objectsize)", stdin=_lines(entry[1] for entry in listed.values()))
    if sum(int(size) for size in sizes.text.split()) > MAX_GITHUB_BYTES:
        raise PushforwardError(f".github has more than {MAX_GITHUB_BYTES >> 20} MiB")
    stream = found.git("cat-file", "--batch", stdin=_lines(entry[1] for entry in listed.values())).stdout
    at = 0
    for path, (mode, _) in listed.items():
        header = stream.index(b"\n", at)
        size = int(stream[at:header].split()[2])
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(stream[header + 1 : header + 1 + size])
        target.chmod(0o755 if mode == "100755" else 0o644)
        at = header + size + 2


class Place:
    """The folders and files of a run, all of them in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.log, self.json_log = self.folder / "log.txt", self.folder / "log.jsonl"
        self.input = self.folder / "input"  # read-only inside of the jail
        self.source = self.input / "source"  # `.github` as it was pushed
        self.cwd = self.input / "cwd"
        self.event = self.input / "event.json"
        self.empty = self.input / "empty"
        self.no_terminal = self.input / "no-terminal"
        self.box = self.folder / "box"  # all that steps may write
        self.work, self.home, self.temporary = self.box / "work", self.box / "home", self.box / "tmp"
        self.scratch = self.folder / "jail"

    @classmethod
    def make(cls, folder: Path, artifacts: Path) -> "Place":
        """Make the folders of a run, and the one that its workflows share."""
        place = cls(folder)
        if folder.exists() and any(folder.iterdir()):
            raise PushforwardError(f"{folder} is not empty: every run needs a folder of its own")
        inside = (place.source / FOLDER, place.cwd, place.work, place.home, place.temporary, place.scratch)
        for path in (*inside, artifacts):
            path.mkdir(parents=True, exist_ok=True)
        # A real file: act reads its files of variables from wherever this leads.
        place.empty.touch()
        place.no_terminal.write_text(NO_TERMINAL)
        return place


@dataclass(frozen=True)
class Names:
    """What the folders that steps are run from are called inside of the jail. `link` is a folder of links, if any."""

    box: Path
    actions: Path
    link: Path | None = None

    @classmethod
    def of(cls, place: Place, jail: Jail) -> "Names":
        """As they are called outside where nothing in that would be cut; else a jail shows them elsewhere too.

        Without a jail links of this run's own lead there.
        """
        if PLAIN_PATH.fullmatch(f"{place.box}{ACTIONS}"):
            return cls(place.box, ACTIONS)
        root = PLAIN if jail.kind != "none" else Path(tempfile.mkdtemp(prefix="pushforward-"))
        names = cls(root / "box", root / "actions", root if jail.kind == "none" else None)
        if names.link:
            names.box.symlink_to(place.box)
            names.actions.symlink_to(ACTIONS)
        return names

    def placed(self, place: Place) -> dict[Path, Path]:
        """Name inside -> folder, of those that have another one there."""
        return {} if self.box == place.box else {self.box: place.box, self.actions: ACTIONS}


def _lines(words: Iterator[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def clean_up(place: Place, names: Names, unjailed: Mapping[str, str] | None) -> None:
    """Delete what steps made; without a jail, first end what they left running."""
    if unjailed:
        mark = f"HOME={unjailed['HOME']}".encode()
        for process in processes.every():
            if mark in process.environment():
                with suppress(OSError):
                    os.kill(process.pid, signal.SIGKILL)
    _remove(place.box, place.scratch, place.source, place.cwd, *([names.link] if names.link else []))


def _remove(*folders: Path) -> None:
    """Delete folders, also where steps took the permissions away, or nested deeper than a path can be long."""
    found = [str(folder) for folder in folders if folder.exists() and not folder.is_symlink()]
    for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf", "--one-file-system"]) if found else ():
        quiet = subprocess.DEVNULL
        subprocess.run([*command, "--", *found], stdin=quiet, stdout=quiet, stderr=quiet, check=False)


def settle(artifacts: Path, own: Iterable[Path]) -> Iterator[str]:
    """Make what a run leaves safe to read and to delete: emptied where it is too much, and then why."""
    for folder in (artifacts, *own):
        try:
            if folder == artifacts:
                artifact_folder.scrub(folder)
            for path in artifact_folder.below(folder):
                reclaim(path)
        except PushforwardError as wrong:
            _remove(folder)
            folder.mkdir()
            yield wrong.message
        reclaim(folder)
