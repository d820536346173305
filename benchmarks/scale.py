"""What a longer history costs: `python benchmarks/scale.py [versions|branches|looks|batches …] [--pushes 3]`.

For each kind a real server of the toy project is made twice, with little history and with much of it (10 and 10,000
versions, 10 and 1,000 open branches, 1,000 and 100,000 looks, 12 and 120 batches). The history is written by
`git fast-import`, in the form of what one real push has left; then both are pushed to, in turns, and read. Printed are
milliseconds of both and their ratio: seconds of the wall for what is pushed (the least of some), of the CPU for what
is read. Exits 1 where something grows faster than the history does, or what a push that makes nothing takes beside
git grows at all (beyond 1.5 times): git tells each pusher of every tag, and the same push to a repository of the same
refs without hooks is in the table. Several minutes.
"""

import argparse
import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.once import copied
from tests.team import PYTHON, Team, make_team

from pushforward.git.refs import HOLDOUTS, NOTES, REGISTRY, RUNS, VERDICTS
from pushforward.git.repository import Repository
from pushforward.judge import looks
from pushforward.registry import tags as registry
from pushforward.report import notes
from pushforward.server.init import init

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
SIZES = {"versions": (10, 10_000), "branches": (10, 1_000), "looks": (1_000, 100_000), "batches": (12, 120)}
LOOKS = 10  # of a holdout
FLAT = 1.5  # what the clock of a shared machine is allowed
FLAT_ROWS = ("hook, a branch: ours", "push of a README: ours")
PLAIN = "plain.git"  # the same refs, and no hooks: what git alone takes for the same push
WHEN = "pushforward <p@localhost> 1700000000 +0000"
START = 1_700_000_000
STAGES = """
  batch:
    foreach: ${data.months}
    do:
      cmd: mkdir -p data/batch && echo ${item} >data/batch/${item}
      deps: [src/toy/__init__.py]
      outs: ["data/batch/${item}"]
"""


@dataclass
class Stream:
    """What `git fast-import` is told."""

    lines: list[bytes] = field(default_factory=list)

    def say(self, *lines: str, data: bytes | None = None) -> None:
        """Lines, and the data that the last one announces."""
        self.lines += [f"{line}\n".encode() for line in lines]
        if data is not None:
            self.lines += [f"data {len(data)}\n".encode(), data, b"\n"]

    def commit(self, ref: str, *, mark: int = 0, start: str = "", message: str = "more") -> None:
        """Begin a commit on a ref; its files follow."""
        when = WHEN.replace(str(START), str(START + mark))  # git walks history by its dates
        self.say(f"commit {ref}", *([f"mark :{mark}"] if mark else []), f"committer {when}", data=message.encode())
        if start:
            self.say(f"from {start}")

    def file(self, path: str, content: bytes) -> None:
        """A file of the commit."""
        self.say(f"M 100644 inline {path}", data=content)

    def write(self, bare: Path) -> dict[int, str]:
        """Write all of it; mark -> object."""
        marks = bare / "marks"
        command = ["git", "-C", str(bare), "fast-import", "--quiet", "--force", f"--export-marks={marks}"]
        subprocess.run(command, input=b"".join(self.lines), check=True)
        self.lines.clear()
        return {
            int(mark[1:]): name
            for mark, _, name in (line.partition(" ") for line in marks.read_text().split("\n"))
            if mark
        }


@dataclass
class Left:
    """What the first push has left on the server, to be written again for others: of which commit, by its version."""

    commit: str
    target: str
    version: str
    note: bytes
    report: bytes
    verdict: str
    entry: dict[str, bytes]
    record: str

    @classmethod
    def of(cls, bare: Path) -> "Left":
        """Of the one version that there is."""
        repository = Repository(bare)
        known = registry.fold("toy", repository.refs(*registry.PLACES)).newest
        assert known is not None
        commit = repository.commit("main")
        kept = notes.kept(repository)[commit]
        raw = repository.git("cat-file", "tag", known.tag).text
        folder = f"versions/{known.name}/"
        paths = [path for path in repository.tree(REGISTRY) if path.startswith(folder)]
        read = [repository.read(REGISTRY, path) or b"" for path in paths]
        return cls(
            commit,
            known.commit,
            known.name,
            repository.git("notes", f"--ref={NOTES}", "show", commit).stdout,
            repository.git("cat-file", "blob", kept).stdout,
            repository.commit(f"{VERDICTS}{commit}"),
            dict(zip((path.removeprefix(folder) for path in paths), read, strict=True)),
            registry.message("one more", registry.record(raw)),
        )

    def told(self, text: bytes, commit: str, event: str = "push") -> bytes:
        """A text of the first push, as another commit's."""
        return text.replace(self.commit.encode(), commit.encode()).replace(b'"push"', f'"{event}"'.encode())


