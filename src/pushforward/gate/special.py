"""The few special functions of the gate, SciPy's own; without the import of all that SciPy has beside them.

`import scipy.special` takes as long as a judgement: four fifths of it make SciPy's functions work on the arrays of
other libraries. The compiled functions themselves lie in one module, whose place is no promise of SciPy's: where they
are not there, they come by the front door. Either way they are the same functions, and give the same bits.
"""

import functools
import importlib
import sys
import types
from typing import Any

PACKAGE = "scipy.special"
NAMES = ("ndtr", "ndtri", "stdtr", "stdtrit")


def ndtr(x: Any) -> Any:
    """The standard normal distribution function."""
    return _functions()["ndtr"](x)


def ndtri(probability: float) -> float:
    """The standard normal quantile."""
    return float(_functions()["ndtri"](probability))


def stdtr(freedom: float, t: float) -> float:
    """Student's t distribution function."""
    return float(_functions()["stdtr"](freedom, t))


def stdtrit(freedom: float, probability: float) -> float:
    """Student's t quantile."""
    return float(_functions()["stdtrit"](freedom, probability))


@functools.cache
def _functions() -> dict[str, Any]:
    found = sys.modules[PACKAGE] if PACKAGE in sys.modules else _alone() or importlib.import_module(PACKAGE)
    return {name: getattr(found, name) for name in NAMES}


def _alone() -> types.ModuleType | None:
    """The module of compiled functions, imported as if its package did nothing; None where it is not what it was."""
    import scipy

    package = types.ModuleType(PACKAGE)
    package.__path__ = [f"{place}/special" for place in scipy.__path__]
    sys.modules[PACKAGE] = package
    try:
        found = importlib.import_module(f"{PACKAGE}._ufuncs")
    except ImportError:
        return None
    finally:
        del sys.modules[PACKAGE]  # whoever wants the package imports it whole
    return found if all(hasattr(found, name) for name in NAMES) else None
