"""Stages side by side: what waits for nothing more begins before its turn, as many at once as the settings allow.

DVC takes one stage after the other, and goes on doing so: in its turn it asks whether a stage is to run, looks for what
is remembered of it, hashes and records. Only the commands of a stage may be at work, or done, by then. A stage begins
early that is sure to run: its dependencies, all made, differ from those in the lock, and the run cache has no answer.
"""

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from pushforward.pipeline import patches
from pushforward.pipeline.stages import Listener

STOP_SECONDS = 5.0  # for a command that is asked to end, until it is killed
SAY_SECONDS = 0.2  # between two looks at what a command has said whose turn it is
SAY_BYTES = 65_536


@contextlib.contextmanager
def abreast(jobs: int, listener: Listener) -> Iterator[None]:
    """Have DVC run up to `jobs` stages at once inside of this block; those at work at its end are stopped."""
    if jobs < 2:
        yield
        return
    from dvc.stage import Stage, run

    turns: Any = importlib.import_module("dvc.repo.reproduce")
    before = turns._reproduce, run.cmd_run, Stage.remove_outs
    line: list[_Line] = []

    def reproduce(stages: Sequence[Any], graph: Any = None, **options: Any) -> Any:
        line[:] = [_Line(stages, graph, jobs, listener)]

        def turn(stage: Any, **given: Any) -> Any:
            line[0].reach(stage)
            done = turns._reproduce_stage(stage, **given)
            line[0].passed.add(stage)
            return done

        try:
            return before[0](stages, graph=graph, repro_fn=turn, **options)
        finally:
            line.pop().stop()

    def cmd_run(stage: Any, *args: Any, **options: Any) -> None:
        early = line[0].begun.get(stage) if line else None
        if early is not None:
            early.tell(stage, listener)
            return
        if line:
            stage.repo.lock.lock()  # which DVC lets go of while commands run, and wants for every look at a stage
            try:
                line[0].fill(beside=1)
            finally:
                stage.repo.lock.unlock()
        before[1](stage, *args, **options)

    def remove_outs(stage: Any, *args: Any, **options: Any) -> None:
        if not line or stage not in line[0].begun:  # whose outs were removed before its commands began
            before[2](stage, *args, **options)

    turns._reproduce, run.cmd_run, Stage.remove_outs = reproduce, cmd_run, remove_outs
    try:
        yield
    finally:
        turns._reproduce, run.cmd_run, Stage.remove_outs = before


class _Line:
    """The stages in the order of their turns: which have had it, which have begun before it."""

    def __init__(self, stages: Sequence[Any], graph: Any, jobs: int, listener: Listener) -> None:
        import networkx

        self._jobs, self._listener = jobs, listener
        self.passed: set[Any] = set()
        self.begun: dict[Any, _Early] = {}
        # stages that nobody has looked at yet, and all that each needs
        self._ahead = {stage: networkx.descendants(graph, stage) if graph else set() for stage in stages}

    def reach(self, stage: Any) -> None:
        """It is this stage's turn: where it has begun, others begin too. `cmd_run` waits for it."""
        self._ahead.pop(stage, None)
        if stage in self.begun:
            self.fill()

    def fill(self, beside: int = 0) -> None:
        """Begin with stages that are ready and sure to run, up to `jobs` at once; `beside` are at work already."""
        for stage in [*self._ahead]:
            if beside + sum(early.is_at_work for early in self.begun.values()) >= self._jobs:
                return
            if self._ahead[stage] <= self.passed:
                del self._ahead[stage]  # what is found of it now holds until its turn
                if _is_due(stage):
                    stage.remove_outs(ignore_remove=False, force=False)
                    self._listener.begins(stage.addressing)
                    self.begun[stage] = _Early(stage)

    def stop(self) -> None:
        """End what is still at work: a stage before it has failed."""
        for early in self.begun.values():
            early.stop()


