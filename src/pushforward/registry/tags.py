"""Fold of tags -> versions, environments, history, after their `grammar`. Pure.

`<model>@v<major>.<minor>.<patch>` is a version, `<model>#<environment>#<n>` puts a version to use in an environment,
`<model>#<environment>!#<n>` takes it out again and leaves nothing there, `<model>@v<major>.<minor>.<patch>!` deprecates
a version, `<model>@review#<n>` is a person's word on a verdict (`reviews` reads it). Order is the number, never a
clock. Tags of GTO's from before the server, which it has marked as foreign, are none of these: numbers go on after
theirs, and that is all that they are asked for.
"""

import difflib
import itertools
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pushforward import gto
from pushforward.errors import PushforwardError
from pushforward.git.refs import FOREIGN, TAGS, foreign
from pushforward.git.repository import Ref
from pushforward.registry import ssh
from pushforward.registry.grammar import (
    DEPRECATION_TAG,
    EMPTIED_TAG,
    ENVIRONMENT_TAG,
    GRAMMAR,
    REVIEW_TAG,
    VERSION_TAG,
    number,
)
from pushforward.text import plain

PRODUCTION = "production"
PLACES = (TAGS, FOREIGN)  # the refs that a fold is made of
NEITHER = "not judged here, not signed"
UNJUDGED = f"foreign: {NEITHER}"

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
    """An environment tag: from counter `counter` on, the version at `commit` is in use in `environment`.

    Where it `empties` the environment, that version was the last one there, and from then on none is.
    """

    model: str
    environment: str
    counter: int
    commit: str
    tag: str
    empties: bool = False

    @property
    def name(self) -> str:
        """The tag's name."""
        return f"{self.model}#{self.environment}{'!' if self.empties else ''}#{self.counter}"


@dataclass(frozen=True)
class Deprecation:
    """A deprecation tag: the version at `commit` is not to be put to use again."""

    model: str
    version: Version
    commit: str
    tag: str

    @property
    def name(self) -> str:
        """The tag's name."""
        return f"{self.model}@{self.version}!"


@dataclass(frozen=True)
class Review:
    """A review tag: the `counter`-th word of a person on a verdict of the model, on what was judged at `commit`."""

    model: str
    counter: int
    commit: str
    tag: str

    @property
    def name(self) -> str:
        """The tag's name."""
        return f"{self.model}@review#{self.counter}"


Tagged = Registered | Assignment | Deprecation | Review


@dataclass(frozen=True)
class Foreign:
    """A tag of GTO's that was there before the server: `commit` is what it names, `parts` what its name says."""

    name: str
    commit: str
    parts: gto.Tag


