"""Grammar of the registry's tags, and the words of a key's `may=`. Standard library only, for `tags` and `policy`.

The grammar is GTO's, so that `gto show` reads the same registry.
"""

import re

NAME = r"[a-z][a-z0-9-]{1,62}"
NUMBER = r"(?:0|[1-9]\d{0,8})"
COUNTER = r"[1-9]\d{0,8}"
VERSION_TAG = re.compile(rf"(?P<model>{NAME})@v(?P<major>{NUMBER})\.(?P<minor>{NUMBER})\.(?P<patch>{NUMBER})")
DEPRECATION_TAG = re.compile(rf"{VERSION_TAG.pattern}!")
ENVIRONMENT_TAG = re.compile(rf"(?P<model>{NAME})#(?P<environment>{NAME})#(?P<counter>{COUNTER})")
EMPTIED_TAG = re.compile(rf"(?P<model>{NAME})#(?P<environment>{NAME})!#(?P<counter>{COUNTER})")
GRAMMAR = "<model>@v<major>.<minor>.<patch>, that and a '!', or <model>#<environment>[!]#<n>"

# Words that stand in `may=` for something else than an environment.
MAY_VERSION, MAY_ANY, MAY_MAIN = "version", "any", "main"


def number(found: "re.Match[str]") -> tuple[int, int, int]:
    """The number in the match of a version or a deprecation."""
    return int(found["major"]), int(found["minor"]), int(found["patch"])
