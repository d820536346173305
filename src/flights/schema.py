"""The tables of the pipeline: columns, types, and how they are read and written."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from flights.errors import StageError
from flights.sizes import check_file, check_memory

ORIGINS = ("EWR", "JFK", "LGA")
LOCAL_ZONE = "America/New_York"
INSTANT = pl.Datetime("us", "UTC")
LOCAL = pl.Datetime("us")

WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")

# What is asked: one flight, as the timetable shows it before departure, and the moment of the answer.
ROWS: dict[str, pl.DataType] = {
    "flight_id": pl.String(),
    "decided_at": INSTANT,
    "sched_dep": INSTANT,
    "sched_arr": INSTANT,
    "dep_local": LOCAL,  # at the origin
    "arr_local": LOCAL,  # at the destination
    "origin": pl.String(),
    "dest": pl.String(),
    "carrier": pl.String(),
    "flight": pl.Int32(),
    "tailnum": pl.String(),
    "distance": pl.Int32(),  # miles
}

# What the world told, one fact a row, from `known_at` on. `kind` is one of
#   scheduled          the timetable lists the flight (a day ahead)
#   cancelled          known at the scheduled departure
#   departed           it left; `delay` in minutes, `tailnum` is the aircraft
#   departure_overdue  the limit of lateness passed and it has not left
#   arrived            it is at the gate; `delay` in minutes
#   arrival_overdue    it left, the limit of lateness passed and it has not arrived
#   weather            an hourly reading at `origin`
EVENTS: dict[str, pl.DataType] = {
    "known_at": INSTANT,
    "kind": pl.String(),
    "flight_id": pl.String(),
    "origin": pl.String(),
    "dest": pl.String(),
    "carrier": pl.String(),
    "flight": pl.Int32(),
    "tailnum": pl.String(),
    "sched_dep": INSTANT,
    "hour": pl.Int8(),  # of the scheduled departure, local
    "delay": pl.Int32(),
    "late": pl.Int8(),  # 1: `delay` is above the limit of lateness
    **{name: pl.Float64() for name in WEATHER},
}

# For the judge alone. All columns but the first three are slices for reports.
LABELS: dict[str, pl.DataType] = {
    "flight_id": pl.String(),
    "late": pl.Int8(),
    "date": pl.Date(),  # local day of departure: flights of one day are not independent
    "origin": pl.String(),
    "carrier": pl.String(),
    "hours": pl.String(),
    "distance": pl.String(),
}

# Predictions of rows that have labels, of a fit that had not seen the validation month: `part` is train or validation.
SCORED: dict[str, pl.DataType] = {**LABELS, "month": pl.String(), "part": pl.String(), "p": pl.Float64()}

PREDICTIONS: dict[str, pl.DataType] = {"flight_id": pl.String(), "p": pl.Float64()}


def read_table(path: Path, columns: Mapping[str, pl.DataType], required: Sequence[str] = ()) -> pl.DataFrame:
    """The parquet file at `path`, its `columns` in order; raises `StageError` when it is absent, damaged or different.

    Further columns are left out; a missing one, or one of another type, is refused, and so is a missing value in a
    column of `required`.
    """
    _check(path, whole=True)
    with _readable(path):
        frame = pl.read_parquet(path, glob=False)
    check_memory(int(frame.estimated_size()), str(path))
    _check_columns(path, frame.schema, columns)
    for name in required:
        if frame[name].null_count():
            raise StageError(
                f"{path}: column {name} has missing values, first in row {frame[name].is_null().arg_max()}"
            )
    return frame.select(list(columns))


def read_columns(
    path: Path, columns: Mapping[str, pl.DataType], part: pl.Expr, chosen: Sequence[str] = ()
) -> pl.DataFrame:
    """`part` of a file of any size, with the `chosen` of its `columns`; refused as by `read_table`."""
    _check(path, whole=False)
    with _readable(path):
        lazy = pl.scan_parquet(path, glob=False)
        schema = lazy.collect_schema()
    _check_columns(path, schema, columns)
    with _readable(path):
        return lazy.filter(part).select(list(chosen or columns)).collect(engine="streaming")


def rows_in(path: Path) -> int:
    """How many rows the parquet file at `path` has; refused as `read_table` does."""
    _check(path, whole=False)
    with _readable(path):
        return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


def _check(path: Path, *, whole: bool) -> None:
    if not path.is_file():
        raise StageError(f"{path} is missing", next_step="dvc pull, or dvc repro")
    with path.open("rb") as file:
        check_file(file, str(path), whole=whole)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise StageError(f"{path} is not a readable parquet file: {str(error).splitlines()[0]}") from None


def _check_columns(path: Path, schema: Mapping[str, pl.DataType], columns: Mapping[str, pl.DataType]) -> None:
    for name, dtype in columns.items():
        if name not in schema:
            raise StageError(f"{path}: column {name} is missing")
        if schema[name] != dtype:
            raise StageError(f"{path}: column {name} is {schema[name]}, expected {dtype}")


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write `frame` as parquet: the same bytes for the same rows, and never half a file under `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    frame.write_parquet(unfinished, compression="zstd", compression_level=9, statistics=False)
    unfinished.replace(path)


def write_tables(parts: Iterable[pl.DataFrame], path: Path) -> None:
    """Write tables one after the other as one, of which no more than one lies in memory: the same for the same parts.

    The rows are those that `write_table` would write of all in one; the bytes need not be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{path.stem}-", dir=path.parent) as folder:
        written = []
        for number, part in enumerate(parts):
            written.append(Path(folder) / f"{number}.parquet")
            part.write_parquet(written[-1], compression="lz4", statistics=False)
        unfinished = Path(folder) / path.name
        lazy = pl.concat([pl.scan_parquet(one, glob=False) for one in written])
        lazy.sink_parquet(unfinished, compression="zstd", compression_level=9, statistics=False)
        unfinished.replace(path)


def shaped(frame: pl.DataFrame, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The named columns of `frame` in this order and with these types; a value that does not fit raises."""
    return frame.select(pl.col(name).cast(dtype) for name, dtype in columns.items())


def empty_table(columns: dict[str, pl.DataType]) -> pl.DataFrame:
    """No rows of `columns`."""
    return pl.DataFrame(schema=columns)
