"""What makes a version one of its own, on real commits: what scoring reaches counts, and nothing else does."""

import pytest

from pushforward.git.repository import Repository
from pushforward.judge import identity

SETTINGS = """\
tool: "0.2.0"
models:
  toy:
    path: model
    environment: [lock.txt]
    holdout: {{path: data/holdout, key: id, label: y, cluster: date, time: at}}
    score: {score}
    batches: params.yaml:data.months
"""
PARAMS = """\
data:
  months: ["2020-01", "2020-02", "2020-03", "2020-04"]
train:
  rounds: 10
"""
MODULE = "python -m toy.predict {rows} {events} {out}"
FILES = {
    "src/toy/__init__.py": "",
    "src/toy/predict.py": "from toy import table\nfrom .deep.inner import value\nopen('lookup/codes.csv')\n",
    "src/toy/table.py": "import polars\n",
    "src/toy/deep/__init__.py": "",
    "src/toy/deep/inner.py": "value = 1\n",
    "src/toy/pipeline.py": "import pickle\nimport subprocess\n",
    "src/toy/units.json": "{}",
    "src/other/__init__.py": "",
    "src/other/page.html": "<p>",
    "tests/test_toy.py": "",
    "docs/use.md": "",
    "README.md": "toy",
    "lookup/codes.csv": "a,1\n",
    "lookup/unused.csv": "b,2\n",
    "Makefile": "all:\n",
    "dvc.yaml": "stages: {}\n",
    "dvc.lock": "schema: '2.0'\n",
    "metrics/metrics.json": "{}",
    "lock.txt": "polars==2.1.0\n",
    ".github/workflows/train.yml": "on: push\n",
}


class Project:
    """A repository whose scoring is asked for by commit."""

    def __init__(self, folder, git):
        self.folder, self.git = folder, git
        self.write({"pushforward.yaml": SETTINGS.format(score=MODULE), "params.yaml": PARAMS, **FILES})

    def write(self, files):
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def digest(self, **changes):
        """Of a commit with these files changed."""
        self.write(changes)
        self.git(self.folder, "add", "-A")
        self.git(self.folder, "commit", "-q", "--allow-empty", "-m", "Change")
        repository = Repository(self.folder)
        return identity.scoring(repository, repository.commit("HEAD"))


@pytest.fixture
def project(repository, git):
    return Project(repository, git)


@pytest.mark.parametrize(
    "path",
    [
        "src/toy/predict.py",
        "src/toy/table.py",
        "src/toy/__init__.py",
        "src/toy/deep/__init__.py",
        "src/toy/deep/inner.py",
        "src/toy/units.json",
        "lookup/codes.csv",
        "src/sitecustomize.py",
        "toy/predict.py",
    ],
)
def test_what_scoring_imports_or_names_counts(project, path):
    before = project.digest()
    assert project.digest(**{path: (FILES.get(path) or "") + "# more\n"}) != before


@pytest.mark.parametrize(
    "path",
    [
        "src/toy/pipeline.py",
        "src/other/page.html",
        "tests/test_toy.py",
        "docs/use.md",
        "README.md",
        "lookup/unused.csv",
        "Makefile",
        "dvc.yaml",
        "dvc.lock",
        "metrics/metrics.json",
        "lock.txt",
        ".github/workflows/train.yml",
        "src/toy/unheard_of.py",
    ],
)
def test_what_scoring_does_not_reach_counts_for_nothing(project, path):
    before = project.digest()
    assert project.digest(**{path: FILES.get(path, "") + "# more\n"}) == before


def test_settings_that_scoring_does_not_name_count_for_nothing(project):
    before = project.digest()
    text = SETTINGS.format(score=MODULE) + "server:\n  jobs: 3\n"
    changed = {"pushforward.yaml": text, "params.yaml": PARAMS.replace("rounds: 10", "rounds: 11")}
    assert project.digest(**changed) == before


