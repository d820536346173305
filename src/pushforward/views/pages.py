"""A repository's history -> pages: what may merge, what is in use and why, for readers who run nothing.

The same pages are served and exported, so all links are relative. No page needs a script.
"""

import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl

from pushforward import params
from pushforward.gate.verdict import OFFSET_TITLE
from pushforward.git.repository import Repository
from pushforward.registry.grammar import NAME, NUMBER
from pushforward.views import addresses, badge, cards, charts, compare, feed, lists, looked, search, show
from pushforward.views import svg as pictures
from pushforward.views.answers import ATOM, CSS, HTML, JSON, SCRIPT, SVG, Answer
from pushforward.views.changes import Change
from pushforward.views.history import History
from pushforward.views.lists import PER_PAGE
from pushforward.views.rendering import templates
from pushforward.views.snapshot import Report, Snapshot
from pushforward.views.underway import REFRESH_SECONDS, Desk

HOLDOUTS_PER_PAGE = 6
MOST_NARROW = 30  # runs in a chart on a phone
COMMIT = re.compile(r"[0-9a-f]{40}")
OTHER = re.compile(rf"of/({NAME})/(.*)")
FILES = {"style.css": CSS, "icon.svg": SVG}
LIVE = {"live.js": SCRIPT}  # where pages are served
MACHINES = ("data.html", "feed.xml", "index.json", "badge.svg")
# What answers "may this merge?" stands first; names that are not here come last.
PICTURES = ("gain-by-day", "learning", "roc", "pr", "reliability", "importance")


@dataclass(frozen=True)
class Setting:
    """Where pages are shown: the repository's `name`, its default branch, and where it came from (`remote`, a URL).

    `whole` says that it has every branch of those whose history this is. What is `served` may have forms, and tells
    how long ago something was; an export has neither. `desk` knows what is under way.
    """

    name: str = ""
    head: str = "HEAD"
    remote: str = ""
    whole: bool = True
    served: bool = False
    desk: Desk = field(default_factory=Desk)


