"""A fit on a Dask cluster, by XGBoost's own means: `train.cluster: dask`.

The months lie in the workers, a piece of each in every one. What comes out is no promise: the same months on the same
cluster give another model each time, since sums depend on who answers first.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from flights import booster as own
from flights import means
from flights.booster import Matrix, threads
from flights.coded import Coded, Labels
from flights.errors import TOOL, StageError
from flights.means import Means

SECONDS = 10  # until a scheduler and its workers have answered
LOST = "the Dask cluster lost a worker, or its scheduler, in the fit"


@contextmanager
def connected(asked: Means) -> Iterator[Any]:
    """A client of the cluster at `asked.scheduler`, or of one on this machine that ends with the context.

    Raises `StageError` (exit code 6) for a scheduler that does not answer, or that has no worker.
    """
    import distributed

    if not asked.scheduler:
        each = max(1, threads() // asked.workers)
        local = {"host": "127.0.0.1", "dashboard_address": None, "processes": True}
        with (
            distributed.LocalCluster(n_workers=asked.workers, threads_per_worker=each, **local) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = distributed.Client(asked.scheduler, timeout=SECONDS)
    except (OSError, ValueError, TimeoutError) as lost:
        raise StageError(
            f"no Dask scheduler answers at {asked.scheduler} (train.scheduler): {str(lost) or type(lost).__name__}",
            next_step="is it up, and reached from here? in a jail no network is",
            exit_code=TOOL,
        ) from None
    with client:
        if not workers(client):
            raise StageError(
                f"the Dask scheduler at {asked.scheduler} has no workers",
                next_step=f"dask worker {asked.scheduler}",
                exit_code=TOOL,
            )
        yield client


def workers(client: Any) -> int:
    """How many workers a cluster has."""
    return len(client.scheduler_info(n_workers=-1)["workers"])


def fit_on(
    client: Any,
    coded: Coded,
    params: dict[str, Any],
    rounds: int,
    max_bin: int,
    validation: tuple[Matrix, Labels] | None = None,
    stop_after: tuple[int, int] = (0, 0),
) -> tuple[Any, dict[str, list[float]]]:
    """As `booster.fit` does on one machine: the booster, and the log loss by round.

    Raises `StageError` (exit code 6) where a worker is lost, or has no device of the kind that `params` ask for.
    """
    import cloudpickle
    import xgboost as xgb
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker
    from xgboost import dask as dxgb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what lies where, as each round asks
        for module in (own, means):
            cloudpickle.register_pickle_by_value(module)  # a worker need not have this package
        try:
            if params.get("device") == "cuda":
                for address, why in client.run(means.no_cuda).items():
                    means.refuse(why, f"on the worker {address} ")
            train = _spread(dxgb, client, coded, max_bin, list(coded))
            watched = [(train, "train")]
            if validation is not None:
                watched.append((_spread(dxgb, client, coded, max_bin, [validation], ref=train), "validation"))
            watch = own.watch(rounds, *stop_after)
            found = dxgb.train(client, params, train, rounds, evals=watched, callbacks=[watch], verbose_eval=False)
        # Which of them depends on who notices first.
        except (xgb.core.XGBoostError, FutureCancelledError, KilledWorker, CommClosedError, OSError) as lost:
            why = next((line for line in reversed(str(lost).strip().splitlines()) if line.strip()), type(lost).__name__)
            raise StageError(f"{LOST}: {why.strip()[:200]}", next_step="dvc repro", exit_code=TOOL) from None
    return found["booster"], {
        name: [float(value) for value in one["logloss"]] for name, one in found["history"].items()
    }


def _spread(
    dxgb: Any, client: Any, coded: Coded, max_bin: int, parts: list[tuple[Matrix, Labels]], ref: Any = None
) -> Any:
    """The parts in the workers, each in as many pieces as there are, in XGBoost's binned form."""
    import dask
    import dask.array as da

    def placed(whole: list[Any]) -> Any:
        arrays = [piece for array in whole for piece in np.array_split(array, each) if len(piece)]
        found = client.scatter(arrays, direct=False, hash=False)
        pieces = [
            da.from_delayed(dask.delayed(one), shape=array.shape, dtype=array.dtype)
            for one, array in zip(found, arrays, strict=True)
        ]
        return da.concatenate(pieces)

    each = workers(client)
    types = ["c" if name in coded.categories else "q" for name in coded.names]
    x, y = placed([x for x, _ in parts]), placed([np.asarray(y) for _, y in parts])
    return dxgb.DaskQuantileDMatrix(
        client, x, y, feature_names=coded.names, feature_types=types, max_bin=max_bin, ref=ref
    )
