"""What a page costs the server: the CPU of each kind, first and again: `python benchmarks/web.py [RUNS [TAGS]]`.

A made-up team of 1,000 runs and 5,000 tags in a real repository, with the ledgers of twelve holdouts. Exits 1 where the
first page of a kind takes half a second or longer. Half a minute.
"""

import base64
import dataclasses
import hashlib
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from pushforward.gate.verdict import (
    Calibration,
    Champion,
    Digests,
    Holdout,
    Look,
    Number,
    Slice,
    Stage,
    Validation,
    Verdict,
)
from pushforward.git.repository import Repository
from pushforward.judge import recorded
from pushforward.judge.ledger import Ledger
from pushforward.judge.looks import Key
from pushforward.registry import tags as registry
from pushforward.report import note, notes
from pushforward.report.note import Context
from pushforward.views.history import History
from pushforward.views.pages import Site

LIMIT_SECONDS = 0.5
MODEL = "flight-delay"
SETTINGS = """\
tool: "0.2.0"
models:
  flight-delay:
    path: model
    environment: [requirements/run.txt]
    holdout: {path: data/holdout, key: flight_id, label: late, cluster: date, time: decided_at}
    score: python -m flights.predict {rows} {events} {out}
    batches: params.yaml:data.months
"""
PARAMS = """\
data:
  months: ["2013-01", "2013-02", "2013-03", "2013-04"]
"""
START = 1_700_000_000
KEY = base64.urlsafe_b64encode(bytes(32))
CHANGES = (
    ("Use the aircraft's last known leg", ("features.groups", "[schedule, weather]", "[schedule, rotation, weather]")),
    ("Deeper trees", ("train.max_depth", "4", "6")),
    ("Learn more slowly", ("train.learning_rate", "0.1", "0.05")),
    ("A luckier seed", ("train.seed", "7", "5")),
    ("Drop the gusts of wind", ("features.groups", "[schedule, weather]", "[schedule]")),
    ("28 days of each carrier's history", ("features.groups", "[schedule]", "[schedule, history]")),
    ("Fewer columns for each tree", ("train.colsample_bytree", "0.5", "0.3")),
    ("Larger leaves, less noise", ("train.min_child_weight", "50", "200")),
)
PEOPLE = ("Ann", "Bashir", "Chloé", "Dmitri", "Eun-ji")
WORDS = ("promote", "hold", "hold", "unknown", "unknown", "calibration-only", "identical", "invalid")
STAGES = ("collect", "validate", "features")
REASONS = {
    "promote": "better than the champion at 99.5 % confidence, and no guard objects (57,126 rows, 61 days)",
    "hold": "not shown to gain what is asked, or shown to do harm (57,126 rows, 61 days; look 3 of 10)",
    "unknown": "neither shown to gain what is asked nor shown not to, at 99.5 % confidence (57,126 rows, 61 days)",
    "calibration-only": "it gains by its overall level only; a season can turn that round (57,126 rows, 61 days)",
    "identical": "every one of 57,126 predictions is the champion's; it stays",
    "invalid": "stage train failed with exit status 1",
}


def digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Story:
    """A bare repository as a server would have made it, written by `git fast-import` in a few calls.

    Commits come first (`write_commits`), for reports and tags name them.
    """

    folder: Path
    commits: list[str] = field(default_factory=list)
    _stream: list[bytes] = field(default_factory=list)
    _written: bool = False

    def __post_init__(self) -> None:
        """Make the repository."""
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.folder)], check=True)

    def say(self, *lines: str, data: bytes | str | None = None) -> None:
        """Lines of the stream, and the data that the last one announces."""
        self._stream += [f"{line}\n".encode() for line in lines]
        if data is not None:
            raw = data.encode() if isinstance(data, str) else data
            self._stream += [f"data {len(raw)}\n".encode(), raw, b"\n"]

    def commit(
        self,
        subject: str,
        *,
        branch: str = "main",
        author: str = "Ann",
        start: int | None = None,
        merge: int | None = None,
    ) -> int:
        """A commit on a branch, the next minute; its number. A branch starts at the commit `start`."""
        number = len(self.commits)
        self.commits.append("")
        self.say(f"commit refs/heads/{branch}", f"mark :{number + 1}")
        self.say(f"author {author} <{author.lower()}@example.org> {START + 60 * number} +0000")
        self.say(f"committer {author} <{author.lower()}@example.org> {START + 60 * number} +0000", data=subject)
        if start is not None:
            self.say(f"from :{start + 1}")
        if merge is not None:
            self.say(f"merge :{merge + 1}")
        self.say("M 100644 inline pushforward.yaml", data=SETTINGS)
        self.say("M 100644 inline params.yaml", data=f"{PARAMS}# {number}\n")
        return number

    def write_commits(self) -> None:
        """From here on `commits` has their names."""
        marks = self.folder / "marks"
        self._import(f"--export-marks={marks}")
        for line in marks.read_text().splitlines():
            mark, _, name = line.partition(" ")
            self.commits[int(mark[1:]) - 1] = name

    def note(self, commit: str, reports: Sequence[note.Report]) -> None:
        """The reports of a commit."""
        self.say("commit refs/notes/pushforward", f"committer pushforward <p@localhost> {START} +0000", data="note")
        if self._written:
            self.say("from refs/notes/pushforward^0")
            self._written = False
        self.say(f"N inline {commit}", data=note.text(reports))
        path = f"{notes.FOLDER}/{commit[:2]}/{commit[2:]}.json"
        self.say(f"M 100644 inline {path}", data=note.dump(reports, note.About()).decode())

    def draw(self, commit: str, pictures: Mapping[str, bytes]) -> None:
        """The pictures of a commit's report, by path: `push/plots/roc.svg`."""
        self.say(f"commit refs/pushforward/report/{commit}", f"committer p <p@localhost> {START} +0000", data="plots")
        for path, content in pictures.items():
            self.say(f"M 100644 inline {path}", data=content)

    def tag(self, name: str, commit: str, record: Mapping[str, object], *, minute: int = 0, line: str = "fine") -> None:
        """An annotated tag with a record."""
        self.say(f"tag {name}", f"from {commit}", f"tagger pushforward <p@localhost> {START + 60 * minute} +0000")
        self.say(data=registry.message(f"{name}: {line}", dict(record)))

    def write(self) -> Path:
        """Write what was said since the commits, or since the last time."""
        self._import("--force")
        self._written = True
        return self.folder

    def _import(self, *options: str) -> None:
        command = ["git", "-C", str(self.folder), "fast-import", "--quiet", *options]
        subprocess.run(command, input=b"".join(self._stream), check=True)
        self._stream.clear()


def numbers(loss: float, gain: float | None) -> tuple[Number, ...]:
    """Metrics of a validation month."""
    if gain is None:
        return (Number("log loss", "lower", None, loss), Number("AUC", "higher", None, 0.76))
    return (
        Number("log loss", "lower", loss + gain, loss, gain, gain - 0.0024, gain + 0.0024, 0.05),
        Number("log loss, offset adjusted", "lower", 0.47, 0.47 - gain / 2, gain / 2, -0.001, gain + 0.001, 0.05),
        Number("AUC", "higher", 0.76, 0.76 + gain, gain, gain - 0.002, gain + 0.002, 0.05),
        Number("Brier score", "lower", 0.151, 0.151 - gain / 3, gain / 3, -0.001, gain / 3 + 0.001, 0.05),
    )


