"""A repository with a bit of everything, and what a browser would make of its pages. For the tests of the views."""

import dataclasses
import importlib.util
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

from pushforward.gate.verdict import Champion
from pushforward.git.repository import Repository
from pushforward.report import note
from pushforward.report.note import Context
from pushforward.views.answers import HTML
from pushforward.views.pages import Site


def module(name, path):
    """A file that is no part of a package, as a module."""
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded  # its dataclasses look themselves up
    spec.loader.exec_module(loaded)
    return loaded


benchmark = module("web_benchmark", Path(__file__).parents[2] / "benchmarks" / "web.py")
golden = module("golden_reports", Path(__file__).parents[1] / "report" / "test_golden.py")

HOSTILE = golden.HOSTILE
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><title>ROC</title><desc>0.7</desc></svg>'
VOID = {"meta", "link", "img", "br", "input"}
ALLOWED = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "body",
        "header",
        "nav",
        "main",
        "footer",
        "article",
        "section",
        "aside",
    ),
    *("h1", "h2", "h3", "p", "div", "span", "a", "strong", "del", "ins", "time", "code", "pre", "details", "summary"),
    *(
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "figure",
        "figcaption",
    ),
    *("img", "svg", "path", "circle", "rect", "polyline", "text"),
}


class Page(HTMLParser):
    """What a browser would make of a page, as far as the tests ask."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.links, self.texts = [], [], [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for key, value in attrs if key == "id"]
        self.links += [value for key, value in attrs if key in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def find(self, tag, **wanted):
        return [attrs for name, attrs in self.tags if name == tag and wanted.items() <= attrs.items()]

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def html(site, path):
    answer = site.answer(path)
    assert answer is not None, path
    assert answer.kind == HTML
    return answer.content.decode()


def rows(text):
    """The rows of all tables, as text."""
    return [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in re.findall(r"<tr>.*?</tr>", text, re.DOTALL)]


@dataclasses.dataclass
class World:
    """A repository with a bit of everything, and the names of what is in it."""

    folder: Path
    site: Site
    first: str
    tries: list
    merge: str
    hostile: str
    carried: str
    broken: str
    unread: str


def make(folder):
    """The world in `folder`."""
    story = benchmark.Story(folder)
    first = story.commit("Begin with four months")
    tries = [
        story.commit("Deeper trees", branch="deeper", start=first, author="Bashir"),
        story.commit("Deeper trees, fewer", branch="deeper", author="Bashir"),
    ]
    merge = story.commit("Merge deeper", start=first, merge=tries[1])
    hostile = story.commit(HOSTILE.replace("\x00", ""), branch="hostile", start=first, author="\u202eEve&lt;")
    carried = story.commit("Write a README", start=merge)
    broken = story.commit("Break it", start=carried)
    unread = story.commit("Written by another version", start=broken)
    story.write_commits()
    name = story.commits.__getitem__
    start, better = benchmark.verdict(name(first), "promote", gain=None), {"champion": Champion("v", name(first))}
    story.note(name(first), [benchmark.written(start)])
    looks = [benchmark.Look(number, 10, 0.005) for number in (1, 2)]
    unknown = benchmark.verdict(
        name(tries[0]), "unknown", gain=0.0005, loss=0.4695, ref="refs/heads/deeper", pull=1, look=looks[0], **better
    )
    passed = dataclasses.replace(
        unknown, verdict="promote", commit=name(tries[1]), look=looks[1], reason="it is better"
    )
    story.note(name(tries[0]), [benchmark.written(unknown)])
    story.note(name(tries[1]), [benchmark.written(passed)])
    merged = dataclasses.replace(passed, commit=name(merge), ref="refs/heads/main", event="push", pull=None)
    earlier = dataclasses.replace(merged, event="pull_request", pull=1, verdict="hold", ref="refs/heads/deeper")
    story.note(name(merge), [benchmark.written(merged), benchmark.written(earlier)])
    nasty = dataclasses.replace(golden.HOSTILE_VERDICT, event="pull_request", pull=2, sealed=True)
    story.note(name(hostile), [benchmark.written(nasty, golden.HOSTILE_CONTEXT)])
    stands = Context(kind="carried", carried_to=name(carried), carried_by="pull_request")
    story.note(name(carried), [benchmark.written(merged, stands)])
    story.note(name(broken), [benchmark.written(benchmark.verdict(name(broken), "invalid"))])
    story.note(name(unread), [note.Report({"event": "push"}, Context(), "old")])
    story.draw(name(merge), {"push/plots/roc.svg": PICTURE, "push/plots/evil.svg": PICTURE.replace(b"<desc>", b"<a>")})
    story.tag("flight-delay@v1.0.0", name(first), benchmark.record(start))
    story.tag("flight-delay@v1.1.0", name(merge), benchmark.record(merged), minute=5)
    story.tag("flight-delay#staging#1", name(first), {})
    story.tag("flight-delay#staging#2", name(merge), {}, minute=5)
    story.tag("flight-delay#production#1", name(first), {}, minute=6)
    story.tag("flight-delay@1.2", name(first), {})
    story.write()
    benchmark.looks(story, "2013-03_2013-04", ("hold", "promote"), promoted="flight-delay@v1.1.0")
    benchmark.looks(story, "2013-04_2013-05", ("unknown", ""))
    site = Site(Repository(folder))
    return World(
        folder,
        site,
        *(
            story.commits[n] if isinstance(n, int) else [*map(name, n)]
            for n in (first, tries, merge, hostile, carried, broken, unread)
        ),
    )
