"""What `pushforward adopt` prints: what was found and where, the level, what was written, what to type next."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pushforward import schema
from pushforward.project import adopt, workflows
from pushforward.project.adopt import Plan
from pushforward.project.survey import Found, Survey
from pushforward.text import plain, shorten

GETS = (
    "a push of it is run, and its numbers are told; nothing is judged, and promoted by a person alone",
    "the numbers of a run are held to their limits; what keeps them is promoted by a person, or by opt-in",
    "predictions that the pipeline makes by itself are held against those of the version in use",
    "the whole judge: rows that no model has seen, scored by the judge",
)
MOST = 6  # names in a line
LONGEST = 400  # characters of a line


def lines(planned: Plan, *, dry: bool) -> Iterator[str]:
    """The whole of it, a line each."""
    yield from _column("found", [f"{what:<13}{words}" for what, words in _found(planned.survey)])
    above = [f"{level} needs {adopt.needs(planned.survey, level)}" for level in range(planned.level + 1, 4)]
    reached = f"{planned.level} of 3, {schema.LEVELS[planned.level]}: {GETS[planned.level]}"
    yield from _column("level", [reached, *above])
    written = [f"{write.path} ({write.words})" for write in planned.writes]
    yield from _column("would write" if dry else "wrote", written or ["nothing: all is as it has to be"])
    yield from _column("note", [plain(note, LONGEST) for note in planned.notes])
    yield from _column("next", [adopt.next_step(planned)])


def record(planned: Plan) -> dict[str, Any]:
    """The same for programs."""
    found = planned.survey
    return {
        "branch": found.branch,
        "models": [_record(model) for model in found.models],
        "locks": [asdict(lock) for lock in found.locks],
        "remotes": [asdict(remote) for remote in found.remotes],
        "registries": [asdict(registry) for registry in found.registries],
        "workflows": list(found.workflows),
        "odd": [{"file": odd.file, "line": odd.line, "why": odd.why} for odd in found.odd],
        "level": planned.level,
        "needs": {str(level): adopt.needs(found, level) for level in range(planned.level + 1, 4)},
        "writes": [{"path": write.path, "what": write.words, "conflicts": write.conflicts} for write in planned.writes],
        "notes": list(planned.notes),
        "next": adopt.next_step(planned),
    }


def _record(found: Found) -> dict[str, Any]:
    return {
        "name": found.name,
        "file": found.pipeline.file,
        "stages": [stage.name for stage in found.pipeline.stages],
        "model": asdict(found.model) if found.model is not None else None,
        "metrics": [
            {"path": one.out.path, "line": one.out.line, "inside": one.inside, "cached": one.out.cached}
            | {"values": dict(one.values)}
            for one in found.metrics
        ],
        "environment": [lock.path for lock in found.locks],
    }


def _column(title: str, words: list[str]) -> Iterator[str]:
    width = max(len(title) + 1, 8)
    for number, line in enumerate(words):
        yield f"{title if number == 0 else '':<{width}}{line}"


def _found(survey: Survey) -> Iterator[tuple[str, str]]:
    strange = {odd.file for odd in survey.odd}
    for pipeline in survey.pipelines:
        if not pipeline.stages and pipeline.file in strange:
            continue
        plots = f", {_some(len(pipeline.plots), 'plot')}" if pipeline.plots else ""
        known = sum(stage.name in pipeline.ran for stage in pipeline.stages)
        ran = f"{known} of them in dvc.lock" if known else "none of them in a dvc.lock yet"
        yield "pipeline", f"{plain(pipeline.file, LONGEST)}: {_some(len(pipeline.stages), 'stage')} ({ran}){plots}"
    for found in survey.models:
        yield "model", _model(found)
        for metrics in found.metrics if found in _firsts(survey) else ():
            inside = f", in the out {metrics.inside}" if metrics.inside else ""
            where = (
                f"{plain(metrics.out.path, LONGEST)} ({plain(metrics.file, LONGEST)}:{metrics.out.line}{plain(inside)})"
            )
            yield (
                "metrics",
                f"{where}: {_names(list(metrics.values)) or ('not here' if metrics.absent else 'no numbers')}",
            )
    yield from _environment(survey)
    for remote in survey.remotes:
        only = ", to read only" if remote.read_only else ""
        yield "store", plain(f"{remote.name}: {remote.url} ({remote.file}:{remote.line}{only})", LONGEST)
    if not any(remote.default for remote in survey.remotes):
        yield "store", f"none by default: dvc remote add -d store ../{plain(survey.root.name)}.dvc"
    yield "branch", f"{plain(survey.branch)} ({survey.why_branch})"
    for registry in survey.registries:
        stages = f"; stages {', '.join(registry.stages)}" if registry.stages else ""
        count = _some(registry.versions, "version")
        yield "tags", plain(f"{registry.name}: {count}, the newest {registry.newest}{stages}")
    form = adopt.form_of(survey)
    generated = {made.path for made in workflows.render(form)} if form else set()
    if theirs := [path for path in survey.workflows if path not in generated]:
        yield "workflows", f"{_names(theirs)}: yours, left as they are"
    for odd in survey.odd:
        yield "odd", shorten(str(odd), LONGEST)


def _firsts(survey: Survey) -> list[Found]:
    """One model of each pipeline: those of the same dvc.yaml have the same metrics."""
    return list({found.pipeline.folder: found for found in reversed(survey.models)}.values())


def _model(found: Found) -> str:
    if found.model is None:
        return plain(f"{found.name}: no out of {found.pipeline.file} is known to be one", LONGEST)
    where = f"{found.pipeline.file}:{found.model.line}"
    return plain(f"{found.name}: {found.model.path} ({where}, {found.model.why})", LONGEST)


def _environment(survey: Survey) -> Iterator[tuple[str, str]]:
    for lock in dict.fromkeys(lock for found in survey.models for lock in found.locks):
        where = f"{lock.path}:{lock.line}" if lock.line else lock.path
        yield (
            "environment",
            plain(lock.path if lock.locked else f"{lock.path}, not locked ({where}: {lock.why})", LONGEST),
        )
    if not any(found.locks for found in survey.models):
        yield "environment", "no requirements.txt, uv.lock, poetry.lock, pylock.toml, environment.yml or renv.lock"


def _names(names: list[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return plain(", ".join(names[:MOST]), LONGEST) + more


def _some(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