def verdict(
    commit: str,
    word: str,
    *,
    loss: float = 0.47,
    gain: float | None = 0.004,
    ref: str = "refs/heads/main",
    pull: int | None = None,
    month: str = "2013-03",
    champion: Champion | None = None,
    look: Look | None = None,
) -> Verdict:
    """A verdict as the gate tells it while the holdout is sealed; an invalid one has no numbers."""
    told = Verdict(
        word,  # type: ignore[arg-type]
        REASONS[word],
        "superior" if champion else "first",
        "logloss",
        {"metric": "logloss", "window": 2, "alpha": 0.005, "looks": 10, "slices": ["origin"]},
        rows=57_126,
        clusters=61,
        commit=commit,
        base=commit,
        ref=ref,
        event="push" if pull is None else "pull_request",
        pull=pull,
        champion=champion,
        stages=(
            *(Stage(f"{stage}@2013-{month:02d}", "unchanged", "", 0.01) for stage in STAGES for month in range(1, 6)),
            Stage("train", "ran", "train.max_depth 4 → 6", 7.6),
            Stage("evaluate", "ran", "the model", 1.2),
        ),
        seconds=23.8,
    )
    if word == "invalid":
        return told
    slices = tuple(
        Slice("origin", name, 9_000, 31, 2_200, loss, loss - part, part, part - 0.003, part + 0.003, 1.0, True, False)
        for name, part in (("EWR", gain or 0), ("JFK", -0.001), ("LGA", 0.002))
    )
    validation = Validation(
        month,
        28_834,
        31,
        numbers(loss, gain),
        slices=slices if gain is not None else (),
        calibration=Calibration(0.253, 0.267, 0.259, 0.0146, 0.0118),
        clusters_better=20 if gain is not None else None,
    )
    return dataclasses.replace(
        told,
        sealed=True,
        look=look,
        validation=validation,
        holdout=Holdout(("2013-04", "2013-05"), 57_126, 61, digest("holdout")),
        digests=Digests(*(digest(f"{part} of {commit}") for part in ("model", "manifest", "data", "lock", "p", "e"))),
    )


def written(told: Verdict, context: Context | None = None) -> note.Report:
    """A report as a note keeps it."""
    context = context or Context(learning_curve=tuple(0.47 + 0.09 * 0.96**number for number in range(120)))
    return recorded.report(told, context)


def record(told: Verdict) -> dict[str, object]:
    """What a version's tag records of a verdict."""
    return {"schema": 1, **dataclasses.asdict(told.digests), "commit": told.commit, "pushforward": "0.1.0"}


