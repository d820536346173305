"""The pages of real repositories: complete, linked, inert, and read in a number of processes that does not grow."""

import dataclasses
import itertools
import json
import re
import unicodedata
from pathlib import Path
from posixpath import dirname, join, normpath

import pytest
from tests.views.world import ALLOWED, HOSTILE, PICTURE, Page, benchmark, golden, html, rows

from pushforward import __version__, process
from pushforward.gate.profile import Bin, Month, Profile
from pushforward.gate.verdict import LEVEL, Champion, Slice, Stage, by_limits
from pushforward.git import repository as git_module
from pushforward.git.refs import HOLDOUTS, REGISTRY
from pushforward.git.repository import Repository
from pushforward.judge import ledger, looks, names, recorded
from pushforward.report import notes, words
from pushforward.report.note import Context
from pushforward.text import beside, figure, plain, sentence
from pushforward.views.answers import HTML
from pushforward.views.lists import PER_PAGE
from pushforward.views.pages import Setting, Site
from pushforward.views.rendering import templates


@pytest.fixture(scope="module")
def pages(world):
    """Every page that a reader can reach from the first one by links."""
    found, waiting = {}, ["index.html"]
    while waiting:
        path = waiting.pop()
        answer = world.site.answer(path)
        assert answer is not None, f"{path} is linked and not there"
        found[path] = answer
        if answer.kind == HTML:
            links = [link.partition("#")[0] for link in Page(answer.content.decode()).links]
            targets = {normpath(join(dirname(path), link)) for link in links if link}
            waiting += [target for target in targets if target not in found and target not in waiting]
    return found


def test_every_link_leads_to_a_page_and_every_page_is_linked(world, pages):
    everything = dict(world.site.everything())
    assert sorted(everything) == sorted(pages)
    assert {path: answer.content for path, answer in pages.items()} == {
        path: answer.content for path, answer in everything.items()
    }


def test_pages_are_sound_html_for_every_reader(pages):
    for path, answer in pages.items():
        if answer.kind != HTML:
            continue
        page = Page(answer.content.decode())
        assert len(page.ids) == len(set(page.ids)), path
        assert (
            len(page.find("h1"))
            == len(page.find("main", id="main"))
            == len(page.find("title")) - len(re.findall("<(?:svg|rect)[^>]*><title>", answer.content.decode()))
        ), path
        assert page.find("html", lang="en")
        assert page.find("a", href="#main")
        assert len(page.find("table")) == len(page.find("caption")), path
        assert all("scope" in attrs for tag, attrs in page.tags if tag == "th"), path
        assert all(attrs.get("alt") for tag, attrs in page.tags if tag == "img")
        assert all(
            "aria-hidden" in attrs or "aria-label" in attrs or "x" in attrs for tag, attrs in page.tags if tag == "svg"
        ), path
        labels = [attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs]
        assert set(labels) <= set(page.ids)


def test_nothing_on_a_page_runs_or_comes_from_elsewhere(pages):
    for path, answer in pages.items():
        if answer.kind != HTML:
            continue
        page = Page(answer.content.decode())
        assert {tag for tag, _ in page.tags} <= ALLOWED, path
        for tag, attrs in page.tags:
            assert not [key for key in attrs if key.startswith("on") or key == "style"], (path, tag, attrs)
        assert not [link for link in page.links if ":" in link or link.startswith("/")], path


def test_hostile_text_stays_text(pages):
    shown = 0
    for answer in pages.values():
        if answer.kind != HTML:
            continue
        text = answer.content.decode()
        assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"]
        shown += "<script>alert(1)</script>" in Page(text).text
        assert "<script" not in text
        assert "owned" not in text
    assert shown > 2


def test_the_first_page_says_what_is_in_use_and_what_was_judged_newest_first(world):
    text = html(world.site, "index.html")
    assert text == html(world.site, "")
    told = Page(text).text
    assert re.search(r"staging v1\.1\.0 since 2023-11-14 22:18 UTC · log loss 0\.4695.*production v1\.0\.0", told)
    assert "8 of 10 looks left" in told
    found = [re.search(r"[0-9a-f]{7}\b", row)[0] for row in rows(text)[1:]]
    order = [world.broken, world.carried, world.hostile, world.merge, world.merge, *world.tries[::-1], world.first]
    assert found == [commit[:7] for commit in order]
    judged_again, judged_before = rows(text)[4:6]
    assert "Promote" in judged_again
    assert "v1.1.0" in judged_again
    assert "Hold" in judged_before
    assert "#1 deeper" in judged_before
    assert "v1.1.0" not in judged_before


