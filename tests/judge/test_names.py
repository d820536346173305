"""Names of ledgers: what they were for months, a legal ref for any text, and two for what differs."""

import dataclasses
import itertools
import subprocess

import pytest

from pushforward.gate.verdict import Epoch, Holdout
from pushforward.git.refs import HOLDOUTS
from pushforward.judge import names

TEXTS = [
    "A",
    "a",
    "2020-W01",
    "batch-7",
    "delivery A",
    "delivery_A",
    "delivery%20A",
    "v1.lock",
    "..",
    "-x",
    "a/b",
    "@{1}",
    "x=y",
    "~^:?*[\\",
    "東京" * 10,
    "納品" * 30,
    "納品" * 29 + "納入",
    "a " * 30,
]


def test_months_keep_the_names_that_they_had():
    assert names.ledger(["2013-05"]) == "2013-05"
    assert names.ledger(["2013-05", "2013-06", "2013-07"]) == "2013-05_2013-07"
    assert names.span("2013-05_2013-07") == "2013-05 to 2013-07"
    assert (names.noun("2013-05_2013-07"), names.noun("2013-05")) == ("month", "month")


def test_an_epoch_is_named_by_its_number_and_no_batch_is_named_so():
    name = names.epoch(12)
    assert (name, names.number(name), names.span(name), names.noun(name)) == ("epoch.12", 12, "epoch 12", "epoch")
    assert names.NAME.fullmatch(name)
    assert subprocess.run(["git", "check-ref-format", HOLDOUTS + name], check=False).returncode == 0
    assert names.ledger([name]) == "epoch%2E12"
    assert names.number(names.ledger([name])) == names.number("epoch.0") == names.number("epoch.01") == 0
    of_months = Holdout(("2013-05", "2013-06"), 1, 1, "")
    assert names.of(of_months) == "2013-05_2013-06"
    assert names.of(dataclasses.replace(of_months, months=(), epoch=Epoch(3, 1, "", True, 0, 100))) == "epoch.3"


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_makes_a_legal_ref_that_fits_a_file(text):
    name = names.ledger([text, text])
    assert names.NAME.fullmatch(name)
    assert len(name) < 200
    assert subprocess.run(["git", "check-ref-format", HOLDOUTS + name], check=False).returncode == 0
    assert names.noun(name) == "batch"
    if "=" not in name:
        assert names.span(name) == f"{text} to {text}"


def test_two_lists_that_differ_have_two_ledgers():
    windows = [[one] for one in TEXTS] + [list(two) for two in itertools.product(TEXTS, TEXTS)]
    assert len({names.ledger(window) for window in windows}) == len(windows)
    assert names.ledger(["a b", "c_d"]) == "a%20b_c%5Fd"
    assert names.span(names.ledger(["Lieferung " + "ü" * 40])) == "Lieferung…"


@pytest.mark.parametrize("name", ["", "_", "a_", "_a", "a_b_c", "a.b", "a b", "%zz", "a=b", "../x"])
def test_nothing_else_names_a_ledger(name):
    assert not names.NAME.fullmatch(name)
