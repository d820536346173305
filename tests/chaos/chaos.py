"""Chaos: pushers, promoters, reviewers and readers against one server, while a nemesis kills, fills, loses and damages.

    python tests/chaos/chaos.py --seconds 60 --seed 7

Every operation is logged as it begins and as it ends (ok, refused, unknown). Afterwards the server is left to finish
its work, is moved to another folder, and is pushed to there. Then the log is held against what it holds: `checks.py`
says what must be true whatever died.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import checks

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
PATIENCE_SECONDS = 120
ROOM_MIB = 3000
BALLAST = "ballast"
NOTES = Path("refs/notes/pushforward")
DAMAGE = "deadbeef\n"
CLOCKS = ["1970-01-02T00:00:00Z", "2099-01-01T00:00:00Z"]  # of clients whose clock is wrong
# What the nemesis looks for in command lines, from the client to the innermost child.
PREY = {
    "client": ("git", "push"),
    "hook": ("pushforward.policy.hook",),
    "follower": ("pushforward.server.post_receive",),
    "dispatcher": ("pushforward.server.dispatch",),
    "act": ("/bin/act",),
    "training": ("toy.pipeline",),
    "judge": ("pushforward", "gate"),
    "promotion": ("pushforward", "promote"),
}


@dataclass
class Log:
    """What was asked and what came of it, in the order in which it was known."""

    path: Path
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, **entry: Any) -> None:
        with self.lock, self.path.open("a") as handle:
            handle.write(json.dumps({"at": round(time.monotonic(), 3)} | entry) + "\n")
            if "result" in entry:
                self.counts[f"{entry['op']} {entry['result']}"] += 1

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@dataclass
class World:
    """One server on a disk of its own, and everybody's clones."""

    folder: Path
    log: Log
    mounted: bool
    stop: threading.Event = field(default_factory=threading.Event)
    rest: threading.Event = field(default_factory=threading.Event)  # what waited is judged, and nobody says a word more
    name: str = "toy.git"

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    @property
    def bare(self) -> Path:
        return self.disk / self.name

    @property
    def store(self) -> Path:
        return self.disk / "store"

    def clone(self, name: str) -> Path:
        return self.folder / "clones" / name


def environment(world: World, **extra: str) -> dict[str, str]:
    home = world.folder / "home"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "PUSHFORWARD_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    kept.pop("CI", None)
    return kept | {"HOME": str(home), "PATH": f"{PYTHON.parent}:{os.environ['PATH']}", "TZ": "UTC"} | extra


def run(world: World, folder: Path, *argv: str, **extra: str) -> tuple[int | None, str]:
    """The status of a command and what it said; None where it did not end in time."""
    child = subprocess.Popen(
        argv, cwd=folder, env=environment(world, **extra), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = child.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        said, _ = child.communicate()
        return None, said.decode("utf-8", "replace")
    return child.returncode, said.decode("utf-8", "replace")


def must(world: World, folder: Path, *argv: str) -> str:
    status, said = run(world, folder, *argv)
    if status != 0:
        raise SystemExit(f"{' '.join(argv)} ended with {status}:\n{said}")
    return said


def result_of(status: int | None) -> str:
    # a client that was killed does not know what became of its push
    return "unknown" if status is None or status < 0 else "ok" if status == 0 else "refused"


def build(world: World) -> None:
    """A server of the toy project with two versions, and the clones of everybody."""
    sys.path.insert(0, str(ROOT))
    from tests import team as toys

    (world.folder / "home").mkdir()
    (world.folder / "clones").mkdir()
    origin = world.disk / "toy"
    toys.make_toy(origin)
    key = world.folder / "home" / "key"
    must(world, world.folder, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key))
    for name, value in {
        "user.name": "Ann",
        "user.email": "ann@example.org",
        "gpg.format": "ssh",
        "user.signingkey": f"{key}.pub",
        "init.defaultBranch": "main",
        "advice.detachedHead": "false",
    }.items():
        must(world, world.folder, "git", "config", "--global", name, value)
    must(world, origin, "git", "init", "-q")
    (origin / "README.md").write_text("toy\n")
    follow(origin)
    must(world, origin, "git", "add", "-A")
    must(world, origin, "git", "commit", "-q", "-m", "Begin")
    must(world, origin, "pushforward", "init")
    must(world, origin, "pushforward", "trust", f"{key}.pub", "--for", "accept")
    said = must(world, origin, "git", "push", "local", "main")
    let_a_month_arrive(origin / "params.yaml", random.Random(0))
    must(world, origin, "git", "commit", "-q", "-a", "-m", "Let a month arrive")
    said += must(world, origin, "git", "push", "local", "main")
    if "toy@v1.0.1" not in said:
        raise SystemExit(f"two pushes made no two versions:\n{said}")


