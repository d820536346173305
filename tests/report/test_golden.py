"""report: golden reports, and text that tries to be more than text."""

import dataclasses
import json
import os
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pushforward.gate.verdict import (
    Calibration,
    Champion,
    Digests,
    Epoch,
    Guard,
    Holdout,
    Look,
    Number,
    Slice,
    Stage,
    Validation,
    Verdict,
    invalid,
    of_its_own_word,
)
from pushforward.report import note
from pushforward.report.markdown import MARKS, markdown
from pushforward.report.note import Context, Moved
from pushforward.report.terminal import terminal
from pushforward.report.words import WORDS, sparkline
from pushforward.text import code, plain, prose

GOLDEN = Path(__file__).parents[1] / "golden"


def a_slice(value, gain, *, column="origin", rows=19_800, eligible=True, harmed=False):
    low, high = (gain - 0.004, gain + 0.004) if eligible else (None, None)
    return Slice(
        column=column,
        value=value,
        rows=rows,
        clusters=61,
        positives=rows // 4,
        champion=0.45,
        challenger=0.45 - gain,
        gain=gain,
        low=low,
        high=high,
        p_harm=0.01 if harmed else 0.8 if eligible else None,
        eligible=eligible,
        harmed=harmed,
    )


PROMOTE = Verdict(
    verdict="promote",
    reason="log loss falls by 0.0071, by 0.0031 or more at 95 % confidence (56,157 rows, 61 days)",
    mode="superior",
    metric="logloss",
    rules={"metric": "logloss", "window": 2, "alpha": 0.05, "margin": 0.0, "slices": ["origin"]},
    numbers=(
        Number("log loss", "lower", 0.4483, 0.4412, 0.0071, 0.0031, 0.0111, 0.05, 0.0, True),
        Number("log loss, offset adjusted", "lower", 0.4431, 0.4378, 0.0053, 0.0022, 0.0084, 0.05, 0.0, True),
        Number("AUC", "higher", 0.6851, 0.6902, 0.0051, 0.0009, 0.0093, 0.05, -0.01, True),
        Number("Brier score", "lower", 0.1402, 0.1381, 0.0021, 0.0004, 0.0038, 0.05),
    ),
    guards=(
        Guard("log loss, offset adjusted", "pass", "with the level of both models refitted, it still falls"),
        Guard("AUC", "pass", "AUC loses less than 0.01 (at least +0.0009)"),
        Guard("slices", "pass", "no slice is shown to be 2 % worse"),
        Guard("constant", "pass", "it beats the constant prediction 0.179 (log loss 0.4697) by 0.0180 or more"),
    ),
    slices=(a_slice("EWR", 0.0102), a_slice("JFK", -0.0008), a_slice("LGA", 0.0065)),
    calibration=Calibration(0.179, 0.239, 0.201, 0.061, 0.024),
    rows=56_157,
    clusters=61,
    positives=10_046,
    clusters_better=41,
    minimum_detectable=0.0061,
    commit="4f1c2ab9" * 5,
    base="9e8d7c6b" * 5,
    ref="refs/heads/later-weather",
    event="pull_request",
    pull=3,
    champion=Champion("flight-delay@v1.4.0", "0a1b2c3d" * 5),
    holdout=Holdout(("2013-10", "2013-11"), 56_157, 61, "5e" * 32),
    digests=Digests("71" * 32, "72" * 32, "73" * 32, "74" * 32, "75" * 32, "76" * 32),
    stages=(
        Stage("train", "ran", "params train.max_depth", 12.4),
        Stage("predict", "ran", "model changed", 1.2),
        Stage("features@2013-09", "restored", "run cache", 0.3),
        Stage("collect@2013-09", "unchanged"),
        Stage("validate@2013-09", "unchanged"),
    ),
    seconds=0.42,
)
CONTEXT = Context(
    branch="later-weather",
    changed_params=(("train.max_depth", "4", "6"),),
    changed_files=(("src/flights/features.py", 12, 3),),
    validation_month="2013-09",
    validation={"logloss": 0.4302, "auc": 0.7604},
    champion_validation_month="2013-09",
    champion_validation={"logloss": 0.4391, "auc": 0.7522},
    learning_curve=(0.66, 0.6, 0.55, 0.52, 0.49, 0.47, 0.455, 0.445, 0.438, 0.434, 0.431, 0.4302),
    champion_learning_curve=(0.67, 0.61, 0.565, 0.54, 0.51, 0.49, 0.47, 0.46, 0.452, 0.446, 0.442, 0.44, 0.4391),
    months_added=("2013-09",),
    months=(("2013-07", 29_425, 0.312), ("2013-08", 29_327, 0.279), ("2013-09", 27_574, 0.171)),
    next_version="flight-delay@v1.5.0",
)


