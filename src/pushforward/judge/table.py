"""Tables of a project, Parquet or CSV by their suffix: `holdout` reads its own here, `score` what a run has left.

What a table takes in memory is known before it is read, and nothing unpacks a CSV: it is what it looks like.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward import files, parquet, pointers
from pushforward.errors import DATA, PushforwardError

if TYPE_CHECKING:
    import polars as pl

PARQUET, CSV = ".parquet", ".csv"
SUFFIXES = (PARQUET, CSV)
EDIT = "edit the stage that makes it"
# A reader that finds this first looks for no compression.
BOM = b"\xef\xbb\xbf"


def place(folder: Path, stem: str, where: str) -> Path:
    """The table `stem` in a folder that people know as `where`; refused where there is none, or one of each kind."""
    found = [path for suffix in SUFFIXES if (path := files.place(folder, f"{stem}{suffix}")).is_file()]
    if not found:
        raise PushforwardError(f"{where} has no {stem}{PARQUET} and no {stem}{CSV}", next=EDIT)
    if len(found) > 1:
        raise PushforwardError(f"{where} has {stem}{PARQUET} and {stem}{CSV}: which is it?", next=EDIT)
    return found[0]


def read(path: Path, name: str) -> "pl.DataFrame":
    """A table of the project's own, its size in memory known before it is read; a CSV with the types that it shows."""
    import polars as pl

    if not path.is_file():
        raise PushforwardError(f"{name} is missing", next=EDIT)
    with _readable(path, name):
        if path.suffix == CSV:
            table = pl.read_csv(_text(path, name), infer_schema_length=None, try_parse_dates=True)
        else:
            parquet.check(path, name)
            table = pl.read_parquet(path, glob=False, hive_partitioning=False)
    parquet.bound(int(table.estimated_size()), name)
    return table


def scan(path: Path, name: str) -> "pl.LazyFrame":
    """A parquet table of the project's own, of any size: it is read when it is asked for, in part."""
    import polars as pl

    if not path.is_file():
        raise PushforwardError(f"{name} is missing", next=EDIT)
    pointers.refuse(path, name)
    with _readable(path, name):
        lazy = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        lazy.collect_schema()
    return lazy


def texts(path: Path, name: str) -> "pl.DataFrame":
    """A CSV as the texts that are in it."""
    import polars as pl

    with _readable(path, name):
        return pl.read_csv(_text(path, name), infer_schema=False)


def write(table: "pl.DataFrame", path: Path) -> None:
    """Leave a table as its suffix says."""
    if path.suffix == CSV:
        table.write_csv(path)
    else:
        table.write_parquet(path)


def places(labels: "pl.Series", classes: Sequence[str], name: str) -> "pl.Series":
    """Labels as numbers: where they are texts, each is the place of its class, or refused where it has none."""
    import polars as pl

    if not classes:
        return labels.cast(pl.Float64) if labels.dtype.is_numeric() or labels.dtype == pl.Boolean else labels
    texts = labels.cast(pl.String)
    found = texts.replace_strict(list(classes), range(len(classes)), default=None, return_dtype=pl.Float64)
    strange = texts.filter(found.is_null())
    if len(strange):
        what = f"{labels.name} is {strange[0]!r:.60}, which is none of `classes` ({len(strange):,} such rows)"
        raise PushforwardError(f"{name}: {what}", next=EDIT, exit_code=DATA)
    return found


def _text(path: Path, name: str) -> bytes:
    """The bytes of a CSV; refused where its cells could fill the memory: there is one for every two bytes at most."""
    pointers.refuse(path, name)
    size = path.stat().st_size
    parquet.bound(size + size // 2 * parquet.CELL_BYTES, name, f" at the most ({size:,} on disk)")
    content = path.read_bytes()
    return content if content.startswith(BOM) else BOM + content


@contextlib.contextmanager
def _readable(path: Path, name: str) -> Iterator[None]:
    import polars as pl

    kind = "CSV" if path.suffix == CSV else "parquet"
    try:
        yield
    # A panic derives from BaseException; a file that upsets the reader is still only a bad file.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as broken:
        said = (str(broken).splitlines() or ["damaged"])[0][:200]
        raise PushforwardError(f"{name} is not a readable {kind} file: {said}", next=EDIT, exit_code=DATA) from None