def follow(origin: Path) -> None:
    """Two workflows that follow `train` beside the judge, one of them red, one behind the first, and a clock's."""
    after = "{workflow_run: {workflows: [%s], types: [completed]}}"
    flows = {
        "notify": (after % "train", "echo told"),
        "alert": (after % "train", "exit 1"),
        "behind": (after % "notify", "echo after"),
        "tick": ("{schedule: [{cron: '* * * * *'}]}", "echo tick"),
    }
    for name, (on, script) in flows.items():
        step = f"{{runs-on: ubuntu-latest, steps: [{{run: {script}}}]}}"
        path = origin / ".github" / "workflows" / f"{name}.yml"
        path.write_text(f"name: {name}\non: {on}\njobs: {{one: {step}}}\n")
    settings = origin / "pushforward.yaml"
    names = ", ".join(["train", "judge", "release", *flows])
    settings.write_text(f"{settings.read_text()}server: {{workflows: [{names}]}}\n")


def join(world: World, name: str) -> Path:
    """A clone of the server for `name`."""
    folder = world.clone(name)
    must(world, world.folder, "git", "clone", "-q", "-o", "local", str(world.bare), str(folder))
    return folder


def sync(world: World, clone: Path) -> None:
    run(world, clone, "git", "fetch", "-q", "--tags", "--force", "local")


class Pusher(threading.Thread):
    """Pushes to a branch of its own, and to main: texts, parameters, rewritten history, commits of another century."""

    def __init__(self, world: World, name: str, seed: int) -> None:
        super().__init__(name=name)
        self.world, self.random, self.clone = world, random.Random(seed), join(world, name)
        self.count = 0

    def run(self) -> None:
        while not self.world.stop.is_set():
            kind = self.random.choices(["text", "train", "main-text", "main-train", "rewrite"], [20, 25, 15, 30, 10])[0]
            self.push(kind)

    def push(self, kind: str) -> None:
        world, clone, branch = self.world, self.clone, "main" if kind.startswith("main") else self.name
        sync(world, clone)
        start = f"refs/remotes/local/{branch}"
        if run(world, clone, "git", "rev-parse", "-q", "--verify", start)[0] != 0:
            start = "refs/remotes/local/main"
        run(world, clone, "git", "checkout", "-q", "-f", "--detach", start)
        self.count += 1
        if kind.endswith("train"):
            arrives = kind == "main-train" and self.random.random() < 0.35
            (let_a_month_arrive if arrives else shift)(clone / "params.yaml", self.random)
        else:
            (clone / "README.md").write_text(f"{self.name} {self.count}\n")
        amend = ["--amend"] if kind == "rewrite" and "main" not in start else []
        clock = {"GIT_COMMITTER_DATE": self.random.choice(CLOCKS)} if self.random.random() < 0.2 else {}
        run(world, clone, "git", "commit", "-q", "-a", *amend, "-m", f"{kind} {self.count} of {self.name}", **clock)
        head = run(world, clone, "git", "rev-parse", "HEAD")[1].strip()
        force = ["--force"] if amend else []
        entry = {"op": "push", "who": self.name, "kind": kind, "ref": f"refs/heads/{branch}", "new": head}
        world.log.write(**entry)
        option = self.random.choice([[], [], ["-o", "ci.detach"]])
        status, said = run(world, clone, "git", "push", *force, *option, "local", f"HEAD:refs/heads/{branch}")
        world.log.write(**entry, result=result_of(status), said=said[-400:])
        if status:
            world.stop.wait(self.random.uniform(0.2, 1))  # as people do: a full disk is not asked at once again


