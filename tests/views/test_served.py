"""What served pages have beside those of an export: forms, runs under way, how long ago; and what both have of code."""

import dataclasses
import re
from posixpath import join, normpath

from tests.views.world import PICTURE, Page, benchmark, html, rows

from pushforward.git.repository import Repository
from pushforward.views.lists import PER_PAGE
from pushforward.views.pages import Setting, Site
from pushforward.views.underway import Desk, Underway

SERVED = Setting(served=True)


def served(world, **more):
    return Site(Repository(world.folder), setting=dataclasses.replace(SERVED, **more))


def found(site, query):
    text = site.answer("index.html", query).content.decode()
    return [re.search(r"[0-9a-f]{7}\b", row)[0] for row in rows(text)[1:]], text


def test_served_runs_are_found_by_verdict_branch_author_and_words(world):
    site = served(world)
    assert found(site, "author=bashir&verdict=unknown")[0] == [world.tries[0][:7]]
    assert found(site, "branch=deeper&text=fewer")[0] == [world.tries[1][:7]]
    none, text = found(site, "text=nothing+like+it")
    assert none == []
    assert "No run answers that." in text
    nasty = found(site, "text=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")[1]
    assert "<script" not in nasty
    assert Page(nasty).find("input", name="text")[0]["value"] == '"><script>alert(1)</script>'
    assert len(Page(html(site, "index.html")).find("form", method="get")) == 1


def test_an_answer_has_pages_that_ask_the_same(tmp_path):
    story = benchmark.team(tmp_path / "team.git", runs=2 * PER_PAGE + 7, tags=0)
    site, seen = Site(Repository(story.folder), setting=SERVED), []
    for page in (1, 2, 3):
        some, text = found(site, f"text=e&page={page}")
        seen += some
        addresses = {link for link in Page(text).links if "page=" in link}
        assert addresses <= {f"index.html?text=e&page={number}" for number in (1, 2, 3)}
        assert addresses
    assert len(seen) == 2 * PER_PAGE + 7


def test_an_export_has_a_list_for_each_verdict_and_no_form(world):
    text = html(world.site, "index.html")
    assert not Page(text).find("form")
    assert "form-action 'none'" in text
    held = html(world.site, "verdict/unknown.html")
    assert f"{world.tries[0][:7]}" in " ".join(rows(held))
    assert len(rows(held)) == 2
    assert world.site.answer("index.html", "verdict=unknown") == world.site.answer("index.html")
    assert [world.site.answer(path) for path in ("verdict/measured.html", "compare.html", "queue.html")] == [None] * 3


def test_served_pages_say_how_long_ago_and_an_export_does_not(world):
    assert " y ago" in Page(html(served(world), "index.html")).text
    assert "ago" not in Page(html(world.site, "index.html")).text


def under_way(world, **more):
    told = {"key": f"push-{world.first}", "name": world.first[:9], "event": "push", "branch": "main"}
    told |= {"commit": world.first, "pull": None, "state": "running", "stage": "train", "verdict": "", "reason": ""}
    return Underway(**(told | {"place": "", "asked": 1, "started": 1, "seconds": 2.5} | more))


