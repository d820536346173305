"""What `pushforward new` makes, judged: its first model, and what its README says of three changes."""

import json

import pytest
from tests.foreign.shapes import LOCKS, Foreign

from pushforward import __version__
from pushforward.project import sample

pytestmark = pytest.mark.whole


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    made = sample.render("new", {"version": __version__, "name": "tumours", "store": f"{tmp_path}/store"})
    shape = {path: content.decode() for path, content in made.items()}
    # the interpreter at hand, in place of one built from requirements.txt
    shape["pushforward.yaml"] = shape["pushforward.yaml"].replace("[requirements.txt]", json.dumps(LOCKS))
    return Foreign(tmp_path, git, monkeypatch, shape)


def test_the_changes_that_its_readme_proposes_come_to_what_it_says(project, git):
    first, report = project.judge()
    assert (first.verdict, first.mode, first.rows) == ("promote", "first", 190), first.reason
    assert "**Validation**: `batch-3`: `logloss` 0.2123, `accuracy` 0.9474." in report
    project.release("tumour@v1.0.0")
    project.edit("params.yaml", "    - batch-5\n", "    - batch-5\n    - batch-6\n")
    newer, _ = project.judge()
    assert (newer.verdict, newer.mode, newer.rows) == ("promote", "refresh", 189), newer.reason
    project.release("tumour@v1.0.1")
    project.edit("params.yaml", "rounds: 20", "rounds: 40")
    better, _ = project.judge()
    assert (better.verdict, better.mode) == ("promote", "superior"), better.reason
    project.release("tumour@v1.1.0")
    project.edit("params.yaml", "seed: 7", "seed: 8")
    luck, _ = project.judge()
    assert (luck.verdict, luck.champion.version) == ("unknown", "tumour@v1.1.0"), luck.reason
