"""The holdout of the months that have arrived, made by the judge's own code."""

import functools
import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from pushforward import files, parquet, schema
from pushforward.errors import DATA, PushforwardError
from pushforward.git.repository import Repository
from pushforward.judge import table
from pushforward.judge.table import EDIT, SUFFIXES
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import folders, frozen
from pushforward.pipeline.lock import feeding, making, within
from pushforward.pipeline.revision import Revision, sha256
from pushforward.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from pushforward.gate import inspection
    from pushforward.gate.leakage import Told

PAST = 200  # days: what tells how months move, and is no more to read than the holdout is
ROWS, EVENTS, LABELS = "rows", "events.parquet", "labels"
EVENTS_AT_ONCE = 1_000_000  # so many are in memory where there are more
MEND = "edit models in pushforward.yaml"


def build(
    root: Path,
    rules: Settings,
    months: list[str],
    *,
    pushed: tuple[str, Mapping[str, bytes]] | None,
    champion: str | None,
    grown: Mapping[str, bytes] = MappingProxyType({}),
    window: int = 0,
) -> Path:
    """Make the holdout of `months` in the judge's checkout `root`; its folder.

    It has as many of the newest as the rules say, or `window`, where a change extends it by those that it adds.

    Of a push the commit and the locks are taken over (`pushed`): what its stages made with the judge's code, files and
    parameters is what they would make here. The lock of a pull request is hostile; there that of the commit `champion`
    is the start. `grown` are files as a change has them that only added rows to them: those count already.
    """
    repository = Repository(root)
    if pushed is not None:
        source, made = pushed[0], months
        locks, moved = _judged_by(repository, rules, champion, pushed)
        for path, lock in locks.items():
            files.write(root, path, lock)
    else:
        source, made = champion or "", []
        pipeline.seed(repository, champion, rules.outs)
        moved = frozen.moved(repository, "HEAD", frozen.found(repository, champion), rules.outs)
        if champion:
            made = Revision(repository, champion, rules.name).batches
    for path, content in grown.items():
        files.write(root, path, content)
    fresh = bool(grown) and pushed is None  # the champion has not seen these rows
    if source and made == months and not (fresh or moved) and _made_alike(repository, root, source, rules, grown):
        pipeline.fetch(root, rules.contract.holdout)
    else:
        if months != rules.arrived(lambda file: files.read(root, file)):
            _set_months(root, rules, months)
        if window not in (0, rules.gate.window):
            _set(root, schema.FILE, "gate.window", window)
        pipeline.build(root, rules.contract.holdout)
    return files.place(root, rules.contract.holdout)


def _judged_by(
    repository: Repository, rules: Settings, champion: str | None, pushed: tuple[str, Mapping[str, bytes]]
) -> tuple[dict[str, bytes], list[str]]:
    """The locks of a push, but what its commit has frozen as the judge knows it; and which stages that changes."""
    there = frozen.families(repository, pushed[0])
    if not there:
        return dict(pushed[1]), []
    known = frozen.known(repository, "HEAD", champion, rules.outs)
    return frozen.judged_by(known, pushed[1], there, frozen.families(repository, "HEAD"))


def tables(holdout: Path, rules: Settings) -> "tuple[pl.DataFrame, Told | None, pl.DataFrame]":
    """Rows, events and labels of a holdout that holds what the contract names: the same rows, each once.

    Of the events, which may be many, no more than a part is to be in memory; None where the features remember none.
    """
    import polars as pl

    from pushforward.gate import inspection  # who only scores waits for no polars

    contract, where = rules.contract, rules.contract.holdout
    rows, name = _table(holdout, where, ROWS, [contract.key, contract.time])
    if contract.time is not None:
        _check_moments(rows.schema[contract.time], f"{name}: {contract.time} (holdout.time)")
    asked = [contract.key, contract.label, contract.cluster, contract.floor]
    labels, name = _table(holdout, where, LABELS, asked)
    if contract.floor and not (kind := labels[contract.floor].dtype).is_numeric():
        raise PushforwardError(
            f"{name}: {contract.floor} (holdout.floor) is {kind}, not a number",
            next="edit holdout.floor in pushforward.yaml",
        )
    names = [table.place(holdout, stem, where).name for stem in (ROWS, LABELS)]
    if wrong := inspection.twins(rows[contract.key], labels[contract.key], (names[0], names[1])):
        raise PushforwardError(f"{where}: {wrong}", next=EDIT, exit_code=DATA)
    label = labels[contract.label]
    label = table.places(label, contract.classes, name) if contract.classes else label
    if contract.loss is None and not label.dtype.is_numeric() and label.dtype != pl.Boolean:
        raise PushforwardError(
            f"{name}: {contract.label} (holdout.label) is {label.dtype}, not a number",
            next="name the classes in classes, or edit holdout.label, in pushforward.yaml",
        )
    labels = labels.with_columns(label, labels[contract.key].cast(rows[contract.key].dtype))
    return rows, told(holdout, rules), labels


