"""What a workflow file and the file of an action may say: keys, kinds of values, and what expressions know where.

Written after GitHub's documents: "Workflow syntax for GitHub Actions" and "Metadata syntax" for keys and kinds,
"Contexts reference" (its table of where each is known) for contexts, "Events that trigger workflows" for events and
their types. Data and the shapes it is made of, nothing else; `grammar` reads files by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Scalar:
    """One value: of a kind ("text", "filled", "boolean", "number", "nothing", "anything"), or one of these `words`."""

    kind: str = "text"
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listed:
    """A list of values of one shape."""

    item: "Shape"


@dataclass(frozen=True)
class Keys:
    """A mapping: `known` keys, of which some `must` be there, and `others`, if any other key may be."""

    known: "Mapping[str, Shape]" = field(default_factory=dict)
    must: tuple[str, ...] = ()
    others: "Shape | None" = None


@dataclass(frozen=True)
class Either:
    """A value of one of these shapes."""

    shapes: "tuple[Shape, ...]"


@dataclass(frozen=True)
class Knowing:
    """A shape in which, from here on down, expressions know more contexts, and functions with least and most arguments.

    A `condition` is an expression by itself, with or without `${{ }}`.
    """

    shape: "Shape"
    contexts: tuple[str, ...] = ()
    functions: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    condition: bool = False


@dataclass(frozen=True)
class Steps:
    """The list of steps below which this stands: the steps of `parallel` are steps again."""


Shape = Scalar | Listed | Keys | Either | Knowing | Steps

MOST: Final = 255  # arguments of a function
TEXT, FILLED, BOOLEAN, NUMBER = Scalar(), Scalar("filled"), Scalar("boolean"), Scalar("number")
NOTHING = Scalar("nothing")
PLAIN = Either((TEXT, BOOLEAN, NUMBER))
# whatever YAML has: nothing here looks into it
ANY = Scalar("anything")


def _some(shape: Shape) -> Either:
    """One, or a list of them."""
    return Either((shape, Listed(shape)))


def _map(shape: Shape) -> Keys:
    """Names that the file chooses."""
    return Keys(others=shape)


# Contexts by place: of a workflow, of a job, of one leg of its matrix, of a step.
_WORKFLOW = ("github", "inputs", "vars")
_JOB = (*_WORKFLOW, "needs")
_LEG = (*_JOB, "strategy", "matrix")
_RUNNING = (*_LEG, "steps", "job", "runner", "env")
_STEP = (*_RUNNING, "secrets")
_FILES = {"hashFiles": (1, MOST)}
_ENDED = {"always": (0, 0), "cancelled": (0, 0), "success": (0, 0), "failure": (0, 0)}
_NEEDED = _ENDED | {"success": (0, MOST), "failure": (0, MOST)}


def _leg(shape: Shape) -> Knowing:
    return Knowing(shape, _LEG)


def _step(shape: Shape) -> Knowing:
    return Knowing(shape, _STEP, _FILES)


# Events, and the types that each can have.
_CHANGED = ("created", "edited", "deleted")
_PULL = (
    *("assigned", "unassigned", "labeled", "unlabeled", "opened", "edited", "closed", "reopened", "synchronize"),
    *("converted_to_draft", "ready_for_review", "locked", "unlocked", "milestoned", "demilestoned", "enqueued"),
    *("dequeued", "review_requested", "review_request_removed", "auto_merge_enabled", "auto_merge_disabled", "stacked"),
)
_TYPES: Mapping[str, tuple[str, ...]] = {
    "branch_protection_rule": _CHANGED,
    "check_run": ("created", "rerequested", "completed", "requested_action"),
    "check_suite": ("completed",),
    "discussion": (
        *(*_CHANGED, "transferred", "pinned", "unpinned", "labeled", "unlabeled", "locked", "unlocked"),
        *("category_changed", "answered", "unanswered"),
    ),
    "discussion_comment": _CHANGED,
    "image_version": ("created", "ready", "deleted"),
    "issue_comment": _CHANGED,
    "issues": (
        *("opened", "edited", "deleted", "transferred", "pinned", "unpinned", "closed", "reopened", "assigned"),
        *("unassigned", "labeled", "unlabeled", "locked", "unlocked", "milestoned", "demilestoned", "typed", "untyped"),
        *("field_added", "field_removed"),
    ),
    "label": _CHANGED,
    "merge_group": ("checks_requested",),
    "milestone": ("created", "closed", "opened", "edited", "deleted"),
    "project": ("created", "closed", "reopened", "edited", "deleted"),
    "project_card": ("created", "moved", "converted", "edited", "deleted"),
    "project_column": ("created", "updated", "moved", "deleted"),
    "pull_request": _PULL,
    "pull_request_comment": _CHANGED,
    "pull_request_review": ("submitted", "edited", "dismissed"),
    "pull_request_review_comment": _CHANGED,
    "pull_request_target": _PULL,
    "registry_package": ("published", "updated"),
    "release": ("published", "unpublished", "created", "edited", "deleted", "prereleased", "released"),
    "watch": ("started",),
    "workflow_run": ("completed", "requested", "in_progress"),
}
_BRANCHES = ("branches", "branches-ignore")
_PATHS = ("paths", "paths-ignore")
_FILTERS: Mapping[str, tuple[str, ...]] = {
    "image_version": ("names", "versions"),
    "merge_group": _BRANCHES,
    "pull_request": (*_BRANCHES, *_PATHS),
    "pull_request_target": (*_BRANCHES, *_PATHS),
    "push": (*_BRANCHES, *_PATHS, "tags", "tags-ignore"),
    "workflow_run": ("workflows", *_BRANCHES),
}
_BARE = ("create", "delete", "deployment", "deployment_status", "fork", "gollum", "page_build", "public", "status")
_INPUT_TYPES = ("string", "boolean", "number")
_CALL = Keys(
    {
        "inputs": _map(
            Keys(
                {
                    "description": TEXT,
                    "type": Scalar(words=_INPUT_TYPES),
                    "required": BOOLEAN,
                    "default": Knowing(PLAIN, _WORKFLOW),
                },
                must=("type",),
            )
        ),
        "secrets": _map(Either((NOTHING, Keys({"description": TEXT, "required": BOOLEAN})))),
        "outputs": _map(
            Keys({"description": TEXT, "value": Knowing(TEXT, (*_WORKFLOW, "jobs"))}, must=("value",)),
        ),
    }
)
_DISPATCH = Keys(
    {
        "inputs": _map(
            Keys(
                {
                    "description": TEXT,
                    "type": Scalar(words=(*_INPUT_TYPES, "environment", "choice")),
                    "required": BOOLEAN,
                    "default": PLAIN,
                    "options": Listed(TEXT),
                }
            )
        )
    }
)


def _event(name: str) -> Shape:
    filters = {one: _some(FILLED) for one in _FILTERS.get(name, ())}
    types = {"types": _some(Scalar(words=_TYPES[name]))} if name in _TYPES else {}
    return Either((NOTHING, Keys(types | filters)))


_EVENTS: dict[str, Shape] = {name: _event(name) for name in sorted({*_TYPES, *_FILTERS})} | {
    **dict.fromkeys(_BARE, NOTHING),
    "repository_dispatch": Either((NOTHING, Keys({"types": Listed(FILLED)}))),
    "schedule": Listed(Keys({"cron": FILLED, "timezone": FILLED}, must=("cron",))),
    "workflow_call": Either((NOTHING, _CALL)),
    "workflow_dispatch": Either((NOTHING, _DISPATCH)),
}
_NAMES = Scalar(words=tuple(sorted(_EVENTS)))

# What a job may.
_ANY_RIGHT = Scalar(words=("read", "write", "none"))
_RIGHTS = dict.fromkeys(
    (
        *("actions", "artifact-metadata", "attestations", "checks", "code-quality", "contents", "deployments"),
        *("discussions", "drives", "issues", "packages", "pages", "pull-requests", "repository-projects"),
        *("security-events", "statuses"),
    ),
    _ANY_RIGHT,
)
_RIGHTS |= dict.fromkeys(("id-token", "copilot-requests"), Scalar(words=("write", "none")))
_RIGHTS |= dict.fromkeys(("models", "vulnerability-alerts"), Scalar(words=("read", "none")))
_PERMISSIONS = Either((Keys(_RIGHTS), Scalar(words=("read-all", "write-all"))))
_QUEUE = Keys(
    {"group": FILLED, "cancel-in-progress": BOOLEAN, "queue": Scalar(words=("single", "max"))}, must=("group",)
)
_SHELL: dict[str, Shape] = {"shell": FILLED, "working-directory": FILLED}

# A step: what each has, and what one of its kinds has.
_NAMED: dict[str, Shape] = {"id": FILLED, "name": _step(TEXT), "continue-on-error": _step(BOOLEAN)}
_DOING: dict[str, Shape] = _NAMED | {
    "if": Knowing(TEXT, _RUNNING, _ENDED | _FILES, condition=True),
    "timeout-minutes": _step(NUMBER),
    "env": _step(_map(TEXT)),
    "background": BOOLEAN,
}
STEPS = Listed(
    Either(
        (
            Keys(
                _DOING | {"run": _step(TEXT), "shell": FILLED, "working-directory": _step(TEXT)},
                must=("run",),
            ),
            Keys(_DOING | {"uses": FILLED, "with": _step(_map(TEXT))}, must=("uses",)),
            Keys(_NAMED | {"wait": _some(FILLED)}, must=("wait",)),
            Keys(_NAMED | {"wait-all": Either((NOTHING, BOOLEAN))}, must=("wait-all",)),
            Keys(_NAMED | {"cancel": FILLED}, must=("cancel",)),
            Keys({"parallel": Steps()}, must=("parallel",)),
        )
    )
)

# A job: one that runs steps, and one that calls a workflow.
_IMAGE: dict[str, Shape] = {
    "image": FILLED,
    "options": TEXT,
    "env": _map(Knowing(TEXT, _STEP)),
    "ports": Listed(FILLED),
    "volumes": Listed(FILLED),
    "credentials": Knowing(Keys({"username": FILLED, "password": FILLED}), (*_WORKFLOW, "secrets", "env")),
}
_MATRIX = Keys(dict.fromkeys(("include", "exclude"), Listed(_map(ANY))), others=Listed(ANY))
_EITHER_JOB: dict[str, Shape] = {
    "name": _leg(TEXT),
    "needs": _some(FILLED),
    "if": Knowing(TEXT, _JOB, _NEEDED, condition=True),
    "permissions": _PERMISSIONS,
    "concurrency": _leg(Either((FILLED, _QUEUE))),
    "strategy": Knowing(Keys({"fail-fast": BOOLEAN, "max-parallel": NUMBER, "matrix": _MATRIX}), _JOB),
}
_JOBS = _map(
    Either(
        (
            Keys(
                _EITHER_JOB
                | {
                    "runs-on": _leg(Either((FILLED, Listed(FILLED), Keys({"group": FILLED, "labels": _some(FILLED)})))),
                    "timeout-minutes": _leg(NUMBER),
                    "cancel-timeout-minutes": _leg(NUMBER),
                    "continue-on-error": _leg(BOOLEAN),
                    "container": _leg(Either((TEXT, Keys(_IMAGE)))),
                    "services": _leg(_map(Either((FILLED, Keys(_IMAGE | {"entrypoint": TEXT, "command": TEXT}))))),
                    "env": Knowing(_map(TEXT), (*_LEG, "secrets")),
                    "environment": _leg(
                        Either(
                            (
                                TEXT,
                                Keys({"name": TEXT, "url": Knowing(TEXT, _RUNNING), "deployment": BOOLEAN}, ("name",)),
                            )
                        )
                    ),
                    "outputs": _map(Knowing(TEXT, _STEP)),
                    "defaults": Keys({"run": Knowing(Keys(_SHELL), (*_LEG, "env"))}),
                    "steps": STEPS,
                    "snapshot": Either(
                        (
                            FILLED,
                            Keys(
                                {
                                    "image-name": FILLED,
                                    "version": FILLED,
                                    "if": Knowing(TEXT, _LEG, condition=True),
                                },
                                ("image-name",),
                            ),
                        )
                    ),
                },
                must=("runs-on",),
            ),
            Keys(
                _EITHER_JOB
                | {
                    "uses": FILLED,
                    "with": _map(_leg(PLAIN)),
                    "secrets": Either((_map(Knowing(PLAIN, (*_LEG, "secrets"))), Scalar(words=("inherit",)))),
                },
                must=("uses",),
            ),
        )
    )
)
WORKFLOW = Keys(
    {
        "name": TEXT,
        "description": TEXT,
        "run-name": Knowing(TEXT, _WORKFLOW),
        "on": Either((_NAMES, Listed(_NAMES), Keys(_EVENTS))),
        "permissions": _PERMISSIONS,
        "env": Knowing(_map(TEXT), (*_WORKFLOW, "secrets")),
        "defaults": Keys({"run": Keys(_SHELL)}),
        "concurrency": Knowing(Either((TEXT, _QUEUE)), _WORKFLOW),
        "jobs": _JOBS,
    },
    must=("on", "jobs"),
)

# The file of an action.
_INSIDE = ("github", "inputs", "strategy", "matrix", "steps", "job", "runner", "env")
_AROUND: dict[str, Shape] = {
    name: Knowing(TEXT, _INSIDE, _ENDED | _FILES, condition=True) for name in ("pre-if", "post-if")
}


def _inside(shape: Shape) -> Knowing:
    return Knowing(shape, _INSIDE, _FILES)


_PART: dict[str, Shape] = {
    "id": FILLED,
    "name": _inside(TEXT),
    "if": Knowing(TEXT, _INSIDE, _ENDED | _FILES, condition=True),
    "env": _inside(_map(TEXT)),
    "continue-on-error": _inside(BOOLEAN),
}
_PARTS = Listed(
    Either(
        (
            Keys(
                _PART | {"run": _inside(TEXT), "shell": _inside(TEXT), "working-directory": _inside(TEXT)},
                must=("run", "shell"),
            ),
            Keys(_PART | {"uses": FILLED, "with": _inside(_map(TEXT))}, must=("uses",)),
        )
    )
)
_CONTAINER: dict[str, Shape] = {
    "image": FILLED,
    "entrypoint": FILLED,
    "pre-entrypoint": FILLED,
    "post-entrypoint": FILLED,
    "args": Listed(Knowing(TEXT, ("inputs",))),
    "env": Knowing(_map(TEXT), ("inputs",)),
}
ACTION = Keys(
    {
        "name": TEXT,
        "description": TEXT,
        "inputs": _map(
            Keys({"default": Knowing(TEXT, ("github", "strategy", "matrix", "job", "runner"), _FILES)}, others=ANY)
        ),
        "outputs": _map(Keys({"description": TEXT, "value": Knowing(TEXT, _INSIDE)})),
        "runs": Either(
            (
                Keys({"using": FILLED, "steps": _PARTS}, must=("using", "steps")),
                Keys(
                    {"using": FILLED, "main": FILLED, "pre": FILLED, "post": FILLED} | _AROUND, must=("using", "main")
                ),
                Keys({"using": FILLED} | _CONTAINER | _AROUND, must=("using", "image")),
            )
        ),
    },
    others=ANY,
)
