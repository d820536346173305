"""A server whose workflows are a line of shell each: real git, real hooks, real act, no pipeline."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.once import copied, made_once

from pushforward.gate import verdict as verdicts
from pushforward.git.server import Server
from pushforward.judge import recorded
from pushforward.report import note, notes
from pushforward.server import runs
from pushforward.server.init import init

ROOT = Path(__file__).parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
TRAIN = """
name: train
on:
  push: {{branches: [main], paths-ignore: ["**.md"]}}
  pull_request: {{branches: [main]}}
concurrency:
  group: train-${{{{ github.event_name == 'push' && github.sha || github.ref }}}}
  cancel-in-progress: ${{{{ github.event_name == 'pull_request' }}}}
jobs:
  train:
    runs-on: ubuntu-latest
    steps:
      - name: train
        shell: bash
        run: |
          mkdir "$PUSHFORWARD_ARTIFACTS/train" && echo '{{}}' >"$PUSHFORWARD_ARTIFACTS/train/run.json"
          {script}
"""
JUDGE = """
name: judge
on:
  workflow_run: {{workflows: [train], types: [completed]}}
jobs:
  judge:
    runs-on: ubuntu-latest
    steps:
      - name: judge
        shell: bash
        env:
          MARKDOWN: {markdown}
          VERDICT: {verdict}
        run: |
          mkdir "$PUSHFORWARD_ARTIFACTS/verdict" && cd "$PUSHFORWARD_ARTIFACTS/verdict"
          printf '%s\\n' "$MARKDOWN" >report.md; echo '  JUDGED' >report.txt; printf '%s\\n' "$VERDICT" >verdict.json
          {script}
"""


def train(script: str = ":") -> str:
    """A train.yml whose step does `script` (one line)."""
    return TRAIN.format(script=script)


def judge(script: str = ":", verdict: str = "hold") -> str:
    """A judge.yml that finds every commit the same."""
    word = verdicts.Verdict(verdict, "as it is told to find", "superior", "logloss", {}, event="push")  # type: ignore[arg-type]
    markdown, told = recorded.report(word, note.Context()).text, word.to_json()
    return JUDGE.format(markdown=json.dumps(markdown), verdict=json.dumps(told), script=script)


@dataclass
class Tiny:
    """A clone and its server."""

    clone: Path
    server: Server

    def git(self, *args: str, check: bool = True, **env: str) -> str:
        """Run git in the clone; both streams as text."""
        done = subprocess.run(
            ["git", "-C", str(self.clone), *args], capture_output=True, text=True, env=os.environ | env, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return (done.stdout + done.stderr).strip()

    def commit(self, files: dict[str, str] | None = None, message: str = "Change") -> str:
        """Commit `files`; the commit."""
        for name, text in (files or {"word.txt": f"{time.monotonic_ns()}\n"}).items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def train(self, script: str, message: str = "Change") -> str:
        """Commit a training that is `script`."""
        return self.commit({".github/workflows/train.yml": train(script)}, message)

    def branch(self, name: str, script: str = ":") -> str:
        """A branch off main with a training of its own; its commit."""
        self.git("switch", "-q", "-c", name, "main")
        return self.train(script, f"Try {name}")

    def push(self, *args: str, check: bool = True) -> str:
        """Push and wait; what the pusher saw."""
        said = self.git("push", "local", *args, check=check)
        return "\n".join(line.removeprefix("remote: ").rstrip() for line in said.splitlines())

    def leave(self, *args: str) -> subprocess.Popen[str]:
        """Push and do not wait."""
        command = ["git", "-C", str(self.clone), "push", "local", *args]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def lose(self, *refs: str) -> None:
        """Push past the hooks, as a client that dies before they start."""
        self.git("push", "-f", "--receive-pack=git -c core.hooksPath=/dev/null receive-pack", "local", *refs)

    def pushforward(self, *args: str, check: bool = True) -> str:
        """Run the command in the clone."""
        env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        command = [str(PYTHON.parent / "pushforward"), *args]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.clone, env=env, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def reports(self, commit: str) -> list[dict[str, object]]:
        """The verdicts in the note of a commit."""
        return [dict(one.verdict) for one in notes.read(self.server.repository, commit)]

    def reason(self, commit: str) -> str:
        """Why the one verdict of a commit is what it is."""
        (header,) = self.reports(commit)
        return str(header["reason"])

    def run(self, commit: str) -> runs.Run:
        """The run of a commit."""
        return runs.named(self.server, commit)

    def wait(self, what: Callable[[], object], seconds: float = 60) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, (self.server.folder / "dispatch.log").read_text()
            time.sleep(0.05)

    def idle(self) -> bool:
        """Whether nothing is at work."""
        from pushforward.server import post_receive as receive

        return not receive.busy(self.server) and not runs.running(self.server)


def make(folder: Path) -> Tiny:
    """A clone and a server that has judged nothing yet."""
    made = Tiny(folder / "tiny", Server("", "", "", "", ""))
    made.clone.mkdir(parents=True)
    for name in ("pushforward.yaml", "params.yaml"):
        shutil.copy(ROOT / "tests" / "toy" / name, made.clone)
    shutil.copytree(ROOT / "requirements", made.clone / "requirements")
    made.git("init", "-q", "-b", "main")
    made.git("config", "user.name", "Ann")
    made.git("config", "user.email", "ann@example.org")
    dvc = "[core]\n    remote = s\n['remote \"s\"']\n    url = ../../store\n"
    files = {".dvc/config": dvc, ".github/workflows/train.yml": train(), ".github/workflows/judge.yml": judge()}
    made.commit(files, "Begin")
    return _with_server(made)


def copy(source: Path, folder: Path) -> Tiny:
    """The clone and the server that `make` has made in `source`, in a folder of their own."""
    folder.mkdir(exist_ok=True)
    copied(source, folder, "tiny", "tiny.git", "store")
    made = Tiny(folder / "tiny", Server("", "", "", "", ""))
    made.git("remote", "set-url", "local", str(folder / "tiny.git"))
    return _with_server(made)


def _with_server(made: Tiny) -> Tiny:
    server = init(made.clone)
    path = server.folder / "server.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"python": str(PYTHON)}))
    made.server = Server.load(Path(server.bare))
    return made


def _judge_first(folder: Path) -> None:
    made = make(folder)
    assert "JUDGED" in made.push("main")
    made.wait(made.idle)


@pytest.fixture(scope="session")
def tiny_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server whose first commit is judged; made once, to be copied."""
    return made_once(tmp_path_factory, "tiny", _judge_first)


@pytest.fixture
def tiny(tiny_template: Path, tmp_path: Path) -> Tiny:
    """A server whose first commit is judged."""
    return copy(tiny_template, tmp_path)
