"""The workflow files of a commit that a server runs: its own; where it has none of them, those that come with the tool.

`subject`, `pending` and `soundness` ask for them. What comes with the tool is what `adopt` writes for a forge, without
the steps that only a forge has: it runs the tool that the server runs on, and no file of the repository says how.
"""

import contextlib
import functools
import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pushforward import files, schema
from pushforward.actions import workflow
from pushforward.actions.workflow import FOLDER, Workflow
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.project import tool
from pushforward.project import workflows as forge

SETUP = {"name": "setup", "run": tool.SERVED}


def listed(repository: Repository, commit: str, wanted: Iterable[str], branch: str) -> list[Workflow]:
    """The workflows at `commit` whose names are `wanted`, for a server whose default branch is `branch`."""
    names, tree = set(wanted), repository.tree(commit)
    paths = [path for path in sorted(tree) if _stem(path) in names]
    if not paths:
        files.check_tree(tree, [FOLDER])
        prefix = forge.PREFIX if any(name.startswith(forge.PREFIX) for name in names) else ""
        package = "src" if any(path.startswith("src/") for path in tree) else "."
        beside = forge.beside(repository.read(commit, schema.FILE) or b"")
        return [flow for flow in _built_in(branch, package, prefix, beside) if _stem(flow.path) in names]
    files.check_tree(tree, paths)
    texts = [(path, repository.read(commit, path) or b"") for path in paths]
    return [_loaded(path.rpartition("/")[2], text.decode("utf-8", "replace")) for path, text in texts]


def beside(
    repository: Repository, commit: str, listed: Container[str], paths: Iterable[str] | None = None
) -> dict[str, str]:
    """Name -> file of the workflows at `commit` that are not `listed` (paths), as far as they can be read.

    Of `paths` alone, where they are given.
    """
    found = {}
    tree = repository.tree(commit)
    for path in sorted(tree if paths is None else set(paths) & tree.keys()):
        if _stem(path) and path not in listed:
            with contextlib.suppress(PushforwardError):
                text = (repository.read(commit, path) or b"").decode("utf-8", "replace")
                flow = _loaded(path.rpartition("/")[2], text)
                found[flow.name] = flow.file
    return found


def _stem(path: str) -> str:
    """The name that the settings have for a workflow file; "" of any other."""
    folder, _, name = path.rpartition("/")
    stem, _, kind = name.rpartition(".")
    return stem if folder == FOLDER and kind in {"yml", "yaml"} else ""


@functools.lru_cache(maxsize=32)
def _loaded(name: str, text: str) -> Workflow:
    return workflow.load(name, text)


@functools.lru_cache(maxsize=4)
def _built_in(branch: str, package: str, prefix: str, beside: tuple[str, ...]) -> tuple[Workflow, ...]:
    """The workflows that come with the tool; `package` is where a repository has its code."""
    return tuple(_made(forge.render(forge.Form(branch, package, setup="", prefix=prefix, beside=beside))))


def _made(rendered: Iterable[forge.Generated]) -> Iterator[Workflow]:
    for made in rendered:
        if not _stem(made.path):
            continue
        name = made.path.rpartition("/")[2]
        data = workflow.mapping(name, made.body.decode())
        for job in data["jobs"].values():
            job["steps"] = [SETUP if _installs(step) else step for step in job["steps"] if not _is_of_a_forge(step)]
        text = json.dumps(data)
        yield replace(workflow.load(name, text), built_in=text)


def _installs(step: Mapping[str, Any]) -> bool:
    """Whether a step puts the tool to where the others have it from, by an action that only a repository would have."""
    return str(step.get("uses", "")).endswith("setup") and str(step["uses"]).startswith("./")


def _is_of_a_forge(step: Mapping[str, Any]) -> bool:
    """Whether a step does nothing but on a forge, by a file that only a repository would have: post, or publish."""
    return str(step.get("uses", "")).endswith("/report") or str(step.get("run", "")).startswith(".github/")