def test_what_cannot_be_read_is_told(world):
    text = Page(html(world.site, "index.html")).text
    assert f"{world.unread[:7]} has a report that was written by another version" in text
    assert "flight-delay@1.2 is not of the form" in text
    assert "old" in Page(html(world.site, f"run/{world.unread}.html")).text


def test_a_pull_request_shows_its_newest_report_and_all_pushes(world):
    text = html(world.site, "pull/1.html")
    page = Page(text)
    assert "Hold. This change does not replace v It is better." in page.text
    assert [
        word for row in rows(text[text.index('id="pushes"') :]) for word in re.findall("Promote|Unknown|Hold", row)
    ] == [
        "Hold",
        "Promote",
        "Unknown",
    ]


def test_a_pull_request_is_merged_when_its_last_push_is_in_the_default_branch(world):
    found = rows(html(world.site, "pulls.html"))[1:]
    assert ["merged" in row for row in found if "#1 " in row or "#2 " in row] == [False, True]


def test_a_commit_judged_twice_has_both_reports_on_its_page(world):
    page = Page(html(world.site, f"run/{world.merge}.html"))
    assert "made v1.1.0" in page.text
    assert "Judged before, as pull request #1" in page.text


def test_an_invalid_row_says_why(world):
    row = next(row for row in rows(html(world.site, "index.html")) if world.broken[:7] in row)
    assert sentence(plain(benchmark.REASONS["invalid"])) in row


def test_a_verdict_that_stands_says_from_where(world):
    assert f"The verdict on {world.merge[:7]} stands." in Page(html(world.site, f"run/{world.carried}.html")).text
    carried = next(row for row in rows(html(world.site, "index.html")) if world.carried[:7] in row)
    assert f"stands from {world.merge[:7]}" in carried
    assert "0.4695" not in carried


def test_pictures_are_shown_with_what_they_say_and_only_pictures(world):
    page = Page(html(world.site, f"run/{world.merge}.html"))
    address = f"../plots/{world.merge}/push/roc.svg"
    assert page.find("img") == [
        {"src": address, "alt": "ROC: 0.7", "width": "30", "height": "20", "loading": "lazy", "decoding": "async"}
    ]
    assert world.site.answer(normpath(join("run", address))).content == PICTURE
    assert world.site.answer(f"plots/{world.merge}/push/evil.svg") is None
    assert world.site.answer(f"plots/{world.merge}/pull_request/roc.svg") is None
    assert world.site.answer(f"plots/{world.first}/push/roc.svg") is None


def test_lineage_goes_from_data_to_environment(world):
    record = json.loads(Repository(world.folder).git("cat-file", "tag", "flight-delay@v1.1.0").text.splitlines()[-1])
    text = Page(html(world.site, "models.html")).text
    chain = [f"Data {record['data'][:12]}", f"Lock {record['lock'][:12]}", f"Model {record['model'][:12]}"]
    assert re.search(".*".join([*chain, "Tag flight-delay@v1.1.0", "Environment staging"]), text)
    told = Page(html(world.site, "version/v1.1.0.html")).text
    assert all(record[name] in told for name in ("data", "lock", "model", "params", "environment"))
    assert "Environment staging" in told
    assert "Environment nowhere" not in told
    assert "Environment production" in Page(html(world.site, "version/v1.0.0.html")).text


def test_an_environment_tells_all_that_was_in_use(world):
    found = rows(html(world.site, "environment/staging.html"))[1:]
    assert found == [
        "2 v1.1.0 2023-11-14 22:18 UTC now pushforward",
        "1 v1.0.0 2023-11-14 22:13 UTC 2023-11-14 22:18 UTC pushforward",
    ]


