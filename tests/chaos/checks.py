"""What must be true of a server whatever died, held against the log of what was asked of it."""

import hashlib
import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NOTES = "refs/notes/pushforward"
CHAIN = "refs/pushforward/registry"
VERSION = re.compile(r"toy@v(\d+)\.(\d+)\.(\d+)")
# What a run says that lacks something which the machine has lost.
LOST = re.compile(r"(?i)failed to (?:down|up)load|not whole|not in the (?:store|dvc remote)|bad object|could not read")
ACCEPTABLE = ("unknown", "calibration-only")
VERBS = {"accept": "accepted", "reject": "rejected"}
USE = re.compile(r"toy#([a-z]+)#(\d+)")


@dataclass
class Found:
    """Invariants by their outcome, and what was said of the commits of main."""

    passed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)  # of main

    def note(self, what: str, wrong: list[str]) -> None:
        if wrong:
            self.broken.append(f"{what}: {len(wrong)} are not, {'; '.join(wrong[:5])}")
        else:
            self.passed.append(what)


def check(bare: Path, log: list[dict[str, Any]], *, run: Callable[..., tuple[int | None, str]]) -> Found:
    """Every invariant of a server in `bare` that has come to rest."""
    found = Found()
    git = _Git(bare)
    commits = git.accepted()
    acked = {(entry["ref"], entry["new"]) for entry in log if entry["op"] == "push" and entry.get("result") == "ok"}
    found.note(
        f"{len(acked)} pushes that were told to be taken are in the history of their ref",
        [f"{new[:9]} of {ref}" for ref, new in acked if new not in commits.get(ref, set())],
    )
    wrong = []
    total = 0
    for ref, moved in commits.items():
        for commit in moved:
            total += 1
            mine = git.verdicts(commit)
            events = {
                "push" if other == "refs/heads/main" else "pull_request"
                for other in commits
                if commit in commits[other]
            }
            if len(mine) != len(events):
                wrong.append(f"{commit[:9]} of {ref} has {len(mine)} for {len(events)}")
    found.note(f"each of {total} accepted commits has exactly one final verdict", wrong)
    found.verdicts.update(git.said(commit) for commit in commits.get("refs/heads/main", set()))
    mixed = [
        commit[:9]
        for moved in commits.values()
        for commit in moved
        if any(spoken_of != commit for spoken_of in git.verdicts(commit))
    ]
    found.note("no report is under another commit than it speaks of", mixed)
    blamed = [
        f"{commit[:9]}, {reason}"
        for commit in sorted(set().union(*commits.values()))
        for verdict, reason in git.reasons(commit)
        if verdict == "invalid" and LOST.search(reason)
    ]
    found.note("no commit was found invalid for what the machine had lost", blamed)
    _registry(found, git)
    _words(found, git, log)
    found.note("no reader saw a tag change or vanish", [str(e["changed"]) for e in log if e.get("result") == "wrong"])
    _followers(found, bare)
    forged = [entry["said"] for entry in log if entry["op"] == "forged" and entry.get("result") == "ok"]
    found.note("no forged tag was taken", forged)
    fsck = git("fsck", "--strict", "--no-dangling", check=False)
    found.note("git fsck --strict is clean", [] if fsck.returncode == 0 else [fsck.stderr[-300:]])
    return found


def _followers(found: Found, bare: Path) -> None:
    """Every workflow beside the judge that was due has ended, once for what started it, and as its file says."""
    place = bare / "pushforward"
    found.note("no single workflow is still due", [path.name for path in (place / "asked").glob("*.json")])
    runs = [json.loads(path.read_text()) for path in (place / "runs").glob("workflow-*/run.json")]
    wanted = {"notify.yml": "success", "behind.yml": "success", "alert.yml": "failure"}
    wrong = [
        f"{run['job']['serial']} is {run['verdict'] or run['state']}: {run['reason']}"
        for run in runs
        if run["verdict"] != wanted.get(run["job"]["file"], "success")
    ]
    found.note(f"each of {len(runs)} single workflows ended as its file says", wrong)
    caused = Counter((run["job"]["cause"], run["job"]["file"]) for run in runs)
    found.note("none of them ran twice for one end", [str(one) for one, many in caused.items() if many > 1])


