"""Asking for outcomes: what the command needs is brought, be it an out, in one, or a folder that holds several."""

import tempfile
from pathlib import Path

import pytest
from tests.team import MODEL_SETTINGS, Hub

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.monitoring.asking import Project
from pushforward.pipeline.revision import Revision
from pushforward.registry import authority

SETTINGS = (
    MODEL_SETTINGS.replace("    environment: [lock.txt]\n", "").replace("    batches: params.yaml:data.months\n", "")
    + """\
monitor:
  reference: data/rows
  outcomes: python outcomes.py {out}
  needs: [NEEDS]
"""
)
# Tells which files are here, and what is in each.
OUTCOMES = """\
import pathlib, sys
found = sorted(path for path in pathlib.Path().glob("**/*.told") if path.is_file())
pathlib.Path(sys.argv[1]).write_text(" ".join(f"{path}={path.read_text()}" for path in found))
"""
EACH = """\
stages:
  tell:
    foreach: [a, b]
    do: {cmd: "tell ${item}", outs: ["told/${item}.told"]}
  count:
    cmd: count
    outs: [counted.told]
"""


class Told(Hub):
    """A hub whose folders `data/told` and `part/told` hold the outs of stages that are made for each of a list."""

    def model(self, content):
        lock, digests = super().model(content)
        return lock + self._lock("data")[len("schema: '2.0'\nstages:\n") :], digests

    def lay(self, needs):
        """What it has, pushed; and what it needs."""
        self.write("pushforward.yaml", SETTINGS.replace("NEEDS", needs))
        self.write("outcomes.py", OUTCOMES)
        train = "  train: {cmd: train, outs: [model]}\n"
        self.write("dvc.yaml", EACH.replace("told/", "data/told/").replace("counted", "data/counted") + train)
        self.write("part/dvc.yaml", EACH)
        self.write("part/dvc.lock", self._lock("").decode())
        self.write(".gitignore", "/model\n*.told\n")
        self.commit("one", "Tell")

    def _lock(self, folder):
        lock = "schema: '2.0'\nstages:\n"
        below = f"{folder}/" if folder else ""
        stages = {"tell@a": "told/a", "tell@b": "told/b", "count": "counted"}
        for stage, name in stages.items():
            text = f"{folder or 'part'}-{name[-1]}".encode()
            lock += f"  {stage}:\n    cmd: {stage.replace('@', ' ')}\n    outs:\n    - path: {below}{name}.told\n"
            lock += f"      hash: md5\n      md5: {self._stored(text)}\n      size: {len(text)}\n"
        return lock.encode()


@pytest.fixture
def hub(begun, tmp_path, git):
    return Told(tmp_path, git, begun)


def _ask(hub):
    out = hub.folder / "out"
    with authority.of(hub.clone) as source, tempfile.TemporaryDirectory() as scratch:
        main = Revision(source.repository, source.repository.commit("HEAD"), "")
        Project(hub.clone, source, main, Path(scratch), hub.said.append).ask(out)
    return out.read_text()


@pytest.mark.parametrize(
    ("needs", "told"),
    [
        ("data/told", "data/told/a.told=data-a data/told/b.told=data-b"),
        ("data/told/b.told", "data/told/b.told=data-b"),
        ("part/told, data/counted.told", "data/counted.told=data-d part/told/a.told=part-a part/told/b.told=part-b"),
        ("data/told/a.told, data/told", "data/told/a.told=data-a data/told/b.told=data-b"),
        ("model/model.json", ""),
        ("outcomes.py", ""),
    ],
)
def test_what_is_needed_is_brought_and_nothing_else(hub, needs, told):
    hub.lay(needs)
    assert _ask(hub) == told


def test_what_no_lock_has_is_said_by_its_name(hub):
    hub.lay("data/to")
    with pytest.raises(PushforwardError) as refused:
        _ask(hub)
    commit = Repository(hub.clone).commit("HEAD")[:9]
    assert refused.value.message == f"monitor.needs: no lock of {commit} has an out data/to, nor one below it"
