"""The gate's special functions: SciPy's own bits, wherever they come from, without the rest of SciPy."""

import importlib
import subprocess
import sys

import numpy as np
import pytest
import scipy.special

from pushforward.gate import special

PROBABILITIES = [1e-300, 1e-12, 0.0005, 0.025, 0.5, 0.7, 0.95, 0.975, 0.995, 1 - 1e-12, 0.0, 1.0]
FREEDOMS = [1, 2, 3.5, 7, 30, 60.5, 1e3, 1e7]
DEVIATIONS = [-40.0, -8.2, -1.96, -0.0, 0.3, 2.66, 8.2, 40.0, float("inf"), float("nan")]


def bits(*values: float) -> bytes:
    return np.array(values, dtype="float64").tobytes()


@pytest.fixture(params=["alone", "whole", "elsewhere"])
def found(request, monkeypatch):
    """The functions as they come where SciPy is imported already, where not, and where it keeps them elsewhere."""
    special._functions.cache_clear()
    if request.param != "whole":
        for name in [name for name in sys.modules if name == "scipy.special"]:
            monkeypatch.delitem(sys.modules, name)
    if request.param == "elsewhere":
        real = importlib.import_module

        def moved(name: str):
            if name == "scipy.special._ufuncs":
                raise ImportError(name)
            return real(name)

        monkeypatch.setattr(special.importlib, "import_module", moved)
    yield request.param
    special._functions.cache_clear()


def test_they_give_scipys_bits(found):
    for p in PROBABILITIES:
        assert bits(special.ndtri(p)) == bits(scipy.special.ndtri(p)), p
        for freedom in FREEDOMS:
            assert bits(special.stdtrit(freedom, p)) == bits(scipy.special.stdtrit(freedom, p)), (freedom, p)
    for z in DEVIATIONS:
        for freedom in FREEDOMS:
            assert bits(special.stdtr(freedom, z)) == bits(scipy.special.stdtr(freedom, z)), (freedom, z)
    assert special.ndtr(np.array(DEVIATIONS)).tobytes() == scipy.special.ndtr(np.array(DEVIATIONS)).tobytes()


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_they_come_without_the_rest_of_scipy_and_stand_in_nobodys_way():
    code = """\
import sys
from pushforward.gate import special
assert "numpy" not in sys.modules, "imported before it is asked for"
one = special.stdtrit(60, 0.995)
print([name for name in ("scipy.special", "scipy.linalg", "scipy._lib._array_api", "unittest") if name in sys.modules])
import scipy.special, scipy.stats
assert scipy.special.stdtrit(60, 0.995) == one
assert scipy.stats.t.ppf(0.995, 60) == scipy.special.stdtrit(60, 0.995)
assert scipy.special.logsumexp([0.0, 0.0]) > 0.69
"""
    assert run(code) == "[]"


def test_where_scipy_keeps_them_elsewhere_they_come_by_the_front_door(monkeypatch):
    code = """\
import importlib, sys
from pushforward.gate import special
real = importlib.import_module
def moved(name):
    if name == "scipy.special._ufuncs":
        raise ImportError(name)
    return real(name)
importlib.import_module = moved
print(special.ndtri(0.5), "scipy.special" in sys.modules)
"""
    assert run(code) == "0.0 True"