def versions(bare: Path, count: int) -> None:
    """So many more commits of main, each judged, promoted and put to use."""
    left, stream = Left.of(bare), Stream()
    for number in range(1, count + 1):
        stream.commit("refs/heads/main", mark=number, start="refs/heads/main^0" if number == 1 else "")
        stream.file("word.txt", f"{number}\n".encode())
    commits = stream.write(bare)
    log = bare / "logs" / "refs" / "heads" / "main"
    before, lines = left.commit, []
    for commit in commits.values():
        lines.append(f"{before} {commit} Ann <ann@example.org> 1700000000 +0000\tpush\n")
        before = commit
    with log.open("a") as handle:
        handle.writelines(lines)
    _judged(stream, left, commits)
    stream.commit(REGISTRY, start=f"{REGISTRY}^0")
    for number in commits:
        for name, content in left.entry.items():
            stream.file(f"versions/toy@v1.{number}.0/{name}", left.told(content, commits[number]))
    for number, commit in commits.items():
        stream.say(f"reset {RUNS}{commit}", f"from {commit}", "")
        stream.say(f"reset {VERDICTS}{commit}", f"from {left.verdict}", "")
        for name in (f"toy@v1.{number}.0", f"toy#staging#{number + 1}"):
            stream.say(f"tag {name}", f"from {commit}", f"tagger {WHEN}", data=left.record.encode())
    stream.write(bare)


def _judged(stream: Stream, left: Left, commits: dict[int, str], event: str = "push") -> None:
    """The reports of commits."""
    stream.commit(NOTES, start=f"{NOTES}^0")
    for commit in commits.values():
        stream.say(f"N inline {commit}", data=left.told(left.note, commit))
        stream.file(f"{notes.FOLDER}/{commit[:2]}/{commit[2:]}.json", left.told(left.report, commit, event))


def branches(bare: Path, count: int) -> None:
    """So many open branches, each pushed once and judged."""
    left, stream = Left.of(bare), Stream()
    for number in range(1, count + 1):
        stream.commit(f"refs/heads/idea-{number}", mark=number, start="refs/heads/main^0")
        stream.file("word.txt", f"{number}\n".encode())
    commits = stream.write(bare)
    for number, commit in commits.items():
        log = bare / "logs" / "refs" / "heads" / f"idea-{number}"
        log.write_text(f"{'0' * 40} {commit} Ann <ann@example.org> 1700000000 +0000\tpush\n")
        head = bare / "refs" / "pull" / str(number) / "head"
        head.parent.mkdir(parents=True)
        head.write_text(f"ref: refs/heads/idea-{number}\n")
    _judged(stream, left, commits, "pull_request")
    stream.write(bare)


