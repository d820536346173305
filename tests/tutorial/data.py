"""Writes data.xml: posts as Stack Overflow has them, made up, of four years; every fourth or so is about R."""

import random
import sys
from pathlib import Path
from xml.sax.saxutils import quoteattr

ABOUT_R = ["frame", "vector", "plot", "factor", "apply", "cran", "knitr", "tibble", "lattice", "regression"]
ELSE = ["pointer", "servlet", "thread", "query", "button", "socket", "compile", "iterator", "session", "template"]
BOTH = [
    "how",
    "to",
    "read",
    "a",
    "file",
    "with",
    "many",
    "columns",
    "error",
    "value",
    "string",
    "list",
    "loop",
    "function",
    "print",
    "table",
]
YEARS = range(2008, 2012)
A_YEAR = 500


def main(path: Path) -> None:
    """Write the posts, always the same ones."""
    rng = random.Random(7)
    lines = []
    for year in YEARS:
        for number in range(A_YEAR):
            about_r = rng.random() < 0.3
            mine, other = (ABOUT_R, ELSE) if about_r else (ELSE, ABOUT_R)
            words = [rng.choice(rng.choices([BOTH, mine, other], [8, 2, 1])[0]) for _ in range(14)]
            day = f"{year}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}T12:00:00"
            tags = "<r>" if about_r else "<java>"
            fields = {
                "Id": f"{year}{number:03}",
                "CreationDate": day,
                "Tags": tags,
                "Title": " ".join(words[:5]),
                "Body": " ".join(words[5:]),
            }
            lines.append("  <row " + " ".join(f"{name}={quoteattr(value)}" for name, value in fields.items()) + " />")
    path.write_text("<posts>\n" + "\n".join(lines) + "\n</posts>\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
