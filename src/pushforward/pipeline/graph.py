"""The graph of a pipeline, as DVC has loaded it: what `dvc` refuses before anything of it runs, or after."""

import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, SequenceNode

from pushforward import files
from pushforward.cause import Cause
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import dvctext, folders, lint
from pushforward.pipeline.lock import PIPELINE, differences, from_root, within


def refuse_links(repo: Any) -> None:
    """Refuse an out or a dependency behind a link: DVC deletes outs before their stage runs, wherever they lead."""
    for one in (*repo.index.outs, *repo.index.deps):
        if one.is_in_repo:
            refuse_link(one, inside=False)


def refuse_link(one: Any, *, inside: bool) -> None:
    """Refuse an out or a dependency that is a link, or behind one; one `inside` its folder too."""
    root = Path(one.repo.root_dir)
    path = os.path.relpath(one.fs_path, root)
    if files.place(root, path).is_dir() and inside:
        files.check(root, path)


def check_places(root: Path, repo: Any) -> None:
    """Refuse a stage of a file that is none of the pipeline here, and what would write where a pipeline must not.

    Of the stages as DVC has loaded them, a loop's item by item; a file of `dvc add` or of an import writes too.
    """
    base, known = Path(os.path.realpath(root)), {posixpath.join(folder, PIPELINE) for folder in folders.here(root)}
    listed = Repository(root).git("ls-files", "-z", check=False).stdout.decode("utf-8", "surrogateescape")
    tracked = {path for path in listed.split("\0") if path and os.path.lexists(base / path)}
    held = tracked | {folder for path in tracked for folder in _above(path)}
    for stage in repo.index.stages:
        file = os.path.relpath(stage.path, base)
        if stage.cmd and file not in known:
            raise PushforwardError(
                f"{file}: DVC would run stage {stage.addressing}, and believe its lock, though {file} is no dvc.yaml "
                "of the pipeline here",
                next=f"name {file} in .dvcignore by a line that no later one takes back, or git rm {file}",
            )
        try:
            _check_places(base, stage, tracked, held)
        except PushforwardError as wrong:
            said = wrong.message.replace(f"{PIPELINE}: stage '{stage.addressing}'", file)
            raise wrong if stage.cmd else PushforwardError(said, next=wrong.next.replace(PIPELINE, file)) from None


