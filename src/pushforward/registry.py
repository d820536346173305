"""Tag grammar and fold: tags -> versions, environments, history. Pure.

The grammar is GTO's, so that `gto show` reads the same registry:
`<model>@v<major>.<minor>.<patch>` is a version, `<model>#<environment>#<n>` puts a version to use in an environment.
Order is the counter `n`, never a clock.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from pushforward.git import Ref

NAME = r"[a-z][a-z0-9-]{1,62}"
NUMBER = r"(?:0|[1-9]\d{0,8})"
VERSION_TAG = re.compile(rf"(?P<model>{NAME})@v(?P<major>{NUMBER})\.(?P<minor>{NUMBER})\.(?P<patch>{NUMBER})")
ENVIRONMENT_TAG = re.compile(rf"(?P<model>{NAME})#(?P<environment>{NAME})#(?P<counter>[1-9]\d{{0,8}})")
GRAMMAR = "<model>@v<major>.<minor>.<patch> or <model>#<environment>#<n>"

Level = Literal["major", "minor", "patch"]


@dataclass(frozen=True, order=True)
class Version:
    """A version number."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"

    def bump(self, level: Level) -> "Version":
        """The next version at `level`."""
        if level == "major":
            return Version(self.major + 1, 0, 0)
        if level == "minor":
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1)


FIRST = Version(1, 0, 0)


@dataclass(frozen=True)
class Registered:
    """A version tag: `commit` is what it names, `tag` the tag object."""

    model: str
    version: Version
    commit: str
    tag: str

    @property
    def name(self) -> str:
        """The tag's name."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True)
class Assignment:
    """An environment tag: from counter `counter` on, the version at `commit` is in use in `environment`."""

    model: str
    environment: str
    counter: int
    commit: str
    tag: str

    @property
    def name(self) -> str:
        """The tag's name."""
        return f"{self.model}#{self.environment}#{self.counter}"


@dataclass(frozen=True)
class Registry:
    """All versions and assignments of one model, and what is wrong with its tags."""

    model: str
    versions: tuple[Registered, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def newest(self) -> Registered | None:
        """The highest version."""
        return max(self.versions, key=lambda registered: registered.version, default=None)

    def in_use(self, environment: str) -> Registered | None:
        """The version that the assignment with the highest counter puts to use in `environment`."""
        mine = [assignment for assignment in self.assignments if assignment.environment == environment]
        latest = max(mine, key=lambda assignment: assignment.counter, default=None)
        return self.at(latest.commit) if latest else None

    def at(self, commit: str) -> Registered | None:
        """The highest version that names `commit`."""
        mine = [registered for registered in self.versions if registered.commit == commit]
        return max(mine, key=lambda registered: registered.version, default=None)

    @property
    def champion(self) -> Registered | None:
        """The version to beat: what production holds, else the newest."""
        return self.in_use("production") or self.newest

    @property
    def environments(self) -> list[str]:
        """The environments that have ever held a version, by name."""
        return sorted({assignment.environment for assignment in self.assignments})

    def next_counter(self, environment: str) -> int:
        """The counter of the next assignment in `environment`."""
        counters = [a.counter for a in self.assignments if a.environment == environment]
        return max(counters, default=0) + 1


def parse(name: str) -> re.Match[str] | None:
    """The parts of a registry tag's name, or None where it is none."""
    return VERSION_TAG.fullmatch(name) or ENVIRONMENT_TAG.fullmatch(name)


def fold(model: str, refs: Iterable[Ref]) -> Registry:
    """The registry of `model` from its tags (any order). What cannot be read is reported, not ignored."""
    versions: list[Registered] = []
    assignments: list[Assignment] = []
    problems: list[str] = []
    for ref in refs:
        name = ref.name.removeprefix("refs/tags/")
        if not name.startswith((f"{model}@", f"{model}#")):
            continue
        if ref.type != "tag":
            problems.append(f"{name} is a lightweight tag; a registry tag is annotated")
        elif version := VERSION_TAG.fullmatch(name):
            number = Version(int(version["major"]), int(version["minor"]), int(version["patch"]))
            versions.append(Registered(model, number, ref.target, ref.object))
        elif use := ENVIRONMENT_TAG.fullmatch(name):
            assignments.append(Assignment(model, use["environment"], int(use["counter"]), ref.target, ref.object))
        else:
            problems.append(f"{name} is not of the form {GRAMMAR}")
    commits = {registered.commit for registered in versions}
    problems += [
        f"{assignment.name} names {assignment.commit[:9]}, which no version names"
        for assignment in assignments
        if assignment.commit not in commits
    ]
    return Registry(
        model,
        tuple(sorted(versions, key=lambda registered: registered.version)),
        tuple(sorted(assignments, key=lambda assignment: (assignment.environment, assignment.counter))),
        tuple(problems),
    )


def message(line: str, record: dict[str, Any]) -> str:
    """A tag's message: a line for people, then one line of JSON."""
    return f"{line}\n\n{json.dumps(record, sort_keys=True, separators=(',', ':'))}\n"


def record(text: str) -> dict[str, Any]:
    """The JSON record in a tag's message; empty where there is none."""
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except json.JSONDecodeError:
                return {}
            return found if isinstance(found, dict) else {}
    return {}
