"""card: golden model cards, and project text or names that try to be more than text."""

import dataclasses
import importlib.util
import json
import os
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pushforward import settings
from pushforward.gate.verdict import Epoch, Holdout, Look
from pushforward.release import card
from pushforward.release.provenance import Content, Statement

pytestmark = pytest.mark.whole

GOLDEN = Path(__file__).parents[1] / "golden"
ROOT = Path(__file__).parent.parent.parent


def module(name, path):
    """A file that is no part of a package, as a module."""
    spec = importlib.util.spec_from_file_location(name, path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


reports = module("golden_reports_of_card", Path(__file__).parents[1] / "report" / "test_golden.py")
HOSTILE = reports.HOSTILE
RULES = settings.parse((ROOT / "pushforward.yaml").read_bytes())
BATCHES = RULES.arrived(lambda file: (ROOT / file).read_bytes())
ABOUT = (ROOT / "docs" / "model.md").read_text()
PROMOTED = dataclasses.replace(
    reports.PROMOTE, event="push", pull=None, look=Look(2, 10, 0.005, False, 1, 3), ledger="1ed9" * 10
)
MADE = Statement(
    model="flight-delay",
    number=6,
    commit=PROMOTED.commit,
    tree="77" * 20,
    params=PROMOTED.digests.params,
    judge=PROMOTED.base,
    builder="urn:pushforward:builder:server",
    subjects={"model/model.ubj": PROMOTED.digests.model, "model/manifest.json": PROMOTED.digests.manifest},
    data={"data/raw/flights-2013-01.parquet": Content("12" * 16, "34" * 32)},
    locks={"requirements/run.txt": "56" * 32},
    lock=PROMOTED.digests.lock,
    lock_commit="0c" * 20,
    verdict="78" * 32,
    ledger=PROMOTED.ledger,
    previous="9a" * 32,
)
SEALED = dataclasses.replace(PROMOTED, **{**reports.KEPT_BACK, "mode": "refresh"}, validation=reports.PANEL)
FIRST = dataclasses.replace(
    PROMOTED,
    mode="first",
    champion=None,
    look=None,
    numbers=(),
    slices=(),
    calibration=None,
    sealed=True,
    validation=None,
    guards=(),
)
NASTY = (
    f"# {HOSTILE}\n\n{HOSTILE}\n\n- {HOSTILE}\n- ## x\n\n"
    "> quote\n\n    code\n\n```\nfence\n\n| a | b |\n|--|--|\n| 1 | 2"
)
CARDS = {
    "card": (PROMOTED, MADE, "flight-delay@v1.4.0", ABOUT),
    "card-sealed": (SEALED, MADE, "flight-delay@v1.4.0", "One paragraph\nof two lines.\n\n* an item\n* another\n"),
    "card-first": (
        FIRST,
        dataclasses.replace(MADE, number=1, previous="", ledger="", builder="urn:pushforward:builder:forge"),
        "",
        None,
    ),
    "card-hostile": (
        dataclasses.replace(reports.HOSTILE_VERDICT, sealed=True),
        dataclasses.replace(MADE, model=HOSTILE, commit=HOSTILE, tree=HOSTILE, builder=HOSTILE, verdict=HOSTILE),
        HOSTILE,
        NASTY,
    ),
}


def make(verdict=PROMOTED, made=MADE, previous="flight-delay@v1.4.0", about=ABOUT):
    told = {"digest": "bc" * 32, "previous": previous, "about": about}
    return card.build("flight-delay@v1.5.0", verdict, RULES, made, batches=BATCHES, **told)


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_as_it_was(name):
    text = card.markdown(make(*CARDS[name]))
    path = GOLDEN / f"{name}.md"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_it_says_what_somebody_who_decides_must_know():
    text = card.markdown(make())
    for fact in (
        *("Intended use", "Out of scope", "2013-10 to 2013-11", "56,157 rows", "log loss", "origin = EWR"),
        *("+0.0031 … +0.0111", "expected calibration error", "Guards", "Time honesty", "look 2 of 10"),
        *("flight-delay@v1.4.0 at 0a1b2c3d0", PROMOTED.digests.model, PROMOTED.digests.environment, "bc" * 32),
        *("pushforward verify 'flight-delay@v1.5.0'", "pushforward bundle 'flight-delay@v1.5.0' --out release"),
    ):
        assert fact.replace("@", "＠") in text or fact in text, fact


def test_a_sealed_holdout_tells_no_number():
    shown = card.markdown(make(SEALED))
    assert "are sealed until it retires" in shown
    assert "On the validation month 2013-09" in shown
    assert "On the holdout" not in shown


def test_what_the_project_does_not_say_is_said_to_be_missing():
    for about in (None, "", " \n"):
        assert "The project does not say (card in pushforward.yaml)." in card.markdown(make(about=about))


def test_headings_paragraphs_and_lists_are_taken_over():
    about = "before any heading\n\n# Use\nright below\n\n- one\n  goes on\n- two\n\n## Limits ##\n\nno **bold** here\n"
    told = {section.title: section.blocks for section in make(about=about).sections[:3]}
    assert list(told) == ["Intended use", "Use", "Limits"]
    assert [(block.kind, block.rows) for block in told["Use"]] == [
        ("text", (("right below",),)),
        ("list", (("one goes on",), ("two",))),
    ]
    assert "no \\*\\*bold\\*\\* here" in card.markdown(make(about=about))


def tags(text):
    """The elements of a markdown text, as GitHub would render them."""
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    return html, set(re.findall(r"<(\w+)", html))


ELEMENTS = {"h1", "h2", "p", "ul", "li", "strong", "code", "pre", "table", "thead", "tbody", "tr", "th", "td"}


def test_hostile_text_stays_text():
    text = card.markdown(make(*CARDS["card-hostile"]))
    html, found = tags(text)
    assert found <= ELEMENTS
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"]
    assert "@team" not in text
    prose = re.sub(r"`[^`]*`", "", text.replace("\\`", ""))
    assert not re.search(r"#\d|://", prose)
    assert "<a " not in html
    assert "<img" not in html
    names = [section.title for section in make(*CARDS["card-hostile"]).sections]
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == len(names)


@given(st.text(max_size=400))
def test_any_project_text_stays_text(about):
    made = make(about=about)
    html, found = tags(card.markdown(made))
    assert found <= ELEMENTS, html
    assert html.count("<h2>") == len(made.sections)
    assert html.count("<h1>") == 1


@given(
    st.lists(
        st.sampled_from(["# ", "- ", "* ", "\n", "\n\n", "x", "|", "`", "1. ", "> ", "    ", "---", "=", "[a](b)"])
    )
)
def test_any_markdown_stays_a_heading_a_paragraph_or_a_list(parts):
    made = make(about="".join(parts))
    html, found = tags(card.markdown(made))
    assert found <= ELEMENTS, html
    assert html.count("<h2>") == len(made.sections)


def test_a_long_text_is_cut():
    assert len(card.markdown(make(about="word " * 100_000))) < 20_000


def test_many_slices_are_cut_and_harmed_ones_stay():
    slices = tuple(reports.a_slice(f"s{n:03}", 0.001, rows=10_000 - n, harmed=n == 299) for n in range(300))
    text = card.markdown(make(dataclasses.replace(PROMOTED, slices=slices)))
    assert "Loss by slice, 24 of 300" in text
    assert text.count("origin = s") == 24
    assert "origin = s299" in text


def test_the_example_says_what_it_is_for():
    assert RULES.model.card == "docs/model.md"
    titles = [section.title for section in make().sections]
    assert titles[:3] == ["Intended use", "Out of scope", "Data and its limits"]
    assert json.dumps(titles).count("Data") == 2


def test_it_says_that_the_environment_is_not_locked():
    text = card.markdown(make(made=dataclasses.replace(MADE, unlocked=("requirements.txt",))))
    assert "- Environment: not locked: requirements.txt; the same commit may give another model\n" in text
    assert "not locked" not in card.markdown(make())


def test_a_card_of_an_epoch_says_its_keys_and_what_was_trained_on():
    holdout = Holdout((), 612, 612, "5e" * 32, Epoch(3, 612, "flight-delay@v1.4.0", True, 130, 500))
    verdict = dataclasses.replace(PROMOTED, holdout=holdout, validation=dataclasses.replace(reports.PANEL, month=""))
    text = card.markdown(
        card.build("m@v1.0.0", verdict, RULES, MADE, digest="bc" * 32, previous="", about=None, batches=[])
    )
    assert "- Training: every row whose key is not held out\n" in text
    assert "- Holdout: epoch 3: 612 keys first seen since " in text
    assert "wait" not in text.partition("## Metrics")[0], "what waits today waits no more tomorrow"
    assert "On the validation rows; these decide nothing" in text


def test_a_card_claims_nothing_that_was_not_asked():
    asked = card.markdown(make())
    text = (ROOT / "pushforward.yaml").read_text()
    for old, new in (
        ("cluster: date, time: decided_at", "cluster: none, time: none"),
        (" {events} {out} ...", " {out}"),
        (" {events}", ""),
    ):
        assert old in text
        text = text.replace(old, new)
    rules = settings.parse(text.encode())
    digests = dataclasses.replace(PROMOTED.digests, manifest="")
    verdict = dataclasses.replace(PROMOTED, digests=digests, cluster="row", clusters=PROMOTED.rows)
    text = card.markdown(
        card.build("m@v1.0.0", verdict, rules, MADE, digest="bc" * 32, previous="", about=None, batches=BATCHES)
    )
    for words in ("days; never trained on", "with all that was not known yet replaced"):
        assert words in asked
        assert words not in text
    for words in (
        "nothing here knows whether it was trained on",
        "The score command takes no events: whether features see the future was not asked.",
        f"{PROMOTED.rows:,} rows, taken as independent",
        "Rows are taken as independent: where some belong together, every bound above is too narrow.",
    ):
        assert words in text
        assert words not in asked
