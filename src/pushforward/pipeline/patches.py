"""Where DVC is made to differ from itself: each of these holds inside of its block. `dvc` opens a repository by them.

They take the place of functions of DVC's own; tests/pipeline/test_dvc.py holds that they are there.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from pushforward import yamlquick
from pushforward.errors import PushforwardError
from pushforward.pipeline import remote, runcache
from pushforward.pipeline.graph import refuse_link
from pushforward.pipeline.lock import LOCK, check_listed, parsed, remember


@contextlib.contextmanager
def each_text_parsed_once() -> Iterator[None]:
    """Have DVC parse a text of YAML once, and compare it with a schema once: it reads the same few files dozens of
    times, for half of an idle run.

    The lock, which it writes again for each stage, is written by libyaml.
    """
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    before = _yaml.parse_yaml, _yaml._dump, strictyaml.validate
    valid: dict[tuple[str, int], Any] = {}  # the schema itself is held: another could come to have its id

    def parse(text: str, path: Any, typ: str = "safe") -> Any:
        if typ != "safe" and Path(path).name != LOCK:  # a lock has no comments to keep
            return before[0](text, path, typ)
        try:
            return parsed(text) or {}
        except YAMLError as broken:
            raise _yaml.YAMLFileCorruptedError(path) from broken

    def dump(data: Any, stream: Any) -> None:
        if Path(stream.name).name != LOCK:
            before[1](data, stream)
            return
        try:  # once a stage, all stages; `lock.write_lock` gives it its form in the end
            text = yamlquick.dump(data)
        except yamlquick.NOT_PLAIN:
            slowly = io.StringIO()
            before[1](data, slowly)
            text = slowly.getvalue()
        stream.write(text)
        remember(text, data)

    def validate(data: Any, schema: Any, text: str | None = None, path: str | None = None, rev: Any = None) -> Any:
        if text is None:
            return before[2](data, schema, text, path, rev)
        if (text, id(schema)) not in valid:
            before[2](data, schema, text, path, rev)
            valid[text, id(schema)] = schema
        return data  # as it was read: DVC does not go on with what the schema makes of a text

    _yaml.parse_yaml = strictyaml.parse_yaml = parse
    _yaml._dump, strictyaml.validate = dump, validate
    try:
        yield
    finally:
        _yaml.parse_yaml = strictyaml.parse_yaml = before[0]
        _yaml._dump, strictyaml.validate = before[1:]


@contextlib.contextmanager
def no_link_saved() -> Iterator[None]:
    """Have DVC refuse an out in which a stage has left a link: it would keep, as the out, what that leads to."""
    from dvc.output import Output

    before = Output.save

    def save(out: Any, **options: Any) -> Any:
        if out.is_in_repo:
            refuse_link(out, inside=True)
        return before(out, **options)

    Output.save = save
    try:
        yield
    finally:
        Output.save = before


@contextlib.contextmanager
def missing_by_its_place() -> Iterator[None]:
    """Have DVC bring in the missing dependencies of a stage by where they lie, and together: its name in dvc.yaml is
    none from elsewhere.
    """
    from dvc.dependency import DatasetDependency, DbDependency
    from dvc.stage import run

    before = run._pull_missing_deps

    def pull(stage: Any) -> None:
        missing = [
            dep.fs_path
            for dep in stage.deps
            if not isinstance(dep, (DatasetDependency, DbDependency)) and not dep.exists
        ]
        if missing:
            remote.pull(stage.repo, missing)

    run._pull_missing_deps = pull
    try:
        yield
    finally:
        run._pull_missing_deps = before


@contextlib.contextmanager
def stages_pulled_by_their_outs() -> Iterator[None]:
    """Have DVC bring in what an unchanged stage has made, where that is missing, out by out: see `remote.pull`.

    What the store has spoilt is as good as missing there: the stage runs, and what it makes takes its place.
    """
    from dvc.exceptions import CheckoutError
    from dvc.repo import Repo

    before = Repo.pull

    def pull(repo: Any, targets: Any = None, **options: Any) -> Any:
        if not isinstance(targets, str):
            return before(repo, targets, **options)
        made = [out for stage in repo.index.stages if stage.addressing == targets for out in stage.outs]
        if any(out.use_cache and not out.is_in_repo for out in made) or not made:
            return before(repo, targets, **options)
        try:
            return {"stats": {"fetched": remote.pull(repo, [out.fs_path for out in made if out.use_cache])}}
        except remote.SpoiltError as spoilt:
            raise CheckoutError([targets], {}) from spoilt

    Repo.pull = pull
    try:
        yield
    finally:
        Repo.pull = before


@contextlib.contextmanager
def unknown_is_changed() -> Iterator[None]:
    """Have DVC take for changed what the lock does not know: by `allow_missing` an out that nobody has ever made is
    one that is only not here, and its stage would never run.
    """
    from dvc.stage import Stage

    before = Stage.changed

    def changed(stage: Any, allow_missing: bool = False, upstream: Any = None) -> bool:
        return before(stage, allow_missing, upstream) or bool(not_in_lock(stage))

    Stage.changed = changed
    try:
        yield
    finally:
        Stage.changed = before


@contextlib.contextmanager
def all_is_made() -> Iterator[None]:
    """Have DVC refuse a stage that has run and left out one of its outs: by `allow_missing` its lock names none."""
    from dvc.stage import Stage

    before = Stage.run

    def run(stage: Any, *args: Any, **options: Any) -> None:
        before(stage, *args, **(options | {"allow_missing": False} if stage.cmd else options))

    Stage.run = run
    try:
        yield
    finally:
        Stage.run = before


@contextlib.contextmanager
def no_file_outside_listed() -> Iterator[None]:
    """Have DVC refuse the list of a folder that names a file elsewhere: it would write there.

    DVC takes every error in reading a list for a store that does not answer, so the refusal is said at the end too.
    """
    from dvc_data.hashfile.tree import Tree

    tree: Any = Tree
    before, refused = tree.__dict__["from_list"], list[PushforwardError]()

    def from_list(cls: Any, entries: Any, hash_name: str | None = None) -> Any:
        try:
            check_listed(str(entry[tree.PARAM_RELPATH]) for entry in entries)
        except PushforwardError as wrong:
            refused.append(wrong)
            raise
        return before.__func__(cls, entries, hash_name=hash_name)

    tree.from_list = classmethod(from_list)
    try:
        yield
    finally:
        tree.from_list = before
        if refused:
            raise refused[0]


@contextlib.contextmanager
def held_once() -> Iterator[None]:
    """Have DVC write down once which paths this process holds: each step of a stage, inside of the stage, asks again
    for what the stage holds, and DVC writes its file of such locks twice for each, twenty times a stage.

    Who holds a path for writing keeps others from reading it too. What is held comes and goes as DVC has it.
    """
    from dvc import rwlock

    before, reading, writing = rwlock.rwlock, list[str](), list[str]()

    @contextlib.contextmanager
    def held(tmp_dir: str, fs: Any, cmd: str, read: list[str], write: list[str], hardlink: bool) -> Iterator[None]:
        if set(read) <= {*reading, *writing} and set(write) <= {*writing}:
            yield
            return
        with before(tmp_dir, fs, cmd, read, write, hardlink):
            reading.extend(read)
            writing.extend(write)
            try:
                yield
            finally:
                del reading[len(reading) - len(read) :], writing[len(writing) - len(write) :]

    rwlock.rwlock = held
    try:
        yield
    finally:
        rwlock.rwlock = before


@contextlib.contextmanager
def links_left_open() -> Iterator[None]:
    """Have DVC leave its database of what it has put into place open until it is done: by itself it closes that after
    each out, and waits for the disk.
    """
    from dvc_data.hashfile.state import State

    kind: Any = State
    before = kind.set_link

    def set_link(state: Any, path: str, inode: int, mtime: float) -> None:
        state.links[os.path.relpath(path, state.root_dir)] = (inode, mtime)

    kind.set_link = set_link
    try:
        yield
    finally:
        kind.set_link = before


@contextlib.contextmanager
def known_while_a_stage_runs() -> Iterator[None]:
    """Have DVC forget, when it lets go of its lock for the command of a stage, only what that may change: what git and
    DVC ignore. The stages are those of the lock, for whoever holds them; of its own DVC would gather them anew.
    """
    from dvc.stage import run

    before = run.unlocked_repo

    def unlocked(work: Any) -> Any:
        def inside(stage: Any, *args: Any, **options: Any) -> Any:
            stage.repo.lock.unlock()
            stage.repo.scm._reset()
            stage.repo.__dict__.pop("dvcignore", None)
            try:
                return work(stage, *args, **options)
            finally:
                stage.repo.lock.lock()

        return inside

    run.unlocked_repo = unlocked
    try:
        yield
    finally:
        run.unlocked_repo = before


@contextlib.contextmanager
def held(repo: Any) -> Iterator[None]:
    """Hold DVC's lock once around all of this block: each call that takes it would begin and end with forgetting the
    stages, the configuration and what is ignored, and gather them anew. Whoever changes those has to `_reset`.
    """
    with repo.lock:
        repo._lock_depth += 1
        try:
            yield
        finally:
            repo._lock_depth -= 1


def reread(repo: Any) -> None:
    """Have the stages that DVC holds say what their locks say since they ran; to gather them anew takes far longer."""
    from dvc.dvcfile import load_file
    from dvc.stage import PipelineStage
    from dvc.stage.loader import StageLoader

    stages = [stage for stage in repo.index.stages if isinstance(stage, PipelineStage)]
    locks = {path: load_file(repo, path).lockfile_contents for path in {stage.path for stage in stages}}
    for stage in stages:
        StageLoader.fill_from_lock(stage, locks[stage.path].get("stages", {}).get(stage.name))
        for out in stage.outs:
            out.obj = None


def not_in_lock(stage: Any) -> list[str]:
    """The outs and dependencies of a stage, as dvc.yaml names them, whose content the lock does not tell.

    What a stage has no command for, an import or `dvc add`, is told by its .dvc file; parameters are compared value
    by value; what DVC asks elsewhere (a database, a dataset) is compared there.
    """
    from dvc.dependency import DatasetDependency, DbDependency, ParamsDependency

    elsewhere = (DatasetDependency, DbDependency, ParamsDependency)
    named = [*stage.outs, *(dep for dep in stage.deps if not isinstance(dep, elsewhere))] if stage.cmd else []
    return [one.def_path for one in named if not one.hash_info]


@contextlib.contextmanager
def ours() -> Iterator[None]:
    """All of them."""
    with (
        each_text_parsed_once(),
        no_link_saved(),
        missing_by_its_place(),
        stages_pulled_by_their_outs(),
        unknown_is_changed(),
        all_is_made(),
        no_file_outside_listed(),
        held_once(),
        links_left_open(),
        known_while_a_stage_runs(),
        runcache.as_needed(),
    ):
        yield
