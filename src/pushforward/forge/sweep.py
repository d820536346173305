"""The sweep: judges, one after the other, everything that waits at a forge's desk. `pushforward forge sweep` calls it.

It takes nothing from whoever started it but the hour. Each commit is judged by the verbs that other forges call as
steps, each a process of its own, in a checkout of the default branch; what a run has left is read as hostile data.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pushforward import process
from pushforward.errors import TOOL, PushforwardError
from pushforward.forge import desk as desks
from pushforward.forge.desk import ERROR, FAILURE, Desk, Waiting
from pushforward.git import remote as remotes
from pushforward.git.repository import Repository
from pushforward.text import clean_lines

HANDOVER, VERDICT = "handover", "verdict"
JUDGED = "judged"  # what is left for whoever promotes: a folder each


@dataclass(frozen=True)
class Sweep:
    """A checkout of the default branch, and the desk of its forge."""

    root: Path
    desk: Desk
    branch: str
    say: Callable[[str], None]

    @property
    def repository(self) -> Repository:
        """The checkout."""
        return Repository(self.root)

    def run(self) -> list[Waiting]:
        """Judge everything that waits; what was judged. One that cannot be judged is told of, and keeps up nothing."""
        shutil.rmtree(self.root / JUDGED, ignore_errors=True)
        judged = []
        for waiting in self.desk.waiting():
            self.say(f"{waiting.head[:9]} of {waiting.branch}")
            try:
                self._judge(waiting)
            except PushforwardError as failed:
                self.say(f"not judged: {failed}")
                self._refuse(waiting, ERROR, desks.UNJUDGED, final=False)  # the next sweep tries again
                continue
            judged.append(waiting)
            self.desk.done(waiting)
        return judged

    def _judge(self, waiting: Waiting) -> None:
        given = self._question(waiting)
        if given is None:
            return
        for name in (HANDOVER, VERDICT):
            shutil.rmtree(self.root / name, ignore_errors=True)
        self._take(waiting)
        self._verb(given, "gate")
        self._verb({}, "report", "--from", VERDICT)
        try:
            self._verb({}, "record")
        except PushforwardError as failed:  # a history that cannot be written is told in the log; the verdict stands
            self.say(str(failed))
        desks.tell(self.desk, waiting, self.root / VERDICT, self.say)
        if waiting.pull is None:
            kept = self.root / JUDGED
            place = kept / f"{len(list(kept.glob('*'))):04}-{waiting.head}"  # in the order of the pushes
            for name in (HANDOVER, VERDICT):
                if (self.root / name).is_dir():
                    shutil.copytree(self.root / name, place / name, symlinks=True)

    def _take(self, waiting: Waiting) -> None:
        """Take what the run has left; where its author has made something else of it, `gate` says what is missing."""
        try:
            self.desk.take(waiting, self.root / HANDOVER)
        except PushforwardError as failed:
            if failed.exit_code == TOOL:
                raise
            self.say(failed.message)

    def _question(self, waiting: Waiting) -> dict[str, str] | None:
        """What `gate` is told; None where there is nothing to ask, for the branch conflicts."""
        told = {"PUSHFORWARD_HEAD": waiting.head, "PUSHFORWARD_REF": waiting.branch}
        if waiting.pull is None:
            return told | {"PUSHFORWARD_EVENT": "push"}
        target = self.repository.commit(fetched(self.repository, f"refs/heads/{self.branch}"))
        fetched(self.repository, self.desk.ref(waiting))
        merge, conflicts = self.repository.merge_commit(target, self.repository.commit(waiting.head))
        if merge is None:
            words = f"conflicts with {self.branch} in {', '.join(conflicts[:5])}: rebase it, and push again"
            self._refuse(waiting, FAILURE, words, final=True)
            return None
        event = {"PUSHFORWARD_EVENT": "pull_request", "PUSHFORWARD_PULL": str(waiting.pull)}
        return told | event | {"PUSHFORWARD_MERGE": merge}

    def _refuse(self, waiting: Waiting, state: str, words: str, *, final: bool) -> None:
        """Say on the commit why there is no verdict."""
        self.say(words)
        try:
            desks.set_status(self.desk, waiting, state, words, final=final)
        except PushforwardError as failed:
            self.say(f"that is not on the commit: {failed.message}")

    def _verb(self, given: Mapping[str, str], *words: str) -> None:
        verb(self.root, self.say, words, given)


def promote(root: Path, say: Callable[[str], None]) -> int:
    """Promote what a sweep has left of pushes to the default branch, oldest first; how many that were."""
    folders = sorted((root / JUDGED).glob("*"))
    for folder in folders:
        places = ("--from", str(folder / VERDICT), "--handover", str(folder / HANDOVER))
        verb(root, say, ("promote", *places))
        verb(root, say, ("record", "--tagged", *places))
    return len(folders)


def verb(root: Path, say: Callable[[str], None], words: Sequence[str], given: Mapping[str, str] | None = None) -> None:
    """Run a verb of ours as a step would, and say what it said; an error where it fails."""
    command = [sys.executable, "-m", "pushforward", *words]
    done = process.run(command, cwd=root, env={**os.environ, **(given or {})}, check=False)
    for line in clean_lines((done.stdout + done.stderr).decode("utf-8", "replace")).splitlines():
        say(f"  {line.strip()}")
    if done.returncode != 0:
        raise PushforwardError(f"`pushforward {words[0]}` failed, with status {done.returncode}", exit_code=TOOL)


def fetched(repository: Repository, ref: str) -> str:
    """Fetch a ref of the forge, under a name of its own here; that name."""
    remote = remotes.followed(repository)
    if remote is None:
        raise PushforwardError("this checkout has no git remote", next="git remote add origin URL")
    here = f"refs/remotes/{remote.name}/{ref.removeprefix('refs/').removeprefix('heads/')}"
    repository.remote("fetch", "-q", "--no-tags", remote.name, f"+{ref}:{here}")
    return here
