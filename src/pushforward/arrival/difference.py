"""The difference between what a source lists and what is taken in: new, corrected, gone, out of order. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pushforward import params
from pushforward.arrival.source import Listed


@dataclass(frozen=True)
class Difference:
    """`new` in the order of the source; `corrected` have another digest than is written beside them.

    `gone` are taken in and listed no more, though older ones are; `gap` is the month that should come next where the
    source has a later one alone.
    """

    new: tuple[Listed, ...] = ()
    corrected: tuple[Listed, ...] = ()
    gone: tuple[str, ...] = ()
    gap: str = ""


def of(listed: Sequence[Listed], taken: Sequence[str], digests: Mapping[str, str]) -> Difference:
    """Compare: what is listed before the last batch that both have is no news, for the first ones may be given up."""
    by_name = {one.batch: one for one in listed}
    places = [place for place, one in enumerate(listed) if one.batch in taken]
    after = listed[places[-1] + 1 :] if places else listed
    new = tuple(one for one in after if one.batch not in taken)
    if params.monthly(taken):  # their names are their order, whatever that of the list
        months = sorted((one for one in listed if params.MONTH.fullmatch(one.batch)), key=lambda one: one.batch)
        others = tuple(one for one in listed if not params.MONTH.fullmatch(one.batch))
        new = (*(one for one in months if one.batch > taken[-1]), *others)
    known = [name for name in taken if name in by_name]
    first = taken.index(known[0]) if known else 0
    gone = tuple(name for name in taken[first:] if name not in by_name)
    changed = (by_name[name] for name in known if name in digests)
    corrected = tuple(one for one in changed if one.digest != digests[one.batch])
    following = params.next_month(taken[-1]) if params.monthly(taken) else ""
    gap = following if new and following and new[0].batch != following else ""
    return Difference(new, corrected, gone, gap)