def test_a_rollback_is_marked_and_says_who_why_and_until_when(tmp_path):
    story = benchmark.Story(tmp_path / "toy.git")
    first, second = story.commit("Begin"), story.commit("Go on")
    story.write_commits()
    old, new = story.commits[first], story.commits[second]
    for name, commit in (("v1.0.0", old), ("v1.1.0", new)):
        story.tag(f"flight-delay@{name}", commit, {"schema": 1})
    uses = (
        ("v1.0.0", old, "released"),
        ("v1.1.0", new, "it is better"),
        ("v1.0.0", old, "late, <b>nobody</b> is sure"),
    )
    for number, (name, commit, reason) in enumerate(uses, 1):
        told = {"version": f"flight-delay@{name}", "by": "Ann <a@example.org>", "reason": reason}
        story.tag(f"flight-delay#production#{number}", commit, told, minute=number)
    gone = {"version": "flight-delay@v1.1.0", "reason": "it leaks", "by": "Bo <b@example.org>"}
    story.tag("flight-delay@v1.1.0!", new, gone, minute=9)
    site = Site(Repository(story.write()))
    assert rows(html(site, "environment/production.html"))[1:] == [
        "3 v1.0.0 ↩ rollback 2023-11-14 22:16 UTC now Ann late, &lt;b&gt;nobody&lt;/b&gt; is sure",
        "2 v1.1.0 2023-11-14 22:15 UTC 2023-11-14 22:16 UTC Ann it is better",
        "1 v1.0.0 2023-11-14 22:14 UTC 2023-11-14 22:15 UTC Ann released",
    ]
    left = html(site, "version/v1.1.0.html")
    assert "production 2 2023-11-14 22:15 UTC 2023-11-14 22:16 UTC Ann it is better" in rows(left)
    assert "Environment nowhere" in Page(left).text
    assert "Deprecated 2023-11-14 22:22 UTC by Bo: it leaks" in Page(left).text
    assert "Ann: late, <b>nobody</b> is sure" in Page(html(site, "index.html")).text
    assert next(row for row in rows(html(site, "models.html")) if "deprecated" in row).startswith("v1.1.0")


def test_a_pull_request_is_open_merged_closed_or_rejected_and_what_is_settled_has_nothing_next(tmp_path, git):
    story = benchmark.Story(tmp_path / "toy.git")
    first = story.commit("Begin")
    words_ = {"merged": "promote", "open": "unknown", "closed": "promote", "rejected": "hold"}
    made = {state: story.commit(f"Try {state}", branch=state, start=first) for state in words_}
    story.commit("Merge", start=first, merge=made["merged"])
    story.write_commits()
    for number, (state, word) in enumerate(words_.items(), 1):
        commit = story.commits[made[state]]
        told = benchmark.verdict(commit, word, ref=f"refs/heads/{state}", pull=number, champion=Champion("v", commit))
        story.note(commit, [benchmark.written(told)])
    bare = story.write()
    git(bare, "update-ref", "-d", "refs/heads/closed")
    for row in rows(html(Site(Repository(bare)), "pulls.html"))[1:]:
        state = next(state for state in words_ if f"Try {state}" in row)
        assert row.partition(" 2023")[0].split()[-1] == state
    nexts = [Page(html(Site(Repository(bare)), f"pull/{number}.html")).text for number in range(1, 5)]
    assert "Next nothing to do: it is merged" in nexts[0]
    assert "the next month counts too" in nexts[1]
    assert "Next nothing to do: its branch is gone" in nexts[2]
    # a clone of a forge has no branches of others: what is gone there, it cannot tell
    told = Page(html(Site(Repository(bare), setting=Setting(whole=False)), "pull/3.html")).text
    assert "Pull request #3 open" in told


def test_metrics_have_every_trained_model_rejected_ones_too(world):
    text = html(world.site, "metrics.html")
    found = [re.search(r"[0-9a-f]{7}\b", row)[0] for row in rows(text)[1:]]
    assert world.tries[0][:7] in found
    assert world.broken[:7] not in found, "it was never trained"
    assert world.carried[:7] not in found, "it was not trained again"
    assert len(Page(text).find("figure")) == 3
    wide, narrow = text[text.index('<svg class="wide"') : text.index("</figure>")].split('<svg class="narrow"')
    assert [shapes.count('class="shape unknown"') for shapes in (wide, narrow)] == [1, 1]


def test_a_holdout_shows_its_budget_and_its_numbers_once_it_has_retired(world):
    opened, retired = re.split(r'<section class="card"', html(world.site, "holdouts.html"))[1:]
    assert "2 of 10 looks used, 8 left" in Page(f"<section {opened.rpartition('</section>')[0]}</section>").text
    assert "sealed" in opened
    assert "under way" in opened
    assert "+0.0008" not in opened, "look 1 found it, and the holdout is open"
    assert "retired: flight-delay@v1.1.0 was promoted on it" in retired
    assert [signed_ for signed_ in ("−0.0038", "+0.0051") if signed_ in retired] == ["−0.0038", "+0.0051"]


