"""Where DVC is made to differ from itself: each of these holds inside of its block. `dvc` opens a repository by them.

They take the place of functions of DVC's own; tests/pipeline/test_dvc.py holds that they are there.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from pushforward import yamlquick
from pushforward.errors import PushforwardError
from pushforward.pipeline import runcache
from pushforward.pipeline.graph import refuse_link
from pushforward.pipeline.lock import LOCK, check_listed, parsed, remember


@contextlib.contextmanager
def each_text_parsed_once() -> Iterator[None]:
    """Have DVC parse a text of YAML once: it reads the same few files dozens of times, for half of an idle run.

    The lock, which it writes again for each stage, is written by libyaml.
    """
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    before = _yaml.parse_yaml, _yaml._dump

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

    _yaml.parse_yaml = strictyaml.parse_yaml = parse
    _yaml._dump = dump
    try:
        yield
    finally:
        _yaml.parse_yaml = strictyaml.parse_yaml = before[0]
        _yaml._dump = before[1]


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
    """Have DVC bring in a missing dependency by where it lies: its name in dvc.yaml is none from elsewhere."""
    from dvc.dependency import DatasetDependency, DbDependency
    from dvc.stage import run

    before = run._pull_missing_deps

    def pull(stage: Any) -> None:
        for dep in stage.deps:
            if not isinstance(dep, (DatasetDependency, DbDependency)) and not dep.exists:
                stage.repo.pull(dep.fs_path)

    run._pull_missing_deps = pull
    try:
        yield
    finally:
        run._pull_missing_deps = before


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
        unknown_is_changed(),
        all_is_made(),
        no_file_outside_listed(),
        held_once(),
        runcache.as_needed(),
    ):
        yield
