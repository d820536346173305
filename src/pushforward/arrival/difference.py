"""The difference between what a source lists and what is taken in: new, corrected, gone, out of order. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pushforward import params
from pushforward.arrival import periods
from pushforward.arrival.periods import Expect
from pushforward.arrival.source import Listed


@dataclass(frozen=True)
class Difference:
    """`new` in the order of the source; `corrected` have another digest than is written beside them.

    `gone` are taken in and listed no more, though older ones are; `gap` is the period that should come next where the
    source has a later one alone; `passed` are periods that are listed and not taken in, as those before and after are.
    Where names are to be periods, what is named otherwise is not new.
    """

    new: tuple[Listed, ...] = ()
    corrected: tuple[Listed, ...] = ()
    gone: tuple[str, ...] = ()
    gap: str = ""
    passed: tuple[str, ...] = ()


def of(
    listed: Sequence[Listed], taken: Sequence[str], digests: Mapping[str, str], expect: Expect | None = None
) -> Difference:
    """Compare: what is listed before the last batch that both have is no news, for the first ones may be given up."""
    by_name = {one.batch: one for one in listed}
    known = [name for name in taken if name in by_name]
    first = taken.index(known[0]) if known else 0
    gone = tuple(name for name in taken[first:] if name not in by_name)
    changed = (by_name[name] for name in known if name in digests)
    corrected = tuple(one for one in changed if one.digest != digests[one.batch])
    months = expect is None and params.monthly(taken)
    new, following = _new(listed, taken, "monthly" if months else expect)
    if months:  # which nobody has said: another name is another batch
        new += tuple(one for one in listed if not params.MONTH.fullmatch(one.batch))
    gap = following if new and following and new[0].batch != following else ""
    return Difference(new, corrected, gone, gap, _passed(by_name, taken, "monthly" if months else expect))


def _passed(listed: Iterable[str], taken: Sequence[str], expect: Expect | None) -> tuple[str, ...]:
    """The periods that are listed and not taken in, between those that are."""
    if expect is None:
        return ()
    here = [name for name in taken if periods.fits(expect, name)]
    between = (name for name in listed if here and min(here) < name < max(here) and periods.fits(expect, name))
    return tuple(sorted(name for name in between if name not in here))


def _new(listed: Sequence[Listed], taken: Sequence[str], expect: Expect | None) -> tuple[tuple[Listed, ...], str]:
    """What is not taken in yet and comes after all that is; and the period that should come next, "" of other names."""
    if expect is None:
        places = [place for place, one in enumerate(listed) if one.batch in taken]
        after = listed[places[-1] + 1 :] if places else listed
        return tuple(one for one in after if one.batch not in taken), ""
    last = max((name for name in taken if periods.fits(expect, name)), default="")
    named = (one for one in listed if periods.fits(expect, one.batch) and one.batch > last)
    new = sorted(named, key=lambda one: one.batch)  # their names are their order, whatever that of the list
    return tuple(new), periods.following(expect, last) if last else ""
