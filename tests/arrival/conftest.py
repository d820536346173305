"""A lake: a project whose batches are texts in a folder beside it, its server, and what arrives there."""

import hashlib
import json

import pytest
from click.testing import CliRunner

from pushforward import __version__
from pushforward.commands.cli import main
from pushforward.server.init import init

DVC = """\
stages:
  collect:
    foreach: ${data.months}
    do:
      cmd: python collect.py ${item}
      deps: [collect.py]
      params: [collect]
      outs:
        - raw/${item}.txt
  validate:
    foreach: ${data.months}
    do:
      cmd: python validate.py ${item}
      deps:
        - validate.py
        - raw/${item}.txt
      outs:
        - valid/${item}.txt
  all:
    cmd: python all.py
    deps: [valid]
    params: [data.months]
    outs: [rows.txt]
  features:
    foreach: ${data.months}
    do:
      cmd: python features.py ${item}
      deps: [rows.txt]
      outs:
        - features/${item}.txt
"""
PARAMS = """\
# What the pipeline is told.
data:
  # The months that have arrived.
  months:
    - "2020-01"   # by hand
    - "2020-02"

collect:
  place: {place}   # where they are
"""
SOURCE = """\
import hashlib, json, pathlib, sys
place = pathlib.Path({place!r})
found = [{{"batch": path.stem, "digest": "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()}}
         for path in sorted(place.glob("*.txt"))]
pathlib.Path(sys.argv[1]).write_text(json.dumps(found))
"""
COLLECT = """\
import os, pathlib, sys
text = (pathlib.Path({place!r}) / f"{{sys.argv[1]}}.txt").read_text()
pathlib.Path("raw").mkdir(exist_ok=True)
pathlib.Path("raw", f"{{sys.argv[1]}}.txt").write_text(text)
"""
VALIDATE = """\
import pathlib, sys
text = pathlib.Path("raw", f"{sys.argv[1]}.txt").read_text()
if "bad" in text:
    print(f"{sys.argv[1]}, line 1: 'bad' is no number", file=sys.stderr)
    sys.exit(3)
pathlib.Path("valid").mkdir(exist_ok=True)
pathlib.Path("valid", f"{sys.argv[1]}.txt").write_text(text)
"""
SETTINGS = f"""\
tool: "{__version__}"
models:
  lake:
    path: model
    environment: []
    holdout: {{path: holdout, key: id, label: y, cluster: none, time: none}}
    score: python score.py {{rows}} {{out}}
    batches: params.yaml:data.months
arrive:
  source: python source.py {{out}}
  corrected: params.yaml:collect.corrected
"""


def digest(text):
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


class Lake:
    """The clone, its server, the folder of deliveries."""

    def __init__(self, folder, git):
        self.folder, self.git, self.clone, self.bare = folder, git, folder / "lake", folder / "lake.git"
        self.place = folder / "deliveries"

    def write(self, name, text):
        (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
        (self.clone / name).write_text(text)

    def deliver(self, batch, text="1\n"):
        (self.place / f"{batch}.txt").write_text(text)

    def land(self, message="Work on it"):
        """What a person commits to the default branch."""
        self.git(self.clone, "add", "-A")
        self.git(self.clone, "commit", "-q", "--allow-empty", "-m", message)
        self.git(self.clone, "push", "-q", "local", "HEAD:refs/heads/main")
        return self.git(self.clone, "rev-parse", "HEAD")

    def settings(self, more="", **changed):
        """Other settings of `arrive`, landed."""
        text = (self.clone / "pushforward.yaml").read_text()
        for old, new in changed.items():
            text = text.replace(old, new)
        self.write("pushforward.yaml", text + more)
        self.land("Say how batches arrive")

    def arrive(self, *args, code=0):
        """Run the verb; what it printed on both streams."""
        result = CliRunner().invoke(main, ["arrive", *args], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    def json(self, *args, code=0):
        result = CliRunner().invoke(main, ["arrive", "--json", *args], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def branches(self):
        return self.git(self.bare, "for-each-ref", "--format=%(refname:short)", "refs/heads/").split()

    def diff(self, branch):
        """The lines that a branch takes out and puts in."""
        base = self.git(self.bare, "merge-base", "main", branch)
        lines = self.git(self.bare, "diff", "-U0", base, branch).splitlines()
        return [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]

    def merge(self, branch):
        """What a person does with a proposal that they take."""
        self.git(self.clone, "fetch", "-q", "local")
        self.git(self.clone, "merge", "-q", "--no-ff", "-m", "Merge it", f"local/{branch}")
        self.git(self.clone, "push", "-q", "local", "HEAD:refs/heads/main")


@pytest.fixture
def lake(tmp_path, git, monkeypatch):
    """What is pushed starts no run, as if a run had pushed."""
    monkeypatch.setenv("PUSHFORWARD_RUN", "a-run")
    made = Lake(tmp_path, git)
    made.place.mkdir()
    made.write(".dvc/config", "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n")
    (tmp_path / "store").mkdir()
    place = str(made.place)
    texts = {"dvc.yaml": DVC, "params.yaml": PARAMS.format(place=place), "source.py": SOURCE.format(place=place)}
    texts |= {"collect.py": COLLECT.format(place=place), "validate.py": VALIDATE, "pushforward.yaml": SETTINGS}
    texts |= {"all.py": "", "features.py": "", ".gitignore": "/raw\n/valid\n/features\n/rows.txt\n"}
    for name, text in texts.items():
        made.write(name, text)
    git(made.clone, "init", "-q")
    git(made.clone, "add", "-A")
    git(made.clone, "commit", "-q", "-m", "Begin")
    init(made.clone)
    git(made.clone, "push", "-q", "local", "HEAD:refs/heads/main")
    made.deliver("2020-01")
    made.deliver("2020-02")
    monkeypatch.chdir(made.clone)
    return made
