"""What the report tells beside the verdict: what changed, what the run says of itself, how the data moved."""

import contextlib
import csv
import dataclasses
import io
import itertools
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from pushforward import params, schema, untrusted
from pushforward.errors import PushforwardError
from pushforward.gate import drift, inspection
from pushforward.gate.profile import Profile
from pushforward.gate.verdict import CHAMPION_SAW, DOUBT, Verdict, files_of, lands, self_scored
from pushforward.git import kept
from pushforward.git.repository import Repository
from pushforward.judge import handover
from pushforward.pipeline import declared, frozen
from pushforward.pipeline.lock import METRICS
from pushforward.pipeline.revision import MANIFEST, Revision, validation_month
from pushforward.project import workflows
from pushforward.registry import tags as registry
from pushforward.report.note import Context
from pushforward.report.words import arrival
from pushforward.settings import ModelContract
from pushforward.text import plain, plural

# Of the numbers that a run says of itself, those that a reviewer knows how to read.
SHOWN = ("logloss", "auc", "brier", "ece", "rmse", "mae", "accuracy")
TREND = 24
MOST_NUMBERS = 12
SHOWN_FROZEN = 5


def changes(subject: Revision, ref: str, start: str | None) -> Context:
    """What differs between the commit `start`, the champion's say, and `subject`, of the branch `ref`."""
    context = Context(branch=ref.removeprefix("refs/heads/"))
    if start is None:
        return context
    repository = subject.repository
    try:
        before = Revision(repository, start, subject.model).leaves
        after, arrivals = subject.leaves, subject.arrivals
    except PushforwardError:
        return context  # the settings cannot be read: that is the verdict already
    keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key) and key != arrivals]
    old, new = before.get(arrivals) or [], after.get(arrivals) or []
    told = {params.FILE, schema.FILE} | files_of(after)
    rows = repository.diffstat(start, subject.commit)
    left = set(declared.without(repository, subject.commit, [row[0] for row in rows]))
    files = [
        row
        for row in rows
        if row[0] in left - told and not kept.is_lock(row[0]) and not row[0].startswith(f"{METRICS}/")
    ]
    return dataclasses.replace(
        context,
        changed_params=tuple((key, _shown(before.get(key)), _shown(after.get(key))) for key in keys),
        changed_files=tuple(files),
        months_added=tuple(str(month) for month in new if month not in old) if isinstance(new, list) else (),
    )


def with_metrics(
    context: Context, read: handover.Handover, subject: Revision, champion: registry.Registered | None
) -> Context:
    """What the run says of itself: shown, never judged by. Without our own file, what dvc.yaml names as metrics."""
    repository, model = subject.repository, subject.settings.model
    ours, others = model.beside(f"{METRICS}/metrics.json"), list[str]()
    if ours not in read.metrics:
        told = declared.at(repository, read.commit)
        others = [path for path in read.metrics if told.shows(path)]
    learning = model.beside(f"{METRICS}/learning.csv")
    return dataclasses.replace(
        context,
        validation=_said(read.metrics.get, ours, others),
        champion_validation=_said(lambda path: repository.read(champion.commit, path), ours, others)
        if champion
        else {},
        learning_curve=_curve(read.metrics.get(learning)),
        champion_learning_curve=_curve(repository.read(champion.commit, learning) if champion else None),
    )


def _curve(table: bytes | None) -> tuple[float, ...]:
    """The loss by round in a table of a run; none where it is not what it should be."""
    curve: tuple[float, ...] = ()
    with contextlib.suppress(ValueError, KeyError, TypeError, csv.Error):
        rows = csv.DictReader(io.StringIO((table or b"").decode()))
        curve = tuple(value for value in (float(row["validation"]) for row in rows) if math.isfinite(value))
    return curve


def with_months(context: Context, manifest: dict[str, Any], champion: dict[str, Any]) -> Context:
    """Name the validation month; what another model said of itself on another month is no comparison."""
    mine, theirs = validation_month(manifest), validation_month(champion)
    same = bool(mine) and mine == theirs
    return dataclasses.replace(
        context,
        validation_month=mine,
        champion_validation=context.champion_validation if same else {},
        champion_learning_curve=context.champion_learning_curve if same else (),
    )


