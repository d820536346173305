"""report: its markdown as GitHub reads it, and its charts as mermaid reads them.

Mermaid's parser runs in node. `$MERMAID` names its `mermaid.min.js`; without it the pinned one is fetched once, by npm,
to the user's cache folder.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pushforward.gate.verdict import invalid
from pushforward.report.markdown import markdown
from pushforward.report.note import Context

GOLDEN = Path(__file__).parents[1] / "golden"
REPORTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(GOLDEN.glob("*.md"))}

MERMAID = "12.3.0"
MERMAID_SHA256 = "336df803d87a38b70a01e736e666c8f7601d2ce42f5e47c8fafe5d721074b9a3"

# What GitHub's sanitizer lets through (github/html-pipeline); class, style and id are not among it.
ELEMENTS = (
    "h1 h2 h3 h4 h5 h6 br b i strong em a pre code img input tt div ins del sup sub p picture ol ul table thead tbody "
    "tfoot blockquote dl dt dd kbd q samp var hr ruby rt rp li tr td th s strike summary details caption figure "
    "figcaption abbr bdo cite dfn mark small source span time wbr"
)
ATTRIBUTES = (
    "abbr accept accept-charset accesskey action align alt aria-describedby aria-hidden aria-label aria-labelledby "
    "axis border char charoff charset checked clear cols colspan compact coords datetime dir disabled enctype for "
    "frame headers height hreflang hspace id ismap itemprop label lang maxlength media method multiple name nohref "
    "noshade nowrap open progress prompt readonly rel rev role rows rowspan rules scope selected shape size span "
    "start summary tabindex title type usemap valign value width"
)
OWN_ATTRIBUTES = {
    "a": {"href"},
    "blockquote": {"cite"},
    "del": {"cite"},
    "div": {"itemscope", "itemtype"},
    "img": {"src", "longdesc", "loading"},
    "ins": {"cite"},
    "q": {"cite"},
    "source": {"srcset"},
}
OURS = {"details", "summary", "sub"}

# What a report is made of: a link, picture, rule, strikethrough or numbered list is foreign text that got out.
BLOCKS = "heading paragraph strong em bullet_list list_item blockquote table thead tbody tr th td"
MADE_OF = {"inline", "text", "softbreak", "code_inline", "code_block", "fence", "html_block", "html_inline"} | {
    f"{name}_{end}" for name in BLOCKS.split() for end in ("open", "close")
}
# What GitHub makes of bare text, outside of code: mentions, references to issues and commits, links, formulas.
TURNED = {
    "mention": r"@\w",
    "issue": r"#\d|\bGH-\d",
    "commit": r"\b(?=[a-f]*\d)[0-9a-f]{7,40}\b",
    "link": r"(?i)(?:https?|ftp)://|\bwww\.",
    "address": r"[\w.+-]+@[\w-]+\.\w",
    "formula": r"\$",
}


class Sanitizer(HTMLParser):
    """A page: what the allowlist leaves of it, its comments, tags, and those that stay open or close nothing."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=False)
        self.kept: list[str] = []
        self.comments: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.bare: list[str] = []
        self.opened: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(page)
        self.close()
        self.unbalanced += self.opened

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.opened.append(tag)
        self.attributes += [name for name, _ in attrs]
        allowed = {*ATTRIBUTES.split(), *OWN_ATTRIBUTES.get(tag, ())}
        if tag in ELEMENTS.split():
            text = self.get_starttag_text() or ""
            self.kept.append(text if all(name in allowed for name, _ in attrs) else f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        if self.opened and self.opened[-1] == tag:
            self.opened.pop()
        else:
            self.unbalanced.append(f"/{tag}")
        if tag in ELEMENTS.split():
            self.kept.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.bare.append(data)
        self.kept.append(data)

    def handle_entityref(self, name: str) -> None:
        self.kept.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.kept.append(f"&#{name};")

    def handle_comment(self, data: str) -> None:
        self.comments.append(f"<!--{data}-->")


# GitHub links bare addresses too; TURNED looks for those, so the linkify part of the preset is left out.
PARSER = MarkdownIt("gfm-like", {"html": True, "linkify": False, "strikethrough_single_tilde": True})
# As cmark-gfm writes it: the language of a fence is an attribute of its <pre>.
PARSER.add_render_rule(
    "fence",
    lambda self, tokens, place, options, env: (
        f'<pre lang="{tokens[place].info}"><code>{tokens[place].content.translate(ESCAPED)}</code></pre>\n'
    ),
)
ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def parsed(text: str) -> list[Token]:
    """The blocks of the markdown; the alignment of cells as an attribute, which is how cmark-gfm writes it."""
    tokens = PARSER.parse(text)
    for token in tokens:
        if "style" in token.attrs:
            token.attrs = {"align": str(token.attrs["style"]).removeprefix("text-align:")}
    return tokens


def inside(tokens: list[Token]) -> list[Token]:
    return [inner for token in tokens for inner in [token, *(token.children or [])]]


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row)) - 1