def events(holdout: Path, rules: Settings) -> "pl.DataFrame | None":
    """The events of a holdout, None where the features remember none."""
    from pushforward.gate import leakage as honesty

    contract = rules.contract
    if not contract.events:
        return None
    name = f"{contract.holdout}/{EVENTS}"
    found = table.read(files.place(holdout, EVENTS), name)
    if found.height:  # or it is of a project whose features have no memory yet
        _check_columns(found.schema, name, [honesty.KNOWN_AT])
        _check_moments(found.schema[honesty.KNOWN_AT], f"{name}: {honesty.KNOWN_AT}")
    return found


def told(holdout: Path, rules: Settings) -> "Told | None":
    """The events of a holdout in parts, each read when it is asked for; None where the features remember none."""
    import polars as pl

    from pushforward.gate import leakage as honesty

    contract, name = rules.contract, f"{rules.contract.holdout}/{EVENTS}"
    if not contract.events:
        return None
    whole = table.scan(files.place(holdout, EVENTS), name)
    height = int(whole.select(pl.len()).collect().item())
    if height:  # or it is of a project whose features have no memory yet
        _check_columns(whole.collect_schema(), name, [honesty.KNOWN_AT])
        _check_moments(whole.collect_schema()[honesty.KNOWN_AT], f"{name}: {honesty.KNOWN_AT}")
    return [whole.slice(first, EVENTS_AT_ONCE) for first in range(0, max(height, 1), EVENTS_AT_ONCE)]


def _table(holdout: Path, where: str, stem: str, columns: "Iterable[str | None]") -> "tuple[pl.DataFrame, str]":
    """A table of the holdout with these columns, and its name."""
    path = table.place(holdout, stem, where)
    name = f"{where}/{path.name}"
    found = table.read(path, name)
    _check_columns(found.schema, name, columns)
    return found, name


def _check_columns(there: "Collection[str]", name: str, columns: "Iterable[str | None]") -> None:
    if missing := [column for column in columns if column is not None and column not in there]:
        raise PushforwardError(f"{name} has no column {missing[0]}", next=MEND)


def _check_moments(kind: "pl.DataType", name: str) -> None:
    import polars as pl

    if not isinstance(kind, pl.Datetime | pl.Date):
        raise PushforwardError(
            f"{name} is {kind}, not a moment",
            next="write it as one, such as 2013-05-31 16:30:00",
            exit_code=DATA,
        )


def batches(root: Path, rules: Settings, found: "inspection.Sample") -> "inspection.Batches | None":
    """What the holdout in `root` was made from, of every month; None where nothing holds its keys.

    It is held against `found`, the rows of that holdout.

    A table counts where it has the contract's key, once a row, and its cluster.
    """
    import polars as pl

    from pushforward.gate import inspection

    contract = rules.contract
    cluster = pl.col(contract.cluster) if contract.cluster else pl.lit(None, pl.String)
    asked = pl.col(contract.key).alias(inspection.KEY), cluster.alias(inspection.CLUSTER)
    read = _keyed(root, feeding(folders.whole_here(root), contract.holdout), asked)
    tables = (inspection.texts(named.lazy()).collect() for _, named in read)
    return inspection.Batches.of((one for one in tables if not one[inspection.KEY].is_duplicated().any()), found)


def earlier(root: Path, rules: Settings, rows: "pl.DataFrame") -> "pl.DataFrame | None":
    """Rows of the batches that the holdout in `root` was made from, of the days before its own `rows`, back to `PAST`.

    None where no table has the columns of a row.
    """
    import polars as pl

    time, contract = rules.contract.time, rules.contract
    if time is None or not rows.height:
        return None
    first = rows[time].min()
    asked = [pl.col(name).cast(dtype, strict=False) for name, dtype in rows.schema.items()]
    past = (pl.col(time) < first) & (pl.col(time) >= pl.lit(first).dt.offset_by(f"-{PAST}d"))
    fed = feeding(folders.whole_here(root), contract.holdout)
    found = [table for _, table in _keyed(root, fed, asked, past) if table.height]
    return pl.concat(found) if found else None