def with_history(
    context: Context,
    rows: pl.DataFrame,
    manifest: dict[str, Any],
    contract: ModelContract,
    repository: Repository,
    versions: tuple[registry.Registered, ...],
    earlier: pl.DataFrame | None = None,
) -> Context:
    """How the rows of the months added moved, for rows `earlier` than these; the validation metric of `versions`."""
    found, profiles = _moved(context.months_added, rows, earlier, contract)
    name = next(iter(context.validation), "")
    trend: list[tuple[str, str, float]] = []
    for version in versions[-TREND:]:
        said = repository.read(version.commit, contract.beside(f"{METRICS}/metrics.json"))
        value = _numbers(said or b"{}").get(name)
        if value is not None:
            trend.append((_month_watched(repository, version.commit, contract.name), str(version.version), value))
    if name:
        trend.append((validation_month(manifest), "", context.validation[name]))
    notable = tuple(one.sentence() for one in found if one.notable)
    return dataclasses.replace(context, drift=notable, profiles=profiles, trend=tuple(trend), trend_metric=name)


def _moved(
    added: Sequence[str], rows: pl.DataFrame, earlier: pl.DataFrame | None, contract: ModelContract
) -> tuple[tuple[drift.Drift, ...], tuple[Profile, ...]]:
    """Column by column how the rows of the months `added` differ from those before, by what those did themselves."""
    if contract.time is None:
        return (), ()
    time, months = contract.time, rows[contract.time].dt.strftime("%Y-%m")
    is_new = months.is_in(list(added))
    past = rows.filter(~is_new) if earlier is None else pl.concat([earlier, rows.filter(~is_new)])
    found = drift.drift(past, rows.filter(is_new), time=time, skip=(contract.key,))
    told = {"": found} | dict.fromkeys(added, found)
    if len(added) > 1:
        parts = {month: rows.filter(months == month) for month in added}
        told |= {month: drift.drift(past, part, time=time, skip=(contract.key,)) for month, part in parts.items()}
    return found, drift.profiles(rows, added, told, time=time)


def _month_watched(repository: Repository, commit: str, model: str) -> str:
    """The last month before the holdout, by the settings of a version; "" where they cannot be read any more."""
    try:
        version = Revision(repository, commit, model)
        return version.batches[-version.settings.gate.window - 1] if version.settings.batched else ""
    except PushforwardError:
        return ""


def _said(read_file: Callable[[str], bytes | None], ours: str, others: Sequence[str]) -> dict[str, float]:
    """The numbers of our own file of metrics, `ours`; where there are `others`, theirs instead."""
    if not others:
        return _numbers(read_file(ours) or b"{}")
    found = {path: declared.numbers(path, read_file(path) or b"") for path in others}
    names = Counter(name for numbers in found.values() for name in numbers)
    rows = ((path, name, value) for path, numbers in found.items() for name, value in numbers.items())
    told = {(name if names[name] == 1 else f"{path}:{name}"): value for path, name, value in rows}
    return dict(itertools.islice(told.items(), MOST_NUMBERS))


def _numbers(text: bytes) -> dict[str, float]:
    try:
        found = untrusted.plain_json(text, "metrics.json")
    except PushforwardError:
        return {}
    inner = found.get("validation", found)
    leaves = inner.items() if isinstance(inner, dict) else ()
    numbers = {str(key): value for key, value in leaves if type(value) in {int, float} and abs(value) < 1e300}
    finite = {key: float(value) for key, value in numbers.items()}
    return {key: finite[key] for key in SHOWN if key in finite} or finite


def remarks(contract: ModelContract, differ: str, batch: str, *, knows: bool) -> tuple[str, ...]:
    """What the judge could not ask of this project, and how its answers `differ`: sentences without a full stop.

    `batch` is the word for what arrives, and something `knows` which of these the model has trained on, or nothing.
    """
    found = [differ] if differ else []
    if not contract.events:
        found.append("the score command takes no events, so the time-honesty probe had nothing to ask")
    if not knows:
        found.append(f"the model has no {MANIFEST}, so nothing here knows which {plural(batch)} it has trained on")
    return tuple(found)


