"""Evidence of a judgement: arrays row by row, and whether they can be judged at all; pure. `decision` asks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pushforward import params
from pushforward.gate import loss as losses
from pushforward.gate.loss import LARGEST
from pushforward.gate.verdict import CHAMPION_SAW, Mode

if TYPE_CHECKING:
    from pushforward.settings import GateRules

# Below ten clusters even t quantiles reject too often (Cameron and Miller 2015, on few clusters).
MIN_CLUSTERS = 10
MIN_CLASS = 50


@dataclass(frozen=True)
class Evidence:
    """What is judged: arrays of one length, one entry a holdout row, all in the same order.

    `champion` is None exactly where `mode` is `first`. `months` are the batches of the holdout in order, the two
    `_until` the last that the models trained on by their manifests ("" where a manifest does not say). `problems` are
    what was found wrong outside the arrays: a digest that differs, a metrics file that claims something else. `doubts`
    are what only a person can settle; they are told while the numbers are sealed, and so hold none of the labels'.
    `floor` are the predictions of something simple that a model has to beat, `floor_name` where they come from. Where
    the label is one of `classes`, `y` are their places and predictions are (rows, classes); a `loss` overrules that of
    the rules. Of given losses, which may be equal where predictions are not, `same` says whether the predictions are.
    """

    y: NDArray[Any]
    champion: NDArray[Any] | None
    challenger: NDArray[Any]
    clusters: NDArray[Any]
    mode: Mode
    months: tuple[str, ...]
    slices: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    champion_until: str = ""
    challenger_until: str = ""
    problems: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    floor: NDArray[Any] | None = None
    floor_name: str = ""
    classes: tuple[str, ...] = ()
    loss: losses.Loss | None = None
    same: bool | None = None


def problem_of(evidence: Evidence, rules: "GateRules") -> str:
    """Why this evidence cannot be judged, or ""."""
    if evidence.problems:
        return "; ".join(evidence.problems)
    models = {"challenger": evidence.challenger, "champion": evidence.champion}
    arrays: dict[str, NDArray[Any]] = {"label": evidence.y, "cluster": evidence.clusters}
    models["floor"] = evidence.floor
    arrays |= {name: p for name, p in models.items() if p is not None}
    for column in rules.slices:
        if column not in evidence.slices:
            return f"gate.slices names {column!r}, a column that the labels do not have"
        arrays[f"slice {column}"] = evidence.slices[column]
    for name, array in arrays.items():
        wide = (len(evidence.classes),) if evidence.classes and name in models else ()
        if array.shape != evidence.y.shape + wide or evidence.y.ndim != 1:
            return f"the {name} has the shape {array.shape}, the labels {evidence.y.shape}"
    kind = evidence.loss or losses.of(rules, len(evidence.classes))
    for name, p in models.items():
        until = {"champion": evidence.champion_until, "challenger": evidence.challenger_until}.get(name, "")
        if until and _reaches(until, evidence.months):
            saw = CHAMPION_SAW if name == "champion" else "the challenger trained on "
            return f"{saw}{until}, a {params.noun(evidence.months)} of the holdout"
        if p is not None and not np.all(np.isfinite(p.astype(np.float64))):
            return f"the {name} predicts something that is not a finite number"
        if p is not None and np.any(np.abs(p.astype(np.float64)) > LARGEST):
            return f"the {name} predicts something beyond {LARGEST:g}, too large to square"
        if p is not None and (wrong := kind.prediction_problem(p.astype(np.float64))):
            return f"the {name} {wrong}"
    return _label_problem(evidence, kind)


def _reaches(until: str, months: tuple[str, ...]) -> bool:
    """Whether a model that trained up to the batch `until` has seen the holdout of `months`.

    A later month counts too: one that was taken back. Of batches of other names only those listed have a place.
    """
    return until in months or (params.monthly((until, *months)) and bool(months) and until > months[0])


def scarce(clusters: NDArray[Any]) -> str:
    """Why there are too few clusters to judge by, or ""."""
    count = len(set(clusters.tolist()))
    few = f"the holdout has {count} clusters; below {MIN_CLUSTERS} no error can be estimated"
    return few if count < MIN_CLUSTERS else ""


def _label_problem(evidence: Evidence, kind: losses.Loss) -> str:
    y, clusters = evidence.y, evidence.clusters
    if not np.all(np.isfinite(y.astype(np.float64))):
        return "a label is missing or not finite"
    if np.any(np.abs(y.astype(np.float64)) > LARGEST):
        return f"a label is beyond {LARGEST:g}, too large to square"
    if any(value is None or value != value for value in clusters.tolist()):
        return "a row has no cluster"
    if few := scarce(clusters):
        return few
    if wrong := kind.label_problem(y.astype(np.float64)):
        return wrong
    if not kind.probability:
        short = len(y) < 2 * MIN_CLASS
        return f"the holdout has {len(y)} rows; at least {2 * MIN_CLASS} are needed" if short else ""
    for value, name in ((1, "positive"), (0, "negative")):
        rows = y == value
        if rows.sum() < MIN_CLASS:
            return f"the holdout has {int(rows.sum())} {name} rows; at least {MIN_CLASS} are needed"
        if len(set(clusters[rows].tolist())) < 2:
            return f"all {name} rows of the holdout are in one cluster"
    return ""