def ledgers(bare: Path, count: int) -> None:
    """So many looks, ten at a holdout that has retired: chains that read as those of `judge.ledger` do."""
    stream, digest = Stream(), "0" * 64
    for chain in range(count // LOOKS):
        holdout = f"{1000 + chain // 12}-{chain % 12 + 1:02d}"
        state = looks.State(holdout)
        for number in range(1, LOOKS + 1):
            said = {"challenger": f"{number:064x}", "champion": digest, "data": f"{chain:064x}", "rules": digest}
            asked = {"of": LOOKS, "budget": 0.05, "alpha": state.next_alpha(0.05, LOOKS, "superior")}
            state = _entry(
                stream, state, looks.Reserved, number=number, mode="superior", commit="0" * 40, **said, **asked
            )
            state = _entry(stream, state, looks.Settled, number=number, verdict="hold", sealed=digest)
        _entry(stream, state, looks.Retired, reason="spent", by="")
    stream.write(bare)


def _entry(stream: Stream, state: looks.State, kind: type[looks.Written], **said: Any) -> looks.State:
    """One entry more of a chain, of which the next one has to name the commit: it is computed here."""
    place = {"holdout": state.holdout, "sequence": state.length, "previous": state.tip, "at": "2024-01-01T00:00:00Z"}
    entry = kind(**place, **said)
    text = looks.document(entry)
    stream.commit(f"{HOLDOUTS}{state.holdout}")
    stream.file(looks.ENTRY, text)
    blob = bytes.fromhex(_object("blob", text))
    tree = _object("tree", b"100644 " + looks.ENTRY.encode() + b"\0" + blob)
    parent = f"parent {state.tip}\n" if state.tip else ""
    commit = _object("commit", f"tree {tree}\n{parent}author {WHEN}\ncommitter {WHEN}\n\nmore".encode())
    return looks.after(state, entry, commit)


def _object(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


def batches(made: Team, count: int) -> None:
    """So many batches of the toy's data, with a stage for each besides those of the toy; pushed, and judged."""
    params = made.clone / "params.yaml"
    months = "".join(f'    - "{2008 + number // 12}-{number % 12 + 1:02d}"\n' for number in range(count))
    text, changed = re.subn(r'months:\n(?:    - "[0-9-]+"\n)+', f"months:\n{months}", params.read_text())
    assert changed == 1
    params.write_text(text)
    pipeline = made.clone / "dvc.yaml"
    pipeline.write_text(pipeline.read_text() + STAGES.lstrip("\n"))
    made.git("add", "-A")
    made.git("commit", "-q", "-m", f"{count} batches")


def server(base: Path, folder: Path) -> Team:
    """A copy of a team, in a folder of its own."""
    folder.mkdir()
    copied(base, folder, "toy", "toy.git", "store")
    made = Team(folder / "toy", folder / "toy.git")
    made.git("remote", "set-url", "local", str(made.bare))
    executable, sys.executable = sys.executable, str(PYTHON)  # which the server keeps
    init(made.clone)
    sys.executable = executable
    return made


def pair(kind: str, base: Path, folder: Path) -> list[Team]:
    """Two servers, with little history of a kind and with much."""
    found = []
    for size in SIZES[kind]:
        if kind == "batches":
            (folder / f"{kind}-{size}").mkdir()
            made = make_team(folder / f"{kind}-{size}")
            batches(made, size)
            said = made.push()
            assert "toy@v1.0.0" in said, said
        else:
            made = server(base, folder / f"{kind}-{size}")
            {"versions": versions, "branches": branches, "looks": ledgers}[kind](made.bare, size)
            made.git("fetch", "-q", "--tags", "local")
            made.git("reset", "-q", "--hard", "local/main")
        made.rest()
        for repository in (made.bare, made.clone):  # as `git gc` does now and then
            Repository(repository).git("pack-refs", "--all")
        plain = made.bare.parent / PLAIN
        shutil.copytree(made.bare, plain, ignore=shutil.ignore_patterns("hooks", "pushforward"))
        made.git("remote", "add", "plain", str(plain))
        found.append(made)
    return found


def wall(work: Callable[[], object]) -> float:
    """Seconds by the clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def cpu(made: Team, *words: str) -> float:
    """Seconds of the CPU of a command in the clone, and of what it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    made.pushforward(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def inside(made: Team, code: str) -> float:
    """Seconds of the CPU of some lines of Python, by what they print themselves."""
    lines = f"import sys, time; bare = sys.argv[1]\n{code}"
    done = subprocess.run([str(PYTHON), "-c", lines, str(made.bare)], capture_output=True, text=True, check=True)
    return float(done.stdout)


FOLD = """\
from pathlib import Path
from pushforward.git.repository import Repository
from pushforward.registry import tags
refs = Repository(Path(bare)).refs(*tags.PLACES)
began = time.process_time(); tags.fold("toy", refs); print(time.process_time() - began)
"""
SITE = """\
import resource
from pathlib import Path
from pushforward.git.repository import Repository
from pushforward.views.pages import Site
def spent():
    return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, (0, resource.RUSAGE_CHILDREN)))
began = spent(); assert Site(Repository(Path(bare))).answer("PATH"); print(spent() - began)
"""


def empty_commit(made: Team, number: int, remote: str = "local") -> str:
    """Push a commit of the same tree to a branch of its own, and do not wait for its run, which is not asked for."""
    commit = made.git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", f"skipped {number}").strip()
    return made.git("push", "-q", "-o", "ci.skip", remote, f"{commit}:refs/heads/skipped-{number}")


def readme(made: Team, number: int, remote: str = "local") -> None:
    """Push a change of a README to main, and wait for what the server says."""
    (made.clone / "README.md").write_text(f"{remote} {number}\n")
    made.git("add", "-A")
    made.git("commit", "-q", "-m", f"Say {number}")
    made.git("push", remote, "main")


def parameter(made: Team, number: int) -> None:
    """Push a change of a parameter to a branch, and wait for its verdict."""
    path = made.clone / "params.yaml"
    before = path.read_text()
    path.write_text(re.sub(r"buckets: \d+", f"buckets: {5 + number}", before))
    made.git("commit", "-q", "-am", f"Try {5 + number} buckets")
    said = made.push(f"main:buckets-{number}")
    assert "in all; read it again" in said, said
    made.git("reset", "-q", "--hard", "HEAD~1")


def measured(made: list[Team], pushes: int) -> Iterator[tuple[str, float, float]]:
    """(what, seconds with little history, seconds with much)."""

    def least(work: Callable[[Team, int], object], times: int) -> tuple[float, float]:
        took: list[list[float]] = [[], []]
        for number in range(times):
            for place, one in enumerate(made):
                took[place].append(wall(lambda one=one, number=number: work(one, number)))
                one.rest()
        return min(took[0]), min(took[1])

    for what, work, times in (("hook, a branch", empty_commit, 2 * pushes), ("push of a README", readme, pushes)):
        whole, alone = least(work, times), least(lambda one, number, work=work: work(one, number, "plain"), times)
        yield what, *whole
        yield f"{what}: git alone", *alone
        yield f"{what}: ours", whole[0] - alone[0], whole[1] - alone[1]
    yield "push of a parameter", *least(parameter, max(1, pushes // 2))
    for what, code in (
        ("registry.fold", FOLD),
        ("page, all runs", SITE.replace("PATH", "index.html")),
        ("page, holdouts", SITE.replace("PATH", "holdouts.html")),
    ):
        small, large = (inside(one, code) for one in made)
        yield what, small, large
    for words in (["show"], ["gc", "--dry-run"]):
        small, large = (cpu(one, *words) for one in made)
        yield " ".join(words[:1]), small, large


def record(text: str, command: str) -> None:
    """Put the tables into the page, in the place of those before."""
    begun, end = "<!-- recorded by benchmarks/scale.py -->\n", "<!-- /recorded -->"
    head, found, rest = PAGE.read_text(encoding="utf-8").partition(begun)
    if not found:
        sys.exit(f"{PAGE} has no {begun.strip()}")
    where = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end"
    PAGE.write_text(f"{head}{begun}`{command}`, {where}\n{text}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def main() -> None:
    """Measure, print, and fail where something grows faster than history."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[*SIZES, []], help="all of them by default")
    parser.add_argument("--pushes", type=int, default=3, help="of each kind, of which the fastest counts")
    parser.add_argument("--record", action="store_true", help="write it into docs/performance.md")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    faults, lines = list[str](), list[str]()
    with tempfile.TemporaryDirectory(prefix="pushforward-scale-") as name:
        folder = Path(name)
        os.environ |= {"HOME": name, "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org"}
        os.environ |= {"GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.org"}
        base = folder / "base"
        base.mkdir()
        first = make_team(base)
        said = first.push()
        if "toy@v1.0.0" not in said:
            sys.exit(said)
        first.rest()
        for kind in options.kinds or SIZES:
            little, much = SIZES[kind]
            print(f"\n{kind:<24}{little:>10,}{much:>10,}{'ratio':>9}", flush=True)
            lines += ["", f"| {kind} | {little:,} | {much:,} | ratio |", "|:--|--:|--:|--:|"]
            made = pair(kind, base, folder)
            for what, small, large in measured(made, options.pushes):
                ratio = large / max(small, 1e-4)
                print(f"{what:<24}{1000 * small:>10.1f}{1000 * large:>10.1f}{ratio:>9.2f}", flush=True)
                lines.append(f"| {what} | {1000 * small:.0f} ms | {1000 * large:.0f} ms | {ratio:.2f} |")
                most = FLAT if what in FLAT_ROWS else much / little
                faults += [f"{what} at {much:,} {kind}: {ratio:.1f} times, {most:.4g} at most"] if ratio > most else []
            for one in made:
                shutil.rmtree(one.clone.parent)
    if options.record:
        record("\n".join(lines), " ".join(["python", *sys.argv]))
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