def unlocked(subject: Revision) -> tuple[str, ...]:
    """That the same commit may be run with other packages, where its environment is not locked."""
    if not subject.unlocked:
        return ()
    return (f"the environment is not locked ({', '.join(subject.unlocked)}): the same commit may give another model",)


def frozen_in(subject: Revision) -> tuple[str, ...]:
    """Which stages no run has made, but whoever froze them."""
    names = sorted(frozen.families(subject.repository, subject.commit))
    if not names:
        return ()
    shown = ", ".join(plain(name) for name in names[:SHOWN_FROZEN]) + (" …" if len(names) > SHOWN_FROZEN else "")
    return (f"frozen: {shown}; no run makes what dvc.lock has of {'it' if len(names) == 1 else 'them'}",)


def given() -> tuple[str, ...]:
    """Whose workflows this run is of, where its commit has none."""
    version = os.environ.get(workflows.GIVEN, "")
    return (f"workflows of pushforward {plain(version)}, as the commit has none",) if version else ()


def rates(
    labels: pl.DataFrame, cluster: str | None, label: str, *, sealed: bool
) -> tuple[tuple[str, int, float | None], ...]:
    """(month, rows, mean label); the last is a number of the labels, None while they are sealed.

    Nothing where the clusters are no days or other parts of a month.
    """
    if cluster is None or not labels[cluster].cast(pl.String).str.contains(f"^{inspection.DATED.pattern[1:]}").all():
        return ()
    month = pl.col(cluster).cast(pl.String).str.slice(0, 7).alias("month")
    rate = pl.lit(None) if sealed else pl.col(label).mean()
    table = labels.group_by(month).agg(pl.len().alias("rows"), rate.alias("rate")).sort("month")
    return tuple((str(name), int(rows), rate) for name, rows, rate in table.iter_rows())


def next_step(verdict: Verdict, context: Context) -> str:
    """What a person does next; "" where the report's own words say it."""
    batch = arrival(verdict)
    if verdict.verdict == "promote" and verdict.event == "push":
        return (
            "nothing to do: the next step tags it" if context.next_version else "nothing to do: it is a version already"
        )
    signed = "" if lands(verdict) else ", into a protected branch signed by who may, for it changes the judge"
    if verdict.verdict == "promote":
        return f"merge {context.branch}{signed}; the run on the target branch judges again, and tags what passes"
    if verdict.verdict in {"identical", "measured"} and verdict.event == "pull_request":
        by_word = "nothing is tagged without a person's word, or promote.metrics"
        tagged = by_word if verdict.verdict == "measured" else "there is nothing to tag"
        return f"merge {context.branch}{signed}; {tagged}"
    if verdict.champion and verdict.reason.startswith(CHAMPION_SAW):
        version = verdict.champion.version
        return (
            f"is that {batch}, or the window, as it shall be? pushforward rollback ENVIRONMENT -m WHY wherever "
            f"{version} is in use, pushforward deprecate {version} -m WHY, "
            f"then pushforward runs retry {verdict.commit[:9]}"
        )
    if verdict.verdict == "unknown" and DOUBT in verdict.reason:
        return "look at the data named above; pushforward.yaml is where a person says that it is right"
    if verdict.look is not None and verdict.look.waiting is not None and verdict.look.waiting.open:
        return _wait(verdict, batch)
    if verdict.verdict == "unknown" and verdict.look is None and verdict.mode != "first":
        if self_scored(verdict):
            return (
                "more test rows make another test set, which a person begins: predictions.test_set in pushforward.yaml"
            )
        epoch = verdict.holdout.epoch if verdict.holdout else None
        if epoch is None:
            return f"wait for the next {batch}: it opens a new holdout"
        more = max(0, epoch.renews - epoch.waiting)
        return f"add rows to the data: the next epoch opens with {more:,} more unseen keys of the holdout"
    return ""


def _wait(verdict: Verdict, batch: str) -> str:
    """How an open look is taken up again."""
    by_itself = "; the push that brings it is judged with it"
    again = f", then pushforward runs retry {verdict.commit[:9]}" if verdict.event == "pull_request" else by_itself
    return f"wait: extend the window by the next {batch}, in gate.window too{again}"


def _shown(value: Any) -> str:
    return "not set" if value is None else value if isinstance(value, str) else json.dumps(value)
