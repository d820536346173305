"""A case before the gate: the evidence as float arrays, and what every verdict on it states; pure.

`decision` decides on it, `guards` look at it.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from pushforward.gate import loss as losses
from pushforward.gate import stats
from pushforward.gate.evidence import Evidence
from pushforward.gate.stats import Estimate, Floats
from pushforward.gate.verdict import Calibration, Outcome, Verdict
from pushforward.text import sample

if TYPE_CHECKING:
    from pushforward.settings import GateRules


class Case:
    """The evidence as float arrays, and what every verdict on it states."""

    def __init__(self, evidence: Evidence, rules: "GateRules", cluster: str) -> None:
        self.evidence, self.rules, self.cluster = evidence, rules, cluster
        self.y = evidence.y.astype(np.float64)
        self.new = evidence.challenger.astype(np.float64)
        # numbers in the order of their names: names are sorted once here, and not by each mean
        names, self.clusters = np.unique(evidence.clusters, return_inverse=True)
        self.kind = evidence.loss or losses.of(rules, len(evidence.classes))
        self.loss, self.title, self.probability = self.kind.rows, self.kind.title, self.kind.probability
        self.count = len(names)
        self.rows = f"{len(self.y):,}"

    def mean(self, values: Floats) -> Estimate:
        """The mean of a value per row, with its error for the clusters."""
        return stats.clustered_mean(values, self.clusters)

    def verdict(self, outcome: Outcome, reason: str, **found: Any) -> Verdict:
        """A verdict on it; `found` are the fields that it has beside those of every verdict."""
        return Verdict(
            outcome,
            reason,
            self.evidence.mode,
            self.rules.metric,
            self.rules.model_dump(),
            rows=len(self.y),
            clusters=self.count,
            cluster=self.cluster,
            positives=int(self.y.sum()) if self.probability else None,
            clipped=stats.clipped(self.new) if self.probability and self.rules.metric == "logloss" else 0,
            calibration=_calibration(self) if self.probability else None,
            **found,
        )

    @property
    def sample(self) -> str:
        """How much there is of it, as sentences say it."""
        return sample(len(self.y), self.count, self.cluster)


def _calibration(case: Case) -> Calibration:
    old = case.evidence.champion
    return Calibration(
        rate=float(np.mean(case.y)),
        champion_mean=None if old is None else float(np.mean(old)),
        challenger_mean=float(np.mean(case.new)),
        champion_error=None if old is None else stats.calibration_error(case.y, old.astype(np.float64)),
        challenger_error=stats.calibration_error(case.y, case.new),
    )