def fed(
    root: Path, rules: Settings, asked: "Iterable[pl.Expr]", where: "pl.Expr"
) -> "Iterator[tuple[str, pl.DataFrame]]":
    """What is asked of each table that the holdout in `root` was made of and that has it, with its path, `where` it is.

    So every row that may come into a holdout is found, of whatever batch. What is missing is brought.
    """
    return _keyed(root, feeding(folders.whole_here(root), rules.contract.holdout), asked, where)


def trained_on(root: Path, rules: Settings, keys: "pl.Series") -> tuple[str, tuple[str, ...]]:
    """What the stage of the model reads of the held out `keys`, by the lock in `root`.

    A table that was made to train on and has some, or "", and the tables with keys that were looked at. One that the
    holdout too is made of has to have them, and says nothing.
    """
    import polars as pl

    contract, lock = rules.contract, folders.whole_here(root)
    both = {*making(lock, contract.holdout)[0], *feeding(lock, contract.holdout)}
    fed = [path for path in feeding(lock, contract.path) if not any(within(path, one) for one in both)]
    held, clean = keys.cast(pl.String).implode(), []
    for path, told in _keyed(root, fed, (pl.col(contract.key).cast(pl.String),)):
        if seen := int(told[contract.key].is_in(held).sum()):
            return f"the model is made of {path}, which has {seen:,} rows whose key is held out", ()
        clean.append(path)
    return "", tuple(clean)


def _keyed(
    root: Path, paths: list[str], asked: "Iterable[pl.Expr]", where: "pl.Expr | None" = None
) -> "Iterator[tuple[str, pl.DataFrame]]":
    """What is asked of each table below `paths` that has it; what is no table of the pipeline's rows is passed over."""
    import polars as pl

    if missing := [path for path in paths if not (root / path).exists()]:
        pipeline.fetch(root, *missing, say=lambda _: None)
    for path in (file for one in paths for file in _tables(files.place(root, one))):
        try:
            lazy = _scanned_csv(path, typed=where is not None) if path.suffix == ".csv" else _scanned(path)
            asking = lazy.select(*asked)
            table = (asking if where is None else asking.filter(where)).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
        yield path.relative_to(root).as_posix(), table


def _scanned(path: Path) -> "pl.LazyFrame":
    import polars as pl

    parquet.check(path, path.name)
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def _scanned_csv(path: Path, *, typed: bool) -> "pl.LazyFrame":
    import polars as pl

    length = None if typed else 0
    return pl.scan_csv(path, infer_schema=typed, infer_schema_length=length, try_parse_dates=typed, glob=False)


def _tables(path: Path) -> list[Path]:
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in found if file.suffix in SUFFIXES and file.is_file() and not file.is_symlink()]


def sources_of(lock: bytes | None, rules: Settings) -> tuple[set[str], set[str]]:
    """The files and the parameters that the holdout is made with; without batches what `.dvc` files name counts too."""
    paths, keys = making(lock, rules.contract.holdout)
    above = {str(place) for path in paths for place in (PurePosixPath(path), *PurePosixPath(path).parents)}
    return paths if rules.batched else paths | {f"{path}.dvc" for path in above}, keys


def _made_alike(repository: Repository, root: Path, source: str, rules: Settings, grown: Collection[str]) -> bool:
    """Whether the holdout that the lock in `root` names, made at `source`, is what the judge's code would make."""
    from pushforward.gate import verdict as verdicts

    judge = repository.commit("HEAD")
    lock = folders.whole_here(root)
    made_of = sources_of(lock, rules)
    before, after = (Revision(repository, commit, rules.name) for commit in (judge, source))
    changed = repository.changed(judge, source)
    touched = verdicts.touched(changed, before.leaves, after.leaves, made_of, arrivals=after.arrivals, grown=grown)
    made = [name for name in touched if not verdicts.of_judge(name)]
    return bool(made_of[0]) and not made and not any(map(verdicts.is_pipeline, touched))


def _set_months(root: Path, rules: Settings, months: list[str]) -> None:
    """Say in a checkout of the judge that `months` have arrived, where its pipeline reads which."""
    file, key = rules.batches
    _set(root, file, key, months)


def _set(root: Path, file: str, key: str, value: list[str] | int) -> None:
    yaml, out = YAML(), io.BytesIO()
    tree = yaml.load(files.read(root, file))
    *above, last = key.split(".")
    functools.reduce(lambda part, name: part.setdefault(name, {}), above, tree)[last] = value
    yaml.dump(tree, out)
    files.write(root, file, out.getvalue())


def digest(folder: Path) -> str:
    """SHA-256 over the files of a holdout."""
    lines = [
        f"{sha256(path.read_bytes())}  {path.name}\n" for path in sorted(folder.glob("*")) if path.suffix in SUFFIXES
    ]
    return sha256("".join(lines).encode())
