"""Shares and confidences in percent: what is not all is never shown as all."""

import pytest

from pushforward import percent
from pushforward.gate.verdict import Verdict
from pushforward.judge import seal
from pushforward.judge.looks import Key, Look


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.0, ".1f", "0.0 %"),
        (1e-9, ".1f", "< 0.1 %"),
        (0.00049, ".1f", "< 0.1 %"),
        (0.0005001, ".1f", "0.1 %"),
        (0.5, ".1f", "50.0 %"),
        (0.9994, ".1f", "99.9 %"),
        (0.99951, ".1f", "> 99.9 %"),
        (1 - 1e-12, ".1f", "> 99.9 %"),
        (1.0, ".1f", "100.0 %"),
        (0.123456, ".4g", "12.35 %"),
        (0.99999, ".4g", "> 99.99 %"),
        (1e-7, ".4g", "1e-05 %"),
        (1.25, ".1f", "125.0 %"),
        (-0.02, ".1f", "-2.0 %"),
    ],
)
def test_a_share_is_nothing_or_all_only_where_it_is(value, form, text):
    assert percent.share(value, form) == text


@pytest.mark.parametrize(
    ("alpha", "form", "text"),
    [
        (0.05, ".4g", "95 %"),
        (0.005, ".5g", "99.5 %"),
        (0.05 / 3, ".4g", "98.33 %"),
        (4e-5, ".4g", "> 99.99 %"),
        (1e-6, ".5g", "> 99.999 %"),
        (1e-30, ".6g", "> 99.9999 %"),
        (0.2, ".5g", "80 %"),
    ],
)
def test_a_confidence_is_never_certainty(alpha, form, text):
    assert percent.confidence(alpha, form) == text


@pytest.mark.parametrize("form", ["", "%", ".12f", "{}"])
def test_another_form_is_a_mistake_of_the_caller(form):
    with pytest.raises(ValueError, match="form"):
        percent.share(0.5, form)


def test_a_sealed_verdict_at_a_tiny_level_claims_no_certainty():
    look = Look(1, 1000, 1e-9, Key("a", "b", "c", "d"), "superior", "e")
    told = seal.public(Verdict("promote", "because", "superior", "logloss", {}), look)
    assert "at > 99.999 % confidence" in told.reason
    assert "100 %" not in told.reason