def test_holdouts_of_any_batches_are_in_the_order_of_their_list_and_by_their_own_words(world, tmp_path, git):
    git(tmp_path, "clone", "-q", str(world.folder), "clone")
    clone = tmp_path / "clone"
    listed = ["X", "Y", "batch-9", "batch-10", "delivery A"]
    (clone / "params.yaml").write_text(json.dumps({"data": {"months": listed}}))
    git(clone, "commit", "-qam", "Name batches otherwise")
    book = ledger.Ledger(Repository(clone))
    key = looks.Key(*("abcd"[n] * 64 for n in range(4)))
    for window in (listed[3:], listed[1:3], listed[2:4]):
        book.reserve(names.ledger(window), key, alpha=0.05, looks=10, mode="refresh", commit="")
    book.supersede(listed[2:4], listed)
    text = html(Site(Repository(clone)), "holdouts.html")
    titles = [" ".join(title.split()) for title in re.findall(r'<h2 id="h-[^"]*">(.*?)<span', text, re.DOTALL)]
    assert titles[:3] == ["batch-10 to delivery A", "batch-9 to batch-10", "Y to batch-9"]
    assert "retired: a later batch has closed" in text


def test_epochs_are_shown_by_number_with_their_keys(world, tmp_path, git):
    git(tmp_path, "clone", "-q", str(world.folder), "clone")
    book = ledger.Ledger(Repository(tmp_path / "clone"))
    for number in (2, 9, 10):
        told = {"labels": "a" * 64, "since": "flight-delay@v1.1.0" if number > 2 else "", "commit": "b" * 40}
        book.open(names.epoch(number), b"12345678" * number, b"", **told)
    key = looks.Key(*("abcd"[n] * 64 for n in range(4)))
    book.reserve(names.epoch(2), key, alpha=0.05, looks=10, mode="superior", commit="")
    book.supersede_epochs(10)
    site = Site(Repository(tmp_path / "clone"))
    text = html(site, "holdouts.html")
    titles = [" ".join(title.split()) for title in re.findall(r'<h2 id="h-[^"]*">(.*?)<span', text, re.DOTALL)]
    assert titles[:3] == ["epoch 10", "epoch 9", "epoch 2"]
    words = Page(text).text
    assert "10 keys first seen since flight-delay@v1.1.0" in words
    assert "; nobody has looked yet" in words
    assert "2 keys, the first that there were" in words
    assert "retired: a later epoch has opened" in words
    assert "nobody has looked yet" in Page(html(site, "index.html")).text


def test_a_chain_that_was_tampered_with_is_a_problem_of_its_own(world, tmp_path, git):
    git(tmp_path, "clone", "-q", "--mirror", str(world.folder), "copy.git")
    copy = tmp_path / "copy.git"
    git(copy, "update-ref", f"{HOLDOUTS}2013-04_2013-05", git(copy, "rev-parse", "HEAD"))
    site = Site(Repository(copy))
    text = Page(html(site, "holdouts.html")).text
    assert "cannot be read" in text
    assert "retired: flight-delay@v1.1.0 was promoted on it" in text
    assert "is not as it was written" in Page(html(site, "index.html")).text


@pytest.mark.parametrize("name", golden.REPORTS)
def test_every_kind_of_report_has_a_page(name, repository, git):
    commit = git(repository, "rev-parse", "HEAD")
    verdict, context = golden.REPORTS[name]
    verdict = dataclasses.replace(verdict, event="push", pull=None)
    notes.put(Repository(repository), commit, recorded.report(verdict, context), lock=repository / "lock")
    page = Page(html(Site(Repository(repository)), f"run/{commit}.html"))
    assert f"{words.WORDS[verdict.verdict]}." in page.text
    assert sentence(plain(verdict.reason, 4000)) in page.text
    # what was not judged has no mode
    level = verdict.rules.get(LEVEL) if by_limits(verdict) else None
    pairs = list(itertools.pairwise(one.strip() for one in page.texts if one.strip()))
    assert (("mode", verdict.mode) in pairs, pairs.count(("level", level))) == (not level, int(bool(level)))
    for path in verdict.touched:
        assert plain(path, 4000) in page.text
    for one in verdict.numbers:
        assert figure(one.challenger) in page.text
        assert one.gain is None or beside(one.gain, one.challenger) in page.text


