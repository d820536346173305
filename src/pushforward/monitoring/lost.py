"""Losses of answers by a project's own command, as its verdicts were taken. `look` asks, and `live` measures them."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from pushforward.judge import score, table
from pushforward.monitoring.outcomes import KEY, KNOWN, LABEL, TIME
from pushforward.monitoring.tables import ARM, AT, OWN, ROW
from pushforward.settings import ModelContract

LOSS = "loss"
AMONG = "what was answered"
Run = Callable[[dict[str, Path]], None]  # the command, by the path of each of its places


def once(answers: pl.DataFrame) -> pl.DataFrame:
    """The answers that a command can be asked of: it names a row by its key alone, so each counts by its last one.

    When it was first answered stays.
    """
    named = answers.filter(pl.col(KEY) != "").with_columns(pl.col(AT).min().over(KEY))
    return named.sort(TIME, maintain_order=True).unique(KEY, keep="last", maintain_order=True)


def given(joined: pl.DataFrame, contract: ModelContract, run: Run, folder: Path) -> pl.DataFrame:
    """The answers with what each lost in the column `loss`, null where its outcome is not known.

    A label is then 0 where there is one: it may be of any type, and nothing but the command looks at it.
    """
    known = joined.filter(pl.col(LABEL).is_not_null())
    nothing = pl.lit(None, dtype=pl.Float64)
    if not known.height:
        return joined.with_columns(nothing.alias(LABEL), nothing.alias(LOSS))
    labels, predictions, out = (folder / f"{name}{table.PARQUET}" for name in ("labels", "predictions", "losses"))
    key = pl.col(OWN).alias(contract.key)
    ours = (KEY, TIME, KNOWN, LABEL, OWN, ARM, AT, contract.key, contract.label, *contract.predicted)
    others = [name for name in known.columns if name not in ours and not name.startswith(ROW)]
    table.write(known.select(key, pl.col(LABEL).alias(contract.label), *others), labels)
    table.write(known.select(key, *contract.predicted), predictions)
    run({"{labels}": labels, "{predictions}": predictions, "{out}": out})
    lost = score.read_predictions(out, known.select(key).to_series(), probability=False, columns=(LOSS,), among=AMONG)
    rest = joined.drop(LABEL, OWN, LOSS, strict=False)
    found = known.select(KEY, pl.lit(0.0).alias(LABEL), pl.Series(LOSS, lost))
    return rest.join(found, on=KEY, how="left", maintain_order="left")