@dataclass(frozen=True)
class Registry:
    """All versions, assignments, deprecations and reviews of one model, in order, and what is wrong with its tags.

    `foreign` are the tags that nobody here has judged: no version, no use, never the one to beat.
    """

    model: str
    versions: tuple[Registered, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    deprecations: tuple[Deprecation, ...] = ()
    problems: tuple[str, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    reviews: tuple[Review, ...] = ()

    @property
    def tags(self) -> "list[Tagged]":
        """Every tag of it but the foreign ones."""
        return [*self.versions, *self.assignments, *self.deprecations, *self.reviews]

    @property
    def newest(self) -> Registered | None:
        """The highest version, deprecated or not."""
        return self.versions[-1] if self.versions else None

    @property
    def foreign_versions(self) -> list[Foreign]:
        """The foreign tags that name a version, the highest last; not one that another has taken back."""
        gone = {(one.parts.artifact, one.parts.version) for one in self.foreign if one.parts.cancels}
        named = [one for one in self.foreign if one.parts.number and not one.parts.cancels]
        left = [one for one in named if (one.parts.artifact, one.parts.version) not in gone]
        return sorted(left, key=lambda one: (one.parts.number or (), one.name))

    def foreign_use(self, environment: str) -> str:
        """What the last foreign tag of `environment` has put to use there, until a tag of ours fills or empties it."""
        mine = [one for one in self.foreign if one.parts.stage == environment]
        last = max(mine, key=lambda one: (one.parts.counter, one.parts.cancels), default=None)
        if last is None or last.parts.cancels or self.uses(environment):
            return ""
        same = [one for one in self.foreign_versions if one.commit == last.commit]
        names = [one.name for one in same if one.parts.artifact == last.parts.artifact]
        return names[-1] if names else last.commit[:9]

    @property
    def foreign_environments(self) -> dict[str, str]:
        """The environments that only foreign tags have filled, and what with."""
        held = {name: self.foreign_use(name) for name in sorted({one.parts.stage for one in self.foreign} - {""})}
        return {name: version for name, version in held.items() if version}

    def uses(self, environment: str) -> list[Assignment]:
        """The assignments of `environment`, the first one first; some may have emptied it."""
        return [assignment for assignment in self.assignments if assignment.environment == environment]

    def in_use(self, environment: str) -> Registered | None:
        """The version that the assignment with the highest counter puts to use in `environment`."""
        mine = self.uses(environment)
        return self.at(mine[-1].commit) if mine and not mine[-1].empties else None

    def at(self, commit: str) -> Registered | None:
        """The highest version that names `commit`."""
        mine = [registered for registered in self.versions if registered.commit == commit]
        return mine[-1] if mine else None

    def deprecated(self, registered: Registered) -> Deprecation | None:
        """The tag that deprecates a version, if there is one."""
        return next((one for one in self.deprecations if one.version == registered.version), None)

    @property
    def champion(self) -> Registered | None:
        """The version to beat: what production holds, else the newest. One that is deprecated is no yardstick."""
        used = self.in_use(PRODUCTION)
        if used is not None and not self.deprecated(used):
            return used
        return next((one for one in reversed(self.versions) if not self.deprecated(one)), None)

    def before(self, environment: str) -> Registered | None:
        """The version to go back to in `environment`: the one in use before the present one, unless deprecated.

        To put an earlier version to use again takes back what came after it. So a second rollback goes further back,
        and never returns to what the first one left, nor to what was taken out.
        """
        stack: list[Registered] = []
        there = {registered.commit: registered for registered in self.versions}
        for assignment in self.uses(environment):
            version = there.get(assignment.commit)
            if version is None:
                continue
            if version in stack:
                del stack[stack.index(version) :]
            if not assignment.empties:
                stack.append(version)
        return next((version for version in reversed(stack[:-1]) if not self.deprecated(version)), None)

    @property
    def environments(self) -> list[str]:
        """The environments that have ever held a version, by name."""
        return sorted({assignment.environment for assignment in self.assignments})

    def next_version(self, level: Level, taken: Collection[str] = ()) -> Version:
        """The number of the next version; not one whose name is `taken` by a tag that does not count."""
        before = gto.newest((one.name for one in self.foreign), self.model)
        known = [*([Version(*before)] if before else []), *([self.newest.version] if self.newest else [])]
        number = max(known).bump(level) if known else FIRST
        while _is_taken(f"{self.model}@{number}", taken):
            number = number.bump(level)
        return number

    def next_counter(self, environment: str, taken: Collection[str] = ()) -> int:
        """The counter of the next assignment in `environment`; not one whose name is `taken`."""
        mine = self.uses(environment)
        before = gto.last((one.name for one in self.foreign), self.model, environment)
        counter = max(mine[-1].counter if mine else 0, before) + 1
        while any(_is_taken(f"{self.model}#{environment}{mark}#{counter}", taken) for mark in ("", "!")):
            counter += 1
        return counter

    def next_review(self, taken: Collection[str] = ()) -> int:
        """The number of the next review; not one whose name is `taken`."""
        counter = (self.reviews[-1].counter if self.reviews else 0) + 1
        while _is_taken(f"{self.model}@review#{counter}", taken):
            counter += 1
        return counter

    def named(self, text: str) -> Registered:
        """The version called `text`: `v1.2.0`, `1.2.0` or the tag's name. `PushforwardError` where there is none."""
        short = text.removeprefix(f"{self.model}@").removeprefix("v")
        found = next((one for one in self.versions if str(one.version) == f"v{short}"), None)
        if found is not None:
            return found
        if any(one.parts.version == f"v{short}" for one in self.foreign_versions):
            raise PushforwardError(
                f"{self.model}@v{plain(short, 80)} is {UNJUDGED}; nothing here puts it to use",
                next="pushforward show" if self.versions else "git push a commit that passes the gate",
            )
        if not self.versions:
            raise PushforwardError(f"{self.model} has no version yet", next="git push a commit that passes the gate")
        known = [str(one.version) for one in self.versions]
        (close,) = difflib.get_close_matches(f"v{short}", known, n=1, cutoff=0.6) or [""]
        hint = f"; did you mean {close}?" if close else f"; the newest is {known[-1]}"
        raise PushforwardError(f"{self.model} has no version {plain(text, 80)}{hint}", next="pushforward show")


def _is_taken(name: str, taken: Collection[str]) -> bool:
    # git keeps refs as files: there is no `a` beside `a/b`
    return name in taken or any(other.startswith(f"{name}/") for other in taken)


def parse(name: str) -> re.Match[str] | None:
    """The parts of a registry tag's name, or None where it is none."""
    grammar = (VERSION_TAG, ENVIRONMENT_TAG, EMPTIED_TAG, DEPRECATION_TAG, REVIEW_TAG)
    return next((found for found in (form.fullmatch(name) for form in grammar) if found), None)


def own(refs: Iterable[Ref]) -> list[Ref]:
    """The tags among the refs that no mark says to be foreign."""
    objects = {ref.name: ref for ref in refs if ref.name.startswith(PLACES)}
    left_out = foreign({name: ref.object for name, ref in objects.items()})
    return [ref for name, ref in objects.items() if name.startswith(TAGS) and name.removeprefix(TAGS) not in left_out]


def fold(model: str, refs: Iterable[Ref]) -> Registry:
    """The registry of `model` from its tags, and the marks of foreign ones. What cannot be read is reported."""
    versions: list[Registered] = []
    assignments: list[Assignment] = []
    deprecations: list[Deprecation] = []
    reviews: list[Review] = []
    problems: list[str] = []
    refs = list(refs)
    for ref in sorted(own(refs), key=lambda ref: ref.name):
        name = ref.name.removeprefix(TAGS)
        if not name.casefold().startswith((f"{model}@", f"{model}#")):
            continue
        if not name.startswith(model):
            problems.append(f"{name} is not of {model}: names are in small letters")
        elif ref.type != "tag":
            problems.append(f"{name} is a lightweight tag; a registry tag is annotated")
        elif found := VERSION_TAG.fullmatch(name):
            versions.append(Registered(model, _number(found), ref.target, ref.object))
        elif found := ENVIRONMENT_TAG.fullmatch(name) or EMPTIED_TAG.fullmatch(name):
            used = Assignment(model, found["environment"], int(found["counter"]), ref.target, ref.object)
            assignments.append(replace(used, empties=used.name != name))
        elif found := DEPRECATION_TAG.fullmatch(name):
            deprecations.append(Deprecation(model, _number(found), ref.target, ref.object))
        elif found := REVIEW_TAG.fullmatch(name):
            reviews.append(Review(model, int(found["counter"]), ref.target, ref.object))
        else:
            problems.append(f"{name} is not of the form {GRAMMAR}")
    known = Registry(
        model,
        tuple(sorted(versions, key=lambda registered: registered.version)),
        # of one number that two have taken at the same moment, the one that empties counts
        tuple(sorted(assignments, key=lambda one: (one.environment, one.counter, one.empties))),
        tuple(sorted(deprecations, key=lambda deprecation: deprecation.version)),
        foreign=tuple(_foreign(model, refs)),
        reviews=tuple(sorted(reviews, key=lambda review: review.counter)),
    )
    return replace(known, problems=(*problems, *_contradictions(known)))


def _foreign(model: str, refs: Iterable[Ref]) -> Iterator[Foreign]:
    for ref in sorted(refs, key=lambda ref: ref.name):
        name = ref.name.removeprefix(FOREIGN)
        parts = gto.parse(name) if name != ref.name else None
        if parts and parts.name == model:
            yield Foreign(name, ref.target or ref.object, parts)


def without(known: Registry, doubts: Mapping[str, str]) -> Registry:
    """The registry as if it had no tags with the names in `doubts`, which says what is wrong with each: a problem."""
    contradictions = set(_contradictions(known))
    left = replace(
        known,
        versions=tuple(one for one in known.versions if one.name not in doubts),
        assignments=tuple(one for one in known.assignments if one.name not in doubts),
        deprecations=tuple(one for one in known.deprecations if one.name not in doubts),
        reviews=tuple(one for one in known.reviews if one.name not in doubts),
    )
    problems = [problem for problem in known.problems if problem not in contradictions]
    return replace(left, problems=(*problems, *doubts.values(), *_contradictions(left)))


def without_bare(known: Registry, texts: Mapping[str, bytes]) -> Registry:
    """The registry less the tags that have neither a signature nor a record in their texts (by tag object).

    No server takes one: it is GTO's, and its mark is where this clone has not fetched it from.
    """
    bare = [one.name for one in known.tags if _says_nothing(texts.get(one.tag, b""))]
    doubts = {name: f"{name}: it has no signature and no record; it does not count" for name in bare}
    return without(known, doubts) if doubts else known


def _says_nothing(text: bytes) -> bool:
    return ssh.BEGIN not in text and b"\n{" not in text


def _number(found: re.Match[str]) -> Version:
    return Version(*number(found))


def _contradictions(known: Registry) -> Iterator[str]:
    """What cannot be true of all tags at once."""
    commits = Counter(registered.commit for registered in known.versions)
    for commit, count in commits.items():
        if count > 1:
            names = " and ".join(one.name for one in known.versions if one.commit == commit)
            yield f"{names} name one commit, {commit[:9]}"
    versions = {registered.version: registered for registered in known.versions}
    for deprecation in known.deprecations:
        version = versions.get(deprecation.version)
        if version is None:
            yield f"{deprecation.name} deprecates a version that is not there"
        elif version.commit != deprecation.commit:
            yield f"{deprecation.name} names {deprecation.commit[:9]}, its version {version.commit[:9]}"
    for assignment in known.assignments:
        if assignment.commit not in commits:
            yield f"{assignment.name} names {assignment.commit[:9]}, which no version names"
    for environment in known.environments:
        counters = [0, *(assignment.counter for assignment in known.uses(environment))]
        theirs = [one.parts.counter for one in known.foreign if one.parts.stage == environment]
        for before, after in itertools.pairwise(counters):
            if after == before:
                yield f"{known.model}#{environment} has number {after} twice; it holds nothing from there on"
            last = max(before, *(number for number in (0, *theirs) if number < after))
            if after > last + 1:
                gap = f"#{last + 1}" if after == last + 2 else f"#{last + 1} to #{after - 1}"
                yield f"{known.model}#{environment}{gap} is missing before #{after}"
        used = known.in_use(environment)
        if used is not None and known.deprecated(used):
            yield f"{environment} holds {used.name}, which is deprecated"


def inconsistent(known: Registry, records: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Where the records in the tags' messages (by tag object) say something else than the tags' names and order."""
    names = {version.commit: version.name for version in known.versions}
    versions = {version.name: version for version in known.versions}
    last = ""
    for place, version in enumerate(known.versions, 1):
        record = records.get(version.tag, {})
        if "number" in record and record["number"] != place:
            yield f"{version.name} is version number {place} here and says that it is number {record['number']}"
        elif "previous" in record and (record["previous"] or "") != last:
            yield f"{version.name} follows {last or 'nothing'} here and says that it follows {record['previous']}"
        last = version.name
    for environment in known.environments:
        last = ""
        for assignment in known.uses(environment):
            record, name = records.get(assignment.tag, {}), names.get(assignment.commit, "")
            if name and record.get("version", name) != name:
                verb = "takes {} out" if assignment.empties else "puts {} to use"
                yield f"{assignment.name} names {name} and says that it {verb.format(record['version'])}"
            elif "previous" in record and (record["previous"] or "") != last:
                yield f"{assignment.name} replaces {last or 'nothing'} and says that it replaces {record['previous']}"
            elif not record.get("reason") and is_older(name, versions.get(last)):
                yield f"{assignment.name} goes back to {name} from {last} and does not say why"
            last = "" if assignment.empties else name


def message(line: str, record: dict[str, Any]) -> str:
    """A tag's message: a line for people, then one line of JSON."""
    return f"{line}\n\n{json.dumps(record, sort_keys=True, separators=(',', ':'))}\n"


def use_record(version: str, previous: Registered | None, *, reason: str, by: str) -> dict[str, Any]:
    """What the tag of an environment says beside its name; one that goes back to an older version says that too."""
    told = {
        "schema": 2,
        "version": version,
        "previous": previous.name if previous else None,
        "reason": reason,
        "by": by,
    }
    return told | ({"older": True} if is_older(version, previous) else {})


def is_older(version: str, than: Registered | None) -> bool:
    """Whether the version of this name is lower than another one."""
    found = VERSION_TAG.fullmatch(version)
    return than is not None and found is not None and _number(found) < than.version


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