def test_a_trend_names_no_month_where_none_is_known(repository, git):
    commit = git(repository, "rev-parse", "HEAD")
    verdict, context = golden.REPORTS["promote"]
    verdict = dataclasses.replace(verdict, event="push", pull=None)
    context = dataclasses.replace(context, trend=(("2020-02", "v1.0.0", 0.25), ("", "", 0.125)))
    notes.put(Repository(repository), commit, recorded.report(verdict, context), lock=repository / "lock")
    shown = html(Site(Repository(repository)), f"run/{commit}.html")
    assert "0.2500 on 2020-02</span>" in shown
    assert "0.1250</span>" in shown


def test_a_page_says_what_was_not_asked_and_that_rows_are_taken_as_independent(repository, git):
    commit = git(repository, "rev-parse", "HEAD")
    verdict, context = golden.REPORTS["promote"]
    verdict = dataclasses.replace(verdict, event="push", pull=None, cluster="row", clusters=verdict.rows)
    context = dataclasses.replace(context, remarks=("the model has no manifest.json, <b>so</b>",))
    notes.put(Repository(repository), commit, recorded.report(verdict, context), lock=repository / "lock")
    page = Page(html(Site(Repository(repository)), f"run/{commit}.html"))
    assert "The model has no manifest.json, <b>so</b>." in page.text
    assert "Rows are taken as independent (holdout.cluster: none)" in page.text
    assert f"{verdict.rows:,} rows, taken as independent. A positive gain is better." in page.text
    assert "clustered by" not in page.text


def test_a_row_that_moved_folds_out_into_the_command_that_explains_it(repository, git):
    commit = git(repository, "rev-parse", "HEAD")
    verdict, context = golden.REPORTS["moved"]
    verdict = dataclasses.replace(verdict, event="push", pull=None, commit=commit)
    notes.put(Repository(repository), commit, recorded.report(verdict, context), lock=repository / "lock")
    text = html(Site(Repository(repository)), f"run/{commit}.html")
    asked = f"<code>pushforward explain 2013-09-03-EWR-UA-15 --commit {verdict.commit[:9]}</code>"
    assert f'<summary class="mono">2013-09-03-EWR-UA-15</summary>{asked}' in text
    assert text.count("<code>pushforward explain ") == len(context.moved)
    assert "+1.2233" in text
    assert "−0.9383" in text


def test_worst_slices_come_first_and_the_rest_is_folded(repository, git):
    commit = git(repository, "rev-parse", "HEAD")
    slices = [
        Slice("origin", f"S{n}", 900, 31, 200, 0.5, 0.5, n / 1000, None, None, 1.0, True, n == 7) for n in range(20)
    ]
    verdict = dataclasses.replace(benchmark.verdict(commit, "hold", champion=Champion("v", commit)), sealed=False)
    verdict = dataclasses.replace(verdict, slices=tuple(slices), stages=(Stage("train", "failed", "why", 1.0),))
    notes.put(Repository(repository), commit, benchmark.written(verdict), lock=repository / "lock")
    text = html(Site(Repository(repository)), f"run/{commit}.html")
    assert re.findall(r"\bS\d+\b", text.partition("<details>")[0])[:4] == ["S7", "S0", "S1", "S2"]
    assert "The other 12 slices" in text


def test_an_empty_repository_says_how_to_begin(tmp_path, git):
    git(tmp_path, "init", "-q", "--bare", "new.git")
    site = Site(Repository(tmp_path / "new.git"))
    assert "git push local main" in html(site, "index.html")
    paths = [path for path, _ in site.everything()]
    assert paths == [
        "style.css",
        "icon.svg",
        "data.html",
        "feed.xml",
        "index.json",
        "badge.svg",
        *(f"{n}.html" for n in ("index", "pulls", "models", "metrics", "holdouts")),
    ]


def test_settings_that_cannot_be_read_are_told_and_hide_no_model(repository, git):
    (repository / "pushforward.yaml").write_text("models: 3\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Break")
    git(repository, "tag", "-a", "-m", "x", "toy@v1.0.0")
    text = Page(html(Site(Repository(repository)), "models.html")).text
    assert "pushforward.yaml:" in text
    assert "v1.0.0" in text


