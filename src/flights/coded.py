"""Training rows part by part, as XGBoost takes them: a part is a month, read when it is asked for.

So no more of them than one lies in memory, where a fit asks for no more; a fit in core keeps them all.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from flights.booster import Matrix, matrix, plain, quantized, threads

if TYPE_CHECKING:
    import xgboost

Labels = npt.NDArray[np.int8]
Part = Callable[[], pl.DataFrame]
CACHE = Path("data")


def held(table: pl.DataFrame) -> Part:
    """A table in memory, as a part."""
    return lambda: table


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for what does not fit into memory, on the disk that the data is on; a temporary one may be memory."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="external-memory-", dir=CACHE) as folder:
        yield Path(folder)


class Coded:
    """Parts with the features by `names`, categories coded by a vocabulary; `kept` in memory, or made at each use."""

    def __init__(
        self, parts: Sequence[Part], names: list[str], categories: dict[str, list[str]], *, kept: bool
    ) -> None:
        self.parts, self.names, self.categories = parts, names, categories
        self._kept: list[tuple[Matrix, Labels]] | None = [self._made(part) for part in parts] if kept else None

    def _made(self, part: Part) -> tuple[Matrix, Labels]:
        table = part()
        return matrix(table, self.names, self.categories), table["label_late"].to_numpy()

    def __iter__(self) -> Iterator[tuple[Matrix, Labels]]:
        """Features, shape (rows, features), and labels of each part, in order."""
        yield from self._kept if self._kept is not None else map(self._made, self.parts)

    def binned(self, max_bin: int, folder: Path) -> "xgboost.DMatrix":
        """The rows in XGBoost's binned form: in memory where they are kept, else in files in `folder`."""
        if self._kept is not None:
            x, y = (np.concatenate(found) for found in zip(*self._kept, strict=True))
            return quantized(x, y, self.names, self.categories, max_bin)
        import xgboost as xgb

        return xgb.ExtMemQuantileDMatrix(_iterator(self, folder / "rows"), max_bin=max_bin, nthread=threads())

    def predicted(self, booster: Any, rounds: int) -> Iterator[npt.NDArray[np.float64]]:
        """The probability of each row by the first `rounds` trees, part by part."""
        for x, _ in self:
            found = booster.predict(plain(x, self.names, self.categories), iteration_range=(0, rounds))
            yield found.astype(np.float64)


def _iterator(coded: Coded, cache: Path) -> Any:
    import xgboost as xgb

    class Months(xgb.DataIter):  # type: ignore[misc]  # the base is untyped
        """XGBoost asks for one part after the other, and from the first again: for the cuts, then for the bins."""

        def __init__(self) -> None:
            self.left = iter(coded)
            super().__init__(cache_prefix=str(cache))

        def next(self, input_data: Callable[..., None]) -> bool:
            found = next(self.left, None)
            if found is None:
                return False
            types = ["c" if name in coded.categories else "q" for name in coded.names]
            input_data(data=found[0], label=found[1], feature_names=coded.names, feature_types=types)
            return True

        def reset(self) -> None:
            self.left = iter(coded)

    return Months()
