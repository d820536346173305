"""The validation month of a case: what reviewers see of a model while the numbers of its holdout are sealed."""

from typing import Any, NamedTuple

import polars as pl
from numpy.typing import NDArray

from pushforward.gate import decision as gate
from pushforward.gate import loss as losses
from pushforward.gate import verdict as verdicts
from pushforward.gate.evidence import Evidence
from pushforward.judge import moved, score
from pushforward.judge.case import Case
from pushforward.judge.pictures import Painter
from pushforward.judge.rival import Found
from pushforward.pipeline.revision import Revision, validation_month
from pushforward.registry.tags import Registered
from pushforward.report.note import Moved


class Panel(NamedTuple):
    """What is shown of the validation month: its numbers, None where it has none, and the rows that moved most."""

    numbers: verdicts.Validation | None
    moved: tuple[Moved, ...] = ()


def clusters_of(labels: pl.DataFrame, cluster: str | None) -> NDArray[Any]:
    """What each row belongs to, as text; itself where the settings name no cluster."""
    alone = pl.int_range(labels.height, eager=True)
    return (alone if cluster is None else labels[cluster]).cast(pl.String).to_numpy()


def _month(manifest: dict[str, Any], revision: Revision) -> str:
    """The month that a model was watched on: by its manifest, or, where it has none, the one before its holdout.

    "" where there are no batches: then it is whatever rows its table has.
    """
    if manifest or not revision.batches:
        return validation_month(manifest)
    return revision.batches[-revision.settings.gate.window - 1]


def _month_of(case: Case, version: Registered, champion: Found) -> str:
    return _month(champion.manifest, Revision(case.repository, version.commit, case.subject.model))


def validation(case: Case, painter: Painter, manifest: dict[str, Any], champion: Found | None) -> Panel:
    """Numbers on the validation month: paired where the champion has the same rows, else the challenger's alone."""
    contract, month = case.contract, _month(manifest, case.subject)
    path = case.read.validation
    dated = bool(month) or not case.rules.batched
    if contract.loss or not (contract.validation and dated and path.is_file()):
        return Panel(None)
    slices = [name for name in case.gate.slices if name != contract.label]
    table = score.read_validation(path, contract, month, slices)
    mine, theirs = score.matrix(table, contract.predicted), None
    if case.champion is not None and champion is not None and _month_of(case, case.champion, champion) == month:
        model = champion.settings.contract
        if model.validation and (champion.root / model.validation).is_file():
            other = score.read_validation(champion.root / model.validation, model, month, slices)
            if model.classes == contract.classes and other[model.key].to_list() == table[contract.key].to_list():
                # The labels of a version; those of the hand-over are its own words.
                table, theirs = other, score.matrix(other, model.predicted)
    evidence = Evidence(
        y=table[contract.label].to_numpy(),
        champion=theirs,
        challenger=mine,
        clusters=clusters_of(table, contract.cluster),
        mode="first" if theirs is None else "superior",
        months=(month,),
        slices=case.slices(table),
        classes=tuple(contract.classes),
    )
    painter.draw(case, evidence)
    word = gate.noun(contract.cluster, evidence.clusters)
    kind = losses.of(case.gate, len(evidence.classes))
    return Panel(
        gate.validation(evidence, case.gate, cluster=word), moved.most(table[contract.key].to_list(), evidence, kind)
    )
