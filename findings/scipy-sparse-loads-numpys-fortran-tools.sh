#!/usr/bin/env bash
# SciPy 1.17.1 with NumPy 2.4.6: `import scipy.sparse` also loads numpy.f2py, numpy.testing, numpy.ma, numpy.polynomial
# and the standard library's unittest.
#
# NumPy keeps these out of `import numpy` and loads each when it is asked for by name. SciPy's copy of array-api-compat
# takes over all of NumPy's namespace with `from numpy import *` and `dir()`, and so asks for each of them. Nothing of
# SciPy's sparse matrices uses them, and every process that imports XGBoost pays, since XGBoost imports scipy.sparse.
# Neither project's documentation of import time or of lazy submodules tells of it.
# Expected: what NumPy loads on demand stays unloaded until it is used.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export HOME=$folder
cd "$folder"
python3 -m venv env
env/bin/python -m pip install -q -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1

cat >loaded.py <<'PYTHON'
import sys

ASIDE = ("numpy.f2py", "numpy.testing", "numpy.ma", "numpy.polynomial", "unittest")


def loaded():
    return [name for name in ASIDE if name in sys.modules]


import numpy  # noqa: E402

alone, count = loaded(), len(sys.modules)
import scipy.sparse  # noqa: E402

print(f"numpy {numpy.__version__} alone loads {alone or 'none of them'}")
print(f"scipy {scipy.__version__}: scipy.sparse loads {len(sys.modules) - count} modules, among them {loaded()}")
sys.exit(not (alone == [] and loaded() == [*ASIDE]))
PYTHON
env/bin/python loaded.py || { echo "this has changed: expected all of them, by scipy.sparse alone" >&2; exit 1; }
