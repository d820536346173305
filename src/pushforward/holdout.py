"""The holdout of the months that have arrived, made by the judge's own code."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from pushforward import files, pipeline
from pushforward.errors import PushforwardError
from pushforward.git import Repository
from pushforward.revision import leaves_at, settings_at, sha256
from pushforward.settings import Settings

if TYPE_CHECKING:
    import polars as pl

ROWS, EVENTS, LABELS = "rows.parquet", "events.parquet", "labels.parquet"


def build(
    root: Path, rules: Settings, months: list[str], *, pushed: tuple[str, bytes] | None, champion: str | None
) -> Path:
    """Make the holdout of `months` in the judge's checkout `root`; its folder.

    Of a push the commit and the lock are taken over (`pushed`): what its stages made with the judge's code, files and
    parameters is what they would make here. The lock of a pull request is hostile; there that of the commit `champion`
    is the start.
    """
    repository = Repository(root)
    if pushed is not None:
        source, made = pushed[0], months
        files.write(root, pipeline.LOCK, pushed[1])
    else:
        source, made = champion or "", []
        pipeline.seed(repository, champion)
        if champion:
            made = settings_at(repository, champion).data.months
    if source and made == months and _made_alike(repository, root, source, rules):
        pipeline.fetch(root, rules.model.holdout)
    else:
        if months != rules.data.months:
            _set_months(root, months)
        pipeline.build(root, rules.model.holdout)
    return files.place(root, rules.model.holdout)


def tables(holdout: Path, rules: Settings) -> "tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]":
    """Rows, events and labels of a holdout that holds what the contract names."""
    import polars as pl

    from pushforward import honesty

    contract = rules.model
    asked = {
        ROWS: (contract.key, contract.time),
        EVENTS: (honesty.KNOWN_AT,),
        LABELS: (contract.key, contract.label, contract.cluster),
    }
    found = []
    for name, columns in asked.items():
        if not files.place(holdout, name).is_file():
            raise PushforwardError(f"{contract.holdout} holds no {name}", next="edit the stage that makes it")
        table = pl.read_parquet(holdout / name)
        none = name == EVENTS and not table.height  # a project whose features have no memory
        if missing := [column for column in columns if not none and column not in table.columns]:
            raise PushforwardError(
                f"{contract.holdout}/{name} has no column {missing[0]}", next="edit model in params.yaml"
            )
        found.append(table)
    rows, events, labels = found
    if rows.height != labels.height or not rows[contract.key].is_in(labels[contract.key].implode()).all():
        raise PushforwardError(f"{contract.holdout}: {ROWS} and {LABELS} are not of the same rows")
    return rows, events, labels


def _made_alike(repository: Repository, root: Path, source: str, rules: Settings) -> bool:
    """Whether the holdout that the lock in `root` names, made at `source`, is what the judge's code would make."""
    from pushforward import verdicts

    judge = repository.commit("HEAD")
    lock = files.read(root, pipeline.LOCK)
    making = pipeline.making(lock, rules.model.holdout)
    before, after = leaves_at(repository, judge), leaves_at(repository, source)
    touched = verdicts.touched(repository.changed(judge, source), before, after, making)
    own = {f"params.yaml: {key}" for key in {*before, *after} if key.startswith(("gate.", "model."))}
    made = [name for name in touched if name in own or not name.startswith(verdicts.JUDGE_PATHS)]
    return bool(making[0]) and not made and "dvc.yaml" not in touched


def _set_months(root: Path, months: list[str]) -> None:
    yaml, out = YAML(), io.BytesIO()
    tree = yaml.load(files.read(root, "params.yaml"))
    tree["data"]["months"] = months
    yaml.dump(tree, out)
    files.write(root, "params.yaml", out.getvalue())


def digest(folder: Path) -> str:
    """SHA-256 over the files of a holdout."""
    lines = [f"{sha256(path.read_bytes())}  {path.name}\n" for path in sorted(folder.glob("*.parquet"))]
    return sha256("".join(lines).encode())
