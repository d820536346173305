"""Any revision's own scoring of the holdout: its command in its checkout, its output read as hostile data."""

import itertools
import os
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from pushforward import cause, files, params, parquet, pointers
from pushforward.errors import DATA, TOOL, PushforwardError
from pushforward.judge import table
from pushforward.pipeline.environment import search_path
from pushforward.process import clean_environment
from pushforward.schema import AGAIN

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from pushforward.settings import ModelContract, Settings

LIMIT_BYTES = 1024**3  # on disk; what is read of it is bounded by the rows that are asked
HOLDOUT = "the holdout"  # what the rows of predictions are among
SCORE_SECONDS = 600.0
Jailed = Callable[[list[str], Path], list[str]]
DATED = r"^[12]\d{3}-(0[1-9]|1[0-2])"
LIMIT_ROWS = 50_000_000


class PredictionsError(PushforwardError):
    """Predictions that are not what was asked for; the verdict on their model is `invalid`."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=DATA)


class ScoringError(PushforwardError):
    """A score command that failed, died, or was `late`."""

    def __init__(self, message: str, *, next: str = "", late: bool = False) -> None:  # noqa: A002
        super().__init__(message, next=next, exit_code=TOOL)
        self.late = late


class Pair(NamedTuple):
    """What a model is told, None where its features remember no events; and where its predictions go."""

    events: Path | None
    out: Path


def score(
    checkout: Path,
    contract: "ModelContract",
    rows: Path,
    events: Path | None,
    out: Path,
    *,
    python_bin: Path,
    timeout: float,
    jailed: Jailed | None = None,
) -> None:
    """Run the contract's `score` command in `checkout`, with that checkout's code; predictions land at `out`.

    The command is split as a shell would but run without one. A first word `python` becomes `python_bin`; `{rows}`,
    `{out}` and, where features remember events, `{events}` become absolute paths. The child and all that it starts are
    killed after `timeout` seconds. Raises `PushforwardError` if the command fails, dies, is late, or writes nothing.
    """
    pair = Pair(events, out)
    score_each(checkout, contract, rows, [pair], python_bin=python_bin, timeout=timeout, jailed=jailed)


def score_each(
    checkout: Path,
    contract: "ModelContract",
    rows: Path,
    pairs: Sequence[Pair],
    *,
    python_bin: Path,
    timeout: float,
    jailed: Jailed | None = None,
) -> None:
    """The same of the rows told of several tables of events, by one process: of a command that takes them.

    It may take `timeout` seconds for each.
    """
    first, *others = [{"{out}": pair.out} | ({"{events}": pair.events} if pair.events else {}) for pair in pairs]
    command(
        checkout,
        Command("score", contract.score, "scoring", contract.folder),
        {"{rows}": rows} | first,
        others,
        python_bin=python_bin,
        timeout=timeout * len(pairs),
        jailed=jailed,
    )


def _where(folder: str) -> str:
    return "a checkout" if folder == "." else f"{folder} in a checkout"


class Command(NamedTuple):
    """A command of the settings: under which name, its words, what it does as sentences say it, and in which folder."""

    setting: str
    text: str
    doing: str
    folder: str


def command(
    checkout: Path,
    asked: Command,
    places: dict[str, Path],
    others: Sequence[dict[str, Path]] = (),
    *,
    python_bin: Path,
    timeout: float,
    jailed: Jailed | None = None,
) -> None:
    """Run a command in `checkout`, with that checkout's code, each of `places` for its path; it writes `{out}`.

    One that ends in `schema.AGAIN` gets these words once more for each of `others`. `jailed` makes of its words
    and its folder those that run it in a jail.
    """
    words = _words(asked, places, others)
    if words[:1] in (["python"], ["python3"]):
        words[0] = str(python_bin)
    outs = [one["{out}"] for one in (places, *others)]
    for out in outs:
        out.unlink(missing_ok=True)
    folder = files.place(checkout, asked.folder) if asked.folder != "." else checkout
    sources = dict.fromkeys(str(place.absolute() / "src") for place in (folder, checkout))
    environment = clean_environment(
        {
            "PATH": search_path(python_bin),
            "PYTHONPATH": os.pathsep.join(sources),
            "OMP_WAIT_POLICY": "passive",
            "TZ": "UTC",
        }
    )
    # To a file, so that a child that prints for ever fills a disk with a quota rather than our memory.
    if jailed is not None:
        words[0] = shutil.which(words[0], path=environment["PATH"]) or words[0]
        words = jailed(words, folder)
    with tempfile.TemporaryFile() as output:
        status = _run_group(words, folder, environment, output, timeout, asked.doing)
        if status != 0:
            lines = [line.replace(f"{checkout.absolute()}/", "") for line in _last_lines(output)]
            why = cause.of(lines)
            ended = f"{asked.doing} in {checkout.name}/ {_how_it_ended(status)}: {why.text or asked.text}"
            raise ScoringError(
                "\n  ".join([ended, asked.text, *lines]),
                next=why.next or f"in {_where(asked.folder)} of that revision: PYTHONPATH=src {asked.text}",
            )
    name = asked.setting
    for out in outs:
        if not out.is_file():
            raise PredictionsError(f"the {name} command ended well but wrote no {out.name}")


def _words(asked: Command, places: dict[str, Path], others: Sequence[dict[str, Path]]) -> list[str]:
    """The words of a command, with the paths that are meant."""
    try:
        words = shlex.split(asked.text)
    except ValueError as broken:
        raise PushforwardError(f"{asked.setting} cannot be split into words: {broken}") from None
    if tuple(words[-3:]) != AGAIN:
        return _filled(words, places)
    *pair, _ = AGAIN
    return [*_filled(words[:-1], places), *(word for one in others for word in _filled(pair, one))]


def _filled(words: list[str], places: dict[str, Path]) -> list[str]:
    for place, path in places.items():
        words = [word.replace(place, str(path.absolute())) for word in words]
    return words


def read_asked(path: Path, keys: "pl.Series", rules: "Settings") -> "NDArray[np.float64]":
    """The predictions that `rules` ask for: of each key one, or one for each class."""
    return read_predictions(path, keys, probability=rules.gate.probability, columns=rules.contract.predicted)


def keys_in(path: Path, key: str) -> "pl.Series | None":
    """The keys in a file of predictions, as texts; None where it cannot be read."""
    try:
        return _table(path, {key: []}, exactly=False)[key].cast(str)
    except PredictionsError:
        return None


def read_predictions(
    path: Path,
    keys: "pl.Series",
    *,
    probability: bool = True,
    columns: tuple[str, ...] = ("p",),
    among: str = HOLDOUT,
) -> "NDArray[np.float64]":
    """The `columns` of a predictions file, in the order of `keys` (their name is the key column's name).

    The file must hold exactly the key and these, each key exactly once and no other, every number finite and, where it
    is a `probability`, within [0, 1]. Several columns make an array of as many. Size, schema and row count are checked
    before anything is loaded; `among` says whose rows they are. Raises `PredictionsError` saying what is wrong where.
    """
    import numpy as np
    import polars as pl

    integers = [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64]
    kinds = [keys.dtype, *(integers if keys.dtype.is_integer() else ())]
    wanted = {keys.name: kinds, **{name: [pl.Float64, pl.Float32] for name in columns}}
    frame = _table(path, wanted, exactly=True, rows=len(keys), among=among)
    frame = frame.with_columns(frame[keys.name].cast(keys.dtype, strict=False))
    found = frame[keys.name]
    if (doubles := found.is_duplicated()).any():
        raise PredictionsError(f"{path.name}: {keys.name} {_shown(found.filter(doubles)[0])} appears more than once")
    asked = frame if found.equals(keys) else _in_order(frame, keys, path, among)
    for name in columns:
        p = asked[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        bad = ~np.isfinite(p)
        if probability:
            bad |= (p < 0) | (p > 1)
        if bad.any():
            where = int(np.argmax(bad))
            rule = "a number in [0, 1]" if probability else "a finite number"
            raise PredictionsError(
                f"{path.name}: {name} is {p[where]!s} for {keys.name} {_shown(keys[where])}, not {rule} "
                f"({int(bad.sum()):,} such rows)"
            )
    return matrix(asked, columns)


def _in_order(frame: "pl.DataFrame", keys: "pl.Series", path: Path, among: str) -> "pl.DataFrame":
    """The rows of a predictions file as `keys` have them; refused where one has another key."""
    found = frame[keys.name]
    if (strange := ~found.is_in(keys.implode(), nulls_equal=True)).any():
        raise PredictionsError(f"{path.name}: {keys.name} {_shown(found.filter(strange)[0])} is not in {among}")
    return keys.to_frame().join(frame, on=keys.name, how="left", maintain_order="left", nulls_equal=True)


def matrix(frame: "pl.DataFrame", columns: tuple[str, ...]) -> "NDArray[np.float64]":
    """One column as an array of its numbers, several as one of as many columns."""
    import numpy as np
    import polars as pl

    found = frame.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    return np.ascontiguousarray(found if len(columns) > 1 else found[:, 0], dtype=np.float64)


def read_validation(path: Path, contract: "ModelContract", month: str, slices: Iterable[str]) -> "pl.DataFrame":
    """The rows of the validation `month`, or batch: key, cluster, label, predictions as numbers, `slices`, by key.

    The file may hold other columns and, where clusters are days or other parts of a month, other months. Raises
    `PredictionsError` where it has no such rows, or where a key appears twice.
    """
    import polars as pl

    numbers = [pl.Float64, pl.Float32, pl.Int64, pl.Int32, pl.Int16, pl.Int8, pl.UInt8, pl.Boolean]
    wanted: dict[str, list[Any]] = {contract.key: [], contract.label: [] if contract.classes else numbers}
    wanted |= dict.fromkeys(contract.predicted, numbers)
    wanted |= {name: [] for name in (contract.cluster, *slices) if name is not None and name not in wanted}
    column = contract.cluster if params.MONTH.fullmatch(month) else None

    def of_month(whole: pl.LazyFrame) -> pl.LazyFrame:
        clusters = pl.lit(None) if column is None else pl.col(column).cast(pl.String)
        dated = (
            column is not None and whole.select(clusters.str.contains(DATED).any()).collect(engine="streaming").item()
        )
        return whole.filter(clusters.str.starts_with(month)) if dated else whole

    frame = _table(path, wanted, exactly=False, of=of_month)
    if not frame.height:
        raise PredictionsError(f"{path.name} has no row of the validation {params.noun((month,))} {_shown(month)}")
    if frame[contract.key].is_duplicated().any():
        raise PredictionsError(f"{path.name}: a {contract.key} appears more than once in {_shown(month)}")
    try:
        labels = table.places(frame[contract.label], contract.classes, path.name)
    except PushforwardError as strange:
        raise PredictionsError(strange.message) from None
    return frame.with_columns(labels, pl.col(contract.predicted).cast(pl.Float64)).sort(contract.key)


def _table(
    path: Path,
    wanted: "dict[str, list[Any]]",
    *,
    exactly: bool,
    rows: int | None = None,
    among: str = HOLDOUT,
    of: "Callable[[pl.LazyFrame], pl.LazyFrame] | None" = None,
) -> "pl.DataFrame":
    """A table that may be anything: size, columns, types (any where none is named), rows, then the content.

    `of` says which of its rows are read: those alone have to fit into memory.
    """
    import polars as pl

    _check_file(path)
    pointers.refuse(path, path.name)
    if path.suffix == table.CSV:
        frame = _csv(path, wanted, exactly=exactly, rows=rows, among=among)
        return frame if of is None else of(frame.lazy()).collect()
    try:
        lazy = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        schema = lazy.collect_schema()
        _check_columns(path, schema, wanted, exactly=exactly)
        for column, kinds in wanted.items():
            if kinds and schema[column] not in kinds:
                raise PredictionsError(f"{path.name}: column {column} is {schema[column]}, not {kinds[0]}")
        _check_rows(path, int(lazy.select(pl.len()).collect().item()), rows, among)
        asked = lazy.select(list(wanted))
        if of is None:
            parquet.check(path, path.name)
            return asked.collect()
        part = of(asked)
        parquet.check_part(path, path.name, part.select(pl.len()).collect(engine="streaming").item() * len(wanted))
        return part.collect(engine="streaming")
    except pl.exceptions.PolarsError as broken:
        said = str(broken).splitlines()[0][:200]
        raise PredictionsError(f"{path.name} is not a readable parquet file: {said}") from None
    except pl.exceptions.PanicException:
        # It derives from BaseException; a file that upsets the reader is still only a bad file.
        raise PredictionsError(f"{path.name} is not a readable parquet file") from None


def _csv(path: Path, wanted: "dict[str, list[Any]]", *, exactly: bool, rows: int | None, among: str) -> "pl.DataFrame":
    """A CSV that may be anything: its texts, each of them of the first type that is asked of its column, or refused."""
    try:
        frame = table.texts(path, path.name)
    except PushforwardError as broken:
        raise PredictionsError(broken.message) from None
    _check_columns(path, frame.columns, wanted, exactly=exactly)
    _check_rows(path, frame.height, rows, among)
    for column, kinds in wanted.items():
        texts = frame[column]
        values = texts.cast(kinds[0], strict=False) if kinds else texts
        if (lost := values.is_null() & texts.is_not_null()).any():
            raise PredictionsError(f"{path.name}: {column} is {_shown(texts.filter(lost)[0])}, not {kinds[0]}")
        frame = frame.with_columns(values)
    return frame.select(list(wanted))


def _check_columns(path: Path, there: Iterable[str], wanted: Iterable[str], *, exactly: bool) -> None:
    if sorted(there) != sorted(wanted) if exactly else not set(wanted) <= set(there):
        rule = "exactly " if exactly else ""
        raise PredictionsError(f"{path.name} has the columns {_some(there)}; {rule}{_some(wanted)} are wanted")


def _check_rows(path: Path, count: int, rows: int | None, among: str) -> None:
    if rows is not None and count != rows:
        raise PredictionsError(f"{path.name} has {count:,} rows; {among} has {rows:,}")
    if count > LIMIT_ROWS:
        raise PredictionsError(f"{path.name} has {count:,} rows; the limit is {LIMIT_ROWS:,}")


def _run_group(words: list[str], cwd: Path, env: dict[str, str], output: BinaryIO, timeout: float, doing: str) -> int:
    """Run a child in a process group of its own and let nothing of that group outlive the call."""
    try:
        child = subprocess.Popen(
            words,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as missing:
        raise ScoringError(f"{words[0]} cannot be run in {cwd.name}/: {missing.strerror}") from missing
    # `wait` with a timeout sleeps and looks, up to 50 ms too long; without one the kernel says when.
    ended = threading.Thread(target=child.wait, daemon=True)
    ended.start()
    try:
        ended.join(timeout)
        if child.returncode is None:
            raise ScoringError(f"{doing} in {cwd.name}/ took longer than {timeout:g} s and was stopped", late=True)
        return child.returncode
    finally:
        _kill_group(child.pid)
        child.wait()


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _how_it_ended(status: int) -> str:
    if status > 0:
        return f"failed with exit status {status}"
    try:
        return f"died of {signal.Signals(-status).name}"
    except ValueError:
        return f"died of signal {-status}"


def _last_lines(output: BinaryIO) -> list[str]:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 4096))
    return output.read().decode("utf-8", "replace").strip().splitlines()[-8:]


def _check_file(path: Path) -> None:
    try:
        found = path.lstat()
    except OSError as missing:
        raise PredictionsError(f"there is no {path.name}: {missing.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise PredictionsError(f"{path.name} is not a regular file")
    if found.st_size > LIMIT_BYTES:
        raise PredictionsError(f"{path.name} has {found.st_size:,} bytes; the limit is {LIMIT_BYTES:,}")


def _some(names: Iterable[str]) -> str:
    return ", ".join(_shown(name) for name in itertools.islice(names, 5))


def _shown(value: object) -> str:
    return repr(value)[:80]
