"""A workflow file in the words that act has: where GitHub's document says more, act is told so that it comes out alike.

act leaves contexts empty that GitHub fills, and stops at keys that came to the language after it. What the server sees
to itself (`on`, `concurrency`, `permissions`, limits of jobs) is left out of what act reads. Pure.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pushforward.actions import expression, matrix
from pushforward.actions.event import Event, Repository
from pushforward.actions.functions import text
from pushforward.actions.workflow import Workflow
from pushforward.errors import PushforwardError

RUNNER_NAME = "local"
# What GitHub's contexts have and act's have not: `lint` refuses what `values` cannot give either.
MISSING = {
    "github": frozenset(
        {"actor_id", "env", "path", "repository_id", "repository_owner_id", "secret_source", "action_status"}
    ),
    "job": frozenset({"check_run_id", "workflow_ref", "workflow_sha", "workflow_repository", "workflow_file_path"}),
}
_OWN = ("on", "concurrency", "permissions", "run-name", "description")
_OWN_OF_JOB = ("concurrency", "permissions", "environment", "cancel-timeout-minutes")
_FILLED = frozenset(
    f"github.{name}" for name in ("workflow_ref", "workflow_sha", "triggering_actor", "ref_protected", "repositoryurl")
) | {"runner.name", "runner.environment", "strategy.job-index", "strategy.job-total"}
_TRUTHS = frozenset({"github.ref_protected"})  # true or false, and not the text of it
_QUOTED = re.compile(r"('(?:[^']|'')*')")
_INDEXED = re.compile(r"\b(github|strategy|runner)\s*\[\s*'([A-Za-z_-]+)'\s*\]", re.IGNORECASE)


def environment(workflow: Workflow, event: Event, repository: Repository) -> dict[str, str]:
    """The variables that GitHub gives to every step, and act does not."""
    known = values(workflow, event, repository)
    names = ("workflow_ref", "workflow_sha", "triggering_actor", "ref_protected")
    found = {f"GITHUB_{name.upper()}": known[f"github.{name}"] for name in names}
    return found | {"RUNNER_NAME": RUNNER_NAME, "RUNNER_ENVIRONMENT": known["runner.environment"]}


def values(workflow: Workflow, event: Event, repository: Repository) -> dict[str, str]:
    """`context.property` -> its value, of what act leaves empty and is known before the run."""
    protected = event.ref == f"refs/heads/{repository.default_branch}"
    return {
        "github.workflow_ref": f"{repository.full_name}/{workflow.path}@{event.ref}",
        "github.workflow_sha": event.sha,
        "github.triggering_actor": event.sender,
        "github.ref_protected": "true" if protected else "false",
        "github.repositoryurl": repository.path.as_uri(),
        "runner.name": RUNNER_NAME,
        "runner.environment": "self-hosted",
    }


def empty(context: str, key: str) -> bool:
    """Whether GitHub fills a property and act does not."""
    low, name = context.lower(), key.lower()
    return name in MISSING.get(low, ()) or f"{low}.{name}" in _FILLED


def rendered(workflow: Workflow, event: Event, repository: Repository) -> str:
    """The text, YAML of the kind that is JSON, that act is given in place of the workflow file."""
    name: str = event.name
    trigger = workflow.on.get(name) if name == "workflow_dispatch" else None
    on = {"schedule": [{"cron": "0 0 * * *"}]} if name == "schedule" else {name: trigger or None}
    return _rendered(workflow.data, on, workflow, values(workflow, event, repository))


def called(data: Mapping[str, Any], caller: Workflow, event: Event, repository: Repository) -> str:
    """The text of a workflow that another one calls; what names the workflow names the caller there, as on GitHub."""
    takes = data["on"].get("workflow_call") if isinstance(data["on"], dict) else None
    return _rendered(data, {"workflow_call": takes or {}}, caller, values(caller, event, repository))


def _rendered(data: Mapping[str, Any], on: Mapping[str, Any], named: Workflow, known: Mapping[str, str]) -> str:
    given = {
        name: value if name in _TRUTHS else "'{}'".format(value.replace("'", "''")) for name, value in known.items()
    }
    rest = {key: value for key, value in data.items() if key not in (*_OWN, "jobs")}
    jobs = {name: _job(job, given) for name, job in data["jobs"].items()}
    whole = {**_filled(rest, given), "name": named.name, "on": on, "jobs": jobs}
    return json.dumps(_numbers(whole), default=str, ensure_ascii=False, indent=1)


def _numbers(value: Any) -> Any:
    """The value with numbers as GitHub writes them: 2.0 is 2, 1e3 is 1000."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return int(text(value)) if isinstance(value, float) and text(value).lstrip("-").isdigit() else value


def strategy(job: Mapping[str, Any]) -> dict[str, str] | None:
    """`strategy.job-index` and `strategy.job-total` of a job as expressions that act knows; None where that cannot be.

    GitHub numbers the legs of a matrix in the order in which it makes them. What a leg is, its own values say.
    """
    asked = job.get("strategy")
    found = asked.get("matrix") if isinstance(asked, dict) else None
    if found is None:
        return {"strategy.job-index": "0", "strategy.job-total": "1"}
    legs = matrix.legs(found)
    if not legs:
        return None
    names = sorted({name for leg in legs for name in leg})
    keys = ["|".join(text(leg.get(name)) for name in names) for leg in legs]
    if any(isinstance(value, (dict, list)) for leg in legs for value in leg.values()) or len(set(keys)) < len(keys):
        return None
    table = json.dumps({key: at for at, key in enumerate(keys)}, ensure_ascii=False).replace("'", "''")
    wanted = "|".join(f"{{{at}}}" for at in range(len(names)))
    each = "".join(f", matrix['{name}']" for name in names)
    return {
        "strategy.job-index": f"fromJSON('{table}')[format('{wanted}'{each})]",
        "strategy.job-total": str(len(legs)),
    }


def _job(job: Mapping[str, Any], given: Mapping[str, str]) -> Any:
    kept = {key: value for key, value in job.items() if key not in _OWN_OF_JOB}
    return _filled(kept, {**given, **(strategy(job) or {})})


def _filled(value: Any, given: Mapping[str, str], key: str = "") -> Any:
    """The value, with what act leaves empty written out wherever an expression asks for it."""
    if isinstance(value, dict):
        return {_text(name, given): _filled(item, given, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, given) for item in value]
    if isinstance(value, str) and key == "if" and "${{" not in value:
        return _inside(value, given)
    return _text(value, given)


def _text(value: Any, given: Mapping[str, str]) -> Any:
    if not isinstance(value, str) or "${{" not in value:
        return value
    try:
        parts = list(expression.pieces(value))
    except PushforwardError:
        return value
    return "".join("${{" + _inside(part, given) + "}}" if is_expression else part for part, is_expression in parts)


def _inside(source: str, given: Mapping[str, str]) -> str:
    """An expression with each `context.property` that is known before the run as its value."""
    dotted = _INDEXED.sub(r"\1.\2", source)
    return "".join(
        part if part.startswith("'") else _names(given).sub(_put(given), part) for part in _QUOTED.split(dotted)
    )


def _names(given: Mapping[str, str]) -> re.Pattern[str]:
    listed = "|".join(re.escape(name).replace(r"\.", r"\s*\.\s*") for name in given)
    return re.compile(rf"(?<![\w.-])(?:{listed})(?![\w-])", re.IGNORECASE)


def _put(given: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda found: given["".join(found[0].split()).lower()]