def _registry(found: Found, git: "_Git") -> None:
    tags = git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/tags").stdout.split()
    versions = [name for name in tags if VERSION.fullmatch(name)]
    uses = [match for name in tags if (match := USE.fullmatch(name))]
    wrong, numbers, spoiled, objects, by_word = [], [], [], 0, 0
    said_before, late = [], 0
    for name in versions:
        text = git("cat-file", "tag", f"refs/tags/{name}").stdout
        record = json.loads(next(line for line in text.splitlines() if line.startswith("{")))
        numbers.append(record["number"])
        verdict = git("cat-file", "blob", f"refs/pushforward/verdict/{record['commit']}:verdict.json", check=False)
        said = json.loads(verdict.stdout)["verdict"] if verdict.returncode == 0 else ""
        if said != "promote" and not (said in ACCEPTABLE and git.accepts(record.get("review", ""), record["model"])):
            wrong.append(name)
        by_word += said != "promote"
        if "review" in record:
            on = {record["commit"], git.record(record["review"])["commit"]}
            rejected = [number for number, commit in git.rejections() if commit in on]
            first = git.number(record["review"])
            late += sum(number > record["reviews"] for number in rejected)
            said_before += [name for number in rejected if first < number <= record["reviews"]]
        statement = json.loads(git("cat-file", "blob", f"{CHAIN}:versions/{name}/provenance.json").stdout)
        for one in statement["predicate"]["buildDefinition"]["resolvedDependencies"]:
            md5, sha256 = (one.get("digest", {}).get(kind) for kind in ("md5", "sha256"))
            if md5 and sha256:
                objects += 1
                content = git.kept(f"refs/tags/{name}", one["name"].removeprefix("data:"), md5)
                if content is None or hashlib.sha256(content).hexdigest() != sha256:
                    spoiled.append(f"{md5} of {name}")
    found.note(
        f"each of {len(versions)} versions has a passing verdict, or a person's word that took it ({by_word})", wrong
    )
    found.note(f"no version is beside a rejection that it knew of ({late} came too late)", said_before)
    twice = [str(number) for number, count in Counter(numbers).items() if count > 1]
    gaps = [str(number) for number in range(1, len(versions) + 1) if number not in numbers]
    found.note("version numbers are used once, without a gap", twice + gaps)
    counters: dict[str, list[int]] = {}
    for match in uses:
        counters.setdefault(match[1], []).append(int(match[2]))
    whole = {name: list(range(1, len(mine) + 1)) for name, mine in counters.items()}
    gaps = [f"{name} {sorted(mine)}" for name, mine in counters.items() if sorted(mine) != whole[name]]
    found.note(f"counters of {len(uses)} assignments are used once, without a gap", gaps)
    length = git("rev-list", "--count", "--first-parent", CHAIN).stdout.strip()
    found.note("the chain of versions has one commit a version", [] if length == str(len(versions)) else [length])
    found.note(f"all {objects} objects of all versions are in the store with their SHA-256", spoiled)


def _words(found: Found, git: "_Git", log: list[dict[str, Any]]) -> None:
    """Reviews have no gap, what was told to be taken is there, and no holdout gave more looks than it has."""
    tags = git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/tags/toy@review#*").stdout.split()
    numbers = sorted(int(name.rpartition("#")[2]) for name in tags)
    gaps = [] if numbers == list(range(1, len(tags) + 1)) else [str(numbers)]
    found.note(f"numbers of {len(tags)} reviews are used once, without a gap", gaps)
    told = {(entry["op"], entry["commit"]) for entry in log if entry["op"] in VERBS and entry.get("result") == "ok"}
    kept = {(record["word"], record["commit"]) for record in map(git.record, tags)}
    lost = [f"{verb} of {commit[:9]}" for verb, commit in told if (VERBS[verb], commit) not in kept]
    found.note(f"{len(told)} words that were told to be taken are there", lost)
    spent, total = [], 0
    for ref in git("for-each-ref", "--format=%(refname)", "refs/pushforward/holdout/").stdout.split():
        chain = git("rev-list", "--reverse", ref).stdout.split()
        entries = [json.loads(git("cat-file", "blob", f"{commit}:entry.json").stdout) for commit in chain]
        looks = [entry for entry in entries if entry["entry"] == "look"]
        total += len(looks)
        if len({entry["number"] for entry in looks}) != len(looks) or any(len(looks) > entry["of"] for entry in looks):
            spent.append(f"{ref} {len(looks)}")
    found.note(f"{total} looks at holdouts are within their budgets, each once", spent)