def assert_survives_github(text: str) -> None:
    tokens = parsed(text)
    every = inside(tokens)
    assert {token.type for token in every} <= MADE_OF

    raw = Sanitizer("".join(token.content for token in every if token.type in ("html_block", "html_inline")))
    assert set(raw.tags) <= OURS
    assert raw.attributes == []
    assert not re.search(r"[|*_`\[]", "".join(raw.bare)), "markdown that a tag without a blank line after it swallowed"
    page = PARSER.renderer.render(tokens, PARSER.options, {})
    clean = Sanitizer(page)
    assert clean.unbalanced == []
    assert clean.tags.count("details") == clean.tags.count("summary") == text.count("</details>")
    for comment in clean.comments:
        page = page.replace(comment, "")
    assert "".join(clean.kept) == page

    for token in every:
        if token.type == "text":
            for name, pattern in TURNED.items():
                assert not re.search(pattern, token.content), (name, token.content)


@pytest.mark.parametrize("name", REPORTS)
def test_golden_reports_survive_github(name):
    assert_survives_github(REPORTS[name])


@pytest.mark.parametrize(
    "text", ["GH-1", "octo/flights#1", "$x$", "$$y$$", "mailto:a@b.co", "~x~", "[^1]: x", "===", "1) x"]
)
def test_foreign_text_is_nothing_that_github_turns_into_something_else(text):
    context = Context(kind="merge-conflict", branch=text, target=text, drift=(text,), next_step=text, message=text)
    assert_survives_github(markdown(invalid(text), context))


@pytest.mark.parametrize("name", REPORTS)
def test_tables_of_golden_reports_have_as_many_cells_in_each_row(name):
    lines = REPORTS[name].split("\n")
    tables = [token.map for token in parsed(REPORTS[name]) if token.type == "table_open"]
    for first, last in tables:
        assert len({cells(row) for row in lines[first:last]}) == 1, lines[first]
    # a row that fell out of its table would be text
    assert sum(last - first for first, last in tables) == sum(line.startswith("|") for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "a <b>word</b>",
        '<sub onclick="alert(1)">x</sub>',
        "<details><summary>open</summary>\n\ntext",
        "</details>",
        "[a](https://evil.example/)",
        "![i](i.png)",
        "<https://evil.example/>",
        "see https://evil.example/",
        "thanks @team",
        "fixes #1",
        "fixes GH-1",
        "~gone~",
        "$x$",
        "1. one",
        "<svg></svg>",
        "<details><summary>table</summary>\n| a |\n| - |\n\n</details>",
    ],
)
def test_what_github_would_turn_into_something_else_is_noticed(text):
    with pytest.raises(AssertionError):
        assert_survives_github(text)


# Mermaid cleans labels with DOMPurify, which hands text through where a document cannot make documents.
PARSE = """
globalThis.window = {document: {nodeType: 9, createElement: () => ({})}, Element: class {}};
const fs = require("fs"), path = process.argv[1];
require("vm").runInThisContext(fs.readFileSync(path, "utf8"), {filename: path});
const kind = (block) => mermaid.parse(block).then((found) => found.diagramType, (error) => error.message);
Promise.all(JSON.parse(fs.readFileSync(0, "utf8")).map(kind)).then((kinds) => console.log(JSON.stringify(kinds)));
"""