def team(folder: Path, *, runs: int, tags: int, pictures: Mapping[str, bytes] | None = None, seed: int = 3) -> Story:
    """A year of a team: pull requests of one to three pushes each, merges that are judged again, tags."""
    dice = random.Random(seed)
    story, plan = Story(folder), []
    story.commit("Begin with four months and a modest model")
    plan.append((0, "promote", None, "main", CHANGES[1][1], True))
    pull, tip = 0, 0
    while len(plan) < runs:
        subject, change = dice.choice(CHANGES)
        branch, author, word = f"idea-{pull + 1}", dice.choice(PEOPLE), dice.choice(WORDS)
        pull += 1
        for place in range(dice.choice((1, 1, 1, 2, 3))):
            text = subject if place == 0 else f"{subject}, try {place + 1}"
            number = story.commit(text, branch=branch, author=author, start=tip if place == 0 else None)
            plan.append((number, word, pull, branch, change, False))
        if word == "promote":
            tip = story.commit(f"Merge {branch}", author=author, start=tip, merge=number)
            plan.append((tip, word, None, "main", change, True))
    story.write_commits()
    champion, loss, made = None, 0.4812, []
    for place, (number, word, pull_number, branch, change, merged) in enumerate(plan[:runs]):
        commit = story.commits[number]
        gain = None
        if champion is not None and word != "identical":
            gain = {"promote": 0.004, "hold": -0.004}.get(word, 0.0) + dice.gauss(0, 0.0012)
        months = [f"{2013 + month // 12}-{month % 12 + 1:02d}" for month in range(2 + 8 * place // runs, 12)]
        told = verdict(
            commit,
            word,
            loss=loss - (gain or 0),
            gain=gain,
            ref=f"refs/heads/{branch}",
            pull=pull_number,
            month=months[0],
            champion=champion,
            look=Look(place % 10 + 1, 10, 0.005) if champion and word not in ("invalid", "identical") else None,
        )
        context = Context(
            branch=branch,
            changed_params=(change,),
            learning_curve=tuple(loss + 0.09 * 0.96**step for step in range(120)),
            validation_month=months[0],
            months=(("2013-04", 28_330, None), ("2013-05", 28_796, None)),
            next_version=f"{MODEL}@v1.{len(made)}.0",
            reproduce=f"git fetch local && git switch --detach {commit} && pushforward repro --clean",
        )
        story.note(commit, [written(told, context)])
        if pictures:
            story.draw(commit, {f"{told.event}/plots/{name}": content for name, content in pictures.items()})
        if merged and word == "promote":
            loss -= gain or 0
            name = f"{MODEL}@v1.{len(made)}.0"
            champion = Champion(name, commit)
            story.tag(name, commit, record(told), minute=number)
            made.append((commit, number))
    for use in range(max(0, tags - len(made))):
        commit, number = made[use * len(made) // max(1, tags - len(made))]
        environment = "production" if use % 3 == 2 else "staging"
        counter = use // 3 + 1 if environment == "production" else use - use // 3 + 1
        story.tag(f"{MODEL}#{environment}#{counter}", commit, {"schema": 1}, minute=number)
    story.write()
    return story


def looks(story: Story, holdout: str, words: Iterable[str], *, of: int = 10, promoted: str = "") -> None:
    """A real ledger of a holdout, its looks taken by the story's newest commits; "" is a look under way."""
    ledger = Ledger(Repository(story.folder), key=KEY)
    for place, word in enumerate(words):
        commit = story.commits[-1 - place]
        key = Key(digest(f"{holdout} {place}"), digest("champion"), digest(holdout), digest("rules"))
        look = ledger.reserve(holdout, key, alpha=0.05, looks=of, mode="superior", commit=commit)
        if word:
            gain = {"promote": 0.0051, "hold": -0.0038, "unknown": 0.0008}.get(word, 0.0012)
            told = dataclasses.replace(verdict(commit, word), numbers=numbers(0.4712 - gain, gain), sealed=False)
            ledger.settle(holdout, look, word, told.to_json())
    if promoted:
        ledger.retire(holdout, "promoted", promoted)


def spent() -> float:
    """Seconds of CPU of this process and of the children that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def cost(folder: Path, path: str) -> tuple[float, float, int]:
    """CPU of a page, first and again, and its bytes."""
    site, took, size = Site(Repository(folder)), [], 0
    for _ in range(2):
        before = spent()
        answer = site.answer(path)
        took.append(spent() - before)
        size = len(answer.content) if answer else 0
    return took[0], took[1], size


def main() -> None:
    """Measure, print, and fail where a page takes longer than it may."""
    runs, tags = (int(text) for text in (*sys.argv[1:], "1000", "5000")[:2])
    slow = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "team.git"
        story = team(folder, runs=runs, tags=tags)
        for number in range(1, 13):
            looks(story, f"2013-{number:02d}", ("hold", "promote"), promoted="a model" if number < 12 else "")
        print(f"{runs} runs, {tags} tags; CPU of the server and of git, in ms\n")
        print(f"{'page':<20}{'first':>8}{'again':>8}{'kB':>8}")
        pull = History(Repository(folder)).snapshot().pulls[0].number
        paths = {
            name: f"{name}.html" for name in ("index", "index/2", "pulls", "models", "metrics", "holdouts", "data")
        }
        paths |= {"feed": "feed.xml", "json": "index.json", "compare": "compare/v1.1.0.html"}
        paths |= {"pull": f"pull/{pull}.html", "run": f"run/{story.commits[0]}.html", "version": "version/v1.1.0.html"}
        paths["environment"] = "environment/staging.html"
        # Each in a process of its own, as a server that was just started.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
            for page, path in paths.items():
                first, again, size = pool.submit(cost, folder, path).result()
                print(f"{page:<20}{1000 * first:8.0f}{1000 * again:8.0f}{size / 1000:8.0f}")
                slow += [page] if first >= LIMIT_SECONDS or not size else []
    if slow:
        sys.exit(f"{LIMIT_SECONDS} s or longer: {', '.join(slow)}")


if __name__ == "__main__":
    main()
