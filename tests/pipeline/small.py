"""A project of three stages that take no time, and what a run of it gives."""

import shutil

import pytest

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline import dvc as pipeline

DVC_YAML = """\
stages:
  first:
    cmd: cat source.txt > out/first.txt
    deps: [source.txt]
    outs: [out/first.txt]
  second:
    cmd: (cat out/first.txt; python3 -c "print(1)") > out/second.txt
    deps: [out/first.txt]
    params: [scale]
    outs: [out/second.txt]
  third:
    cmd: wc -c out/second.txt > metrics/size.json
    deps: [out/second.txt]
    metrics:
      - metrics/size.json:
          cache: false
"""


@pytest.fixture
def project(tmp_path, git):
    """A clone with a store beside it."""
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    for name in ("out", "metrics"):
        (folder / name).mkdir()
        (folder / name / "keep").touch()
    (tmp_path / "store").mkdir()
    (folder / ".dvc" / "config").write_text(
        "[core]\n    remote = store\n    analytics = false\n[cache]\n    type = copy\n"
        "['remote \"store\"']\n    url = ../../store\n    verify = true\n"
    )
    (folder / ".dvc" / ".gitignore").write_text("/cache\n/tmp\n/config.local\n")
    (folder / ".gitignore").write_text("out/*.txt\nout/.gitignore\n")
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / "params.yaml").write_text("scale: 1\n")
    (folder / "source.txt").write_text("one\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder


def outcomes(done):
    return {stage.name: stage.outcome for stage in done.stages}


def run(folder, **options):
    return pipeline.reproduce(folder, **{"pull": True, "push": True, "say": lambda _: None} | options)


def clone(git, project, name):
    folder = project.parent / name
    git(project.parent, "clone", "-q", str(project), str(folder))
    shutil.copytree(project / "metrics", folder / "metrics", dirs_exist_ok=True)
    return folder


def refused(project, **options):
    with pytest.raises(PushforwardError) as found:
        run(project, **options)
    assert found.value.exit_code == 2, found.value.message
    return found.value


def edit(project, old, new):
    path = project / "dvc.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def begin(git, project, made=(), champion=None):
    """The same commit as a run has it, from the seed."""
    fresh = clone(git, project, "fresh")
    pipeline.seed(Repository(fresh), champion, made)
    return fresh