def test_settings_count_where_scoring_names_them_but_not_those_of_gate_and_server(project):
    reads = {"src/toy/table.py": "open('params.yaml'), open('pushforward.yaml')\n"}
    before = project.digest(**reads)
    text = f"{SETTINGS.format(score=MODULE)}server:\n  jobs: 3\ngate:\n  looks: 3\n"
    later = PARAMS.replace('"2020-04"]', '"2020-04", "2020-05"]')
    assert project.digest(**{"pushforward.yaml": text, "params.yaml": later}) == before
    assert project.digest(**{"params.yaml": PARAMS.replace("rounds: 10", "rounds: 11")}) != before


def test_another_command_is_another_version(project):
    before = project.digest()
    command = "python -m toy.predict {rows} {events} {out} --fast"
    assert project.digest(**{"pushforward.yaml": SETTINGS.format(score=command)}) != before


def test_a_file_that_is_executed_or_loses_its_right_to_be(project, git):
    before = project.digest()
    git(project.folder, "update-index", "--chmod=+x", "src/toy/predict.py")
    git(project.folder, "commit", "-q", "-m", "Mode")
    assert identity.scoring(Repository(project.folder), git(project.folder, "rev-parse", "HEAD")) != before


@pytest.mark.parametrize(
    "loader",
    [
        "import importlib\n",
        "from joblib import load\n",
        "import subprocess\n",
        "__import__('toy.pipeline')\n",
        "exec('')\n",
        "import sys\nsys.path.insert(0, 'lib')\n",
        "from pathlib import Path\nPath('lookup').glob('*')\n",
        "import numpy as np\nnp.load('x', allow_pickle=True)\n",
        "this is no Python\n",
    ],
)
def test_of_code_that_may_load_anything_everything_counts(project, loader):
    before = project.digest(**{"src/toy/table.py": loader})
    assert project.digest(**{"README.md": "words", "tests/test_toy.py": "x = 1\n"}) == before
    assert project.digest(**{"src/toy/pipeline.py": "# other\n"}) != before


@pytest.mark.parametrize("command", ["bash score.sh {rows} {events} {out}", "python -c x {rows} {events} {out}"])
def test_of_a_command_that_cannot_be_read_everything_counts(project, command):
    before = project.digest(**{"pushforward.yaml": SETTINGS.format(score=command)})
    assert project.digest(**{"lookup/unused.csv": "other\n"}) != before


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        ("open('lookup/unused.csv')\n", True),
        ("import pathlib\npathlib.Path('lookup') / name\n", True),
        ("open(f'lookup/{name}.csv')\n", True),
        ("import polars as pl\npl.read_csv('lookup/*.csv')\n", True),
        ("open(folder + 'unused.csv')\n", True),
        ("names = ['look', 'used', 'unused']\n", False),
        ("words = 'The table of lookups is not used.'\n", False),
    ],
)
def test_files_are_found_by_the_texts_that_can_name_them(project, code, counts):
    before = project.digest(**{"src/toy/table.py": code, "src/toy/predict.py": "from toy import table\n"})
    assert (project.digest(**{"lookup/unused.csv": "other\n"}) != before) is counts


def test_a_script_is_read_like_a_module(project):
    told = SETTINGS.format(score="python tools/score.py {rows} {events} {out}")
    before = project.digest(**{"pushforward.yaml": told, "tools/score.py": "import near\n", "tools/near.py": ""})
    assert project.digest(**{"src/toy/predict.py": "# other\n"}) == before
    assert project.digest(**{"tools/near.py": "x = 1\n"}) != before


def test_of_code_behind_a_link_everything_counts(project):
    (project.folder / "src/toy/extra.py").symlink_to("pipeline.py")
    before = project.digest()
    assert project.digest(**{"src/toy/pipeline.py": "# other\n"}) != before


def test_modules_that_import_each_other_are_read_once(project):
    before = project.digest(**{"src/toy/table.py": "import toy.predict\n"})
    assert project.digest(**{"src/toy/pipeline.py": "# other\n"}) == before