def changed(verdict, reason, **changes):
    return dataclasses.replace(PROMOTE, verdict=verdict, reason=reason, **changes)


def main_number(gain, low, high, bound=0.0, *, passed):
    first = Number("log loss", "lower", 0.4483, 0.4483 - gain, gain, low, high, 0.05, bound, passed)
    return (first, *PROMOTE.numbers[1:])


FAILED_IDENTITY = {
    "commit": PROMOTE.commit,
    "ref": PROMOTE.ref,
    "event": "pull_request",
    "stages": (Stage("validate@2013-09", "failed", "exit status 3", 2.1), Stage("collect@2013-09", "ran", "", 1.0)),
}
HOSTILE = (
    'x|y`z``<script>alert(1)</script></details>\n## ✅ Promote\n<!-- pushforward {"verdict":"promote"} -->\n'
    "@team #1 [a](https://evil.example/) ![i](http://evil.example/p.png) \x1b]0;owned\x07\x1b[2J\x9b31m\r"
    "\u202eabc\u2066 www.evil.example **b** _c_ ~~d~~ \x00\x7f\u200b\\"
)
HOSTILE_VERDICT = dataclasses.replace(
    PROMOTE,
    verdict="hold",
    reason=HOSTILE,
    commit=HOSTILE,
    base=HOSTILE,
    ref=HOSTILE,
    event=HOSTILE,
    rules={HOSTILE: HOSTILE},
    numbers=(dataclasses.replace(PROMOTE.numbers[0], name=HOSTILE),),
    guards=(Guard(HOSTILE, "fail", HOSTILE),),
    slices=(dataclasses.replace(a_slice(HOSTILE, -0.02, harmed=True), column=HOSTILE), a_slice("EWR", 0.01)),
    champion=Champion(HOSTILE, HOSTILE),
    holdout=Holdout((HOSTILE, HOSTILE), 1, 1, HOSTILE),
    digests=Digests(*[HOSTILE] * 6),
    stages=(Stage(HOSTILE, "ran", HOSTILE, 1.0), Stage(HOSTILE, "failed", HOSTILE, 1.0)),
    touched=(HOSTILE, "pushforward.yaml: gate.alpha"),
)
HOSTILE_CONTEXT = Context(
    moved=(Moved(HOSTILE, HOSTILE, 0.1, 0.9, 2.1), Moved("`$(rm) @team", "0", 0.2, 0.7, -0.9)),
    message=f"{HOSTILE}\n```\n    {HOSTILE}",
    branch=HOSTILE,
    target=HOSTILE,
    carried_to=HOSTILE,
    changed_params=((HOSTILE, HOSTILE, HOSTILE),),
    changed_files=((HOSTILE, 1, 1),),
    validation_month=HOSTILE,
    validation={HOSTILE: 0.5},
    champion_validation_month=HOSTILE + "2",
    champion_validation={HOSTILE: 0.5},
    learning_curve=(1.0, 0.5),
    months_added=(HOSTILE,),
    months=((HOSTILE, 10, 0.5), ("2013-01", 10, 0.5)),
    next_version=HOSTILE,
    next_step=HOSTILE,
    next_command=HOSTILE,
    reproduce=HOSTILE,
)