@pytest.fixture(scope="session")
def mermaid(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str]], list[str]]:
    """For each block the kind of chart it is, or what mermaid's parser objects to."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("NOT TESTED HERE: charts with mermaid's parser, no node on PATH")
    script = Path(os.environ.get("MERMAID") or fetched(tmp_path_factory.mktemp("mermaid")))

    def parse(blocks: list[str]) -> list[str]:
        command = [node, "-e", PARSE, str(script)]
        done = subprocess.run(
            command, input=json.dumps(blocks), capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    return parse


def fetched(folder: Path) -> Path:
    """The pinned mermaid.min.js in the user's cache, brought there by npm when it is missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pushforward"
    script = cache / f"mermaid-{MERMAID}.min.js"
    if script.exists() and hashlib.sha256(script.read_bytes()).hexdigest() == MERMAID_SHA256:
        return script
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(
            "NOT TESTED HERE: charts with mermaid's parser, no npm on PATH, and $MERMAID names no mermaid.min.js"
        )
    once = ["--silent", "--ignore-scripts", "--fetch-retries=0", "--fetch-timeout=20000"]
    command = [npm, "pack", *once, f"--pack-destination={folder}", f"mermaid@{MERMAID}"]
    try:
        subprocess.run(command, capture_output=True, cwd=folder, timeout=120, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("NOT TESTED HERE: charts with mermaid's parser, npm cannot fetch it, and $MERMAID names none")
    with tarfile.open(folder / f"mermaid-{MERMAID}.tgz") as packed:
        content = packed.extractfile("package/dist/mermaid.min.js").read()
    assert hashlib.sha256(content).hexdigest() == MERMAID_SHA256
    cache.mkdir(parents=True, exist_ok=True)
    (folder / script.name).write_bytes(content)
    shutil.copy(folder / script.name, beside := cache / f"{script.name}.{os.getpid()}")
    beside.replace(script)
    return script


def charts(text: str) -> list[str]:
    return [token.content for token in parsed(text) if token.type == "fence" and token.info == "mermaid"]


def trend(months: list[str]) -> tuple[tuple[str, str, float], ...]:
    return tuple((month, f"1.{place}.0", 0.4 + place % 5 / 100) for place, month in enumerate(months))


TWO_YEARS = [f"{year}-{month:02}" for year in (2013, 2014) for month in range(1, 13)]
CURVES = {
    "two points": Context(learning_curve=(0.6, 0.5)),
    "constant": Context(learning_curve=(0.43,) * 5),
    "both models": Context(learning_curve=(0.6, 0.5, 0.45), champion_learning_curve=(0.7, 0.4)),
    "a champion of one round": Context(learning_curve=(0.6, 0.5), champion_learning_curve=(0.7,)),
    "zero": Context(learning_curve=(0.0,) * 5),
    "negative": Context(learning_curve=(-0.6, -0.5, 0.7)),
    "24 points": Context(learning_curve=tuple(0.7 - place / 100 for place in range(24))),
    "1,000 rounds": Context(learning_curve=tuple(0.7 - place / 10_000 for place in range(1000))),
    "smaller than a digit": Context(learning_curve=(1e-9, 2e-9)),
    "diverged": Context(learning_curve=(0.7, 1e299)),
    "months": Context(trend=trend(TWO_YEARS)),
    "one month often": Context(trend=trend(["2013-09"] * 5)),
    "hostile months": Context(trend=trend(['"]\n```\n</details>', "2013-09\n", "%%{init}%%", ""])),
    "both": Context(learning_curve=(0.6, 0.5), trend=trend(TWO_YEARS)),
}


def test_mermaid_reads_every_chart(mermaid):
    golden = [(name, chart) for name, text in REPORTS.items() for chart in charts(text)]
    drawn = [(name, chart) for name, curve in CURVES.items() for chart in charts(markdown(invalid("x"), curve))]
    assert len(golden) >= 11
    assert [name for name, _ in drawn] == [*CURVES, "both"]
    kinds = mermaid([chart for _, chart in golden + drawn])
    assert [(name, kind) for (name, _), kind in zip(golden + drawn, kinds, strict=True) if kind != "xychart"] == []


def test_mermaid_reads_the_picture_of_the_rooms(mermaid):
    page = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
    assert mermaid(charts(page)) == ["flowchart-v2"]


def test_mermaid_refuses_a_broken_chart(mermaid):
    [chart] = charts(markdown(invalid("x"), CURVES["two points"]))
    broken = [
        chart.replace("0.500000]", "nan]"),
        chart.replace("0.500000]", "5e-1]"),
        chart.replace("]", ""),
        chart.replace("validation month", 'the "validation" month'),
        chart.replace("xychart-beta", "xychart-alpha"),
    ]
    kinds = mermaid([chart, *broken])
    assert kinds[0] == "xychart"
    for kind in kinds[1:]:
        assert re.search(r"Parse error|Lexical error|No diagram type", kind), kind


def test_the_points_of_a_chart_lie_side_by_side():
    for name, curve in CURVES.items():
        for chart in charts(markdown(invalid("x"), curve)):
            labels = json.loads(re.search(r"x-axis (.*)", chart)[1])
            values = json.loads(re.search(r"line (.*)", chart)[1])
            assert len(set(labels)) == len(labels) == len(values) <= 10, name