class Site:
    """All pages of one repository."""

    def __init__(self, repository: Repository, model: str = "", setting: Setting | None = None) -> None:
        setting = setting or Setting()
        self.history, self.model = History(repository, model, setting.head, whole=setting.whole), model
        self.setting, self._others = setting, dict[str, Site]()
        self.name = setting.name or repository.path.resolve().name
        self.forge = addresses.of(setting.remote)
        self._templates = templates()
        self._held: tuple[Snapshot, tuple[dict[str, list[lists.Stay]], dict[str, list[lists.Stay]]]] | None = None
        served = ((r"queue\.html", self._queue), (r"log/([a-z_]{3,20}-[\w.-]{1,200})\.html", self._log))
        more = r"(?:/([2-9]|[1-9]\d{1,5}))?\.html"
        self._routes: list[tuple[re.Pattern[str], Callable[..., Answer | None]]] = [
            (re.compile(pattern), method)
            for pattern, method in (
                (rf"index{more}", self._runs),
                (rf"verdict/([a-z-]{{1,40}}){more}", self._of_verdict),
                (rf"pulls{more}", self._pulls),
                (r"pull/(\d{1,9})\.html", self._pull),
                (r"run/([0-9a-f]{40})\.html", self._run),
                (rf"models{more}", self._models),
                (rf"version/(v{NUMBER}\.{NUMBER}\.{NUMBER})\.html", self._version),
                (rf"compare/(v{NUMBER}\.{NUMBER}\.{NUMBER})\.html", self._beside_champion),
                (rf"environment/({NAME}){more}", self._environment),
                (rf"metrics{more}", self._metrics),
                (rf"holdouts{more}", self._holdouts),
                (r"data\.html", self._data),
                (r"plots/([0-9a-f]{40})/(push|pull_request)/([a-z0-9-]{1,61})\.svg", self._picture),
                (r"feed\.xml", self._feed),
                (r"index\.json", self._index),
                (r"badge\.svg", self._badge),
                *(served if setting.served else ()),
            )
        ]

    def answer(self, path: str, query: str = "") -> Answer | None:
        """What is at `path`, which is relative and below the site; None where there is nothing.

        Of several models the first has the site itself, each other one the same pages below `of/NAME/`. A `query` is
        answered where pages are served.
        """
        if (found := OTHER.fullmatch(path)) and not self.model:
            others = self.history.snapshot().models[1:]
            return self._other(found[1]).answer(found[2], query) if found[1] in others else None
        if self.setting.served and path in ("", "index.html") and (asked := search.read(query)):
            return self._found(self.history.snapshot(), asked)
        if self.setting.served and path == "compare.html":
            return self._asked_beside(self.history.snapshot(), dict(parse_qsl(query[:400])))
        return self._at(path, None)

    def _other(self, name: str) -> "Site":
        site = Site(self.history.repository, name, replace(self.setting, name=self.name))
        return self._others.setdefault(name, site)

    def _switch(self, models: Sequence[str], root: str) -> list[tuple[str, str, bool]]:
        """(name, address, whether it is this one) of every model, where there are several."""
        first, *others = models or ("",)
        top = f"{root}../../" if self.model else root
        places = [(first, f"{top}index.html"), *((name, f"{top}of/{name}/index.html") for name in others)]
        return [(name, place, name == (self.model or first)) for name, place in places] if others else []

    def _at(self, path: str, snapshot: Snapshot | None) -> Answer | None:
        files = FILES | (LIVE if self.setting.served else {})
        if path in files:
            return Answer(resources.files("pushforward.views").joinpath("templates", path).read_bytes(), files[path])
        for pattern, method in self._routes:
            if found := pattern.fullmatch(path or "index.html"):
                return method(snapshot or self.history.snapshot(), *found.groups())
        return None

    def everything(self) -> Iterator[tuple[str, Answer]]:
        """Every path that has an answer, and the answer; git is asked for a hundred reports at once."""
        for name in () if self.model else self.history.snapshot().models[1:]:
            yield from ((f"of/{name}/{path}", answer) for path, answer in self._other(name).everything())
        snapshot = self.history.snapshot()
        listed = {
            "index": (len(snapshot.runs), PER_PAGE),
            "pulls": (len(snapshot.pulls), PER_PAGE),
            "models": (len(snapshot.registry.versions), PER_PAGE),
            "metrics": (len(lists.measured(snapshot)), PER_PAGE),
            "holdouts": (len(snapshot.holdouts), HOLDOUTS_PER_PAGE),
        }
        for word, count in lists.verdicts(snapshot).items():
            listed[f"verdict/{word}"] = count, PER_PAGE
        for name in snapshot.registry.environments:
            used = [one for one in snapshot.registry.assignments if one.environment == name]
            listed[f"environment/{name}"] = len(used), PER_PAGE
        paths = [*FILES, *MACHINES]
        for name, (count, size) in listed.items():
            paths += [f"{name}.html", *(f"{name}/{number}.html" for number in range(2, math.ceil(count / size) + 1))]
        for path in paths:
            yield from _there(path, self._at(path, snapshot))
        for start in range(0, len(snapshot.registry.versions), PER_PAGE):
            some = snapshot.registry.versions[start : start + PER_PAGE]
            for version, entry in zip(some, cards.cards(self.history, snapshot, some), strict=True):
                name = str(version.version)
                yield from _there(f"version/{name}.html", self._version(snapshot, name, entry))
                yield from _there(f"compare/{name}.html", self._beside_champion(snapshot, name))
        commits = list(dict.fromkeys([*(run.commit for run in snapshot.runs), *snapshot.kept]))
        newest = {pull.newest.commit: pull.number for pull in snapshot.pulls}
        for start in range(0, len(commits), PER_PAGE):
            told = self.history.reports(snapshot, commits[start : start + PER_PAGE])
            self._changed(snapshot, told)
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
        part = lists.portion(snapshot.runs, page, "index")
        return None if part is None else self._listed(snapshot, part)

    def _of_verdict(self, snapshot: Snapshot, word: str, page: str | None) -> Answer | None:
        runs = [run for run in snapshot.runs if run.header.verdict == word]
        part = lists.portion(runs, page, f"verdict/{word}")
        return self._listed(snapshot, part, search.Query(verdict=word)) if part and runs else None

    def _found(self, snapshot: Snapshot, query: search.Query) -> Answer | None:
        """The runs that answer a query; of a page that is not there, the first."""
        runs = query.keep(snapshot.runs)
        part = lists.portion(runs, str(query.page), "index") or lists.portion(runs, "1", "index")
        return self._listed(snapshot, replace(part, query=query.address), query) if part else None

    def _listed(self, snapshot: Snapshot, part: lists.Part, query: search.Query = search.NOTHING) -> Answer:
        newest = self.history.looks(snapshot, [*snapshot.holdouts][:1])
        told = {"looks": newest, "uses": lists.uses(snapshot), "query": query, "verdicts": lists.verdicts(snapshot)}
        live = [one for one in self.setting.desk.runs() if one.live]
        path = "index.html" if part.query else part.path(part.number)
        return self._render("runs", snapshot, path, part=part, live=live, **told)

    def _queue(self, snapshot: Snapshot) -> Answer:
        runs = self.setting.desk.runs()[:PER_PAGE]
        refresh = REFRESH_SECONDS if any(one.live for one in runs) else 0
        return self._render("queue", snapshot, "queue.html", runs=runs, refresh=refresh)

    def _log(self, snapshot: Snapshot, key: str) -> Answer | None:
        run = next((one for one in self.setting.desk.runs() if one.key == key), None)
        if run is None:
            return None
        told = {"log": self.setting.desk.log(key), "steps": self.setting.desk.steps(key)}
        refresh = REFRESH_SECONDS if run.live else 0
        return self._render("log", snapshot, f"log/{key}.html", run=run, refresh=refresh, **told)

    def _feed(self, snapshot: Snapshot) -> Answer:
        stays = [one for held in self._stays(snapshot)[0].values() for one in held]
        return Answer(feed.atom(snapshot.model, self.name, feed.entries(snapshot, stays)), ATOM)

    def _index(self, snapshot: Snapshot) -> Answer:
        told = show.of(snapshot, snapshot.registry, snapshot.tags)
        return Answer(json.dumps(told.record(), indent=1, ensure_ascii=False).encode() + b"\n", JSON)

    def _badge(self, snapshot: Snapshot) -> Answer:
        return Answer(badge.of(snapshot), SVG)

    def _asked_beside(self, snapshot: Snapshot, asked: dict[str, str]) -> Answer:
        names = [asked.get(name, "").strip()[:100] for name in ("a", "b")]
        return self._beside(snapshot, names, "compare.html")

    def _beside_champion(self, snapshot: Snapshot, name: str) -> Answer | None:
        against = self._yardstick(snapshot, name)
        return self._beside(snapshot, [against, name], f"compare/{name}.html") if against else None

    def _yardstick(self, snapshot: Snapshot, name: str) -> str:
        """The version to beat, for another one; "" where a run of either is not known."""
        champion = snapshot.registry.champion
        against, made = str(champion.version) if champion else "", {run.version for run in snapshot.runs}
        return against if against != name and {against, name} <= made else ""

    def _beside(self, snapshot: Snapshot, names: Sequence[str], path: str) -> Answer:
        """Two runs beside each other; where one is not known, what is asked for."""
        found = [compare.find(snapshot, name) for name in names]
        sides = []
        for name, run in filter(None, found):
            told = next((one for one in self._told(snapshot, run.commit) if one.event == run.event), None)
            text = self.history.objects([f"{run.commit}:{params.FILE}"])[f"{run.commit}:{params.FILE}"]
            sides.append(compare.Side(name, run, told, compare.leaves(text)))
        unknown = [name for name, one in zip(names, found, strict=True) if name and one is None]
        told_: dict[str, Any] = {
            "sides": sides,
            "names": names,
            "unknown": unknown,
            "known": [*lists.made(snapshot)][:PER_PAGE],
        }
        if len(sides) == 2:
            told_["rows"] = {
                "numbers": compare.numbers(*sides),
                "digests": compare.digests(*sides),
                "parameters": compare.parameters(*sides)[:PER_PAGE],
            }
            told_["drawn"] = self._drawn_beside(snapshot, sides)
        return self._render("compare", snapshot, path, **told_)

    def _drawn_beside(self, snapshot: Snapshot, sides: Sequence[compare.Side]) -> list[tuple[str, list[str], Any]]:
        """(name, what each is drawn as) of the pictures that both have, and the places of both."""
        drawn = [self._drawn(snapshot, one.run.commit, [one.report] if one.report else []) for one in sides]
        kept = [found.get(one.run.event, {}) for found, one in zip(drawn, sides, strict=True)]
        folders = [f"plots/{one.run.commit}/{one.run.event}" for one in sides]
        return [
            (name, [f"{folder}/{name}.svg" for folder in folders], [mine[name] for mine in kept])
            for name in kept[0]
            if name in kept[1]
        ]

    def _changed(self, snapshot: Snapshot, told: Mapping[str, Sequence[Report]]) -> dict[tuple[str, str], Change]:
        """(commit, event) -> what the commit changes of the code of the version that it was judged against."""
        pairs = {(commit, one.event): (_against(snapshot, one), commit) for commit in told for one in told[commit]}
        found = self.history.changes(pairs.values())
        return {which: found[pair] for which, pair in pairs.items()}

    def _pulls(self, snapshot: Snapshot, page: str | None) -> Answer | None:
        part = lists.portion(snapshot.pulls, page, "pulls")
        return None if part is None else self._render("pulls", snapshot, part.path(part.number), part=part)

    def _pull(self, snapshot: Snapshot, number: str, told: list[Report] | None = None) -> Answer | None:
        pull = snapshot.pull(int(number))
        if pull is None or number != str(pull.number):
            return None
        told = told or self._told(snapshot, pull.newest.commit)
        newest = [one for one in told if one.event == "pull_request"][:1]
        drawn = self._drawn(snapshot, pull.newest.commit, newest)
        changed = self._changed(snapshot, {pull.newest.commit: newest})
        shown = {"pull": pull, "told": newest, "drawn": drawn, "changed": changed}
        return self._render("pull", snapshot, f"pull/{number}.html", **shown, logs=self._logs(pull.newest.commit))

    def _run(self, snapshot: Snapshot, commit: str, told: list[Report] | None = None) -> Answer | None:
        runs = {run.event: run for run in reversed(snapshot.runs) if run.commit == commit}
        told = told or self._told(snapshot, commit)
        if not told:
            return None
        drawn = self._drawn(snapshot, commit, told)
        beside = [one for one in self.setting.desk.runs() if one.commit == commit and one.alone]
        shown = {"runs": runs, "told": told, "commit": commit, "drawn": drawn, "beside": beside}
        shown |= {"changed": self._changed(snapshot, {commit: told}), "logs": self._logs(commit)}
        return self._render("run", snapshot, f"run/{commit}.html", **shown)

    def _logs(self, commit: str) -> dict[str, str]:
        """Event -> key of the runs of a commit whose logs this server keeps."""
        runs = self.setting.desk.runs() if self.setting.served else ()
        return {one.event: one.key for one in runs if one.commit == commit and not one.alone}

    def _models(self, snapshot: Snapshot, page: str | None) -> Answer | None:
        part = lists.portion(snapshot.registry.versions[::-1], page, "models")
        if part is None:
            return None
        path = part.path(part.number)
        return self._render("models", snapshot, path, part=part, uses=lists.uses(snapshot), runs=lists.made(snapshot))

    def _version(self, snapshot: Snapshot, name: str, told: "cards.Told | None" = None) -> Answer | None:
        version = next((one for one in snapshot.registry.versions if str(one.version) == name), None)
        if version is None:
            return None
        uses = self._stays(snapshot)[1].get(version.commit, [])[:PER_PAGE]
        run = lists.made(snapshot).get(name)
        (told,) = [told] if told else cards.cards(self.history, snapshot, [version])
        path, beside = f"version/{name}.html", self._yardstick(snapshot, name)
        return self._render("version", snapshot, path, version=version, uses=uses, run=run, told=told, beside=beside)

    def _stays(self, snapshot: Snapshot) -> tuple[dict[str, list[lists.Stay]], dict[str, list[lists.Stay]]]:
        """What was in use, by environment and by commit; found once for a snapshot, for all pages of an export."""
        if self._held is None or self._held[0] is not snapshot:
            held = lists.stays(snapshot)
            self._held = snapshot, (held, lists.stays_by_version(held))
        return self._held[1]

    def _environment(self, snapshot: Snapshot, name: str, page: str | None) -> Answer | None:
        used = self._stays(snapshot)[0].get(name, [])
        part = lists.portion(used, page, f"environment/{name}")
        if part is None or not used:
            return None
        now = snapshot.registry.in_use(name)
        run = lists.made(snapshot).get(str(now.version)) if now else None
        path = part.path(part.number)
        model = self.model or (snapshot.models[0] if len(snapshot.models) > 1 else "")
        found = looked.looks(self.history.repository, name, model) if part.number == 1 else None
        return self._render("environment", snapshot, path, name=name, part=part, now=now, run=run, looks=found)

    def _metrics(self, snapshot: Snapshot, page: str | None) -> Answer | None:
        part = lists.portion(lists.measured(snapshot), page, "metrics")
        if part is None:
            return None
        better = {metric.name: metric.better for run in part.items for metric in run.header.validation.numbers}
        shown = [name for name in better if name != OFFSET_TITLE][:3]
        trends = {}
        for name in shown:
            points, (width, height) = lists.points(part.items, name), (1100, 300) if name == shown[0] else (540, 220)
            narrow = charts.trend(points[-MOST_NARROW:], width=320, height=220)
            trends[name] = charts.trend(points, width=width, height=height), narrow, better[name]
        batch = params.noun(run.header.validation.month for run in part.items)
        return self._render("metrics", snapshot, part.path(part.number), part=part, trends=trends, batch=batch)

    def _holdouts(self, snapshot: Snapshot, page: str | None) -> Answer | None:
        part = lists.portion([*snapshot.holdouts], page, "holdouts", HOLDOUTS_PER_PAGE)
        if part is None:
            return None
        looks = self.history.looks(snapshot, part.items)
        about = {run.commit: run.about for run in snapshot.runs}
        return self._render("holdouts", snapshot, part.path(part.number), part=part, looks=looks, about=about)

    def _data(self, snapshot: Snapshot) -> Answer:
        rates, moved = lists.rates(snapshot), lists.moved(snapshot)
        return self._render("data", snapshot, "data.html", rates=rates[-PER_PAGE:], moved=moved[:PER_PAGE])

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
            "now_seconds": int(time.time()) if self.setting.served else 0,
            "served": self.setting.served,
            "forge": self.forge,
        }
        text = self._templates.get_template(f"{template}.html").render(snapshot=snapshot, **values)
        return Answer(text.encode("utf-8", "replace"), HTML)


def _against(snapshot: Snapshot, told: Report) -> str:
    """The commit whose code a report's was judged against: what a version's tag names has the lock of its run too."""
    champion = told.verdict.champion if told.verdict else None
    if champion is None:
        return ""
    version = next((one for one in snapshot.registry.versions if one.name == champion.version), None)
    commit = str(snapshot.tags[version.tag].record.get("commit", champion.commit)) if version else champion.commit
    return commit if COMMIT.fullmatch(commit) else ""


def _there(path: str, answer: Answer | None) -> Iterator[tuple[str, Answer]]:
    if answer:
        yield path, answer


def _place(name: str) -> tuple[int, str]:
    return (PICTURES.index(name) if name in PICTURES else len(PICTURES), name)