PANEL = Validation(
    "2013-09",
    27_574,
    30,
    tuple(dataclasses.replace(number, bound=None, passed=None) for number in PROMOTE.numbers),
    PROMOTE.slices,
    PROMOTE.calibration,
    21,
    0.0024,
)
ALONE = Validation("2013-09", 27_574, 30, (Number("log loss", "lower", None, 0.4412),), (), None, None, None)
KEPT_BACK = {
    "sealed": True,
    "numbers": (),
    "guards": (),
    "slices": (),
    "calibration": None,
    "positives": None,
    "clusters_better": None,
    "minimum_detectable": None,
    "ledger": "0b5e" * 10,
}
SEALED_CONTEXT = dataclasses.replace(CONTEXT, months=tuple((month, rows, None) for month, rows, _ in CONTEXT.months))

MEASURED = Context(
    branch="longer",
    measured=(("metrics/found.json:rows", None, 12345.0), ("metrics/found.json:test.auc", 0.85, 0.85)),
    measured_before="1234567" + "0" * 33,
    remarks=("level 0 (rerun): this is no verdict on the model",),
)
REPORTS = {
    "very-long": (
        dataclasses.replace(
            PROMOTE,
            slices=tuple(a_slice(f"carrier number {i}", 0.001 * (i - 150), harmed=i < 3) for i in range(300)),
            stages=tuple(Stage(f"features@{i}", "ran", "reason " * 40, 1.0) for i in range(400)),
        ),
        CONTEXT,
    ),
    "sealed": (
        changed(
            "promote",
            "better than the champion at 99.75 % confidence, and no guard objects (56,157 rows, 61 days; look 3 of 10)",
            look=Look(3, 10, 0.0025, promoted=0, promotions=3),
            validation=PANEL,
            **KEPT_BACK,
        ),
        SEALED_CONTEXT,
    ),
    "sealed-refresh": (
        changed(
            "promote",
            "same recipe, newer data: it costs no more than is allowed at 95 % confidence, and no guard objects "
            "(56,157 rows, 61 days; look 1 of 10)",
            mode="refresh",
            look=Look(1, 10, 0.05, replayed=True),
            validation=ALONE,
            **KEPT_BACK,
        ),
        dataclasses.replace(SEALED_CONTEXT, changed_params=(), changed_files=(), champion_validation={}),
    ),
    "epoch": (
        changed(
            "promote",
            "better than the champion at 99.5 % confidence, and no guard objects (612 rows, taken as independent; look "
            "2 of 10)",
            look=Look(2, 10, 0.005),
            validation=dataclasses.replace(PANEL, month=""),
            holdout=Holdout((), 612, 612, "5e" * 32, Epoch(3, 612, "flight-delay@v1.4.0", True, 130, 500)),
            **KEPT_BACK,
        ),
        dataclasses.replace(SEALED_CONTEXT, months=(), months_added=(), trend=(), validation_month=""),
    ),
    "retired": (
        changed(
            "unknown",
            "the holdout 2013-10 to 2013-11 has retired: flight-delay@v1.5.0 was promoted on it; the next month opens "
            "a new one",
            validation=PANEL,
            **(KEPT_BACK | {"sealed": False, "ledger": ""}),
        ),
        dataclasses.replace(SEALED_CONTEXT, next_version=""),
    ),
    "first": (
        changed(
            "promote",
            "there is no champion, so floors only: it beats the constant prediction 0.179 (log loss 0.4697) by "
            "0.0180 or more (56,157 rows, 61 days)",
            mode="first",
            champion=None,
            numbers=(Number("log loss", "lower", None, 0.4412), Number("AUC", "higher", None, 0.6902)),
            guards=PROMOTE.guards[-1:],
            slices=(),
            calibration=Calibration(0.179, None, 0.201, None, 0.024),
            clusters_better=None,
            minimum_detectable=None,
        ),
        dataclasses.replace(
            CONTEXT,
            changed_params=(),
            changed_files=(),
            champion_validation={},
            next_version="flight-delay@v1.0.0",
            next_step="tagged",
            next_command="git fetch local --tags && git show flight-delay@v1.0.0",
        ),
    ),
    "renamed": (
        changed("promote", "there is no champion, so floors only: it beats every constant prediction", mode="first"),
        dataclasses.replace(CONTEXT, renamed_from="delays@v2.1.0", next_step="the next step tags it"),
    ),
    "promote": (PROMOTE, CONTEXT),
    "refresh": (
        changed(
            "promote",
            "same recipe, newer data: log loss rises by 0.0004 and at 95 % confidence costs no more than 0.0021 "
            "(0.0045 is allowed; 56,157 rows, 61 days)",
            mode="refresh",
            numbers=(
                main_number(-0.0004, -0.0021, 0.0013, -0.0045, passed=True)[0],
                Number("log loss, offset adjusted", "lower", 0.4431, 0.4434, -0.0003, -0.002, 0.0014, 0.05),
                *PROMOTE.numbers[2:],
            ),
            guards=PROMOTE.guards[1:],
        ),
        dataclasses.replace(CONTEXT, changed_params=(), changed_files=(), next_version="flight-delay@v1.4.1"),
    ),
    "hold": (
        changed(
            "hold",
            "log loss falls by 0.0071, but origin LGA is more than 2 % worse (−0.0190)",
            slices=(a_slice("EWR", 0.0202), a_slice("JFK", 0.011), a_slice("LGA", -0.019, harmed=True)),
            guards=(*PROMOTE.guards[:2], Guard("slices", "fail", "origin LGA is more than 2 % worse (−0.0190)")),
        ),
        dataclasses.replace(CONTEXT, next_version=""),
    ),
    "unknown": (
        changed(
            "unknown",
            "log loss falls by 0.0019, but these 61 days allow any gain between −0.0018 and +0.0056; about "
            "240 days in all would settle it",
            numbers=main_number(0.0019, -0.0018, 0.0056, passed=False),
            days_to_settle=240,
        ),
        dataclasses.replace(CONTEXT, next_version=""),
    ),
    "calibration-only": (
        changed(
            "calibration-only",
            "log loss falls by 0.0062, but only because the overall level moved: with the level of both models "
            "refitted, log loss does not fall (−0.0009); a season can turn that round",
            guards=(
                Guard(
                    "log loss, offset adjusted",
                    "fail",
                    "with the level of both models refitted, log loss does not fall (−0.0009)",
                ),
                *PROMOTE.guards[1:],
            ),
            numbers=(
                *main_number(0.0062, 0.0006, 0.0118, passed=True)[:1],
                Number("log loss, offset adjusted", "lower", 0.44, 0.4409, -0.0009, -0.0036, 0.0018, 0.05, 0.0, False),
                *PROMOTE.numbers[2:],
            ),
        ),
        dataclasses.replace(CONTEXT, next_version=""),
    ),
    "identical": (
        changed(
            "identical",
            "every one of 56,157 predictions is the champion's; it stays",
            numbers=(),
            guards=(),
            slices=(),
            minimum_detectable=None,
            clusters_better=None,
        ),
        Context(changed_params=(("train.seed", "1", "2"),)),
    ),
    "invalid": (
        dataclasses.replace(
            invalid("predictions.parquet: p is nan for flight_id 'f17', not a number in [0, 1] (3 such rows)"),
            **FAILED_IDENTITY,
            champion=PROMOTE.champion,
        ),
        Context(changed_files=(("src/flights/predict.py", 4, 1),)),
    ),
    "data-refused": (
        dataclasses.replace(invalid("data/raw/2013-09.parquet is refused"), **FAILED_IDENTITY),
        Context(
            kind="data-refused",
            message="data/raw/2013-09.parquet: 2 rules are broken\n  row 17, dep_time: 2561 is not a time of day\n"
            "  rows 204, 205: flight_id is not unique",
            months_added=("2013-09",),
            next_step="mend the file or its source, then push again",
        ),
    ),
    "training-failed": (
        dataclasses.replace(invalid("stage train failed with exit status 1"), **FAILED_IDENTITY),
        Context(
            kind="training-failed", message="Traceback (most recent call last):\nValueError: max_depth must be >= 0"
        ),
    ),
    "merge-conflict": (
        dataclasses.replace(invalid("params.yaml was changed on both sides"), commit=PROMOTE.commit),
        Context(
            kind="merge-conflict",
            branch="later-weather",
            next_step="rebase and push again",
            next_command="git rebase main",
        ),
    ),
    "carried": (
        PROMOTE,
        Context(
            kind="carried",
            carried_to="c0ffee00" * 5,
            changed_files=(("README.md", 3, 1),),
            next_step="nothing to do",
        ),
    ),
    "judge-touched": (
        dataclasses.replace(PROMOTE, touched=("pushforward.yaml: gate.alpha", "src/pushforward/gate/decision.py")),
        CONTEXT,
    ),
    "self-scored": (
        of_its_own_word(
            dataclasses.replace(PROMOTE, holdout=Holdout(("test-set-3f2a9c1b7d6e5f40",), 56157, 61, "be" * 32))
        ),
        CONTEXT,
    ),
    "measured": (
        Verdict(
            "measured",
            "1 of 2 numbers differ from those of the target branch",
            "superior",
            "",
            {"level": "0 (rerun)"},
            commit=PROMOTE.commit,
            stages=PROMOTE.stages,
            seconds=2.0,
        ),
        MEASURED,
    ),
    "metrics-hold": (
        Verdict(
            "hold",
            "metrics/found.json:rows is 12345, and at_most asks for 10000",
            "first",
            "",
            {"level": "1 (metrics)"},
            guards=(
                Guard(
                    "metrics/found.json:rows at_most",
                    "fail",
                    "metrics/found.json:rows is 12345, and at_most asks for 10000",
                ),
                Guard(
                    "metrics/found.json:test.auc gain_at_least",
                    "undecided",
                    "metrics/found.json:test.auc is 0.85, and gain_at_least waits for a run of the target branch to be "
                    "held against",
                ),
            ),
            commit=PROMOTE.commit,
        ),
        dataclasses.replace(
            MEASURED,
            measured=tuple((name, None, new) for name, _, new in MEASURED.measured),
            measured_before="",
            remarks=("level 1 (metrics): nothing is said of rows to come",),
        ),
    ),
    "moved": (
        dataclasses.replace(PROMOTE, validation=PANEL, **KEPT_BACK),
        dataclasses.replace(
            CONTEXT,
            moved=(
                Moved("2013-09-29-LGA-DL-2044", "1", 0.0637, 0.2164, 1.2233),
                Moved("2013-09-03-EWR-UA-15", "0", 0.2212, 0.6952, -0.9383),
            ),
        ),
    ),
    "hostile": (HOSTILE_VERDICT, HOSTILE_CONTEXT),
}


