"""Grammar of the registry's tags, and the words of a key's `may=`. Standard library only, for `tags` and `policy`.

The grammar is GTO's, so that `gto show` reads the same registry; a review is none of GTO's tags, and it passes over it.
"""

import re

NAME = r"[a-z][a-z0-9-]{1,62}"
NUMBER = r"(?:0|[1-9]\d{0,8})"
COUNTER = r"[1-9]\d{0,8}"
VERSION_TAG = re.compile(rf"(?P<model>{NAME})@v(?P<major>{NUMBER})\.(?P<minor>{NUMBER})\.(?P<patch>{NUMBER})")
DEPRECATION_TAG = re.compile(rf"{VERSION_TAG.pattern}!")
ENVIRONMENT_TAG = re.compile(rf"(?P<model>{NAME})#(?P<environment>{NAME})#(?P<counter>{COUNTER})")
EMPTIED_TAG = re.compile(rf"(?P<model>{NAME})#(?P<environment>{NAME})!#(?P<counter>{COUNTER})")
REVIEW_TAG = re.compile(rf"(?P<model>{NAME})@review#(?P<counter>{COUNTER})")
GRAMMAR = "<model>@v<major>.<minor>.<patch>, that and a '!', <model>#<environment>[!]#<n>, or <model>@review#<n>"

# Words that stand in `may=` for something else than an environment.
MAY_VERSION, MAY_ANY, MAY_MAIN, MAY_ACCEPT = "version", "any", "main", "accept"
BY_NAME = frozenset((MAY_MAIN, MAY_ACCEPT))  # what a key may only where it was named: `any` is of environments

# A review is a person's word on a verdict: one of these two, and on which outcomes the first may be said.
ACCEPTED, REJECTED = "accepted", "rejected"
ACCEPTABLE = frozenset(("unknown", "calibration-only"))
UNTRAINED = "not trained: "  # so begins the reason of an `unknown` that is of no model: its holdout answers no more
UNMADE = "no model was made, and there is nothing to take"
WHY_NOT = {
    "promote": "it says promote, and needs nobody's word",
    "hold": "it says hold: the change is shown not to gain what is asked, or to do harm, and nobody's word alters that",
    "identical": "it says identical: the version in use predicts the same already",
    "measured": "it says measured: no model was judged, and a signed commit says Pushforward-Promote",
    "invalid": "it says invalid: there was nothing to judge",
}


def number(found: "re.Match[str]") -> tuple[int, int, int]:
    """The number in the match of a version or a deprecation."""
    return int(found["major"]), int(found["minor"]), int(found["patch"])
