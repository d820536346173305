"""A repository's history -> pages: what may merge, what is in use and why, for readers who run nothing.

The same pages are served and exported, so all links are relative. No page needs a script. Every text that a template
shows passes `text.plain` and is escaped: who names a branch or a slice writes no markup.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pushforward import __version__, params, percent, schema, settings
from pushforward.errors import PushforwardError
from pushforward.gate.verdict import LEVEL, OFFSET_TITLE, Verdict, by_limits, self_scored, worst_first
from pushforward.git.refs import REGISTRY
from pushforward.git.repository import Repository
from pushforward.judge import names
from pushforward.pipeline.revision import sha256
from pushforward.registry.grammar import NAME, NUMBER
from pushforward.registry.tags import NEITHER, UNJUDGED, Registered
from pushforward.release import card, provenance
from pushforward.release import entry as registered
from pushforward.release.card import Card
from pushforward.report import words
from pushforward.text import between, capital, figure, plain, plural, sample, sentence, signed
from pushforward.views import charts
from pushforward.views import svg as pictures
from pushforward.views.history import History, Report, Run, Snapshot, Tag, clock

PER_PAGE = 100
HOLDOUTS_PER_PAGE = 6
SLICES_OPEN = 8
LONGEST = 4000
HTML, CSS, SVG = "text/html; charset=utf-8", "text/css; charset=utf-8", "image/svg+xml"
OTHER = re.compile(rf"of/({NAME})/(.*)")
# What stands for environments where nothing is judged.
MEASURED = "The numbers of a run are told, and held to their limits where they have some; nothing is promoted unasked."
FILES = {"style.css": CSS, "icon.svg": SVG}
# What answers "may this merge?" stands first; names that are not here come last.
PICTURES = ("gain-by-day", "learning", "roc", "pr", "reliability", "importance")


@dataclass(frozen=True)
class Answer:
    """The bytes of a page, a picture or a style sheet, and their media type."""

    content: bytes
    kind: str


@dataclass(frozen=True)
class Part:
    """Page `number` of `count` of a list whose pages are `<name>.html`, `<name>/2.html`, …"""

    items: Sequence[Any]
    number: int
    count: int
    name: str
    total: int

    def path(self, number: int) -> str:
        """The page of that number."""
        return f"{self.name}.html" if number == 1 else f"{self.name}/{number}.html"


class Site:
    """All pages of one repository."""

    def __init__(self, repository: Repository, model: str = "", head: str = "HEAD", name: str = "") -> None:
        self.history, self.model, self._others = History(repository, model, head), model, dict[str, Site]()
        self.name = name or repository.path.resolve().name
        self._templates = _templates()
        more = r"(?:/([2-9]|[1-9]\d{1,5}))?\.html"
        self._routes: list[tuple[re.Pattern[str], Callable[..., Answer | None]]] = [
            (re.compile(pattern), method)
            for pattern, method in (
                (rf"index{more}", self._runs),
                (rf"pulls{more}", self._pulls),
                (r"pull/(\d{1,9})\.html", self._pull),
                (r"run/([0-9a-f]{40})\.html", self._run),
                (rf"models{more}", self._models),
                (rf"version/(v{NUMBER}\.{NUMBER}\.{NUMBER})\.html", self._version),
                (rf"environment/({NAME}){more}", self._environment),
                (rf"metrics{more}", self._metrics),
                (rf"holdouts{more}", self._holdouts),
                (r"plots/([0-9a-f]{40})/(push|pull_request)/([a-z0-9-]{1,61})\.svg", self._picture),
            )
        ]

    def answer(self, path: str) -> Answer | None:
        """What is at `path`, which is relative and below the site; None where there is nothing.

        Of several models the first has the site itself, each other one the same pages below `of/NAME/`.
        """
        if (found := OTHER.fullmatch(path)) and not self.model:
            return self._other(found[1]).answer(found[2]) if found[1] in self.history.snapshot().models[1:] else None
        return self._at(path, None)

    def _other(self, name: str) -> "Site":
        return self._others.setdefault(name, Site(self.history.repository, name, self.history.head, self.name))

    def _switch(self, models: Sequence[str], root: str) -> list[tuple[str, str, bool]]:
        """(name, address, whether it is this one) of every model, where there are several."""
        first, *others = models or ("",)
        top = f"{root}../../" if self.model else root
        places = [(first, f"{top}index.html"), *((name, f"{top}of/{name}/index.html") for name in others)]
        return [(name, place, name == (self.model or first)) for name, place in places] if others else []

    def _at(self, path: str, snapshot: Snapshot | None) -> Answer | None:
        if path in FILES:
            return Answer(resources.files("pushforward.views").joinpath("templates", path).read_bytes(), FILES[path])
        for pattern, method in self._routes:
            if found := pattern.fullmatch(path or "index.html"):
                return method(snapshot or self.history.snapshot(), *found.groups())
        return None

    def everything(self) -> Iterator[tuple[str, Answer]]:
        """Every path that has an answer, and the answer; git is asked for a hundred reports at once."""
        for name in () if self.model else self.history.snapshot().models[1:]:
            yield from ((f"of/{name}/{path}", answer) for path, answer in self._other(name).everything())
        snapshot = self.history.snapshot()
        lists = {
            "index": (len(snapshot.runs), PER_PAGE),
            "pulls": (len(snapshot.pulls), PER_PAGE),
            "models": (len(snapshot.registry.versions), PER_PAGE),
            "metrics": (len(_measured(snapshot)), PER_PAGE),
            "holdouts": (len(snapshot.holdouts), HOLDOUTS_PER_PAGE),
        }
        for name in snapshot.registry.environments:
            used = [one for one in snapshot.registry.assignments if one.environment == name]
            lists[f"environment/{name}"] = len(used), PER_PAGE
        paths = [*FILES]
        for name, (count, size) in lists.items():
            paths += [f"{name}.html", *(f"{name}/{number}.html" for number in range(2, math.ceil(count / size) + 1))]
        for path in paths:
            yield from _there(path, self._at(path, snapshot))
        for start in range(0, len(snapshot.registry.versions), PER_PAGE):
            some = snapshot.registry.versions[start : start + PER_PAGE]
            for version, entry in zip(some, self._cards(snapshot, some), strict=True):
                yield from _there(
                    f"version/{version.version}.html", self._version(snapshot, str(version.version), entry)
                )
        commits = list(dict.fromkeys([*(run.commit for run in snapshot.runs), *snapshot.kept]))
        newest = {pull.newest.commit: pull.number for pull in snapshot.pulls}
        for start in range(0, len(commits), PER_PAGE):
            told = self.history.reports(snapshot, commits[start : start + PER_PAGE])
            for commit, reports in told.items():
                yield from _there(f"run/{commit}.html", self._run(snapshot, commit, reports))
                if commit in newest:
                    number = str(newest[commit])
                    yield from _there(f"pull/{number}.html", self._pull(snapshot, number, reports))
            names = [(commit, one.event, name) for commit in told for one in told[commit] for name in one.pictures]
            for (commit, event, name), content in zip(names, self.history.pictures(snapshot, names), strict=True):
                if content and pictures.read(content):
                    yield f"plots/{commit}/{event}/{name}.svg", Answer(content, SVG)

    def missing(self, path: str, message: str, following: str = "") -> Answer:
        """The page in the place of one that is not there, or that cannot be made; it reads nothing."""
        return self._render("missing", Snapshot(), path, message=message, following=following)

    def _runs(self, snapshot: Snapshot, page: str | None) -> Answer | None:
        part = _part(snapshot.runs, page, "index")
        if part is None:
            return None
        newest = self.history.looks(snapshot, [*snapshot.holdouts][:1])
        path = part.path(part.number)
        return self._render("runs", snapshot, path, part=part, looks=newest, uses=_uses(snapshot))

    def _pulls(self, snapshot: Snapshot, page: str | None) -> Answer | None:
        part = _part(snapshot.pulls, page, "pulls")
        return None if part is None else self._render("pulls", snapshot, part.path(part.number), part=part)

    def _pull(self, snapshot: Snapshot, number: str, told: list[Report] | None = None) -> Answer | None:
        pull = snapshot.pull(int(number))
        if pull is None or number != str(pull.number):
            return None
        told = told or self._told(snapshot, pull.newest.commit)
        newest = [one for one in told if one.event == "pull_request"][:1]
        drawn = self._drawn(snapshot, pull.newest.commit, newest)
        return self._render("pull", snapshot, f"pull/{number}.html", pull=pull, told=newest, drawn=drawn)

    def _run(self, snapshot: Snapshot, commit: str, told: list[Report] | None = None) -> Answer | None:
        runs = {run.header.event: run for run in reversed(snapshot.runs) if run.commit == commit}
        told = told or self._told(snapshot, commit)
        if not told:
            return None
        drawn = self._drawn(snapshot, commit, told)
        return self._render("run", snapshot, f"run/{commit}.html", runs=runs, told=told, commit=commit, drawn=drawn)

    def _models(self, snapshot: Snapshot, page: str | None) -> Answer | None:
        part = _part(snapshot.registry.versions[::-1], page, "models")
        if part is None:
            return None
        path = part.path(part.number)
        return self._render("models", snapshot, path, part=part, uses=_uses(snapshot), runs=_made(snapshot))

    def _version(self, snapshot: Snapshot, name: str, told: "_Told | None" = None) -> Answer | None:
        version = next((one for one in snapshot.registry.versions if str(one.version) == name), None)
        if version is None:
            return None
        mine = [one for one in snapshot.registry.assignments[::-1] if one.commit == version.commit and not one.empties]
        uses = mine[:PER_PAGE]
        run = _made(snapshot).get(name)
        (told,) = [told] if told else self._cards(snapshot, [version])
        path = f"version/{name}.html"
        return self._render("version", snapshot, path, version=version, uses=uses, run=run, told=told)

    def _cards(self, snapshot: Snapshot, versions: Sequence[Registered]) -> "list[_Told]":
        """The model cards of versions, from what the registry holds and their tags bind, for all of them at once."""
        folders = [f"{REGISTRY}:{registered.folder(version.name)}" for version in versions]
        rules = [f"{version.commit}:{schema.FILE}" for version in versions]
        files = [f"{folder}/{name}" for folder in folders for name in (registered.VERDICT, registered.PROVENANCE)]
        found = self.history.objects([*files, *rules])
        entries = [
            _Entry.read(
                snapshot.model,
                *(found[f"{folder}/{name}"] for name in (registered.VERDICT, registered.PROVENANCE)),
                found[text],
            )
            for folder, text in zip(folders, rules, strict=True)
        ]
        abouts = [
            f"{version.commit}:{entry.about}" if entry.about else ""
            for version, entry in zip(versions, entries, strict=True)
        ]
        lists = [f"{version.commit}:{entry.lists}" for version, entry in zip(versions, entries, strict=True)]
        texts = self.history.objects([*filter(None, abouts), *lists])
        return [
            entry.told(version, snapshot.tags[version.tag], texts.get(about), texts[listed])
            for version, entry, about, listed in zip(versions, entries, abouts, lists, strict=True)
        ]

    def _environment(self, snapshot: Snapshot, name: str, page: str | None) -> Answer | None:
        used = [one for one in snapshot.registry.assignments[::-1] if one.environment == name]
        part = _part(used, page, f"environment/{name}")
        if part is None or not used:
            return None
        at = {version.commit: version for version in snapshot.registry.versions}
        now = snapshot.registry.in_use(name)
        run = _made(snapshot).get(str(now.version)) if now else None
        path = part.path(part.number)
        return self._render("environment", snapshot, path, name=name, part=part, at=at, now=now, run=run)

    def _metrics(self, snapshot: Snapshot, page: str | None) -> Answer | None:
        part = _part(_measured(snapshot), page, "metrics")
        if part is None:
            return None
        better = {metric.name: metric.better for run in part.items for metric in run.header.validation.numbers}
        shown = [name for name in better if name != OFFSET_TITLE][:3]
        trends = {}
        for name in shown:
            width, height = (1100, 300) if name == shown[0] else (540, 220)
            trends[name] = charts.trend(_points(part.items, name), width=width, height=height), better[name]
        batch = params.noun(run.header.validation.month for run in part.items)
        return self._render("metrics", snapshot, part.path(part.number), part=part, trends=trends, batch=batch)

    def _holdouts(self, snapshot: Snapshot, page: str | None) -> Answer | None:
        part = _part([*snapshot.holdouts], page, "holdouts", HOLDOUTS_PER_PAGE)
        if part is None:
            return None
        looks = self.history.looks(snapshot, part.items)
        about = {run.commit: run.about for run in snapshot.runs}
        return self._render("holdouts", snapshot, part.path(part.number), part=part, looks=looks, about=about)

    def _picture(self, snapshot: Snapshot, commit: str, event: str, name: str) -> Answer | None:
        (content,) = self.history.pictures(snapshot, [(commit, event, name)])
        return Answer(content, SVG) if content and pictures.read(content) else None

    def _drawn(self, snapshot: Snapshot, commit: str, told: Sequence[Report]) -> dict[str, dict[str, pictures.Picture]]:
        """Event -> name -> picture of the reports of a commit; what is no picture is left out."""
        names = [(commit, one.event, name) for one in told for name in sorted(one.pictures, key=_place)]
        drawn: dict[str, dict[str, pictures.Picture]] = {}
        for (_, event, name), content in zip(names, self.history.pictures(snapshot, names), strict=True):
            if content and (picture := pictures.read(content)):
                drawn.setdefault(event, {})[name] = picture
        return drawn

    def _told(self, snapshot: Snapshot, commit: str) -> list[Report]:
        return self.history.reports(snapshot, [commit]).get(commit, [])

    def _render(self, template: str, snapshot: Snapshot, path: str, **values: Any) -> Answer:
        root = "../" * path.count("/")
        values |= {
            "root": root,
            "here": template,
            "site": self.name,
            "models": self._switch(snapshot.models, root),
        }
        text = self._templates.get_template(f"{template}.html").render(snapshot=snapshot, **values)
        return Answer(text.encode("utf-8", "replace"), HTML)


@dataclass(frozen=True)
class _Told:
    """The card of a version, or why there is none to show."""

    card: Card | None = None
    problem: str = ""


@dataclass(frozen=True)
class _Entry:
    """What the registry holds of a version, and the settings at its commit; None where that is not there."""

    verdict: bytes | None
    provenance: bytes | None
    rules: settings.Settings | None
    problem: str = ""

    @staticmethod
    def read(model: str, *found: tuple[str, bytes] | None) -> "_Entry":
        verdict, made, text = (one[1] if one and one[0] == "blob" else None for one in found)
        try:
            return _Entry(verdict, made, settings.parse(text).of(model) if text is not None else None)
        except PushforwardError as broken:
            return _Entry(verdict, made, None, broken.message)

    @property
    def about(self) -> str:
        """The file whose text begins the card."""
        return (self.rules.model.card or "") if self.rules else ""

    @property
    def lists(self) -> str:
        """The file that lists the batches."""
        return (self.rules.batches[0] if self.rules else "") or params.FILE

    def told(
        self, version: Registered, tag: Tag, about: tuple[str, bytes] | None, listed: tuple[str, bytes] | None
    ) -> _Told:
        """The card, where verdict and provenance are those that the tag names."""
        if self.verdict is None or self.provenance is None or self.rules is None:
            return _Told(problem=self.problem)
        digests = {"verdict": sha256(self.verdict), "provenance": sha256(self.provenance)}
        wrong = [name for name, digest in digests.items() if tag.record.get(name) != digest]
        if wrong:
            return _Told(problem=f"The {wrong[0]} in the registry is not the one that the tag names.")
        try:
            verdict, made = Verdict.from_json(self.verdict), provenance.read(self.provenance)
            batches = self.rules.arrived(lambda _: listed[1] if listed and listed[0] == "blob" else None)
        except PushforwardError as broken:
            return _Told(problem=broken.message)
        text = about[1].decode("utf-8", "replace") if about and about[0] == "blob" else None
        previous, digest = str(tag.record.get("previous") or ""), digests["provenance"]
        told = card.build(
            version.name, verdict, self.rules, made, batches=batches, digest=digest, previous=previous, about=text
        )
        return _Told(told)


def _there(path: str, answer: Answer | None) -> Iterator[tuple[str, Answer]]:
    if answer:
        yield path, answer


def _place(name: str) -> tuple[int, str]:
    return (PICTURES.index(name) if name in PICTURES else len(PICTURES), name)


def _part(items: Sequence[Any], page: str | None, name: str, size: int = PER_PAGE) -> Part | None:
    number, count = int(page or 1), max(1, math.ceil(len(items) / size))
    if number > count:
        return None
    return Part(items[(number - 1) * size : number * size], number, count, name, len(items))


def _measured(snapshot: Snapshot) -> list[Run]:
    """The runs that trained something and were measured; a verdict that stands from before is not measured again."""
    return [run for run in snapshot.runs if run.loss and not run.stands_from]


def _made(snapshot: Snapshot) -> dict[str, Run]:
    """Version -> the run that made it."""
    return {run.version: run for run in snapshot.runs if run.version}


def _points(runs: Sequence[Run], name: str) -> list[charts.Point]:
    """One metric of the runs (newest first), oldest first."""
    points = []
    for run in reversed(runs):
        found = run.header.validation
        for metric in found.numbers if found else ():
            if metric.name == name and found:
                title = f"{run.commit[:7]} {run.about.subject}: {run.header.verdict}, {figure(metric.challenger)}"
                points.append(charts.Point(metric.challenger, run.header.verdict, run.version, found.month, title))
    return points


@dataclass(frozen=True)
class Use:
    """What an environment holds (None: nothing yet), since when, by whose tag, and who may fill it.

    `foreign` is what GTO has put there before, until a version is.
    """

    environment: str
    version: Registered | None
    seconds: int
    tagger: str
    policy: str
    run: Run | None
    foreign: str = ""


def _uses(snapshot: Snapshot) -> list[Use]:
    """The environments, those of the settings first and in their order."""
    made, uses = _made(snapshot), []
    known = snapshot.registry
    for name in dict.fromkeys([*snapshot.policy, *known.environments, *known.foreign_environments]):
        version, mine = known.in_use(name), known.uses(name)
        tag = snapshot.tags[mine[-1].tag] if mine else None
        run = made.get(str(version.version)) if version else None
        since = tag.seconds if tag else 0
        policy, before = snapshot.policy.get(name, ""), known.foreign_use(name)
        uses.append(Use(name, version, since, tag.tagger if tag else "", policy, run, before))
    return uses


def _told_by() -> dict[str, Any]:
    """What templates say verdicts with."""
    return {
        # the page says of which commit it is
        "headline": lambda verdict, context: capital(words.title(verdict, context, plain, this="this change")),
        "curve": charts.curve,
        "fold_stages": words.fold_stages,
        "remarks": words.remarks,
        "epoch_line": lambda verdict: words.epoch_line(verdict, plain).partition(": ")[2],
        "measured": words.measured,
        "unlisted": words.unlisted,
        "written": lambda context: words.written(context, plain),
        "clustered": words.clustered,
        "LEVEL": LEVEL,
        "MEASURED": MEASURED,
        "NEITHER": NEITHER,
        "UNJUDGED": UNJUDGED,
        "by_limits": by_limits,
        "self_scored": self_scored,
        "WORDS": words.WORDS,
        "NEXT": words.NEXT,
        "SLICES_OPEN": SLICES_OPEN,
        "PUSHFORWARD": __version__,
    }


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("pushforward.views"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.filters |= {
        "figure": lambda value, decimals=4: "" if value is None else figure(value, decimals),
        "between": lambda one: between(one.low, one.high),
        "plural": plural,
        "sample": sample,
        "signed": lambda value: "" if value is None else signed(value),
        "day": lambda seconds: f"{clock(seconds):%Y-%m-%d}",
        "moment": lambda seconds: f"{clock(seconds):%Y-%m-%d %H:%M}",
        "iso": lambda seconds: clock(seconds).isoformat(),
        "holdout": words.span,
        "batches": names.span,
        "arrival": names.noun,
        "noun": params.noun,
        "lines": _lines,
        "sentence": sentence,
        "worst_first": worst_first,
        "percent": lambda share: percent.share(share, ".4g"),
        "confidence": lambda alpha: percent.confidence(alpha, ".4g"),
    }
    templates.globals |= _told_by()
    # Compiled now, so that no reader waits for it.
    for name in templates.list_templates(extensions=["html"]):
        templates.get_template(name)
    return templates


def _shown(value: Any) -> Any:
    """What a template's expression shows: markup as it is, anything else as one line of plain text."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return ""
    text = str(value)
    # most texts are nothing but letters, and there are thousands on a page
    return text if text.isascii() and text.isprintable() and "  " not in text else plain(text, LONGEST)


def _lines(text: str) -> Markup:
    """A text of several lines for `<pre>`, each line plain."""
    lines = text.strip("\n").split("\n")
    indented = (" " * min(len(line) - len(line.lstrip(" ")), 24) + plain(line, LONGEST) for line in lines)
    return Markup("\n").join(escape(line) for line in indented)
