"""The means of a fit: on which device, in or out of memory, on one machine or a cluster; refused where they are not.

All of them are XGBoost's own. Another device, another kind of memory or a cluster gives another model of the same data,
so they are part of the recipe: settings in params.yaml, and told in the manifest.
"""

import importlib.metadata
import importlib.util
import json
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from flights.errors import TOOL, StageError
from flights.params import Section

WITHIN = 0.02  # a metric of a fit that is not reproducible comes again within that; seeds move them by less
CLUSTER = ("dask", "distributed", "pandas", "pyarrow")
ADDRESS = r"^$|^(tcp|tls|ucx|ws|wss)://[A-Za-z0-9._\[\]:-]{1,200}$"


class Means(Section):
    """Of `train`: what the model is fitted with.

    `memory: external` keeps the binned rows in files below `data/` and reads a month at a time. `cluster: dask` hands
    the months to the workers of the cluster at `scheduler`, or of one on this machine that has so many `workers`.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    memory: Literal["in-core", "external"] = "in-core"
    cluster: Literal["none", "dask"] = "none"
    scheduler: Annotated[str, Field(pattern=ADDRESS)] = ""
    workers: Annotated[int, Field(ge=1, le=256)] = 2

    @model_validator(mode="after")
    def _of_one_piece(self) -> "Means":
        if self.memory == "external" and self.cluster == "dask":
            raise ValueError("memory: external is for one machine; a cluster keeps the rows in its workers")
        if self.memory == "external" and self.device == "cuda":
            raise ValueError("memory: external is read from the processor's memory, which no GPU fit takes")
        if self.scheduler and self.cluster == "none":
            raise ValueError("a scheduler is named and cluster is none")
        return self


def check(means: Means) -> None:
    """Raise `StageError` (exit code 6) where this machine lacks what `means` ask for, before anything is fitted."""
    if means.cluster == "dask":
        missing = [name for name in CLUSTER if importlib.util.find_spec(name) is None]
        if missing:
            raise StageError(
                f"train.cluster: dask needs {', '.join(missing)}, which this environment has not",
                next_step="add requirements/dask.txt to models.flight-delay.environment in pushforward.yaml, and "
                "install it here: requirements/install.sh .venv requirements/run.txt requirements/data.txt "
                "requirements/dask.txt",
                exit_code=TOOL,
            )
    if means.device == "cuda" and means.cluster == "none":
        refuse(no_cuda())


def refuse(why: str, where: str = "") -> None:
    """Raise `StageError` (exit code 6) where `why` is a reason that no GPU can be used."""
    if why:
        raise StageError(
            f"train.device: cuda, and {where}{why}",
            next_step="run where there is a GPU, or set train.device: cpu, which gives another model",
            exit_code=TOOL,
        )


def no_cuda() -> str:
    """Why nothing can be fitted on a GPU here, or ""."""
    import numpy as np
    import xgboost as xgb

    if not xgb.build_info().get("USE_CUDA"):
        return (
            f"this XGBoost ({xgb.__version__}) is built without CUDA: xgboost in requirements/run.in, not xgboost-cpu"
        )
    # XGBoost warns, and goes on without: only the booster says where it was fitted.
    with xgb.config_context(verbosity=0):
        tried = xgb.train({"device": "cuda"}, xgb.DMatrix(np.zeros((2, 1), np.float32), np.array([0, 1])), 1)
    device: str = json.loads(tried.save_config())["learner"]["generic_param"]["device"]
    return "" if device.startswith("cuda") else "there is no GPU that XGBoost can use"


def told(means: Means, workers: int) -> dict[str, Any]:
    """What the manifest says of a fit on so many workers, 0 without a cluster; `reproducible`: to the byte."""
    import xgboost as xgb

    found: dict[str, Any] = {"xgboost": xgb.__version__, "device": means.device, "memory": means.memory}
    found |= {"input": "host", "cluster": means.cluster}
    if means.cluster == "none":
        return found | {"reproducible": True}
    # Its workers sum in the order in which they answer.
    versions = {"dask": importlib.metadata.version("dask")}
    return found | {"workers": workers, **versions, "reproducible": False, "within": WITHIN}