def shift(params: Path, numbers: random.Random) -> None:
    """Another model, no better than the one before."""
    lines = params.read_text().splitlines()
    told = f"  shift: {numbers.randrange(1, 400) / 10000}"
    params.write_text("\n".join(told if line.startswith("  shift:") else line for line in lines) + "\n")


def let_a_month_arrive(params: Path, _: random.Random) -> None:
    """The month after the last, with the recipe of the beginning: a version, as a rule."""
    lines = ["  shift: 0.0" if line.startswith("  shift:") else line for line in params.read_text().splitlines()]
    last = max(number for number, line in enumerate(lines) if re.fullmatch(r'    - "\d{4}-\d\d"', line))
    year, month = int(lines[last][7:11]), int(lines[last][12:14])
    lines.insert(last + 1, f'    - "{year + month // 12}-{month % 12 + 1:02d}"')
    params.write_text("\n".join(lines) + "\n")


class Promoter(threading.Thread):
    """Puts versions to use in production, takes them back, and pushes tags of another century."""

    def __init__(self, world: World, name: str, seed: int) -> None:
        super().__init__(name=name)
        self.world, self.random, self.clone = world, random.Random(seed), join(world, name)

    def run(self) -> None:
        while not self.world.stop.wait(self.random.uniform(0.2, 2)):
            sync(self.world, self.clone)
            versions = run(self.world, self.clone, "git", "tag", "--list", "toy@v*")[1].split()
            kind = self.random.choices(["release", "rollback", "forged"], [50, 30, 20])[0]
            if versions:
                getattr(self, kind)(self.random.choice(versions))

    def _do(self, op: str, *argv: str, **extra: str) -> None:
        self.world.log.write(op=op, who=self.name, argv=argv)
        status, said = run(self.world, self.clone, *argv, **extra)
        self.world.log.write(op=op, who=self.name, result=result_of(status), said=said[-400:])

    def release(self, version: str) -> None:
        self._do("release", "pushforward", "release", version, "--older", "-m", "chaos")

    def rollback(self, _: str) -> None:
        self._do("rollback", "pushforward", "rollback", "production", "-m", "chaos")

    def forged(self, version: str) -> None:
        """A tag with a clock that is wrong, and a version that nobody has judged."""
        name = self.random.choice([f"toy#production#{self.random.randrange(1, 400)}", "toy@v9.9.9"])
        date = self.random.choice(CLOCKS)
        target = f"refs/tags/{version}^{{commit}}"
        run(self.world, self.clone, "git", "tag", "-f", "-s", "-m", "forged", name, target, GIT_COMMITTER_DATE=date)
        self._do("forged", "git", "push", "local", f"refs/tags/{name}")
        run(self.world, self.clone, "git", "tag", "-d", name)


class Reviewer(threading.Thread):
    """Accepts and rejects what was judged, on main and on branches: mostly what may be accepted, whoever else does."""

    def __init__(self, world: World, name: str, seed: int) -> None:
        super().__init__(name=name)
        self.world, self.random, self.clone = world, random.Random(seed), join(world, name)

    def run(self) -> None:
        # they go on while the last runs are judged: then words and looks meet most often
        while not self.world.rest.wait(self.random.uniform(0.2, 2)):
            sync(self.world, self.clone)
            tips = run(self.world, self.clone, "git", "for-each-ref", "--format=%(objectname)", "refs/remotes")[
                1
            ].split()
            recent = run(self.world, self.clone, "git", "rev-list", "-n", "6", "refs/remotes/local/main")[1].split()
            verb = self.random.choices(["accept", "reject"], [80, 20])[0]
            told = self.undecided()
            commit = self.random.choice(told if told and self.random.random() < 0.7 else [*tips, *recent, *recent])
            self.world.log.write(op=verb, who=self.name, commit=commit)
            option = ["--detach"] if verb == "accept" and self.random.random() < 0.5 else []
            status, said = run(self.world, self.clone, "pushforward", verb, commit, "-m", "chaos", *option)
            self.world.log.write(op=verb, who=self.name, commit=commit, result=result_of(status), said=said[-400:])

    def undecided(self) -> list[str]:
        """The commits judged last whose verdict a person may accept."""
        bare, found = self.world.bare, list[str]()
        newest = ["--sort=-creatordate", "--count=12", "--format=%(refname)", "refs/pushforward/verdict"]
        for ref in run(self.world, bare, "git", "for-each-ref", *newest)[1].split():
            for path in ("verdict.json", "pull/verdict.json"):
                status, text = run(self.world, bare, "git", "cat-file", "blob", f"{ref}:{path}")
                if status == 0 and json.loads(text)["verdict"] in checks.ACCEPTABLE:
                    found.append(ref.rpartition("/")[2])
        return found


