"""benchmarks/drift.py: its key figures, on eight real months."""

import importlib.util
import sys
from pathlib import Path

import polars as pl
import pytest

from pushforward.gate.drift import drift

pytestmark = pytest.mark.whole

SPEC = importlib.util.spec_from_file_location("drift_year", Path(__file__).parents[1] / "benchmarks" / "drift.py")
benchmark = sys.modules["drift_year"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(benchmark)


@pytest.fixture(scope="module")
def rows():
    return benchmark.year(range(1, 9))


@pytest.fixture(scope="module")
def real(rows):
    return dict(benchmark.found_in(rows, range(2, 9), 2))


def test_no_input_of_a_real_month_is_accused_and_a_label_only_of_what_was_so(real):
    found = {(month, one.column, one.kind) for month, alarms in real.items() for one in alarms}
    assert found == {(6, "late", "index"), (6, "late", "mean")} == {one for one in benchmark.EXPLAINED if one[0] < 9}


@pytest.mark.parametrize("fault", benchmark.FAULTS[: benchmark.SURE], ids=lambda fault: fault.name)
def test_a_fault_is_named_in_its_month_or_soon_after(rows, real, fault):
    month, found = benchmark.caught(rows, fault, 6, real)
    assert found.column == fault.column
    slowly = "missing" in fault.name  # which no step of it is far
    assert (month, found.kind.startswith("slow")) == (8 if slowly else 6, slowly)


def test_the_line_of_a_report_names_next_to_nothing_where_nothing_is_wrong(rows):
    days, named = rows.select("date", *benchmark.COLUMNS), []
    for month in range(2, 9):
        here = rows["date"].filter(rows["month"] == month).unique().sort()
        for first in here[0], here[len(here) // 2]:
            after = days.filter(pl.col("date").is_between(first, here[-1]))
            named += [one.column for one in drift(days.filter(pl.col("date") < first), after, time="date") if one.far]
    assert len(named) <= 2  # of 14 times 16 columns
