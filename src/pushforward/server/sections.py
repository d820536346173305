"""Sections of pushforward.yaml for batches that arrive, versions that serve and outcomes, as `check` finds them.

What of them could only fail later is told before: in an hour by `arrive`, at the next version by `serve`, after a day
by `monitor`. Each finding has its line. Nothing of the project's is run but the source of batches, and that only where
`check` looks at everything.
"""

import ast
import importlib.util
import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path

from pushforward import params, schema, settings
from pushforward.arrival import periods, source, trial
from pushforward.errors import PushforwardError
from pushforward.forge import pulls
from pushforward.git import remote
from pushforward.git.repository import Repository
from pushforward.lifecycle import Arrive, Serve
from pushforward.pipeline.checkout import checkout
from pushforward.project import reading, workflows
from pushforward.project.faults import line_of
from pushforward.project.reading import Odd
from pushforward.project.survey import Survey, survey
from pushforward.server.finding import Finding, few
from pushforward.text import plain

EXTRA = "pip install 'pushforward[serve]'"
SERVED_BY = ("httptools", "msgspec", "prometheus_client", "uvicorn", "uvloop")
REMOTE = "remote://"
EDIT = f"edit {schema.FILE}"


def findings(root: Path, *, quick: bool, say: Callable[[str], None]) -> Iterator[Finding]:
    """What is to be said of each section that the project has; the source is asked unless `quick`."""
    found = survey(root)
    if found.project is None:
        return
    told = _Told(found, found.project)
    if found.project.arrive is not None:
        wrong = [*told.arrive()]
        yield from wrong
        if not quick:
            say(f"what the source of batches has ({found.project.arrive.source})")
            yield told.source()
        elif not wrong:
            yield Finding("arrive", True, "fits the batches; its source is asked without --quick")
    if found.project.serve != Serve() or any(model.serve for model in found.project.models.values()):
        yield from told.whole("serve", told.serve(), "can be served, and whoever gets a share is known")
    if found.project.monitor is not None:
        yield from told.whole("monitor", told.monitor(), "what it reads is made, or has its place")