@pytest.mark.parametrize(
    ("metrics", "level"), [("", "0 (rerun)"), ("    metrics: {'m.json:auc': {better: higher}}\n", "1 (metrics)")]
)
def test_a_project_that_is_measured_has_a_level_for_environments(repository, git, metrics, level):
    text = f'tool: "{__version__}"\nmodels:\n  toy:\n    path: m\n    environment: [lock.txt]\n{metrics}'
    (repository / "pushforward.yaml").write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Measure")
    site = Site(Repository(repository))
    index, models = (" ".join(Page(html(site, f"{name}.html")).text.split()) for name in ("index", "models"))
    assert f"Level {level} The numbers of a run are told, and held to their limits where they have some" in index
    assert "production" not in index + models
    assert "empty" not in index
    assert f"No version: at level {level} the numbers of a run are told" in models
    if metrics:
        limited = text.replace("higher}", "higher, at_least: 0.5}") + "promote: {metrics: true}\n"
        (repository / "pushforward.yaml").write_text(limited)
        git(repository, "commit", "-q", "-am", "Promote by metrics")
        told = Page(html(Site(Repository(repository)), "index.html")).text
        assert "In use in production" in told
        assert "unasked" not in told


def test_what_gto_has_in_use_is_told_as_foreign_until_a_version_is(repository, git):
    for name in ("toy@v1.0.0", "toy@v1.2.0", "toy#production#2"):
        git(repository, "tag", "-a", "-m", "Registering", name)
        git(repository, "update-ref", f"refs/pushforward/foreign/{name}", f"refs/tags/{name}")
    site = Site(Repository(repository))
    index, models = (Page(html(site, f"{name}.html")).text for name in ("index", "models"))
    assert re.search(
        r"In use in production toy@v1\.2\.0 foreign: not judged here, not signed; until a", " ".join(index.split())
    )
    assert "0 versions" in index
    assert "Not all that is in git" not in index
    listed = " ".join(models.partition("Foreign versions")[2].split())
    assert listed.startswith("Tags in GTO's form, from before this server: not judged here, not signed.")
    assert listed.index("toy@v1.2.0") < listed.index("toy@v1.0.0")
    assert site.answer("version/v1.2.0.html") is None
    assert not Page(html(site, "models.html")).find("a", href="environment/production.html")
    git(repository, "update-ref", "-d", "refs/pushforward/foreign/toy@v1.2.0")
    told = Page(html(Site(Repository(repository)), "index.html")).text
    assert "toy@v1.2.0: it has no signature and no record; it does not count" in told


def test_a_new_verdict_is_shown_at_once_and_one_without_its_commit_too(repository, git):
    site = Site(Repository(repository))
    assert "0 verdicts" in html(site, "index.html")
    for commit in (git(repository, "rev-parse", "HEAD"), "1" * 40):
        told = benchmark.written(benchmark.verdict(commit, "invalid"))
        notes.put(Repository(repository), commit, told, lock=repository / "lock")
    text = html(site, "index.html")
    assert "2 verdicts" in text
    assert "1" * 7 in rows(text)[-1]
    assert html(site, f"run/{'1' * 40}.html")


def test_long_lists_have_pages(tmp_path):
    story = benchmark.team(tmp_path / "team.git", runs=2 * PER_PAGE + 7, tags=2 * PER_PAGE)
    site = Site(Repository(story.folder))
    seen = []
    for number, path in enumerate(("index.html", "index/2.html", "index/3.html"), 1):
        text = html(site, path)
        seen += rows(text)[1:]
        assert ("Newer" in text, "Older" in text) == (number > 1, number < 3)
    assert len(seen) == len(set(seen)) == 2 * PER_PAGE + 7
    for path in ("index/1.html", "index/4.html", "index/0.html", "index/02.html", "pulls/99.html"):
        assert site.answer(path) is None
    assert html(site, "environment/staging/2.html")


def carded(hub, text):
    """The page of a version whose project says `text`, and the version's card as the registry has it."""
    told = (hub.clone / "pushforward.yaml").read_text()
    hub.write("pushforward.yaml", told.replace("    path: model\n", "    path: model\n    card: docs/model.md\n"))
    hub.write("docs/model.md", text)
    hub.commit("b", "Say what it is for")
    hub.promote("b")
    site = Site(Repository(hub.bare))
    assert dict(site.everything())["version/v1.0.0.html"] == site.answer("version/v1.0.0.html")
    return html(site, "version/v1.0.0.html"), hub.file("toy@v1.0.0", "card.md").decode()