class Cron(threading.Thread):
    """Has the server take up what waits, every few seconds, as a line of a crontab would."""

    def __init__(self, world: World) -> None:
        super().__init__(name="cron")
        self.world = world

    def run(self) -> None:
        while not self.world.stop.wait(4):
            run(self.world, self.world.folder, "pushforward", "dispatch", "--bare", str(self.world.bare))


class Reader(threading.Thread):
    """Asks what is in use; a counter never falls, a tag never changes."""

    def __init__(self, world: World, name: str, seed: int) -> None:
        super().__init__(name=name)
        self.world, self.random = world, random.Random(seed)
        self.seen: dict[str, str] = {}

    def run(self) -> None:
        while not self.world.stop.wait(self.random.uniform(0.1, 1)):
            form = "--format=%(refname) %(objectname)"
            status, said = run(self.world, self.world.folder, "git", "-C", str(self.world.bare), "for-each-ref", form,
                               "refs/tags")  # fmt: skip
            if status != 0:
                self.world.log.write(op="read", who=self.name, result="refused")
                continue
            tags = dict(line.split() for line in said.splitlines())
            changed = [name for name, value in self.seen.items() if tags.get(name) != value]
            self.seen |= tags
            self.world.log.write(op="read", who=self.name, result="wrong" if changed else "ok", changed=changed)


