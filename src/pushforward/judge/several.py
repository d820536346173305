"""The verdicts on several models of one push: each is judged by itself, and together they make one word on the commit.

`gate` asks it. The default branch is one tree: what is on it is there for every model, so a model that is held keeps no
other one from its version, and the commit is called by the worst of them. A branch lands where each of them may.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from pushforward.gate.verdict import Verdict, lands
from pushforward.judge import handover, judged, passed
from pushforward.judge.judge import weigh
from pushforward.judge.question import WORK, Question
from pushforward.registry.tags import Level
from pushforward.report.note import Context

GOLDEN = "golden.json"
# From the worst on; of those that land, what makes a version says most.
WORST = ("invalid", "hold", "unknown", "calibration-only", "promote", "measured", "identical")


class Judged(NamedTuple):
    """What the judge said of one model: its verdict, what its report tells beside it, and the part that it raises."""

    verdict: Verdict
    context: Context
    level: Level


def judge_each(
    root: Path,
    folder: Path,
    question: Question,
    models: list[str],
    *,
    judge: str,
    out: Path,
    say: Callable[[str], None],
) -> dict[str, Judged]:
    """Judge each of the models, and leave what was said of it in its part of `out`; what passed is recorded."""
    found = {}
    for name in models:
        say(f"{name}:")
        part, asked = out / handover.MODELS / name, dataclasses.replace(question, model=name)
        verdict, context, level = weigh(
            root,
            folder,
            asked,
            judge=judge,
            work=root / WORK,
            say=say,
            pictures=part / "plots",
            golden=part / GOLDEN,
        )
        judged.store(part, verdict, context, level)
        passed.record(root, verdict, name, subject=question.subject, level=level, golden=part / GOLDEN)
        found[name] = Judged(verdict, context, level)
    return found


def together(found: Mapping[str, Judged]) -> Judged:
    """The word on the commit: that of the worst model, whose name its reason begins with."""

    def place(name: str) -> tuple[bool, int]:
        verdict = found[name].verdict
        return lands(verdict), WORST.index(verdict.verdict)

    worst = min(found, key=place)
    said = found[worst]
    touched = sorted({path for one in found.values() for path in one.verdict.touched})
    verdict = dataclasses.replace(said.verdict, reason=f"{worst}: {said.verdict.reason}", touched=tuple(touched))
    remarks = tuple(f"{name}: {one.verdict.verdict}: {one.verdict.reason}" for name, one in found.items())
    context = dataclasses.replace(said.context, remarks=(*remarks, *said.context.remarks))
    return Judged(verdict, context, said.level)
