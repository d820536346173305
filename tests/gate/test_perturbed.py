"""What the probe makes of events: the very tables that the formula in its plainest words gives, each part read once."""

import datetime
from collections import Counter

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pushforward.gate import leakage as honesty
from pushforward.gate.leakage import DAY, KNOWN_AT, SECOND, SHARE, WHICH, Part, changeable, perturbed, trials

UTC = datetime.UTC
START = datetime.datetime(2020, 3, 1, tzinfo=UTC)
INSTANTS = [START + datetime.timedelta(hours=hours) for hours in (-5, 20, 47, 100)]
COUNT = 400


def plainly(events, instant, keys, parts=None, part=Part()):  # noqa: B008, it is frozen
    """Column by column, each time anew: a seed fixes what comes, so the draws and their order are part of it."""
    chosen = changeable(events.columns, keys.name) if parts is None else parts
    at, moment = events[KNOWN_AT].dt.epoch("us"), round(instant.timestamp() * SECOND)
    is_later = (at > moment).fill_null(value=False)
    earlier, later = events.filter(~is_later), events.filter(is_later)
    if later.is_empty() and not part.last:
        return events
    random = np.random.default_rng([moment % 2**63, part.place] if part.place else moment % 2**63)
    first, end = (int(one or moment) for one in (at.min(), at.max()))
    begin = max(first - SECOND, moment) if part.place else moment
    span = max(end - begin, 0) + (DAY if part.last else SECOND)
    if WHICH in chosen:
        gone = random.choice(later.height, later.height // SHARE, replace=False)
        kept = [place not in set(gone.tolist()) for place in range(later.height)]
        strangers = events[random.integers(0, events.height, 2 * len(gone) + 1)]
        if keys.name in strangers.columns and len(keys):
            drawn = keys.gather(random.integers(0, len(keys), strangers.height)).cast(strangers.schema[keys.name])
            strangers = strangers.with_columns(drawn)
        later = pl.concat([later.filter(pl.Series(kept, dtype=pl.Boolean)), strangers])
    for column in chosen:
        if column == KNOWN_AT:
            later = later.with_columns(moments(later, begin, span, random))
        elif column != WHICH:
            later = later.with_columns(others(later[column], events[column], random))
    if WHICH in chosen and KNOWN_AT not in chosen:
        stays = (later[KNOWN_AT].dt.epoch("us") > moment).fill_null(value=False)
        later = later.with_columns(later[KNOWN_AT].zip_with(stays, moments(later, begin, span, random)))
    return pl.concat([earlier, later.sort(KNOWN_AT, maintain_order=True)])


def others(column, pool, random):
    values = pool.unique(maintain_order=True)
    if len(values) < 2 or not len(column):
        return column
    places = values.to_frame("value").with_row_index("place")
    own = column.to_frame("value").join(places, on="value", how="left", nulls_equal=True, maintain_order="left")
    step = random.integers(1, len(values), len(column))
    return values.gather((own["place"].to_numpy() + step) % len(values)).alias(column.name)


def moments(later, begin, span, random):
    kind = later.schema[KNOWN_AT]
    zone = kind.time_zone if isinstance(kind, pl.Datetime) else None
    drawn = begin + SECOND * random.integers(1, span // SECOND + 1, later.height)
    return pl.Series(KNOWN_AT, drawn).cast(pl.Datetime("us")).dt.replace_time_zone(zone).cast(kind)


UTC_MOMENT = pl.Datetime("us", "UTC")


def told(known_at=UTC_MOMENT, *, in_order=True):
    """Events of all kinds of columns, with what is missing, no number, zero with a sign, or ever the same."""
    random = np.random.default_rng(3)
    seconds = random.integers(0, 96 * 3600, COUNT)
    zone = known_at.time_zone if isinstance(known_at, pl.Datetime) else None
    at = pl.Series(
        KNOWN_AT, 1_000_000 * (np.sort(seconds) if in_order else seconds) + round(START.timestamp()) * SECOND
    )
    wind = np.where(random.random(COUNT) < 0.2, np.nan, random.choice([0.0, -0.0, 1.5, 2.5], COUNT))
    table = pl.DataFrame(
        [
            pl.Series("kind", random.choice(["arrived", "left"], COUNT)),
            at.cast(pl.Datetime("us")).dt.replace_time_zone(zone).cast(known_at),
            pl.Series("id", [f"r{n}" for n in random.integers(0, 90, COUNT)]),
            pl.Series("delay", random.integers(-10, 90, COUNT), dtype=pl.Int32),
            pl.Series("late", random.random(COUNT) < 0.2),
            pl.Series("wind", wind),
            pl.Series("zeros", random.choice([0.0, -0.0], COUNT)),
            pl.Series("same", ["it"] * COUNT),
            pl.Series("state", random.choice(["a", "b", "c"], COUNT), dtype=pl.Enum(["a", "b", "c"])),
        ]
    )
    return table.with_columns(
        pl.when(pl.lit(pl.Series(random.random(COUNT) < share))).then(None).otherwise(pl.col(name)).alias(name)
        for name, share in {"id": 0.1, "delay": 0.3, "late": 0.2, KNOWN_AT: 0.02, "state": 0.1}.items()
    )


KEYS = pl.Series("id", [f"r{n}" for n in range(120)])
TABLES = {
    "in order": told(),
    "in no order": told(in_order=False),
    "in milliseconds": told(pl.Datetime("ms")),
    "by days": told(pl.Date()),
    "none is known": told().with_columns(pl.lit(None, dtype=UTC_MOMENT).alias(KNOWN_AT)),
}


@pytest.mark.parametrize("instant", INSTANTS)
@pytest.mark.parametrize("name", TABLES)
def test_it_is_what_the_formula_says(name, instant):
    events = TABLES[name]
    chosen = [None, [WHICH], [KNOWN_AT], ["delay"], ["delay", WHICH], ["kind", "wind", KNOWN_AT], []]
    for parts in chosen:
        for part in (Part(), Part(0, last=False), Part(1, last=False), Part(2)):
            wanted = plainly(events, instant, KEYS, parts, part)
            assert_frame_equal(perturbed(events, instant, KEYS, parts, part), wanted, check_exact=True)


@pytest.mark.parametrize("keys", [pl.Series("flight", ["x"]), KEYS.clear()], ids=["of no column", "none"])
def test_it_is_so_where_no_event_can_be_about_another_row(keys):
    for instant in INSTANTS:
        wanted = plainly(told(), instant, keys)
        assert_frame_equal(perturbed(told(), instant, keys), wanted, check_exact=True)


@pytest.mark.parametrize("size", [COUNT, 150, 70])
def test_the_tables_of_all_instants_are_so_and_a_part_is_read_and_counted_once(tmp_path, monkeypatch, size):
    events = told().filter(pl.col(KNOWN_AT).is_not_null())
    rows = pl.DataFrame({"id": KEYS, "at": [START + datetime.timedelta(minutes=40 * n) for n in range(len(KEYS))]})
    parts = [events.slice(first, size) for first in range(0, events.height, size)]
    done = Counter()

    class Known(honesty._Known):
        def __init__(self, events):
            super().__init__(events)
            done["read"] += 1

        def values(self, column):
            done["counted"] += column not in self._coded
            return super().values(column)

    monkeypatch.setattr(honesty, "_Known", Known)
    asked = trials(rows, [part.lazy() for part in parts], key="id", time="at", folder=tmp_path / "probe")
    assert len(asked) == 3
    for trial in asked:
        of_all = [Part(place, last=place + 1 == len(parts)) for place in range(len(parts))]
        made = [plainly(part, trial.instant, KEYS, None, one) for part, one in zip(parts, of_all, strict=True)]
        assert_frame_equal(pl.read_parquet(trial.told), pl.concat(made), check_exact=True)
    assert sorted(path.name for path in (tmp_path / "probe").iterdir()) == [f"{n}-events.parquet" for n in range(3)]
    # seven columns have values to replace; where no instant lies before a part's end it is left alone
    begun = sum(part[KNOWN_AT].max() > asked[0].instant for part in parts)
    assert done == {"read": len(parts), "counted": 7 * begun}