class Nemesis(threading.Thread):
    """Kills, stops, fills the disk and makes it read-only, loses objects and damages the reports, at random."""

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(name="nemesis")
        self.world, self.random = world, random.Random(seed)

    def run(self) -> None:
        harms: list[Callable[[], str]] = [self.kill] * 8 + [self.freeze, self.lose, self.damage]
        if self.world.mounted:
            harms += [self.fill, self.read_only]
        while not self.world.stop.wait(self.random.uniform(0.3, 2.5)):
            self.world.log.write(op="nemesis", result=self.random.choice(harms)())

    def _prey(self) -> tuple[str, list[int]]:
        kinds = list(PREY)
        self.random.shuffle(kinds)
        for kind in kinds:
            if found := list(processes(self.world, PREY[kind])):
                return kind, found
        return "nobody", []

    def kill(self) -> str:
        kind, found = self._prey()
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(found), signal.SIGKILL)
        return f"killed {kind}"

    def freeze(self) -> str:
        kind, found = self._prey()
        for process in found[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
                self.world.stop.wait(1)
                os.kill(process, signal.SIGCONT)
        return f"stopped {kind} for a second"

    def lose(self) -> str:
        """One file of a model, one table, or the list of what a folder holds, as a disk or a person loses it."""
        found = sorted(path for path in self.world.store.rglob("*") if path.is_file() and len(path.parent.name) == 2)
        if not found:
            return "found nothing to lose"
        lost = self.random.choice(found)
        aside = self.world.folder / f"lost-{lost.parent.name}{lost.name}"
        with contextlib.suppress(OSError):  # the disk is read-only, or somebody has taken it
            shutil.copy2(lost, aside)
            lost.unlink()
            self.world.stop.wait(self.random.uniform(0.5, 4))
            kind = "a list of files" if lost.suffix == ".dir" else "a file"
            return f"lost {kind} of the store: {put_back(self.world, lost, aside)}"
        return "could lose nothing"

    def damage(self) -> str:
        """The ref of all reports names an object that nobody has, as after a crash of the machine."""
        path = self.world.bare / NOTES
        with contextlib.suppress(OSError):
            before = path.read_text()
            if before.strip() == DAMAGE.strip():
                return "found the reports damaged"
            fresh = path.with_name("damage.lock")  # whole or not at all: a full disk would leave an empty ref
            fresh.write_text(DAMAGE)
            fresh.rename(path)
            self.world.stop.wait(self.random.uniform(0.2, 1.5))
            return f"damaged the reports: {mended(self.world, path, before)}"
        return "could damage nothing"

    def fill(self) -> str:
        ballast = self.world.disk / BALLAST
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as handle:
            while True:
                handle.write(b"x" * (1 << 20))
        self.world.stop.wait(self.random.uniform(0.5, 2))
        ballast.unlink(missing_ok=True)
        return "filled the disk"

    def read_only(self) -> str:
        remount(self.world.disk, "ro")
        self.world.stop.wait(self.random.uniform(0.5, 2))
        remount(self.world.disk, "rw")
        return "made the disk read-only"


def mend(world: World) -> None:
    """What every report of such trouble names as the next command."""
    run(world, world.folder, "pushforward", "check", "--bare", str(world.bare), "--quick", "--mend")


def put_back(world: World, lost: Path, aside: Path) -> str:
    """See to it that an object is there again, by the server's own means or, failing these, from the backup."""
    mend(world)
    if lost.is_file():
        aside.unlink()
        return "mended"
    lost.parent.mkdir(exist_ok=True)
    fresh = lost.with_name(f"{lost.name}.fresh")
    shutil.copy2(aside, fresh)
    fresh.rename(lost)
    aside.unlink()
    return "put back by hand"


def mended(world: World, path: Path, before: str) -> str:
    """See to it that the ref of the reports is whole, by the server's own means or, failing these, from the backup."""
    mend(world)
    if not path.is_file() or path.read_text() != DAMAGE:
        return "mended"
    path.write_text(before)
    return "put back by hand"


def move(world: World) -> list[str]:
    """Move the server at rest, and push to it at its new place; what is not as it was there."""
    world.bare.rename(world.disk / "moved.git")
    world.name = "moved.git"
    clone = join(world, "after-the-move")
    wrong = []
    for name, spec in {"forged version": "toy@v9.9.9", "forged use": "toy#production#399"}.items():
        run(world, clone, "git", "tag", "-s", "-m", "forged", spec, "HEAD")
        if run(world, clone, "git", "push", "local", f"refs/tags/{spec}")[0] == 0:
            wrong.append(f"a {name} was taken")
            must(world, world.bare, "git", "update-ref", "-d", f"refs/tags/{spec}")  # it would hide all else
    (clone / "README.md").write_text("moved\n")
    let_a_month_arrive(clone / "params.yaml", random.Random(0))
    must(world, clone, "git", "commit", "-q", "-a", "-m", "Push to the new place")
    head = must(world, clone, "git", "rev-parse", "HEAD").strip()
    entry = {"op": "push", "who": "after-the-move", "kind": "main-train", "ref": "refs/heads/main", "new": head}
    world.log.write(**entry)
    status, said = run(world, clone, "git", "push", "local", "HEAD:refs/heads/main")
    world.log.write(**entry, result=result_of(status), said=said[-400:])
    if status != 0 or f"pushforward report {head[:9]}" not in said:
        wrong.append(f"a push is not judged: {said[-300:]}")
    return wrong


def processes(world: World, words: tuple[str, ...]) -> Iterator[int]:
    """The processes of this server whose command line holds all of `words`."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().decode("utf-8", "replace").replace("\0", " ")
            if all(word in line for word in words) and (str(world.folder) in line or of_world(entry, world)):
                yield int(entry.name)


def of_world(entry: Path, world: World) -> bool:
    with contextlib.suppress(OSError):
        return str(world.folder) in (entry / "environ").read_bytes().decode("utf-8", "replace")
    return False


def remount(disk: Path, mode: str) -> None:
    for _ in range(50):
        # busy while somebody has a file open for writing: then it is not made read-only
        done = subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], capture_output=True, check=False)
        if done.returncode == 0:
            return
        if mode == "ro":
            return
        time.sleep(0.1)


@contextlib.contextmanager
def world_in(folder: Path) -> Iterator[World]:
    """A folder with a disk of its own where this machine lets us mount one."""
    disk = folder / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM_MIB}m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    world = World(folder, Log(folder / "operations.jsonl"), mounted=done.returncode == 0)
    if not world.mounted:
        print("no disk of its own can be mounted here: it is neither filled nor made read-only")
    try:
        yield world
    finally:
        for process in processes(world, ()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if world.mounted:
            subprocess.run(["umount", "-l", str(disk)], check=False)


def settle(world: World) -> int:
    """Let the server finish, as a cron job would; how many rounds it took."""
    for rounds in range(1, 30):
        status, said = run(world, world.folder, "pushforward", "dispatch", "--bare", str(world.bare))
        print(f"· dispatch {rounds}: {(said.strip().splitlines() or ['nothing was said'])[-1][:120]}", flush=True)
        if status == 0 and "nothing was waiting" in said:
            return rounds
        if "when the server is mended" in said:
            mend(world)
    log = (world.bare / "pushforward" / "dispatch.log").read_text(errors="replace")[-4000:]
    found = run(world, world.folder, "pushforward", "check", "--bare", str(world.bare), "--quick")[1]
    raise SystemExit(f"the server does not come to rest:\n{said}\n{found}\n{log}")


def chaos(
    folder: Path,
    *,
    seconds: float,
    seed: int,
    pushers: int = 3,
    promoters: int = 2,
    reviewers: int = 2,
    readers: int = 2,
) -> bool:
    """Run it and check; whether everything that must be true is."""
    with world_in(folder) as world:
        build(world)
        numbers = random.Random(seed)
        reviewing = [Reviewer(world, f"reviewer-{n}", numbers.randrange(1 << 30)) for n in range(reviewers)]
        threads: list[threading.Thread] = [
            *(Pusher(world, f"pusher-{n}", numbers.randrange(1 << 30)) for n in range(pushers)),
            *(Promoter(world, f"promoter-{n}", numbers.randrange(1 << 30)) for n in range(promoters)),
            *(Reader(world, f"reader-{n}", numbers.randrange(1 << 30)) for n in range(readers)),
            Nemesis(world, numbers.randrange(1 << 30)),
            Cron(world),
        ]
        started = time.monotonic()
        for thread in [*threads, *reviewing]:
            thread.start()
        while time.monotonic() - started < seconds and all(thread.is_alive() for thread in threads):
            time.sleep(0.2)
        world.stop.set()
        print("· at rest from here: no more pushes, no more troubles", flush=True)
        for thread in threads:
            thread.join(PATIENCE_SECONDS + 30)
        if world.mounted:
            remount(world.disk, "rw")
            (world.disk / BALLAST).unlink(missing_ok=True)
        rounds = settle(world)
        world.rest.set()
        for thread in reviewing:
            thread.join(PATIENCE_SECONDS + 30)
        settle(world)
        moved = move(world)
        settle(world)
        for what, count in sorted(world.log.counts.items()):
            print(f"{count:6} {what}")
        found = checks.check(world.bare, world.log.entries(), run=lambda *argv: run(world, world.folder, *argv))
        found.note("a server that was moved at rest polices and judges what comes", moved)
        for verdict, count in found.verdicts.most_common():
            print(f"{count:6} main {verdict}")
        for line in found.passed:
            print(f"ok     {line}")
        for line in found.broken:
            print(f"BROKEN {line}")
        print(f"seed {seed}, {seconds:.0f} s, at rest after {rounds} dispatches: {'BROKEN' if found.broken else 'ok'}")
        if found.broken:
            kept = Path(tempfile.mkdtemp(prefix="pushforward-chaos-"))
            shutil.copytree(world.disk, kept / "disk", symlinks=True)
            shutil.copy(world.log.path, kept)
            print(f"the server and the operations are kept in {kept}")
        return not found.broken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--pushers", type=int, default=3)
    parser.add_argument("--promoters", type=int, default=2)
    parser.add_argument("--reviewers", type=int, default=2)
    parser.add_argument("--readers", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        good = chaos(
            Path(folder), seconds=asked.seconds, seed=asked.seed, pushers=asked.pushers, promoters=asked.promoters,
            reviewers=asked.reviewers, readers=asked.readers,
        )  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