def test_a_version_shows_its_model_card_as_the_registry_has_it(hub):
    text, kept = carded(hub, "# Intended use\n\nRank by risk, no more.\n\n- not for people\n")
    page = Page(text)
    for line in kept.splitlines():
        fact = re.sub(r"^(#+|-|    ?) *|[`*\\]", "", line).replace("＠", "@")
        name, _, value = fact.partition(": ")
        assert name in page.text, fact
        assert value in page.text, fact
    assert len(page.ids) == len(set(page.ids))
    assert "not for people" in page.text
    assert "pushforward bundle 'toy@v1.0.0' --out release" in page.text


def test_a_hostile_model_card_stays_text(hub):
    text, _ = carded(hub, f"# {HOSTILE}\n\n{HOSTILE}\n\n- {HOSTILE}\n")
    page = Page(text)
    assert {tag for tag, _ in page.tags} <= ALLOWED
    assert "<script>alert(1)</script>" in page.text
    assert not [link for link in page.links if ":" in link or link.startswith("/")]
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("verdict.json", b"{}", "The verdict in the registry is not the one that the tag names."),
        ("provenance.json", b"{}", "The provenance in the registry is not the one that the tag names."),
        ("verdict.json", None, ""),
    ],
)
def test_a_card_that_the_tag_does_not_bind_is_not_shown(hub, name, content, said):
    hub.commit("b", "Train")
    hub.promote("b")
    bare = Repository(hub.bare)
    path = f"versions/toy@v1.0.0/{name}"
    kept = {} if content is None else {path: content}
    tree = bare.write_tree(REGISTRY, kept, index=hub.bare / "forged.index", drop=path)
    bare.update_ref(REGISTRY, bare.write_commit(tree, [], "Forge", date="100000000 +0000"))
    page = Page(html(Site(bare), "version/v1.0.0.html"))
    assert "Model card" not in page.text
    assert said in page.text
    assert "dvc pull" in page.text


PATHS = ("index.html", "index/2.html", "pulls.html", "models.html", "metrics.html", "holdouts.html")


def test_no_page_takes_more_processes_where_there_are_more_runs_and_tags(tmp_path, monkeypatch):
    calls = []
    run = process.run
    monkeypatch.setattr(git_module.process, "run", lambda argv, **more: calls.append(argv) or run(argv, **more))
    counts = {}
    for runs, tags in ((110, 60), (230, 400)):
        story = benchmark.team(tmp_path / f"{runs}.git", runs=runs, tags=tags)
        benchmark.looks(story, "2013-04_2013-05", ("hold",))
        paths = (
            *PATHS,
            f"run/{story.commits[0]}.html",
            "pull/1.html",
            "version/v1.0.0.html",
            "environment/staging.html",
        )
        for path in paths:
            site = Site(Repository(story.folder))
            for again in (False, True):
                calls.clear()
                html(site, path)
                counts.setdefault((path, again), []).append(len(calls))
    assert all(few == many for few, many in counts.values()), counts
    assert max(few for (_, again), (few, _) in counts.items() if not again) <= 16
    assert max(few for (_, again), (few, _) in counts.items() if again) <= 3


@pytest.mark.parametrize(
    "path",
    [
        "../params.yaml",
        "..%2f..%2fetc/passwd",
        "/etc/passwd",
        "style.css/..",
        "templates/base.html",
        "base.html",
        "report.html",
        "run/HEAD.html",
        f"run/{'0' * 40}.html",
        "run/0123.html",
        "pull/0.html",
        "pull/01.html",
        "pull/999999999.html",
        "version/v9.9.9.html",
        "version/..html",
        "environment/nowhere.html",
        f"plots/{'0' * 40}/push/roc.svg",
        "plots/HEAD/push/../../x.svg",
        "\x00",
        "index.html\n",
        "metrics/99999.html",
    ],
)
def test_there_is_nothing_elsewhere(world, path):
    assert world.site.answer(path) is None


STYLE = (Path(__file__).parents[2] / "src" / "pushforward" / "views" / "templates" / "style.css").read_text()
SCHEMES = [
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", block)) for block in re.findall(r":root \{([^}]*)\}", STYLE)[:2]
]


def contrast(one, other):
    """The contrast ratio of two colours by WCAG 2.2."""
    light = []
    for color in (one, other):
        digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


