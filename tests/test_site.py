"""docs/site: the documentation site is whole, asks nobody for anything, and is read in light, dark and on a phone.

What needs a browser is skipped where there is no Chromium. axe's own rules run where npm can fetch it, or `$AXE` names
its `axe.min.js`. With SCREENSHOTS=folder the pictures are kept there.
"""

import hashlib
import importlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest
from tests.test_browser import CHROMIUM, Browser, complaints, requests

from pushforward.commands.cli import VERBS, main
from pushforward.git import refs

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
AXE = "4.14.1"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
LOOKED_AT = ("index", "adopt", "architecture", "reference/verbs", "reference/settings")
WIDTHS = (390, 1280)
ASKED = ("index", "gate", "architecture", "reference/verbs")


def build(docs, out, *options):
    command = [sys.executable, str(docs / "site" / "build.py"), str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(DOCS, folder, "--repository", "https://forge.invalid/o/n/blob/main/")
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""
    return folder


@pytest.fixture
def maker(monkeypatch):
    """A module of docs/site by its name."""
    monkeypatch.syspath_prepend(str(DOCS / "site"))
    return importlib.import_module


class Page(HTMLParser):
    """What a page loads, and what it says."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.words = [], [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        if tag in ("script", "img", "link", "source", "iframe"):
            self.loads += [known[name] for name in ("src", "href", "srcset") if known.get(name)]
        if tag == "a":
            self.links.append(known.get("href", ""))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


def test_every_page_of_docs_is_a_page_of_the_site(site):
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert len(pages) > 20
    assert pages <= {path.relative_to(site) for path in site.rglob("*.html")}


def test_no_page_loads_anything_from_another_host(site):
    loaded = 0
    for path in site.rglob("*.html"):
        page = Page(path)
        loaded += len(page.loads)
        for url in page.loads:
            assert not re.match(r"[a-z]+:|//", url), (path.name, url)
            assert url == "#" or (path.parent / url.partition("?")[0]).exists(), (path.name, url)
    assert loaded > 100
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", path.read_text()), path.name


def test_a_file_of_the_repository_is_linked_to_where_it_can_be_seen(site):
    links = Page(site / "how.html").links
    assert "https://forge.invalid/o/n/blob/main/src/flights/train.py" in links
    assert "gate.html" in links
    assert "reference/settings.html" in Page(site / "index.html").links


def test_the_reference_has_every_verb_with_every_option(site):
    text = Page(site / "reference" / "verbs.html").text
    for verb in VERBS:
        command = main.get_command(click.Context(main), verb)
        assert f"pushforward {verb}" in text
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.opts[0] in text, (verb, option.opts)


def test_the_reference_has_every_setting_and_every_ref(site):
    settings = Page(site / "reference" / "settings.html").text
    schema = json.loads((DOCS / "pushforward.schema.json").read_text())
    for part in (schema, *schema["$defs"].values()):
        for key, known in part.get("properties", {}).items():
            assert key in settings
            assert " ".join(known.get("description", "").split()).replace("`", "") in settings.replace("`", "")
    database = Page(site / "reference" / "refs.html").text
    assert all(one.pattern in database for one in refs.SCHEMA)


def test_a_broken_link_or_a_page_in_no_list_is_no_site(tmp_path):
    docs = tmp_path / "docs"
    shutil.copytree(DOCS / "site", docs / "site")
    for name in ("pushforward.schema.json", "verdict.schema.json"):
        shutil.copy(DOCS / name, docs)
    (tmp_path / "src").symlink_to(ROOT / "src")
    (docs / "index.md").write_text("# Pages\n\n## Guides\n\n- [One](one.md)\n\n## Reference\n\n")
    page = docs / "one.md"
    page.write_text("# One\n\n[x](#one)\n")
    done = build(docs, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "one.html").exists()

    page.write_text("# One\n\n[x](index.md#no-such-heading)\n")
    (docs / "lonely.md").write_text("# Lonely\n")
    done = build(docs, tmp_path / "out")
    assert done.returncode == 1
    assert "no-such-heading" in done.stderr
    assert "lonely.md: WARNING: document isn't included in any toctree" in done.stderr

    page.write_text("[x](nowhere.md)\n")
    done = build(docs, tmp_path / "out")
    assert (done.returncode, done.stderr) == (1, "site: docs/one.md: there is no nowhere.md\n")


CHART = """flowchart LR
  a([one]) --> b[<b>two</b><br>and &lt;more&gt;]
  b -- yes --> c{three}
  b --> d
  subgraph last[ ]
    direction LR; e[five]; f[six]
  end
  c --> last
"""


def test_a_flowchart_is_rows_of_boxes(maker):
    rows = re.findall(r"<li>(.*?)</li>", maker("diagram").drawn(CHART))
    assert rows == [
        "<span>one</span>",
        "<span>two: and &lt;more&gt;</span>",
        "<span><em>yes</em>three</span><span>d</span>",
        "<span>five</span><span>six</span>",
    ]


def test_what_is_no_flowchart_of_boxes_keeps_its_words(maker):
    assert maker("build").FENCE.sub(maker("build").draw, "```mermaid\nsequenceDiagram\n  A->>B: x\n```\n") == (
        "```text\nsequenceDiagram\n  A->>B: x\n```\n"
    )


def test_each_schema_of_what_a_verb_prints_has_a_page(maker, tmp_path):
    for name in ("pushforward.schema.json", "verdict.schema.json"):
        shutil.copy(DOCS / name, tmp_path)
    (tmp_path / "schemas").mkdir()
    part = {"properties": {"at": {"type": "string", "description": "a | b"}, "of": {"$ref": "other.json#/x"}}}
    listed = {"type": "array", "items": {"$ref": "#/$defs/Run"}, "$defs": {"Run": part | {"required": ["at"]}}}
    (tmp_path / "schemas" / "runs.schema.json").write_text(json.dumps(listed))
    pages = maker("reference").pages(tmp_path)
    assert "- [runs](schemas/runs.md)" in pages["reference/schemas.md"]
    assert "It is: list of [Run](#run)." in pages["reference/schemas/runs.md"]
    rows = pages["reference/schemas/runs.md"].splitlines()
    assert rows[rows.index("| key | is | means | there |") + 2 :][:2] == [
        "| `at` | string | a \\| b |  |",
        "| `of` | `x` |  | not always |",
    ]


browsed = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


@browsed
def test_pages_are_painted_in_light_and_dark_and_never_wider_than_their_window(browser, site, tmp_path):
    kept = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    for name, width in itertools.product(LOOKED_AT, WIDTHS):
        grounds = []
        for scheme in ("light", "dark"):
            browser.scheme(scheme)
            browser.size(width)
            events = browser.open(f"file://{site}/{name}.html")
            assert not complaints(events), name
            assert all(url.startswith((f"file://{site}/", "data:")) for url in requests(events)), name
            assert browser.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            color = browser.evaluate("getComputedStyle(document.body).backgroundColor")
            grounds.append(sum(map(int, re.findall(r"\d+", color)[:3])))
            browser.screenshot(kept / f"{name.replace('/', '-')}-{scheme}-{width}.png")
        assert grounds[0] > 700
        assert grounds[1] < 100


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The text of axe.min.js, brought by npm into the user's cache where it is missing."""
    if named := os.environ.get("AXE"):
        return Path(named).read_text()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pushforward" / f"axe-{AXE}.min.js"
    if not cache.exists() or hashlib.sha256(cache.read_bytes()).hexdigest() != AXE_SHA256:
        npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("axe")
        if npm is None:
            pytest.skip("NOT TESTED HERE: axe's rules, no npm on PATH, and $AXE names no axe.min.js")
        once = ["--silent", "--ignore-scripts", "--fetch-retries=0", "--fetch-timeout=20000"]
        try:
            command = [npm, "pack", *once, f"--pack-destination={folder}", f"axe-core@{AXE}"]
            subprocess.run(command, capture_output=True, cwd=folder, timeout=120, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            pytest.skip("NOT TESTED HERE: axe's rules, npm cannot fetch it, and $AXE names none")
        with tarfile.open(folder / f"axe-core-{AXE}.tgz") as packed:
            content = packed.extractfile("package/axe.min.js").read()
        assert hashlib.sha256(content).hexdigest() == AXE_SHA256
        cache.parent.mkdir(parents=True, exist_ok=True)
        (folder / cache.name).write_bytes(content)
        shutil.copy(folder / cache.name, beside := cache.with_name(f"{cache.name}.{os.getpid()}"))
        beside.replace(cache)
    return cache.read_text()


ASK = """axe.run({resultTypes: ["violations"]}).then(found => found.violations
  .filter(one => one.impact !== "minor")
  .map(one => [one.id, one.nodes.length, one.nodes[0].html.slice(0, 200), one.nodes[0].failureSummary]))"""


@browsed
def test_axe_finds_nothing_but_trifles(browser, site, axe):
    found = []
    for name, (width, scheme) in itertools.product(ASKED, ((390, "light"), (1280, "dark"))):
        browser.scheme(scheme)
        browser.size(width)
        browser.open(f"file://{site}/{name}.html")
        browser.evaluate(axe)
        found += [(name, width, scheme, *one) for one in browser.evaluate(ASK)]
    assert not found
