"""List which months the sources have, with a digest of each: `python -m flights.available OUT`, for `arrive.source`.

The package and folders say what they have. A URL cannot be listed: it is asked for every month that has arrived, and
for those after the last until one is not there. A month is there when all of its tables are.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from flights.collect import FORMATS, PACKAGE, TABLES, Collect, Delivery, digest, find
from flights.errors import SETTINGS, StageError, run_stage
from flights.months import MONTH, month_after
from flights.params import read_months, read_section

FIRST, LAST = "2013-01", "2013-12"  # what the package has
NAME = re.compile(rf"({'|'.join(TABLES)})-({MONTH.pattern})\.({'|'.join(FORMATS)})")


def available(settings: Collect, months: list[str]) -> list[dict[str, str]]:
    """Every month that is there, oldest first, as {batch, digest}; `months` are those that have arrived."""
    named = ((month, _whole(month, settings)) for month in sorted(_named(settings.source, months)))
    found = [{"batch": month, "digest": digest(deliveries)} for month, deliveries in named if deliveries]
    if any("://" in source for source in settings.source):
        for month in following(max(months, default="1999-12")):
            if any(one["batch"] == month for one in found):
                continue
            deliveries = _whole(month, settings)
            if not deliveries:
                break
            found.append({"batch": month, "digest": digest(deliveries)})
    return sorted(found, key=lambda one: one["batch"])


def following(month: str) -> Iterator[str]:
    """The months after `month`."""
    yield from itertools.islice(itertools.accumulate(itertools.repeat(month), lambda one, _: month_after(one)), 1, 240)


def _named(sources: Iterable[str], months: Iterable[str]) -> set[str]:
    """The months that a source may have."""
    found = set[str]()
    for source in sources:
        if source == PACKAGE:
            found |= {FIRST, *itertools.takewhile(lambda month: month <= LAST, following(FIRST))}
        elif "://" in source:
            found |= set(months)
        else:
            names = (NAME.fullmatch(path.name) for path in Path(source).glob("*") if path.is_file())
            found |= {name[2] for name in names if name}
    return found


def _whole(month: str, settings: Collect) -> list[Delivery]:
    """The deliveries of a month, table by table; none where a table is missing."""
    found = []
    for table in TABLES:
        each = (find(source, table, month, settings.timeout_seconds) for source in settings.source)
        delivery = next((one for one in each if one is not None), None)
        if delivery is None:
            return []
        found.append(delivery)
    return found


def main(arguments: list[str]) -> None:
    """Write the list to the file that is named."""
    if len(arguments) != 1:
        raise StageError("expected one file to write", next_step="python -m flights.available OUT", exit_code=SETTINGS)
    found = available(read_section("collect", Collect), read_months())
    Path(arguments[0]).write_text(json.dumps(found, indent=1) + "\n")
    print(f"{len(found)} months are there", flush=True)


if __name__ == "__main__":
    run_stage(main)