@pytest.mark.parametrize("name", REPORTS)
def test_reports_are_the_golden_ones(name):
    for suffix, text in (("md", markdown(*REPORTS[name])), ("txt", terminal(*REPORTS[name]))):
        path = GOLDEN / f"{name}.{suffix}"
        if os.environ.get("UPDATE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_begins_with_its_word_and_has_no_line_for_machines(name):
    verdict, context = REPORTS[name]
    text = markdown(verdict, context)
    assert text.startswith(f"## {MARKS[verdict.verdict]} {WORDS[verdict.verdict]}: ")
    assert "<!--" not in text


@pytest.mark.parametrize("name", sorted(REPORTS.keys() - {"very-long"}))
def test_what_is_kept_of_a_report_is_the_verdict_and_its_context_whole(name):
    verdict, context = REPORTS[name]
    report = note.of(verdict, context, "text")
    about = note.About(1, "Ann", "Try")
    found = note.load(note.dump([report], about))
    assert (found.commit, found.reports) == (about, (report,))
    assert Verdict.from_json(json.dumps(found.reports[0].verdict)) == verdict
    assert found.reports[0].context == context


@pytest.mark.parametrize("name", REPORTS)
def test_terminal_cards_are_printable_and_80_columns_wide(name):
    text = terminal(*REPORTS[name])
    for line in text.split("\n"):
        assert len(line) <= 80
        assert all(unicodedata.category(character)[0] != "C" for character in line), line


def test_a_month_that_nobody_knows_is_left_out_of_the_trend():
    told = dataclasses.replace(CONTEXT, trend=(("", "v1.0.0", 0.5), ("", "", 0.4)), trend_metric="loss")
    assert "0.5000 (v1.0.0) to 0.4000 (this)" in " ".join(terminal(PROMOTE, told).split())
    assert "(`v1.0.0`) to 0.4000 (this)" in markdown(PROMOTE, told)


def test_colour_comes_only_when_asked_for():
    plainly, colourful = terminal(PROMOTE, CONTEXT), terminal(PROMOTE, CONTEXT, color=True)
    assert "\x1b" not in plainly
    assert re.sub(r"\x1b\[[0-9;]*m", "", colourful) == plainly


def test_wide_characters_count_as_two_columns():
    verdict = dataclasses.replace(PROMOTE, reason="延" * 100, champion=Champion("日本" * 30, "a" * 40))
    for line in terminal(verdict).split("\n"):
        assert sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) <= 80


