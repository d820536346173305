"""The first pushforward.yaml of a repository: small, with what the next levels need as comments. Pure.

Called by `adopt`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pushforward import __version__
from pushforward.project.survey import Found, Survey
from pushforward.text import plain

# The words of a metric's name that say which way is better.
HIGHER = re.compile(
    "acc|accuracy|auc|auroc|bleu|dice|f1|fscore|iou|kappa|map|mcc|ndcg|prec|precision|r2|recall|roc|rouge|score"
)
LOWER = re.compile("brier|deviance|ece|err|error|logloss|loss|mae|mape|mse|perplexity|rmse|rmsle|wer")
TRAINING = frozenset(("train", "training"))
WORD = re.compile(r"[a-z]+\d?")
MOST_METRICS = 12
PLAIN = re.compile(r"[\w.][\w./-]*")
HEAD = """\
# What pushforward is told of this repository. What is commented out is what the next levels need.
"""
METRICS = """\
    # Level 1: numbers of the pipeline, and their limits (at_least, at_most, lose_at_most).
"""
PREDICTIONS = """\
    # Level 2: one table that the pipeline makes, with a row for each row of the test set.
    # predictions: {path: TABLE.csv, label: LABEL, p: p, key: ID, cluster: none}
"""
HOLDOUT = """\
    # Level 3: rows that no model has seen, and the command that scores them.
    # holdout: {path: data/holdout, key: ID, label: LABEL, cluster: none, time: none}
    # score: python score.py {rows} {out}
    # batches: none  # then a hash of the key holds a row out: docs/contract.md; or FILE:KEY of a list of their names
    # data: [DATA.csv.dvc]  # files that only gain rows
"""


@dataclass(frozen=True)
class Number:
    """A number of a file of metrics: its name as pushforward.yaml has it, what it is now, and which way is better."""

    name: str
    value: float
    better: str


def numbers(found: Found) -> list[Number]:
    """The numbers of a model that are of rows it has not been fitted on, those first of which one way is better."""
    listed = []
    for metrics in found.metrics:
        file = below(metrics.out.path, found.pipeline.folder)
        for key, value in metrics.values.items():
            if TRAINING.isdisjoint(WORD.findall(key.lower())) and all(key.split(".")):
                listed.append(Number(f"{file}:{key}", value, direction(key) or direction(file.rpartition("/")[2])))
    return sorted(listed, key=lambda number: not number.better)


def direction(name: str) -> str:
    """Which way a number of that name is better; "" where its name does not say."""
    words = WORD.findall(name.lower())
    lower, higher = any(map(LOWER.fullmatch, words)), any(map(HIGHER.fullmatch, words))
    return "" if lower == higher else "lower" if lower else "higher"


def level(survey: Survey) -> int:
    """The level that a repository reaches by what it has; pushforward.yaml says more, where there is one."""
    if survey.project is not None:
        return survey.project.level
    ready = [found.model is not None and any(number.better for number in numbers(found)) for found in survey.models]
    return int(bool(ready) and all(ready))


def text(survey: Survey, wanted: int, workflows: list[str]) -> str:
    """pushforward.yaml for what was found, at level 0 or 1."""
    lines = [HEAD, f'tool: "{__version__}"  # the version that judges; a change counts from the next push on\n']
    lines.append("models:\n")
    for found in survey.models:
        lines += _model(found, wanted)
    if workflows:
        lines.append(f"server:\n  workflows: [{', '.join(workflows)}]\n")
    return "".join(lines)


def _model(found: Found, wanted: int) -> Iterator[str]:
    folder = found.pipeline.folder
    yield f"  {found.name}:\n"
    if folder != ".":
        yield f"    folder: {scalar(folder)}\n"
    if found.model is not None:
        where = plain(f"{found.pipeline.file}:{found.model.line}, {found.model.why}")
        yield f"    path: {scalar(below(found.model.path, folder))}  # {where}\n"
    else:
        yield "    # path: MODEL  # which out the model is; dvc.yaml says of none that it is one\n"
    loose = [
        f"{lock.path}{f':{lock.line}' if lock.line else ''}, {lock.why}" for lock in found.locks if not lock.locked
    ]
    why = f"  # not locked: {plain(loose[0])}" if loose else ""
    yield f"    environment: [{', '.join(scalar(lock.path) for lock in found.locks)}]{why}\n"
    yield from _metrics(found, wanted)
    yield PREDICTIONS
    yield HOLDOUT


def _metrics(found: Found, wanted: int) -> Iterator[str]:
    yield METRICS
    listed = numbers(found)[:MOST_METRICS]
    on = wanted > 0 and found.model is not None and any(number.better for number in listed)
    yield f"    {'' if on else '# '}metrics:\n"
    for number in listed:
        mark = "" if on and number.better else "# "
        better = number.better or "WHICH"
        name = json.dumps(number.name, ensure_ascii=False)
        yield f"    {mark}  {name}: {{better: {better}}}  # {number.value:g} now\n"
    if not listed:
        file = next(
            (below(one.out.path, found.pipeline.folder) for one in found.metrics if one.out.known), "metrics.json"
        )
        name = json.dumps(f"{file}:accuracy", ensure_ascii=False)
        yield f"    #   {name}: {{better: higher, at_least: 0.8, lose_at_most: 0.01}}\n"


def below(path: str, folder: str) -> str:
    """A path as it is named from a folder that it is in."""
    return path if folder == "." else path.removeprefix(f"{folder}/")


def scalar(text: str) -> str:
    """A text as YAML takes it, in quotes where it needs them."""
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
