"""A group-sequential test: one question, asked again as clusters come, that spends its level once; pure.

Lan and DeMets (1983) fix beforehand how much of the level has been spent by the time that a share t of all planned
information is there; how often and when is asked may then be anything that does not follow from the answers. The
spending function is the power family of Kim and DeMets (1987), level * t^RHO. Bounds come from the recursion of
Armitage, McPherson and Rowe (1969), as in Jennison and Turnbull (2000), *Group Sequential Methods*, 7.2 and 19.2: the
sums of independent clusters are a Brownian motion at their shares. They are for a normal statistic; one with an
estimated error is held against Student's t at the same nominal level (the same book, 3.8), and
`benchmarks/extend.py` measures what that is worth.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pushforward.gate import special

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RHO = 1.0
EDGE = 9.0  # deviations below which nothing is left of a path
FINE = 4  # nodes of the integration for each deviation of the smallest step
LEAST_NODES, MOST_NODES = 200, 4_000
HALVINGS = 80


def spent(share: float, rho: float = RHO) -> float:
    """Which part of its level a test has spent at a share of all planned information; all of it from 1 on."""
    return float(min(max(share, 0.0), 1.0) ** rho)


def nominal(level: float, shares: Sequence[float], before: Sequence[float], rho: float = RHO) -> float:
    """The one-sided nominal level of the newest asking, so that all so far have spent `level` * spent(its share).

    `shares` are the planned information at each asking, rising, the newest last; `before` are the nominal levels that
    those before it were held to. What one of them did not spend is not lost: it counts to the newest. Raises
    `ValueError` where the shares do not rise or the counts differ.
    """
    if len(before) != len(shares) - 1 or any(b <= a for a, b in zip([0.0, *shares], shares, strict=False)):
        raise ValueError(f"{len(before)} levels before the askings at {list(shares)}")
    bounds = [quantile(1 - one) for one in before]
    used, paths = _walk(shares, bounds)
    wanted = level * spent(shares[-1], rho) - math.fsum(used)
    if wanted <= 0:
        return 0.0
    step = shares[-1] - (shares[-2] if before else 0.0)
    low, high = -EDGE, EDGE
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _over(paths, step, middle * math.sqrt(shares[-1])) > wanted else (low, middle)
    return _tail(high)


def crossing(shares: Sequence[float], bounds: Sequence[float], drift: float = 0.0) -> list[float]:
    """How likely each asking is the first above its bound, for Z statistics at these shares of the information.

    `drift` is the expectation of Z at the share 1; at t it is drift * sqrt(t).
    """
    return _walk([*shares, shares[-1] + 1], bounds, drift)[0]


def quantile(probability: float) -> float:
    """The standard normal quantile."""
    return special.ndtri(probability)


def _tail(z: float) -> float:
    return float(special.ndtr(-z))


def _walk(
    shares: Sequence[float], bounds: Sequence[float], drift: float = 0.0
) -> "tuple[list[float], tuple[Floats, Floats]]":
    """How much of a Brownian motion is first above each of `bounds`, and what is left below all of them.

    The latter as nodes at the last bound's share, and the mass at each: Gauss-Legendre over what a path can reach,
    dense enough for the smallest step to the next of `shares`, of which there is one more than of `bounds`.
    """
    import numpy as np  # a run, and a promotion, count askings and walk none

    nodes, mass, time = np.zeros(1), np.ones(1), 0.0
    found: list[float] = []
    if not bounds:
        return found, (nodes, mass)
    reach = EDGE * math.sqrt(shares[-2] / float(np.diff(shares).min()))
    unit, weight = np.polynomial.legendre.leggauss(int(min(max(LEAST_NODES, FINE * reach), MOST_NODES)))
    for share, bound in zip(shares, bounds, strict=False):
        root, step = math.sqrt(share), share - time
        found.append(_over((nodes, mass), step, bound * root, drift))
        bottom = drift * share - EDGE * root
        half = max(min(bound * root, drift * share + EDGE * root) - bottom, 0.0) / 2
        at = bottom + half * (unit + 1)
        apart = (at[:, None] - nodes[None, :] - drift * step) / math.sqrt(step)
        density = np.exp(-(apart**2) / 2) @ mass / math.sqrt(2 * math.pi * step)
        nodes, mass, time = at, density * weight * half, share
    return found, (nodes, mass)


def _over(paths: "tuple[Floats, Floats]", step: float, top: float, drift: float = 0.0) -> float:
    """The mass that is above `top` a step after the nodes of some paths."""
    nodes, mass = paths
    return float(special.ndtr((nodes + drift * step - top) / math.sqrt(step)) @ mass)