def test_runs_under_way_are_told_with_their_logs_where_they_are_served(world):
    waits = under_way(
        world, key="push-" + "e" * 40, name="e" * 9, commit="e" * 40, state="queued", place="queued: 1 before"
    )
    ended = under_way(world, key=f"tag-{'d' * 40}", name="d" * 9, event="tag", state="done", verdict="success")
    desk = Desk(lambda: [waits, under_way(world), ended], lambda key: f"{key}\n<b>\x1b[31mepoch  1\n")
    site = served(world, desk=desk)
    text = Page(html(site, "index.html")).text
    assert re.search(rf"Under way.*queued.*{'e' * 9}.*queued: 1 before.*running.*{world.first[:9]}.*2\.5 s", text)
    assert "success" not in text
    assert "success" in Page(html(site, "queue.html")).text
    log = site.answer(f"log/push-{world.first}.html")
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in log.content.decode()
    assert '<script src="../live.js" data-stream="../live">' in log.content.decode()
    assert "\n&lt;b&gt;epoch  1" in log.content.decode(), "blanks of a log count"
    assert 'http-equiv="refresh"' not in html(site, f"log/tag-{'d' * 40}.html")
    assert site.answer(f"log/push-{world.merge}.html") is None
    assert f'href="../log/push-{world.first}.html"' in html(site, f"run/{world.first}.html")
    # an export tells what was under way, and has no log
    kept = Site(Repository(world.folder), setting=Setting(desk=desk))
    assert "Under way when these pages were made" in Page(html(kept, "index.html")).text
    assert "log/" not in html(kept, "index.html") + html(kept, f"run/{world.first}.html")
    assert kept.answer(f"log/push-{world.first}.html") is None


def test_a_run_shows_the_code_that_differs_from_what_it_was_judged_against(world):
    text = html(world.site, f"run/{world.tries[1]}.html")
    (diff,) = re.findall(r'<pre class="diff".*?</pre>', text, re.DOTALL)
    shown = [" ".join(line.split()) for line in re.sub(r"<[^>]*>", "", diff).splitlines()]
    assert [line for line in shown if line[:1] in "+−"] == ["−# 0", "+# 2"]
    assert "params.yaml +1 −1" in Page(text).text
    assert "against v" in Page(text).text


def test_two_versions_stand_beside_each_other(world):
    page = Page(html(world.site, "compare/v1.1.0.html"))
    assert "v1.0.0 beside v1.1.0" in page.text
    assert "Parameters that differ" not in page.text, "comments are no parameters"
    table = [row for row in rows(html(world.site, "compare/v1.1.0.html")) if "log loss" in row]
    assert table[0] == "log loss 0.4700 0.4695 +0.0005"
    assert world.site.answer("compare/v1.0.0.html") is None, "it is the one in use"
    site = served(world)
    asked = Page(site.answer("compare.html", f"a=v1.0.0&b={world.tries[0][:9]}").content.decode())
    assert f"v1.0.0 beside {world.tries[0][:7]}" in asked.text
    for query in ("", "a=v9.9.9&b=v1.0.0", "a=%3Cscript%3E&b=", f"a={'x' * 9999}"):
        text = site.answer("compare.html", query).content.decode()
        assert "<script" not in text
        assert "On the validation rows" not in text
    assert "No run is called v9.9.9" in Page(site.answer("compare.html", "a=v9.9.9&b=v1.0.0").content.decode()).text


def test_pictures_that_both_have_stand_beside_each_other(tmp_path):
    story = benchmark.team(tmp_path / "team.git", runs=30, tags=0, pictures={"roc.svg": PICTURE, "pr.svg": PICTURE})
    site = Site(Repository(story.folder))
    path = next(path for path, _ in site.everything() if path.startswith("compare/"))
    shown = [image["src"] for image in Page(html(site, path)).find("img")]
    names = [re.fullmatch(r"\.\./plots/([0-9a-f]{40})/push/(roc|pr)\.svg", address).groups() for address in shown]
    assert [name for _, name in names] == ["roc", "roc", "pr", "pr"]
    assert names[0][0] == names[2][0] != names[1][0] == names[3][0]
    assert all(site.answer(normpath(join("compare", address))) for address in shown)


def test_what_lies_at_a_forge_is_linked(world):
    site = Site(Repository(world.folder), setting=Setting(remote="git@github.com:team/flights.git"))
    for path, link in (
        (f"run/{world.merge}.html", f"https://github.com/team/flights/commit/{world.merge}"),
        ("pull/1.html", "https://github.com/team/flights/pull/1"),
        ("index.html", "https://github.com/team/flights"),
    ):
        links = [one for one in Page(html(site, path)).links if "://" in one]
        assert link in links
        assert all(one.startswith("https://github.com/team/flights") for one in links)
