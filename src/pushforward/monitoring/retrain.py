"""A retrain, proposed: a change by which the pipeline takes in what has come since. `look` decides that one is due.

The same code, parameters and data make the same model to the bit, so a retrain is honest only where something is new.
With batches that is a batch that arrives, or one that the default branch has and the version has not: nothing is to be
changed for it. Without, a project names in `monitor.retrain` the moment until which it takes data in, and the
proposal sets that to the day. Where neither is, there is nothing to propose, and that is said.
"""

from dataclasses import dataclass

from pushforward import params, yamledit
from pushforward.errors import USAGE, PushforwardError
from pushforward.forge.proposal import Proposal
from pushforward.monitoring.record import Record
from pushforward.pipeline.revision import Revision


@dataclass(frozen=True)
class Step:
    """What follows from a retrain that is due: a change to propose, or words on why none is and what else to do."""

    proposal: Proposal | None
    words: str


def step(found: Record, main: Revision, *, arrives: bool, report: str) -> Step:
    """What a retrain of the version in use is, on top of `main`; `arrives` where somebody asks for batches."""
    if found.waiting:
        batches = ", ".join(found.waiting[:3])
        words = (
            f"the default branch has {batches}, which {found.version} has not: pushforward show says what came of it"
        )
        return Step(None, words)
    named = found.limits.retrain
    if named is not None:
        return _moved(found, main, named, report)
    if arrives:
        return Step(None, "nothing has come that the default branch has not: pushforward arrive asks for more")
    words = "there is nothing new to learn from: add a batch, or name in monitor.retrain until when data is taken in"
    return Step(None, words)


def _moved(found: Record, main: Revision, named: str, report: str) -> Step:
    """The change that has the pipeline take in what has come until the day of the look."""
    file, _, key = named.partition(":")
    day, text = f"{found.at:%Y-%m-%d}", main.repository.read_plain(main.commit, file)
    leaves = {} if text is None else params.flatten(text, file)
    if text is None or key not in leaves:
        where = f"{file}, which is not there" if text is None else f"{named}, and {file} has no {key}"
        raise PushforwardError(f"monitor.retrain names {where}", next="edit pushforward.yaml", exit_code=USAGE)
    if not isinstance(leaves[key], str):
        said = f"{named} (monitor.retrain) is {leaves[key]!r:.60}, and a retrain sets it to a day"
        raise PushforwardError(said, next=f'write {key}: "{day}", in quotes', exit_code=USAGE)
    if leaves[key] >= day:
        return Step(None, f"{named} is {leaves[key]} already: what has come until then is taken in")
    branch = f"retrain/{found.environment}-{day}"
    title = f"Retrain {found.model} on what has come until {day}"
    return Step(
        Proposal(branch, {file: yamledit.changed(text, {key: day}, file)}, title, report),
        f"{branch} sets {named} to {day}",
    )
