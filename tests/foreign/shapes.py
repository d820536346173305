"""Projects in shapes that are not ours: each is what a team has, and is judged through `repro`, `score` and `gate`."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from pushforward.commands.cli import main
from pushforward.gate.verdict import Verdict
from pushforward.git.repository import Repository
from pushforward.judge import handover, judged
from pushforward.pipeline import environment
from pushforward.pipeline.revision import model_digest, sha256
from pushforward.registry import tags as registry
from pushforward.report.markdown import markdown

REQUIREMENTS = Path(__file__).parent.parent.parent / "requirements"
LOCKS = ["run.txt", "data.txt", "test.txt"]  # what this interpreter was built from
DATA = 'data:\n  months: ["2020-01", "2020-02", "2020-03", "2020-04"]\n'


class Foreign:
    """A clone of a project whose files are `shape`, and what its pushes would do; without a server."""

    def __init__(self, folder, git, monkeypatch, shape):
        self.root, self._git, self._here = folder / "clone", git, monkeypatch
        self.root.mkdir()
        (folder / "store").mkdir()
        for name in LOCKS:
            shutil.copy(REQUIREMENTS / name, self.root)
        config = f"[core]\n    remote = s\n[cache]\n    type = copy\n['remote \"s\"']\n    url = {folder}/store\n"
        self.write({".dvc/config": config, ".dvc/.gitignore": "/cache\n/tmp\n", **shape})
        git(self.root, "init", "-q")
        if environment.at_hand() != environment.digest(Repository(self.root), self.commit("Begin"), LOCKS):
            pytest.skip("these tests run in an environment that the locks did not make")

    def write(self, shape):
        for name, text in shape.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def edit(self, name, old, new):
        text = (self.root / name).read_text()
        assert old in text
        self.write({name: text.replace(old, new)})
        return self.commit(f"Say {new.strip()[:40]}")

    def commit(self, message):
        self._git(self.root, "add", "-A")
        self._git(self.root, "commit", "-q", "--allow-empty", "-m", message)
        return self._git(self.root, "rev-parse", "HEAD")

    def invoke(self, *words, fails=False):
        """A verb in the clone; what it printed."""
        self._here.chdir(self.root)
        done = CliRunner().invoke(main, list(words))
        assert done.exit_code == 0 or fails, (words, done.output, done.exception)
        if done.exit_code:
            assert not done.exception or isinstance(done.exception, SystemExit), done.exception
        return done.output

    def answer(self, *options):
        """What the workflow of the pushed code does: train, and score."""
        return self.invoke("repro", "--push") + self.invoke("score", *options)

    def judge(self, *options):
        """Train, score and judge the commit at hand; its verdict and its report."""
        self.answer(*options)
        (self.root / "dvc.lock").unlink()
        return self.gate()

    def gate(self):
        head = self._git(self.root, "rev-parse", "HEAD")
        self.invoke("gate", "--head", head, "--event", "push", "--ref", "refs/heads/main", "--json")
        verdict, context, _ = judged.stored(self.root / "verdict")
        return verdict, markdown(verdict, context)

    def release(self, name):
        """Tag the commit at hand, with the lock of its run, as what was promoted."""
        for path, lock in handover.locks_in(self.handover).items():
            (self.root / path).write_bytes(lock)
        commit = self.commit("Lock")
        record = {"model": model_digest(self.handover / "model"), "commit": commit}
        self._git(self.root, "tag", "-a", "-m", registry.message(f"{name}: fine", record), name, commit)

    @property
    def handover(self):
        return self.root / "handover"

    @property
    def verdict(self):
        return Verdict.from_json((self.root / "verdict" / "verdict.json").read_bytes())

    @property
    def golden(self):
        return json.loads((self.root / "verdict" / "golden.json").read_text())


def digest(path):
    return sha256(path.read_bytes())


__all__ = ["DATA", "LOCKS", "Foreign", "digest", "handover"]
