"""How many pushes a server takes, and whether it loses any: `python benchmarks/push.py [--seconds 600]`.

A real server of the toy project, made by `pushforward init`; what is pushed are new commits of a tree that is judged
already, so that every push goes the whole way but trains nothing. First two people push without waiting, and next to it
the same pushes go to a bare repository whose hook is empty. Then four people push and wait for their verdicts. Exits 1
below 300 pushes a minute, above 300 ms at the 95th percentile, or where an accepted commit has not exactly one verdict.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.team import make_team

from pushforward.git.repository import Repository
from pushforward.report import notes

ROOT = Path(__file__).parent.parent
RATE, LIMIT_SECONDS = 300, 0.3  # pushes a minute, and the 95th percentile
DRAIN_SECONDS = 600


@dataclass
class Pusher:
    """Somebody with a clone and a branch of their own; each push is one new commit of the same tree."""

    clone: Path
    branch: str
    accepted: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def git(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run git in the clone."""
        return subprocess.run(["git", "-C", str(self.clone), *args], capture_output=True, text=True, check=False)

    def push(self, *options: str) -> None:
        """Commit and push; only the push is timed."""
        parent = self.accepted[-1] if self.accepted else "origin/main"
        number = str(len(self.accepted))
        commit = self.git("commit-tree", f"{parent}^{{tree}}", "-p", parent, "-m", number).stdout.strip()
        began = time.perf_counter()
        done = self.git("push", "-q", *options, "origin", f"{commit}:refs/heads/{self.branch}")
        self.took.append(time.perf_counter() - began)
        if done.returncode == 0:
            self.accepted.append(commit)
        else:
            self.refused.append(done.stderr)


def side_by_side(pushers: list[Pusher], go_on: Callable[[Pusher], bool], *options: str) -> float:
    """Have everybody push, one push after the other, while `go_on` says so; the seconds that it took."""

    def work(pusher: Pusher) -> None:
        while go_on(pusher):
            pusher.push(*options)

    began = time.perf_counter()
    with ThreadPoolExecutor(len(pushers)) as people:
        list(people.map(work, pushers))
    return time.perf_counter() - began


def line(what: str, pushers: list[Pusher], seconds: float) -> tuple[float, float]:
    """Print pushes, rate and times; pushes a minute and the 95th percentile in seconds."""
    took = sorted(second for pusher in pushers for second in pusher.took)
    rate, p95 = 60 * len(took) / seconds, took[int(0.95 * (len(took) - 1))]
    print(f"{what:<34}{len(took):>7}{rate:>9.0f}{1000 * statistics.median(took):>9.0f}{1000 * p95:>9.0f}", flush=True)
    return rate, p95


def people(folder: Path, bare: Path, names: Iterator[str]) -> list[Pusher]:
    """Everybody's own clone."""
    found = []
    for name in names:
        clone = folder / name
        subprocess.run(["git", "clone", "-q", str(bare), str(clone)], check=True)
        found.append(Pusher(clone, name))
    return found


def judged(bare: Path, pushers: list[Pusher]) -> list[str]:
    """What is wrong with the verdicts of all that was accepted: nothing, if each commit has exactly one."""
    repository, wrong = Repository(bare), []
    found = notes.kept(repository)
    for pusher in pushers:
        for commit in pusher.accepted:
            count = len(notes.read(repository, commit)) if commit in found else 0
            wrong += [] if count == 1 else [f"{pusher.branch} {commit[:9]} has {count} verdicts"]
    return wrong


def drain(bare: Path, pushforward: Path, pushers: list[Pusher]) -> list[str]:
    """Wait until the server has nothing left to do, then look at the verdicts."""
    end = time.monotonic() + DRAIN_SECONDS
    while wrong := judged(bare, pushers):
        if time.monotonic() > end:
            break
        subprocess.run([str(pushforward), "dispatch", "--bare", str(bare)], capture_output=True, check=False)
    return wrong


def empty_hooked(bare: Path, folder: Path) -> Path:
    """A copy of the repository and its settings, whose one hook accepts everything."""
    copy = folder / "empty.git"
    shutil.copytree(bare, copy, ignore=shutil.ignore_patterns("pushforward", "hooks"))
    (copy / "hooks").mkdir()
    hook = copy / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    Repository(copy).git("config", "core.hooksPath", str(copy / "hooks"))
    return copy


def main() -> None:
    """Measure, print, and fail where the server is slower than it may be or has lost something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=60, help="of each of the two who do not wait")
    parser.add_argument("--seconds", type=float, default=20, help="for which the four who wait push")
    parser.add_argument("--pushers", type=int, default=4)
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="pushforward-push-") as name:
        folder = Path(name)
        os.environ |= {"HOME": name, "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org"}
        os.environ |= {"GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.org"}
        team = make_team(folder)
        said = team.push()
        if "toy@v1.0.0" not in said:
            sys.exit(said)
        empty = empty_hooked(team.bare, folder)
        print(f"{'':<34}{'pushes':>7}{'a minute':>9}{'p50 ms':>9}{'p95 ms':>9}")

        plain = people(folder, empty, (f"plain-{number}" for number in range(2)))
        seconds = side_by_side(plain, lambda pusher: len(pusher.took) < options.pushes)
        _, yardstick = line("empty hook, two people", plain, seconds)
        hasty = people(folder, team.bare, (f"hasty-{number}" for number in range(2)))
        began = time.perf_counter()
        seconds = side_by_side(hasty, lambda pusher: len(pusher.took) < options.pushes, "-o", "ci.detach")
        rate, p95 = line("policy, two who do not wait", hasty, seconds)
        command = team.python.parent / "pushforward"
        wrong = drain(team.bare, command, hasty)
        accepted = sum(len(pusher.accepted) for pusher in hasty)
        print(f"{'  until the last verdict':<34}{accepted:>7}{60 * accepted / (time.perf_counter() - began):>9.0f}")
        print(f"  the policy takes {p95 / yardstick:.1f} times as long as an empty hook")

        patient = people(folder, team.bare, (f"patient-{number}" for number in range(options.pushers)))
        end = time.perf_counter() + options.seconds
        seconds = side_by_side(patient, lambda _: time.perf_counter() < end)
        line(f"verdict, {options.pushers} who wait for {options.seconds:g} s", patient, seconds)
        wrong += drain(team.bare, command, patient)
        count = sum(len(pusher.accepted) for pusher in (*hasty, *patient))
        print(f"  {count} commits accepted, {count - len(wrong)} with exactly one verdict")
        refused = [text for pusher in (*plain, *hasty, *patient) for text in pusher.refused]
    faults = [*wrong[:10], *refused[:3]]
    faults += [f"{rate:.0f} pushes a minute are fewer than {RATE}"] if rate < RATE else []
    faults += [f"p95 of {1000 * p95:.0f} ms is above {1000 * LIMIT_SECONDS:.0f} ms"] if p95 > LIMIT_SECONDS else []
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
