"""README.md: what it names is there, what it says was measured is what docs/gate.md says, and it stays short."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMPARISON = (ROOT / "docs" / "comparison.md").read_text()
GATE = (ROOT / "docs" / "gate.md").read_text()
MEASURED = re.compile(r"<!-- measured: .+ -->\n(.+?)<!-- /measured -->", re.DOTALL)
LONGEST = 850  # words: half a minute, and a minute of looking things up
LARGEST = 300_000  # bytes of a picture
# Rows of one table of the gate's benchmark, by the beginning of their first cell there.
ROWS = {
    "no better: two seeds": "**(a) no difference in truth**",
    "no better: another seed": "**(a) no difference in truth**",
    "no better: trained one month longer": "**(d) trained one month longer",
    "no better: one month more to train on": "**(d) trained one month longer",
    "better by 0.8 %": "**(c) better in truth**",
}
# Columns of it, by the heads that they have in the README and in docs/comparison.md.
COLUMNS = {
    "the higher number": "any gain",
    "higher number wins": "any gain",
    "a test by row": "row-wise test, 5 %",
    "test by row, 5 %": "row-wise test, 5 %",
    "this gate": "gate, 5 %",
    "this gate, 5 %": "gate, 5 %",
    "one of 10 looks": "gate, one of 10 looks",
}


def table(text):
    """The rows of a markdown table, the head first, as lists of cells."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def anchors(path):
    """The headings of a page, as GitHub names them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_what_the_readme_links_to_is_there():
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", README) + re.findall(r'(?:src|srcset)="([^"]+)"', README)
    assert len(links) > 15
    for link in links:
        target, _, anchor = link.partition("#")
        if workflow := re.match(r"\.\./\.\./actions/workflows/([^/]+)(/badge\.svg)?$", target):
            # beside the repository on a forge, wherever it is
            assert (ROOT / ".github" / "workflows" / workflow[1]).is_file(), link
            continue
        assert (ROOT / target).exists(), link
        assert not anchor or anchor in anchors(ROOT / target), link


def test_the_readme_has_both_pictures_and_asks_no_third_party_for_any():
    assert re.findall(r'srcset="docs/pictures/pull-dark.png"', README)
    assert not re.findall(r"!\[[^]]*\]\(https?:|<(?:img|source)[^>]+https?:", README)
    for picture in (ROOT / "docs" / "pictures").iterdir():
        assert 10_000 < picture.stat().st_size < LARGEST, picture.name
    for picture in (ROOT / "docs" / "pictures").glob("*.png"):
        assert picture.read_bytes()[16:24] == (1280).to_bytes(4) + (800).to_bytes(4), picture.name


def test_the_readme_is_read_in_a_minute():
    assert len(README.split()) <= LONGEST


@pytest.mark.parametrize("page", [README, COMPARISON], ids=["README", "comparison"])
def test_what_is_told_of_other_rules_is_what_was_measured(page):
    heads, *measured = table(GATE.partition("## How well it works")[2].partition("\n\n| verdict")[0])
    told, _, *rows = table(MEASURED.search(page)[1])
    assert len(rows) == 3
    for first, *cells in rows:
        begins = next(begin for head, begin in ROWS.items() if first.startswith(head))
        source = next(row for row in measured if row[0].startswith(begins))
        assert source[0].endswith("31 days"), source[0]
        expected = [source[heads.index(COLUMNS.get(head, head))] for head in told[1:]]
        assert cells == expected, first


def test_how_often_more_is_what_was_measured():
    cells = table(MEASURED.search(COMPARISON)[1])[2]
    gain, row_wise, gate = (float(cells[place].removesuffix(" %")) for place in (1, 4, 6))
    assert f"{gain / gate:.0f} times as often as this gate" in COMPARISON.replace("\n", " ")
    assert f"{row_wise / gate:.0f} times as often. What" in COMPARISON.replace("\n", " ")


def test_the_seconds_to_a_first_verdict_are_those_recorded():
    whole, install = re.search(
        r"# (\d+) s from nothing to the verdict, (\d+) s of them", (ROOT / "docs/adopt.md").read_text()
    ).groups()
    assert f"[{whole} s from nothing to the first verdict]" in COMPARISON
    assert f"{install} s of them to install" in COMPARISON
