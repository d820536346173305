"""Words of a search: what the terminal says of it, and what a proposal does. For the verb and `proposed`."""

from collections.abc import Iterator

from pushforward.text import figure, plain
from pushforward.tuning import space
from pushforward.tuning.folds import LATE
from pushforward.tuning.tune import Tuned


def lines(found: Tuned, *, asked: bool = False) -> Iterator[str]:
    """What a person reads in a terminal, the next command last; `asked` says that it was to be proposed."""
    yield tally(found)
    best = next((one for one in found.trials if one.value is not None and one.values == found.best), None)
    if found.best is None or best is None or best.value is None:
        yield "no set of parameters went through all folds"
    elif not found.changes:
        yield f"today's parameters are the best of them: {figure(best.value)}"
    else:
        yield f"the best: {space.said(found.changes)} ({found.number} {figure(best.value)})"
    yield from checked(found)
    for name, share in found.importances.items():
        yield f"  {share:>4.0%}  {name}"
    if found.proposed is not None:
        yield found.proposed.words
    elif asked:
        yield f"nothing is proposed: {_why_not(found)}"
    yield f"  next: {_next(found)}"


def checked(found: Tuned) -> list[str]:
    """What came of the check, or why nothing did."""
    if found.unchecked:
        return [f"what was found could not be checked: {plain(found.unchecked, 300)}"]
    return found.check.sentences() if found.check else []


def judge(found: Tuned) -> str:
    """Who has the last word, and by which rows, as far as a search knows them."""
    if found.past:
        return "the judge decides on rows that no search has seen"
    return f"the judge decides; whether by other rows than those of {found.number}, a search cannot know"


def tally(found: Tuned) -> str:
    """How many trials there were, and how they ended."""
    ended = [f"{count} {what}" for state, what in ENDS.items() if (count := found.of_state(state))]
    broken = f", of {found.planned} ({found.interrupted})" if found.interrupted else ""
    return f"{len(found.trials)} trials{broken}: {', '.join(ended) or 'none has ended'}"


ENDS = {"complete": "through all folds", "pruned": "given up after a fold", "failed": "failed"}


def _why_not(found: Tuned) -> str:
    if found.unchecked:
        return "what is not checked may be chance"
    if found.check is not None and found.check.low is None:
        if found.check.planned > 1:
            return "there was time for one seed alone, and nobody knows what a seed alone does"
        return "without other seeds nobody knows what a seed alone does; name it in tune.seed"
    return (
        "the gain is no more than a seed's noise" if found.check else "there is nothing better than today's parameters"
    )


def _next(found: Tuned) -> str:
    if found.proposed is not None:
        return f"pushforward runs, and read its report: git fetch && pushforward report {found.proposed.commit[:12]}"
    if found.interrupted:
        return "pushforward tune --resume"
    if found.unchecked:
        mended = "" if found.unchecked == LATE else ", once that is mended"
        return f"pushforward tune --resume, which checks again{mended}"
    if found.check is not None and found.check.worth and found.changes:
        return f"pushforward tune --resume --propose: {judge(found)}"
    if found.check is not None and len(found.check.seeds) < found.check.planned:
        return "pushforward tune --resume, which checks again, with all seeds"
    return "nothing: the parameters of today stay"
