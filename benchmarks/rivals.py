"""What other gates do: their tests, their sample sizes, their evidence; pure. `gate.py` compares them with this one."""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

Floats = npt.NDArray[np.float64]
Feedback = Literal["none", "full"]


def hoeffding_rows(models: Literal[1, 2], within: float, delta: float, looks: int, feedback: Feedback) -> int:
    """Rows that bound the accuracy of one model, or the difference of two, to +/- `within` with probability 1 - delta.

    ease.ml/ci (Renggli et al. 2019), with the rows independent. Of two models each gets half of `within` and of
    `delta`. `feedback` is what a team learns after each of the `looks`: nothing, or whether it passed.
    """
    each = within / models
    return math.ceil((math.log(models / delta) + _transcripts(looks, feedback)) / (2 * each**2))


def bennett_rows(changed: float, within: float, delta: float, looks: int, feedback: Feedback) -> float:
    """The same for two models that differ in a share `changed` of their decisions at most (Bennett's inequality).

    With one look, times `changed`: the labels that one commit needs where only changed decisions are labelled.
    """
    ratio = within / changed
    exponent = (1 + ratio) * math.log1p(ratio) - ratio
    return (math.log(4 / delta) + _transcripts(looks, feedback)) / (changed * exponent)


def _transcripts(looks: int, feedback: Feedback) -> float:
    """Log of how many sequences of answers the promise must hold for."""
    return math.log(looks) if feedback == "none" else looks * math.log(2)


def ladder_threshold(leader: Floats, challenger: Floats) -> float:
    """What the challenger's mean loss must fall below (Blum and Hardt 2015, without parameters); losses by row."""
    return float(np.mean(leader) - row_wise_error(leader - challenger))


def row_wise_error(values: Floats) -> float:
    """The standard error of a mean of independent rows."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def mcnemar(only_one: int, only_other: int) -> float:
    """McNemar's exact two-sided p value, from how often only the one and only the other of two models is right."""
    if only_one + only_other == 0:
        return 1.0
    return float(stats.binomtest(only_one, only_one + only_other).pvalue)


def mixture_rho(variance: float, alpha: float) -> float:
    """The two-sided normal mixture's parameter that is best near `variance` (Howard et al. 2021, as in confseq).

    The one-sided mixture at `alpha` wants that of 2 * alpha.
    """
    logarithm = 2 * math.log(1 / alpha)
    return variance / (logarithm + math.log1p(logarithm))


def two_sided_evidence(total: float, variance: float, rho: float) -> float:
    """Log of the e value against "the mean is 0", of a sum of steps of mean 0 and its variance so far."""
    return (math.log(rho / (variance + rho)) + total**2 / (variance + rho)) / 2


def one_sided_evidence(total: float, variance: float, rho: float) -> float:
    """Log of the e value against "the mean is at most 0"."""
    scale = variance + rho
    tail = float(special.log_ndtr(total / math.sqrt(scale)))
    return (math.log(4 * rho / scale) + total**2 / scale) / 2 + tail


def mixture_bound(evidence: Callable[[float, float, float], float], variance: float, rho: float, alpha: float) -> float:
    """The sum at which `evidence` reaches log(1 / alpha); a path of mean 0 ever exceeds it with probability alpha."""
    beyond = 100 * math.sqrt(variance + rho)
    return float(optimize.brentq(lambda total: evidence(total, variance, rho) + math.log(alpha), 0, beyond, xtol=1e-12))


def e_value(p: float, kappa: float = 0.5) -> float:
    """A p value as an e value: kappa * p^(kappa - 1) (Vovk and Wang 2021)."""
    return float(kappa * p ** (kappa - 1))
