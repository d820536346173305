"""The process that draws: it begins with its engine, draws what it is told, and ends. `pictures` starts it, and reads.

What is to be drawn comes on standard input, pickled by the judge; the pictures go to standard output as JSON. So it
ends with whoever has started it, and what is drawn there, a run's own words, can say nothing but text.
"""

import json
import os
import pickle
import sys

from pushforward.report import plots, vega


def main() -> int:
    """Draw once; nothing where there is nothing to draw."""
    # whatever a library prints is for the log
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    vega.begin()
    try:
        given, named = pickle.load(sys.stdin.buffer)  # noqa: S301, of the judge itself
    except EOFError:
        return 0
    drawn = plots.draw(*given, **named)
    with told:
        told.write(json.dumps({name: picture.decode() for name, picture in drawn.items()}).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
