"""The feed, the badge and the JSON: what machines read of the pages."""

import importlib.util
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests import documents

from pushforward.git.repository import Repository
from pushforward.views import badge, show, svg
from pushforward.views.pages import Site

SPEC = importlib.util.spec_from_file_location("feed_team", Path(__file__).parents[2] / "benchmarks" / "web.py")
benchmark = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = benchmark  # its dataclasses look themselves up
SPEC.loader.exec_module(benchmark)
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def story(tmp_path):
    made = benchmark.Story(tmp_path / "toy.git")
    first = made.commit("Begin")
    other = made.commit("<b>Deeper</b> & wider \x1b[31m\ufffe", branch="deeper", start=first, author="Bo & Co")
    made.write_commits()
    old, new = made.commits[first], made.commits[other]
    made.note(old, [benchmark.written(benchmark.verdict(old, "promote", gain=None))])
    made.note(new, [benchmark.written(benchmark.verdict(new, "hold", ref="refs/heads/deeper", pull=3))])
    made.tag("flight-delay@v1.0.0", old, {"commit": old})
    made.tag("flight-delay#production#1", old, {"by": "Ann <a@b>", "reason": "released"}, minute=5)
    made.write()
    return made


def feed(site):
    answer = site.answer("feed.xml")
    assert answer.kind.startswith("application/atom+xml")
    return ElementTree.fromstring(answer.content)


def test_the_feed_tells_verdicts_versions_and_uses_newest_first(story):
    root = feed(Site(Repository(story.folder)))
    entries = root.findall(f"{ATOM}entry")
    assert [entry.findtext(f"{ATOM}title") for entry in entries] == [
        "flight-delay@v1.0.0 was put into production",
        "hold: <b>Deeper</b> & wider (#3 deeper)",
        "flight-delay@v1.0.0 was made",
        "promote: Begin (main)",
    ]
    for element in (root, *entries):
        for name in ("id", "title", "updated"):
            assert len(element.findall(f"{ATOM}{name}")) == 1, name
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", element.findtext(f"{ATOM}updated"))
        assert element.findtext(f"{ATOM}id").startswith("urn:uuid:")
    assert root.findtext(f"{ATOM}updated") == entries[0].findtext(f"{ATOM}updated")
    assert entries[1].findtext(f"{ATOM}author/{ATOM}name") == "Bo & Co"
    site = Site(Repository(story.folder))
    links = [entry.find(f"{ATOM}link").get("href") for entry in entries]
    assert all(site.answer(link) is not None for link in links)


def test_identities_of_the_feed_stay_when_something_is_added(story):
    before = [one.text for one in feed(Site(Repository(story.folder))).iter(f"{ATOM}id")]
    assert len(before) == len(set(before))
    story.tag("flight-delay#staging#1", story.commits[0], {}, minute=9)
    story.write()
    after = [one.text for one in feed(Site(Repository(story.folder))).iter(f"{ATOM}id")]
    assert [one for one in after if one in before] == before
    assert len(after) == len(before) + 1


def test_the_badge_says_what_production_holds(story):
    site = Site(Repository(story.folder))

    def said():
        content = site.answer("badge.svg").content
        return svg.read(content).title

    assert said() == "flight-delay: v1.0.0 production"
    story.tag("flight-delay@v1.0.0!", story.commits[0], {"reason": "it leaks"}, minute=9)
    story.write()
    assert said() == "flight-delay: v1.0.0 deprecated"
    assert svg.read(badge.badge('<script>"&', "\x1b[31m" + "x" * 500, badge.GONE)).title == f'<script>"&: {"x" * 59}…'


def test_the_json_is_that_of_show(story):
    site = Site(Repository(story.folder))
    told = documents.check("show", site.answer("index.json").content.decode())
    assert told.keys() == show.State("", {}, (), (), (), (), ()).record().keys()
    assert told["environments"] == {"production": "flight-delay@v1.0.0"}
    assert [(entry["verdict"], entry["version"]) for entry in told["history"]] == [("promote", "v1.0.0"), ("hold", "")]
    assert told["uses"][0]["reason"] == "released"