class _Told:
    """The findings of one project."""

    def __init__(self, found: Survey, project: schema.Project) -> None:
        self.found, self.project = found, project

    def whole(self, name: str, wrong: Iterator[Finding], words: str) -> Iterator[Finding]:
        """What is wrong, or the one line that nothing is."""
        listed = [*wrong]
        yield from listed or [Finding(name, True, words)]

    def arrive(self) -> Iterator[Finding]:
        """Whether batches have one list and names that fit, somebody asks, and a merge by itself can come."""
        arrive = self.project.arrive
        assert arrive is not None  # noqa: S101, who asks has looked
        listed = {one.batches for one in settings.load(self.found.root).each} - {("", "")}
        if len(listed) != 1:
            many = "models list batches in different places" if listed else f"batches are {schema.NONE}"
            yield self._wrong(f"there is nothing to add to: {many}", f"{EDIT}: docs/arrival.md", "arrive")
        else:
            yield from self._named(*listed.pop(), arrive.expect)
        yield from self._asked_by_itself(arrive)

    def _named(self, file: str, key: str, expect: periods.Expect | None) -> Iterator[Finding]:
        """Whether batches can be read, and have names that fit what is expected."""
        try:
            names = params.batches(reading.text(self.found.root, file).encode(), key, file)
        except PushforwardError as broken:
            yield self._wrong(broken.message, f"edit {file}", "arrive")
            return
        except Odd as odd:
            yield self._wrong(f"{odd.file}: {odd.why}", f"edit {odd.file}", "arrive")
            return
        if expect is None:
            return
        try:
            for name in names:
                periods.check(expect, name)
        except PushforwardError as misnamed:
            yield self._wrong(misnamed.message, misnamed.next or EDIT, "arrive", "expect")

    def _asked_by_itself(self, arrive: Arrive) -> Iterator[Finding]:
        """Whether somebody asks, and where a merge by itself is wanted, whether anything can come to it."""
        there = remote.followed(Repository(self.found.root))
        if there is None:
            yield self._wrong("this clone has no git remote to propose to", "pushforward init", "arrive")
            return
        if there.is_server:
            ran = self.project.server.workflows
            for stem, lost in (("arrive", "asks by itself"), ("judge", "judges what it proposes")):
                if not any(name.endswith(stem) for name in ran) and (stem == "arrive" or arrive.merge == "promote"):
                    what = f"the server runs {few(ran) or 'no workflow'}, and not {stem}: nothing {lost}"
                    yield self._wrong(what, f"add {stem} to server: workflows", "server", "workflows")
            return
        host = pulls.HOST.match(there.url)
        forge = workflows.forge_of(self.found.root, host["host"] if host else "")
        if arrive.merge == "promote" and forge in (workflows.GITEA, workflows.FORGEJO):
            what = f"{forge} gets branches, and a person opens and merges: merge by itself cannot work"
            yield self._wrong(what, "write merge: never", "arrive", "merge")

    def source(self) -> Finding:
        """What the source lists, asked as `arrive` asks it: by the code of a commit, in a checkout of its own."""
        arrive = self.project.arrive
        assert arrive is not None  # noqa: S101, who asks has looked
        repository = Repository(self.found.root)
        with trial.scratch() as folder:
            try:
                there = checkout(repository, repository.commit("HEAD"), Path(folder) / "checkout")
                listed = source.ask(there, arrive.source)
            except PushforwardError as failed:
                return self._wrong(plain(failed.message, 300), failed.next or EDIT, "arrive", "source")
        last = f", the last is {listed[-1].batch}" if listed else ""
        return Finding("arrive", bool(listed), f"the source lists {len(listed)}{last}", "pushforward arrive --dry-run")

    def serve(self) -> Iterator[Finding]:
        """Whether versions can be loaded as they are told to be, and whoever gets a share is an environment."""
        known = self.project.promote.environments
        for arm in ("canary", "shadow"):
            named = getattr(self.project.serve, arm)
            if named and named not in known:
                have = few([*known]) or "none"
                what = f"{arm} names {named}, which is no environment; there is {have}"
                then = f"write one of them, or {named} under promote: environments"
                yield self._wrong(what, then, "serve", arm)
        for name, model in self.project.models.items():
            if model.serve and (why := self._unloadable(model.folder, model.serve)):
                yield self._wrong(why, "write MODULE:CALLABLE of a file of git", "models", name, "serve")
        absent = [name for name in SERVED_BY if importlib.util.find_spec(name) is None]
        if absent:
            yield Finding("serve", False, f"{few(absent)}: not installed here", EXTRA, optional=True)

    def _unloadable(self, folder: str, entry: str) -> str:
        """Why a version has nothing of that name to be loaded with, or ""."""
        module, _, name = entry.partition(":")
        inside = module.replace(".", "/")
        places = [posixpath.normpath(f"{one}/{inside}") for one in (f"{folder}/src", "src", folder)]
        wanted = [path for place in places for path in (f"{place}.py", f"{place}/__init__.py")]
        path = next((path for path in wanted if path in self.found.tracked), None)
        if path is None:
            return f"git holds no {module} in {' or '.join(dict.fromkeys((f'{folder}/src', 'src', folder)))}"
        try:
            tree = ast.parse(reading.text(self.found.root, path))
        except (Odd, SyntaxError, ValueError, RecursionError) as broken:
            return f"{path} cannot be read: {plain(str(broken), 100)}"
        return "" if _defines(tree, name) else f"{path} has no {name}"

    def monitor(self) -> Iterator[Finding]:
        """Whether what a look reads is there, or is made by some stage."""
        monitor = self.project.monitor
        assert monitor is not None  # noqa: S101, who asks has looked
        for key, path in (("reference", monitor.reference), *(("needs", path) for path in monitor.needs)):
            lacking = [name for name, model in self._looked_at() if not self._made(model.folder, path)]
            if lacking:
                of = f" of {few(lacking)}" if len(self.project.models) > 1 else ""
                yield self._wrong(f"{path} ({key}) is no out of the pipeline{of}", EDIT, "monitor", key)
        if monitor.log and monitor.log.startswith(REMOTE):
            name = monitor.log.removeprefix(REMOTE).partition("/")[0]
            if name not in {one.name for one in self.found.remotes}:
                then = f"dvc remote add {name} URL, or write another place"
                yield self._wrong(f"log names {name}, which is no remote of DVC", then, "monitor", "log")
        if monitor.retrain and (why := self._unmoved(monitor.retrain)):
            yield self._wrong(why, EDIT, "monitor", "retrain")

    def _looked_at(self) -> list[tuple[str, schema.Model]]:
        """The models whose looks need rows or outcomes: of one without a holdout no version is asked anything."""
        models = [*self.project.models.items()]
        return [(name, model) for name, model in models if model.holdout is not None] or models

    def _made(self, folder: str, path: str) -> bool:
        place = posixpath.normpath(posixpath.join(folder, path))
        outs = [out for one in self.found.pipelines for out in one.outs()]
        return any(
            not out.known or f"{place}/".startswith(f"{out.path}/") or out.path.startswith(f"{place}/") for out in outs
        )

    def _unmoved(self, named: str) -> str:
        """Why a retrain cannot set the moment that it is to set, or ""."""
        file, _, key = named.partition(":")
        try:
            leaves = params.flatten(reading.text(self.found.root, file).encode(), file)
        except Odd as odd:
            return f"retrain: {odd.file}: {odd.why}"
        except PushforwardError as failed:
            return f"retrain: {failed.message}"
        if key not in leaves:
            return f"retrain: {file} has no {key}"
        return "" if isinstance(leaves[key], str) else f"retrain: {named} is {plain(str(leaves[key]), 60)}, and no day"

    def _wrong(self, what: str, then: str, *keys: str) -> Finding:
        name = {"models": "serve", "server": "arrive"}.get(keys[0], keys[0])
        return Finding(name, False, f"{schema.FILE}:{line_of(self.found, *keys)}: {what}", then, optional=True)


def _defines(tree: ast.Module, name: str) -> bool:
    """Whether a module binds a name, or may: what it does beyond plain definitions and imports is not followed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return True
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name:
            return True
        if isinstance(node, ast.alias) and (node.asname or node.name) in (name, "*"):
            return True
    return False