def _above(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _check_places(base: Path, stage: Any, tracked: set[str], held: set[str]) -> None:
    """The same of one stage; `held` are the tracked files and every folder that has one."""
    name, folder = str(stage.addressing), posixpath.dirname(os.path.relpath(stage.path, base))
    lint.check_wdir(name, stage.wdir, os.path.relpath(stage.wdir, base))
    for out in stage.outs:
        if out.protocol == "local":
            kind = "metrics" if out.metric or out.plot else "outs"
            where = os.path.relpath(out.fs_path, base)
            told = (kind, str(out.def_path), bool(out.use_cache))
            lint.check_out(name, told, where, tracked if where in held else set(), folder)


_MARKED = re.compile(r"[^ ]+:\d+:\d+: ")  # a place in a file, after which its words say nothing more


def unusable(root: Path, text: str) -> PushforwardError:
    """The refusal of a dvc.yaml, or a .dvc file, that DVC cannot use: one sentence, and its own words below."""
    told = _placed(root, dvctext.sentence(text, root=str(root)))
    named = told.text.partition(":")[0].endswith((".dvc", ".yaml", ".lock"))
    below = f"\n{text.strip()}" if "\n" in text.strip() and not _MARKED.match(told.text) else ""
    line = told.text if named else f"dvc.yaml: {told.text}"
    return PushforwardError(f"{line}{below}", next=told.next or "edit dvc.yaml")


_KEYS = re.compile(r"(?P<file>[^:\s]+): (?P<why>.+?) @ data(?P<keys>(\['?[^\]]+'?\])+)$")


def _placed(root: Path, told: Cause) -> Cause:
    """A place in a file that DVC names by its keys, by its line."""
    found = _KEYS.fullmatch(told.text)
    if found is None:
        return told
    keys = re.findall(r"\['?([^\]]+?)'?\]", found["keys"])
    line = _line(files.read(root, found["file"]) or b"", keys)
    at = f":{line}" if line else ""
    why = found["why"].removesuffix(" for dictionary value").replace("extra keys not allowed", "DVC knows no such key")
    return Cause(f"{found['file']}{at}: {'.'.join(keys)}: {why}", told.next)


def _line(text: bytes, keys: list[str]) -> int:
    """The line of a place in a YAML file that DVC has read; of what is not there, the last that leads to it, or 0."""
    node, line = YAML(typ="safe", pure=True).compose(text.decode()), 0
    for key in keys:
        if isinstance(node, MappingNode):
            inside = next(((name, value) for name, value in node.value if name.value == key), None)
        elif isinstance(node, SequenceNode) and key.isdigit() and int(key) < len(node.value):
            inside = (node.value[int(key)],) * 2
        else:
            inside = None
        if inside is None:
            break
        line, node = inside[0].start_mark.line + 1, inside[1]
    return line


def check_made(root: Path, repo: Any, wanted: Iterable[str]) -> None:
    """Refuse a pipeline that makes no model or holdout, or makes it of nothing that could change."""
    stages = {os.path.relpath(out.fs_path, root): out.stage for out in repo.index.outs}
    for path in wanted:
        makers = [stage for out, stage in stages.items() if within(path, out)]
        if not makers and not (root / path).exists():
            there = f"its stages make {', '.join(sorted(stages)[:5])}" if stages else "its stages make nothing"
            text = f"no stage makes {path}, which pushforward.yaml names; {there}"
            if not folders.here(root):
                text = f"there is none in this commit, and so nothing that makes {path}, which pushforward.yaml names"
            raise PushforwardError(f"dvc.yaml: {text}", next="edit dvc.yaml, or models in pushforward.yaml")
        for stage in makers:
            if stage.cmd and not stage.deps and not stage.always_changed:
                raise PushforwardError(
                    f"dvc.yaml: stage {stage.addressing} makes {path} and has neither deps nor params: "
                    "once made it would never be made again",
                    next="name under deps: and params: what it reads",
                )


def check_needed(root: Path, repo: Any) -> None:
    """Refuse a dependency that is neither there nor made: DVC would say of what is to be made that it is missing."""
    made = {os.path.relpath(out.fs_path, root) for out in repo.index.outs}
    for stage in repo.index.stages:
        for dep in stage.deps if stage.cmd and not stage.frozen else ():  # what is frozen reads nothing
            path = os.path.relpath(dep.fs_path, root) if dep.is_in_repo else ""
            if not path or path in made or (root / path).exists():
                continue
            if not any(within(path, one) for one in made):
                raise PushforwardError(
                    f"dvc.yaml: stage {stage.addressing} needs {path}, "
                    "which is neither in the commit nor made by a stage",
                    next=f"git add {path}, or dvc add {path} && dvc push",
                )


def check_frozen(root: Path, repo: Any, lock: Mapping[str, Any], made: Collection[str]) -> set[str]:
    """Refuse a frozen stage whose deps or params have changed since it ran; the names of those that have not.

    DVC leaves a frozen stage alone whatever changes. What is frozen by an import waits for `dvc update`, as it should.
    One that the `lock` does not know is refused too.
    """
    frozen = [stage for stage in repo.index.stages if stage.frozen and stage.cmd]
    home = os.path.relpath(repo.root_dir, root).removeprefix(".")
    names = [from_root(stage.addressing, home) for stage in frozen]
    for stage, name in zip(frozen, names, strict=True):
        _check_known(root, stage, name, lock.get(name), made)
        stage.frozen = False
        try:
            found = stage.status().get(stage.addressing, [])
        finally:
            stage.frozen = True
        changed = ["its command"] if {"changed command", "changed checksum"} & {str(entry) for entry in found} else []
        for deps in (entry.get("changed deps", {}) for entry in found if isinstance(entry, dict)):
            # what is "deleted" is not fetched yet; what is no word is a file of parameters
            changed += [str(path) for path, how in deps.items() if isinstance(how, str) and how != "deleted"]
        old = lock.get(name, {}).get("params", {})
        for dep in stage.params:
            changed += differences(old.get(os.path.relpath(dep.fs_path, root), {}), dep.read_params())
        if changed:
            raise _frozen(name, changed)
    return set(names)


def _check_known(root: Path, stage: Any, name: str, entry: Mapping[str, Any] | None, made: Collection[str]) -> None:
    """Refuse a frozen stage of which the lock does not tell what it has made, or tells more than dvc.yaml names."""
    outs = {os.path.relpath(out.fs_path, root) for out in stage.outs}
    told = {out["path"] for out in (entry or {}).get("outs", [])}
    own = _family(name)
    thaw = _thaw(name)
    if outs <= told and told <= outs:
        return
    if claimed := sorted(path for path in outs if any(within(path, one) for one in made)):
        raise PushforwardError(
            f"dvc.yaml: stage {name} is frozen, and makes {claimed[0]}, which is judged: "
            "a run has to make it; what a commit says of it is not believed",
            next=thaw,
        )
    if extra := sorted(told - outs):
        raise PushforwardError(
            f"dvc.lock: the frozen stage {name} has made {extra[0]} there, which dvc.yaml does not name",
            next=f"{thaw}, dvc repro, dvc freeze, and commit dvc.lock",
        )
    missing = sorted(outs - told)
    raise PushforwardError(
        f"dvc.yaml: stage {name} is frozen, and no dvc.lock says what it has made"
        + (f" of {missing[0]}" if told else ""),
        next=f"{thaw}; or commit dvc.lock as it was when {own} last ran, after dvc push",
    )


def check_frozen_still(frozen: set[str], lock: Mapping[str, Any]) -> None:
    """Refuse a frozen stage for which a stage before it has just made something else."""
    made = {out["path"]: out.get("md5") for entry in lock.values() for out in entry.get("outs", [])}
    for name in sorted(frozen & lock.keys()):
        deps = lock[name].get("deps", [])
        changed = [dep["path"] for dep in deps if made.get(dep["path"], dep.get("md5")) != dep.get("md5")]
        if changed:
            raise _frozen(name, changed)


def _frozen(stage: str, changed: list[str]) -> PushforwardError:
    listed = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
    return PushforwardError(
        f"dvc.yaml: stage {stage} is frozen and would not run, though {listed} changed since it ran",
        next=_thaw(stage),
    )


def _thaw(stage: str) -> str:
    """How a stage is frozen no more: of a loop's DVC has no command."""
    family = _family(stage)
    return f"dvc unfreeze {stage}" if family == stage else f"take `frozen: true` from {family}"


def _family(stage: str) -> str:
    """The loop that a stage is of, as DVC names both: a folder may have an @ in its name."""
    file, mark, name = stage.rpartition(f"{PIPELINE}:")
    return f"{file}{mark}{name.partition('@')[0]}"