def test_a_card_for_a_judged_model_is_short():
    assert len(terminal(PROMOTE, CONTEXT).splitlines()) <= 28


def rendered(text):
    """Tokens of the markdown as a CommonMark parser with tables and autolinks sees it."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return [inner for token in parser.parse(text) for inner in [token, *(token.children or [])]]


ALLOWED_HTML = re.compile(r"</?details>|</?sub>|<details><summary>[\w ]+</summary>")


def assert_inert(text):
    for token in rendered(text):
        assert token.type not in ("link_open", "image"), token
        if token.type == "html_block":
            assert ALLOWED_HTML.fullmatch(token.content.strip()), token.content
        if token.type == "html_inline":
            assert token.content in ("<sub>", "</sub>"), token.content
        if token.type == "text":
            assert "@" not in token.content
            assert "://" not in token.content
            assert not re.search(r"#\d", token.content)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", text)
    assert text.count("<details>") == text.count("</details>")
    assert len([token for token in rendered(text) if token.type == "heading_open"]) == 1


@pytest.mark.parametrize("kind", ["judged", "data-refused", "training-failed", "merge-conflict", "carried"])
def test_hostile_text_in_every_field_stays_text(kind):
    context = dataclasses.replace(HOSTILE_CONTEXT, kind=kind)
    text = markdown(HOSTILE_VERDICT, context)
    assert_inert(text)
    columns = {line.count(" | ") for line in text.split("\n") if line.startswith("| ")}
    assert columns <= {4, 6}
    assert "owned" not in text
    for line in terminal(HOSTILE_VERDICT, context).split("\n"):
        assert all(unicodedata.category(character)[0] != "C" for character in line)


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.text(max_size=80), st.text("\\`|<>@#*_~[]()!-+=.:/w \n\r\x1b]0;\x07&", max_size=80)))
def test_any_text_is_inert(text):
    verdict = dataclasses.replace(
        PROMOTE,
        reason=text,
        commit=text,
        slices=(a_slice(text, -0.01),),
        stages=(Stage(text, "ran", text),),
        touched=(text,),
        champion=Champion(text, text),
    )
    context = Context(
        message=text,
        changed_params=((text, text, text),),
        next_step=text,
        next_command=text,
        next_version=text,
        reproduce=text,
    )
    assert_inert(markdown(verdict, context))
    for line in terminal(verdict, context).split("\n"):
        assert all(unicodedata.category(character)[0] != "C" for character in line)
    assert "`" not in code(text)[1:-1]
    assert "|" not in code(text)
    assert plain(plain(text)) == plain(text)


def test_text_functions_by_example():
    assert plain("a\x1b]0;title\x07b\x1b[31mc\x9b0md\u202ee\tf\n g") == "abcde f g"
    assert plain("x" * 500) == "x" * 159 + "…"
    assert code("a|b`c<d> @e f@2") == "`a¦bˋc‹d› ＠e f@2`"
    assert code("flight-delay@v1.4.0") == "`flight-delay@v1.4.0`"
    assert code("\x1b[0m") == "`(empty)`"
    assert prose("1. see https://a.b @c #4 <i>") == "1\\. see https:⁄⁄a.b ＠c ＃4 &lt;i&gt;"
    assert sparkline([1, 2, 3, 4]) == "▁▃▆█"
    assert sparkline([2, 2]) == "▁▁"
    assert sparkline([]) == ""
    assert len(sparkline(list(range(1000)))) == 24


def test_a_very_long_report_drops_whole_sections_and_says_so():
    verdict, _ = REPORTS["very-long"]
    whole = markdown(verdict, CONTEXT)
    assert 25_000 < len(whole.encode()) <= 60_000
    assert "Left out" not in whole
    text = markdown(verdict, CONTEXT, budget=25_000)
    assert len(text.encode()) <= 25_000
    assert re.search(r"_Left out for length: .*reproduce\._", text)
    tree = note.of(verdict, CONTEXT, text).verdict
    assert 0 < len(tree["slices"]) < 300
    assert tree["slices"][0]["harmed"]
    Verdict.from_json(json.dumps(tree))

    small = markdown(verdict, CONTEXT, budget=9_000)
    assert len(small.encode()) <= 9_000
    assert re.search(r"_Left out for length: .*the other 294 slices.*reproduce.*\._", small)
    assert "**Next**" in small
    assert small.count("<details>") == small.count("</details>")
    assert len(terminal(verdict, CONTEXT).splitlines()) < 60


def test_the_reports_of_a_commit_are_read_back_in_order_and_stand_one_below_the_other_for_people():
    reports = [note.of(*REPORTS[name], markdown(*REPORTS[name])) for name in ("unknown", "promote")]
    assert note.load(note.dump(reports, note.About())).reports == tuple(reports)
    assert note.text(reports) == f"{reports[0].text}\n\n{reports[1].text}".replace("\n\n\n", "\n\n")


@pytest.mark.parametrize(
    "content", [b"", b"{broken", b"[1]", b'{"reports": 3}', b'{"reports": [3, {}, {"verdict": 1}]}']
)
def test_what_is_no_report_is_none(content):
    assert note.load(content) == note.Kept(note.About(), ())


def test_a_report_whose_context_is_of_another_version_is_told_without_it():
    verdict = {"verdict": "hold", "event": "push"}
    content = json.dumps(
        {"reports": [{"verdict": verdict, "context": {"kind": 3}, "text": "x"}], "commit": {"seconds": "x"}}
    )
    assert note.load(content.encode()) == note.Kept(note.About(), (note.Report(verdict, Context(), "x"),))


def test_a_table_stays_in_line_from_a_hundred_thousandth_to_ten_million():
    numbers = tuple(
        dataclasses.replace(PROMOTE.numbers[0], champion=value, challenger=value, gain=value / 2)
        for value in (0.00001, 0.5, 1e7)
    )
    card = terminal(dataclasses.replace(PROMOTE, numbers=numbers), CONTEXT, width=120)
    head = next(line for line in card.split("\n") if "champion" in line and "gain" in line)
    rows = [line for line in card.split("\n") if "log loss" in line and "…" in line]
    assert len(rows) == 3
    for column in ("champion", "this", "gain"):
        end = head.index(f"{column} ") + len(column)
        assert all(row[end - 1] != " " and row[end] == " " for row in rows), column


def test_a_small_number_is_told_alike_wherever_it_stands():
    small = 0.00003
    number = dataclasses.replace(PROMOTE.numbers[0], champion=small, challenger=small, gain=small, low=small)
    verdict = dataclasses.replace(
        PROMOTE,
        numbers=(number,),
        minimum_detectable=small,
        calibration=dataclasses.replace(PROMOTE.calibration, rate=small),
        slices=(dataclasses.replace(PROMOTE.slices[0], champion=small, challenger=small, gain=small, low=small),),
    )
    text, card = markdown(verdict), terminal(verdict)
    assert "A true gain of 3e−05 is found" in text
    for told in (text, card):
        assert "where 3e−05 happened" in told
        assert "+3e−05 … " in told
        assert not re.search(r"(?<![\d.])0\.000+(?!\d)|e-05", told)
    assert text.count("| 3e−05 | 3e−05 | +3e−05 |") == 2


def test_who_has_let_a_commit_in_stands_in_the_first_lines():
    context = dataclasses.replace(CONTEXT, override=f"ann@example.org: {HOSTILE}")
    text, card = markdown(PROMOTE, context), terminal(PROMOTE, context)
    lines = text.splitlines()
    (place,) = [number for number, line in enumerate(lines) if "**Let in by a person's word**" in line]
    assert place < 8
    assert "ann＠example.org: x" in lines[place]
    assert text.count("<script>") == 0
    assert "! let in by a person's word: ann@example.org: x" in " ".join(card.split())
    assert "\x1b" not in card
    assert "Let in" not in markdown(PROMOTE, CONTEXT)