class _Git:
    """The bare repository and the store beside it."""

    def __init__(self, bare: Path) -> None:
        self.bare = bare
        self.store = bare / json.loads((bare / "pushforward" / "server.json").read_text())["store"]
        self._verdicts: dict[str, list[str]] = {}

    def __call__(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(self.bare), *args], capture_output=True, text=True, check=check)

    def record(self, tag: str) -> dict[str, Any]:
        """The record in a tag, by its name or object."""
        text = self("cat-file", "tag", tag, check=False).stdout
        found: dict[str, Any] = json.loads(next((line for line in text.splitlines() if line.startswith("{")), "{}"))
        return found

    def accepts(self, tag: str, model: str) -> bool:
        """Whether a tag object is a person's word that takes this model."""
        said = self.record(tag) if tag else {}
        return (said.get("word"), said.get("model")) == ("accepted", model)

    def rejections(self) -> list[tuple[int, str]]:
        """The number and the commit of each word of rejection."""
        tags = self("for-each-ref", "--format=%(refname:lstrip=2)", "refs/tags/toy@review#*").stdout.split()
        told = [(self.number(name), self.record(name)) for name in tags]
        return [(number, record["commit"]) for number, record in told if record["word"] == "rejected"]

    def number(self, tag: str) -> int:
        """The number of a review, by its name or object."""
        text = self("cat-file", "tag", tag).stdout
        return int(next(line for line in text.splitlines() if line.startswith("tag ")).rpartition("#")[2])

    def accepted(self) -> dict[str, set[str]]:
        """Every commit that each branch was ever at, from the reflogs."""
        folder = self.bare / "logs" / "refs" / "heads"
        found: dict[str, set[str]] = {}
        for path in folder.rglob("*"):
            if path.is_file():
                moves = [line.split()[1] for line in path.read_text().splitlines() if line.strip()]
                found[f"refs/heads/{path.relative_to(folder)}"] = {new for new in moves if new.strip("0")}
        return found

    def kept(self, version: str, path: str, md5: str) -> bytes | None:
        """The bytes of an out of a version, from the store or, where git keeps it, the commit; else None."""
        folder = ".dir" if path.endswith("/") else ""
        place = self.store / "files" / "md5" / md5[:2] / f"{md5[2:]}{folder}"
        if place.is_file():
            return place.read_bytes()
        command = ["git", "-C", str(self.bare), "cat-file", "blob", f"{version}:{path}"]
        done = subprocess.run(command, capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else None

    def reports(self, commit: str) -> list[dict[str, Any]]:
        """What is kept of the reports of a commit, beside its note."""
        place = f"{NOTES}:reports/{commit[:2]}/{commit[2:]}.json"
        found = self("cat-file", "blob", place, check=False).stdout
        return list(json.loads(found)["reports"]) if found else []

    def said(self, commit: str) -> str:
        """The verdict on a push of a commit to main, with its reason where it is invalid."""
        for told in (one["verdict"] for one in self.reports(commit)):
            if told["event"] == "push":
                return f"{told['verdict']}: {told['reason'][:90]}" if told["verdict"] == "invalid" else told["verdict"]
        return "none"

    def reasons(self, commit: str) -> list[tuple[str, str]]:
        """Each verdict on a commit, with its reason."""
        return [(one["verdict"]["verdict"], one["verdict"]["reason"]) for one in self.reports(commit)]

    def verdicts(self, commit: str) -> list[str]:
        """Which commit each of the verdicts on a commit speaks of; one may be carried from another."""
        if commit not in self._verdicts:
            found = self.reports(commit)
            self._verdicts[commit] = [one["context"]["carried_to"] or one["verdict"]["commit"] for one in found]
        return self._verdicts[commit]
