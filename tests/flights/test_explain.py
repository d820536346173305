"""One flight, step by step: equal to the bit to what is predicted, and honest about what was not known."""

import json
import math
from pathlib import Path

import polars as pl
import pytest

from flights.errors import StageError
from flights.explain import explain, main
from flights.predict import load, predict
from flights.schema import WEATHER
from flights.spans import HISTORY_SHARES

HOLDOUT = ["data/holdout/rows.parquet", "data/holdout/events.parquet"]
SOME = (0, 77, 501, 1200)


@pytest.fixture
def holdout(project):
    return pl.read_parquet(HOLDOUT[0]), pl.read_parquet(HOLDOUT[1])


def step(told, name):
    return {line["name"]: line for line in next(one for one in told["steps"] if one["name"] == name)["rows"]}


def test_the_probability_is_the_one_that_is_predicted_to_the_bit(holdout):
    rows, events = holdout
    model = load()
    together = predict(*model, rows, events)["p"]
    for place in SOME:
        assert explain(*model, rows[place : place + 1], events)["prediction"] == together[place]


def test_base_and_contributions_add_up_to_its_log_odds(holdout):
    rows, events = holdout
    model = load()
    for place in SOME:
        told = explain(*model, rows[place : place + 1], events)
        found = told["contributions"]
        total = found["base"] + sum(one["contribution"] for one in found["parts"])
        assert found["link"] == "logit"
        assert 1 / (1 + math.exp(-total)) == pytest.approx(told["prediction"], abs=1e-6)
        assert any(abs(one["contribution"]) > 0.01 for one in found["parts"])


def test_what_was_joined_is_what_the_features_say(holdout):
    rows, events = holdout
    model = load()
    for place in SOME:
        told = explain(*model, rows[place : place + 1], events)
        joined, features = step(told, "joined"), step(told, "features")
        for name in WEATHER if joined["weather"]["value"] else ():
            read = joined[name]["value"]
            assert features[name]["value"] == (None if read is None else pytest.approx(read, rel=1e-6))
        for name, share in HISTORY_SHARES.items():
            late, _, count = joined[name]["value"].split()
            expected = (int(late) + share.prior * share.base) / (int(count) + share.prior)
            assert features[name]["value"] == pytest.approx(expected, rel=1e-6), name
        leg = features["tail_arr_delay"]["value"]
        assert (leg is None) == (" to " not in joined["aircraft"]["note"])


def test_a_fact_that_came_later_is_named_as_not_known_and_changes_nothing(holdout):
    rows, events = holdout
    row, model = rows[77:78], load()
    asked = row["decided_at"][0]
    told = explain(*model, row, events)
    own = events.filter((pl.col("flight_id") == row["flight_id"][0]) & (pl.col("known_at") > asked))
    assert own.height
    later = step(told, "not known yet")
    for kind in own["kind"]:
        assert "after the question" in later[f"this flight: {kind}"]["note"]
    before = explain(*model, row, events.filter(pl.col("known_at") <= asked))
    assert step(before, "not known yet") == {}
    assert step(before, "joined") == step(told, "joined")
    assert (before["prediction"], before["contributions"]) == (told["prediction"], told["contributions"])


def test_a_reading_of_the_departure_hour_is_not_the_one_that_was_joined(holdout):
    rows, events = holdout
    row = rows[501:502]
    asked, hot = row["decided_at"][0], 999.0
    at = pl.lit(asked).dt.offset_by("1m").cast(events.schema["known_at"])
    reading = events.filter((pl.col("kind") == "weather") & (pl.col("origin") == row["origin"][0])).head(1)
    reading = reading.with_columns(known_at=at, temp=pl.lit(hot))
    told = explain(*load(), row, pl.concat([events, reading]))
    assert step(told, "joined")["temp"]["value"] != hot
    later = next(one for one in told["steps"] if one["name"] == "not known yet")["rows"]
    first = next(line for line in later if line["name"] == "the sky: weather")
    assert first["note"].endswith(", 1 min after the question")


def test_it_runs_from_the_command_line_on_one_flight_alone(holdout, capsys):
    rows, events = holdout
    rows[5:6].write_parquet("row.parquet")
    main(["row.parquet", HOLDOUT[1], "out.json"])
    told = json.loads(Path("out.json").read_text())
    assert told == json.loads(json.dumps(explain(*load(), rows[5:6], events)))
    assert capsys.readouterr().out == f"{rows['flight_id'][5]}: {told['prediction']!r}\n"
    with pytest.raises(StageError, match="one flight is explained at a time, not 2"):
        explain(*load(), rows[:2], events)
    with pytest.raises(StageError, match="expected 3 files, got 1"):
        main(["row.parquet"])