@pytest.mark.parametrize("colors", SCHEMES, ids=["light", "dark"])
def test_text_can_be_read_in_light_and_dark(colors):
    assert contrast("#000", "#fff") == pytest.approx(21)
    words = ("promote", "hold", "undecided", "identical", "invalid")
    pairs = [(ink, ground) for ink in ("ink", "soft", "accent") for ground in ("paper", "card", "fill")]
    pairs += [(word, ground) for word in words for ground in ("paper", "card", f"{word}-fill")]
    pairs += [("ink", f"{word}-fill") for word in words] + [("accent", "accent-fill")]
    assert {
        pair: contrast(*(colors[name] for name in pair)) for pair in pairs if contrast(*(colors[n] for n in pair)) < 4.5
    } == {}


def test_both_schemes_name_the_same_colours():
    light, dark = SCHEMES
    assert dark.keys() == light.keys()


TWO = """\
tool: "0.2.0"
models:
  red: {folder: a, environment: []}
  wine: {folder: b, environment: []}
"""


def test_of_several_models_each_has_its_pages_and_a_switch_leads_to_the_others(tmp_path, git):
    (tmp_path / "pushforward.yaml").write_text(TWO)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "Begin")
    for name in ("red@v1.0.0", "wine@v1.0.0", "wine@v1.1.0"):
        git(tmp_path, "tag", "-a", "-m", f"{name}\n\n{{}}\n", name)
    site = Site(Repository(tmp_path))
    red, wine = (site.answer(path).content.decode() for path in ("models.html", "of/wine/models.html"))
    assert "v1.1.0" not in red
    assert "v1.1.0" in wine
    assert '<a href="index.html" aria-current="true">red</a>' in red
    assert '<a href="of/wine/index.html">wine</a>' in red
    assert '<a href="../../index.html">red</a>' in wine
    assert '<a href="../../of/wine/index.html" aria-current="true">wine</a>' in wine
    assert site.answer("of/wine/version/v1.1.0.html") is not None
    assert site.answer("version/v1.1.0.html") is None
    assert [site.answer(f"of/{name}/index.html") for name in ("red", "ghost")] == [None, None]
    paths = dict(site.everything())
    assert {"index.html", "of/wine/index.html", "of/wine/style.css", "of/wine/version/v1.1.0.html"} <= set(paths)
    assert not any(path.startswith("of/wine/of/") for path in paths)


def test_templates_are_compiled_once_for_all_sites():
    assert templates() is templates()


def profile(column, *indices):
    months = [
        Month(f"2013-0{number}", 100, 0.02, 4.5, index, None if index is None else 0.2)
        for number, index in enumerate(indices, 4)
    ]
    bins = (Bin("< 9.00", 0.5, 0.25), Bin("≥ 9.00 <b>", 0.5, 0.75))
    return Profile(column, 0.3, bins, tuple(months), 0.2)


def test_what_months_did_to_columns_is_drawn_by_run_and_by_month(tmp_path):
    story = benchmark.Story(tmp_path / "toy.git")
    for number in range(3):
        story.commit(f"Month {number}")
    story.write_commits()
    contexts = [
        Context(months=(("2013-03", 90, 0.2), ("2013-04", 100, None))),
        Context(
            months=(("2013-04", 100, 0.3),),
            months_added=("2013-05",),
            profiles=(profile("dest<b>", None, 0.31), profile("dep", None, 0.05)),
        ),
        Context(months_added=("2013-06",), profiles=(profile("dest<b>", None, None, 0.07),)),
    ]
    for commit, context in zip(story.commits, contexts, strict=True):
        story.note(commit, [benchmark.written(benchmark.verdict(commit, "promote"), context)])
    site = Site(Repository(story.write()))
    text = html(site, "data.html")
    assert rows(text)[1:] == ["2013-04 100 30 %", "2013-03 90 20 %"]
    told = Page(text)
    assert told.text.index("dest<b>") < told.text.index(" dep ")
    titles = re.findall(r"<title>(2013-[^<]*)</title>", text)
    assert titles == ["2013-03: 20 %", "2013-04: 30 %", "2013-05: 0.31", "2013-06: 0.07", "2013-05: 0.05"]
    assert len(told.find("rect", **{"class": "far"})) == 1
    shown = html(site, f"run/{story.commits[1]}.html")
    assert "What 2013-05 did to the columns" in Page(shown).text
    assert "≥ 9.00 &lt;b&gt;, after: 75 %" in shown
    assert Page(shown).text.count("shifted") == 2