class _Early:
    """The commands of a stage at work before its turn: one after the other, what they say is held in a file."""

    def __init__(self, stage: Any) -> None:
        from dvc.stage import run

        self._given = run.prepare_kwargs(stage)
        self._shell = run.get_executable()
        self._commands = [(cmd, run._make_cmd(self._shell, cmd)) for cmd in run._enforce_cmd_list(stage.cmd)]
        self._words = tempfile.TemporaryFile()  # noqa: SIM115, closed by `tell` or `stop`
        self._began = time.monotonic()
        self._seconds = 0.0
        self._failed: Exception | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._changing = threading.Lock()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def is_at_work(self) -> bool:
        """Whether its commands have not ended."""
        return self._thread.is_alive()

    def tell(self, stage: Any, listener: Listener) -> None:
        """Wait for its commands, and say what DVC says of commands in their turn, and what they say themselves.

        Raises as DVC does where one failed.
        """
        from dvc.stage import run

        run.logger.info("Running stage '%s':", stage.addressing)
        for cmd, _ in self._commands:
            run.display_command(cmd)
        sys.stdout.flush()
        told = 0
        while self.is_at_work:
            told += self._pass_on(told)
            self._thread.join(SAY_SECONDS)
        while more := self._pass_on(told):
            told += more
        self._words.close()
        listener.took(self._seconds)
        if self._failed is not None:
            raise self._failed

    def _pass_on(self, begin: int) -> int:
        """Say what the commands have said from there on, up to some size; how many bytes that was."""
        return os.write(1, os.pread(self._words.fileno(), SAY_BYTES, begin))

    def stop(self) -> None:
        """End its commands, where they are at work, and all that the one at work has started."""
        with self._changing:
            self._stopped = True
            child = self._child
        if child is not None and child.poll() is None:
            for how in (signal.SIGTERM, signal.SIGKILL):  # what ignores the first outlives its shell
                with contextlib.suppress(ProcessLookupError):  # all of the group have ended
                    os.killpg(child.pid, how)
                self._thread.join(STOP_SECONDS)
        self._thread.join()
        self._words.close()

    def _work(self) -> None:
        from dvc.stage.exceptions import StageCmdFailedError

        for cmd, words in self._commands:
            try:
                with self._changing:
                    if self._stopped:
                        return
                    # a group of its own, so that all of it can be stopped
                    self._child = subprocess.Popen(
                        words, stdout=self._words, stderr=subprocess.STDOUT, process_group=0, **self._given
                    )
                status = self._child.wait()
            except OSError as failed:  # as DVC would raise it in the stage's turn
                self._failed = failed
                break
            if status != 0:
                self._failed = StageCmdFailedError(cmd, status)
                break
        self._seconds = time.monotonic() - self._began


def _is_due(stage: Any) -> bool:
    """Whether a stage, all that it needs made, is sure to run, and may before its turn."""
    from dvc.dependency import DatasetDependency, DbDependency

    if not stage.cmd or stage.frozen or stage.always_changed or stage.is_callback or stage.is_import:
        return False
    if any(out.persist for out in stage.outs):  # what it adds to may be read until then
        return False
    if any(isinstance(dep, (DatasetDependency, DbDependency)) or not dep.exists for dep in stage.deps):
        return False
    differs = stage.changed_stage() or stage.changed_deps(allow_missing=True) or patches.not_in_lock(stage)
    return bool(differs) and not _is_remembered(stage)


def _is_remembered(stage: Any) -> bool:
    """Whether the run cache knows what a stage makes of what is here. What the stage knows of that stays as it was."""
    from dvc.stage import cache

    before = [(dep, dep.hash_info, dep.meta, dep.obj) for dep in stage.deps]
    stage.save_deps()
    try:
        return bool(cache._can_hash(stage) and stage.repo.stage_cache._load(stage))
    finally:
        for dep, *known in before:
            dep.hash_info, dep.meta, dep.obj = known
