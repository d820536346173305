"""A team: a clone of a small project, its server, and what a pusher sees."""

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.once import copied, made_once

from pushforward import __version__, durable
from pushforward.gate.verdict import Digests, Verdict, invalid
from pushforward.git.repository import Repository
from pushforward.git.server import FOLDER, START, Server
from pushforward.judge import passed
from pushforward.registry import tags as registry
from pushforward.registry.tags import Level, Registry
from pushforward.release.promote import Passed, Promotion, promote
from pushforward.release.release import release
from pushforward.server.init import init
from pushforward.server.runs import COORDINATOR

ROOT = Path(__file__).parent.parent
TOY = ROOT / "tests" / "toy"
PYTHON = ROOT / ".venv" / "bin" / "python"
SETTINGS = (TOY / "pushforward.yaml").read_text()
CONFIG = "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"


def make_toy(folder: Path) -> None:
    """The toy project as a git repository, with this project's own workflows."""
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "gitignore").rename(folder / ".gitignore")
    (folder / ".dvc").mkdir()
    (folder / "dvcconfig").rename(folder / ".dvc" / "config")
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / ".dvcignore").write_text(".gitignore\n")
    (folder / "data").mkdir()
    (folder / "data" / "keep").touch()
    # it names no source of batches, and has no workflow that would ask one every hour
    beside = shutil.ignore_patterns("arrive.yml")
    for part in (".github", "requirements"):
        shutil.copytree(ROOT / part, folder / part, ignore=beside)
    # with what Python has compiled of it, which git ignores there: the clone's own commands are these files
    shutil.copytree(ROOT / "src" / "pushforward", folder / "src" / "pushforward")
    shutil.copy(ROOT / "Makefile", folder)


def make_clone(folder: Path, git: Callable[..., str], config: str = CONFIG) -> Path:
    """A project of nothing but settings, as one commit: all that a server is made of."""
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text(config)
    (folder / "pushforward.yaml").write_text(SETTINGS)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder


@dataclass
class Team:
    """A clone and its server."""

    clone: Path
    bare: Path

    def git(self, *args: str, check: bool = True) -> str:
        """Run git in the clone; both streams as text."""
        done = subprocess.run(["git", "-C", str(self.clone), *args], capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def commit(self, name: str, old: str, new: str, message: str) -> str:
        """Change a text in a file and commit."""
        path = self.clone / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        self.git("commit", "-q", "-am", message)
        return self.head()

    def head(self) -> str:
        """The commit at hand."""
        return self.git("rev-parse", "HEAD").strip()

    def push(self, branch: str = "main") -> str:
        """Push to the server and wait; what the pusher saw."""
        return self.git("push", "local", branch)

    def rest(self) -> None:
        """Wait for what the server still tidies up after its answer: a copy of it must not meet half a file."""
        with durable.locked(self.bare / FOLDER / COORDINATOR):
            pass

    def pushforward(self, *args: str, check: bool = True) -> str:
        """Run the command in the clone."""
        command = [str(PYTHON.parent / "pushforward"), *args]
        env = os.environ | {"PYTHONPATH": str(self.clone / "src")}
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.clone, env=env, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def note(self, commit: str) -> str:
        """The note of a commit on the server."""
        return subprocess.run(
            ["git", "-C", str(self.bare), "notes", "--ref=refs/notes/pushforward", "show", commit],
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    def tags(self) -> list[str]:
        """The tags of the server."""
        done = subprocess.run(["git", "-C", str(self.bare), "tag"], capture_output=True, text=True, check=True)
        return done.stdout.split()

    def pushforward_fetched(self, *args: str) -> str:
        """Run the command in the clone after `git fetch`."""
        self.git("fetch", "-q", "--tags", "local")
        return self.pushforward(*args)

    @property
    def python(self) -> Path:
        """The interpreter of the server."""
        return PYTHON


def make_team(folder: Path, shape: Mapping[str, str] | None = None) -> Team:
    """A clone of the toy project, or of one with the files of `shape`, with a server made by `pushforward init`."""
    made = Team(folder / "toy", folder / "toy.git")
    make_toy(made.clone)
    if shape is not None:
        shutil.rmtree(made.clone / "src" / "toy")
        (made.clone / "params.yaml").unlink()
        for name, text in shape.items():
            (made.clone / name).parent.mkdir(parents=True, exist_ok=True)
            (made.clone / name).write_text(text)
    made.git("init", "-q", "-b", "main")
    made.git("config", "user.name", "Ann")
    made.git("config", "user.email", "ann@example.org")
    made.git("add", "-A")
    made.git("commit", "-q", "-m", "Begin")
    made.pushforward("init")
    return made


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a team that has a first version; made once, to be copied, also by the other workers."""
    return made_once(tmp_path_factory, "template", _push_first_version)


def _push_first_version(folder: Path) -> None:
    made = make_team(folder)
    said = made.push()
    assert "toy@v1.0.0" in said, said
    made.rest()


@pytest.fixture(scope="session")
def first_version(template: Path) -> Callable[..., Team]:
    """Gives a team whose first version is tagged, in a folder of its own; a copy of another team where one is named."""

    def copy(folder: Path, source: Path = template) -> Team:
        copied(source, folder, "toy", "toy.git", "store")
        made = Team(folder / "toy", folder / "toy.git")
        made.git("remote", "set-url", "local", str(made.bare))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "executable", str(PYTHON))  # which the server keeps
            init(made.clone)
        made.git("fetch", "-q", "--tags", "local")
        return made

    return copy


@pytest.fixture(scope="session")
def second_version(first_version: Callable[..., Team], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a team with a second version, judged against the first; made once, only to be read or copied."""

    def make(folder: Path) -> None:
        made = first_version(folder)
        made.commit("params.yaml", "buckets: 2", "buckets: 6", "Use six buckets")
        said = made.push()
        assert "toy@v1.1.0" in made.tags(), said
        made.git("fetch", "-q", "--tags", "local")
        made.rest()

    return made_once(tmp_path_factory, 'it\'s "our"\t{team} #1 é', make)


@pytest.fixture
def promoted(first_version: Callable[..., Team], tmp_path: Path) -> Team:
    """A team whose first version is tagged."""
    return first_version(tmp_path)


MODEL_SETTINGS = f"""\
tool: "{__version__}"
models:
  toy:
    path: model
    environment: [lock.txt]
    holdout: {{path: data/holdout, key: id, label: y, cluster: date, time: at}}
    score: python -m toy.predict {{rows}} {{events}} {{out}}
    batches: params.yaml:data.months
"""
MONTHS = """\
data:
  months: ["2020-01", "2020-02", "2020-03", "2020-04"]
"""
CI, ANN = "pushforward@localhost", "ann@example.org"
GOLDEN = b'{"schema":1,"key":"id","rows":[]}'


class Hub:
    """A bare repository with the real policy hook, its keys and its store; clones push to it as `origin`.

    Models are made without training: `commit` writes one into the store and its lock into the commit.
    """

    def __init__(self, folder: Path, git: Callable[..., str], source: "Hub | None" = None) -> None:
        self.folder, self.git = folder, git
        self.bare, self.clone, self.store = folder / "hub.git", folder / "clone", folder / "store"
        self.keys = {who: folder / "keys" / who for who in (CI, ANN)}
        self.token, self.manifest = "secret", b"{}"
        self.said: list[str] = []
        if source is not None:
            self._copy(source)
            return
        for who in self.keys:
            self._key(who)
        self._make_bare()
        self.clone.mkdir()
        git(self.clone, "init", "-q")
        git(self.clone, "remote", "add", "origin", str(self.bare))
        self.write(".dvc/config", "[core]\n    remote = s\n['remote \"s\"']\n    url = ../../store\n")
        self.write("lock.txt", f"polars==2.1.0 --hash=sha256:{'0' * 64}\n")
        self.write("pushforward.yaml", MODEL_SETTINGS)
        self.write("params.yaml", MONTHS)
        self.person(self.clone, ANN)
        self.commit("b", "Begin")

    def write(self, name: str, text: str) -> None:
        """A file of the clone."""
        path = self.clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def person(self, clone: Path, email: str) -> None:
        """Whose clone it is, and what they sign with."""
        name = email.partition("@")[0].title()
        settings = {"user.name": name, "user.email": email, "gpg.format": "ssh", "user.signingkey": self.key_of(email)}
        for key, value in settings.items():
            self.git(clone, "config", key, value)

    def key_of(self, email: str) -> str:
        """The file of a person's public key."""
        return str(self.folder / "keys" / f"{email}.pub")

    def trust(self, email: str, may: str) -> None:
        """Trust a new key of somebody."""
        self.keys[email] = self._key(email)
        with (self.bare / "pushforward" / "allowed_signers").open("a") as handle:
            handle.write(self._line(email, may))

    def model(self, content: str) -> tuple[bytes, dict[str, str]]:
        """Put a model into the store: its dvc.lock, and the digests that a verdict names."""
        files = {"manifest.json": self.manifest, "model.json": content.encode()}
        listed = [{"md5": self._stored(text), "relpath": name} for name, text in sorted(files.items())]
        listing = self._stored(json.dumps(listed).encode(), ".dir")
        size = sum(len(text) for text in files.values())
        lock = (
            "schema: '2.0'\nstages:\n  train:\n    cmd: train\n    outs:\n    - path: model\n      hash: md5\n"
            f"      md5: {listing}\n      size: {size}\n      nfiles: 2\n"
        ).encode()
        return lock, {name.partition(".")[0]: hashlib.sha256(text).hexdigest() for name, text in files.items()}

    def commit(self, model: str, message: str = "Train", *, honest: bool = True) -> str:
        """A commit on main, pushed; its lock is the one of `model` unless it is not `honest`."""
        self.write("dvc.lock", self.model(model)[0].decode() if honest else "schema: '2.0'\n")
        self.git(self.clone, "add", "-A")
        self.git(self.clone, "commit", "-q", "--allow-empty", "-m", message)
        self.git(self.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
        return self.git(self.clone, "rev-parse", "HEAD")

    def judge(self, commit: str, model: str, reason: str = "log loss falls") -> Verdict:
        """A verdict that passes `model` at `commit`, recorded as the gate does."""
        verdict = self.judge_as(commit, model, reason)
        passed.record(self.clone, verdict)
        return verdict

    def judge_as(self, commit: str, model: str, reason: str = "log loss falls") -> Verdict:
        """The same, and nobody has recorded it."""
        lock, found = self.model(model)
        params = hashlib.sha256((self.clone / "params.yaml").read_bytes()).hexdigest()
        lock_digest = hashlib.sha256(lock).hexdigest()
        digests = Digests(found["model"], found["manifest"], "d" * 64, lock_digest, params, "e" * 64)
        return replace(
            invalid(reason),
            verdict="promote",
            commit=commit,
            base=commit,
            event="push",
            ref="refs/heads/main",
            digests=digests,
        )

    def promote(self, model: str, level: Level = "minor", *, clone: Path | None = None) -> Promotion:
        """Judge `model` at the commit of a clone and promote it, with the key and the token of a run."""
        clone = clone or self.clone
        verdict = self.judge(Repository(clone).commit("HEAD"), model)
        with self.run():
            return self.promote_verdict(verdict, model, level, clone=clone)

    def promote_verdict(
        self, verdict: Verdict, model: str, level: Level = "minor", *, clone: Path | None = None
    ) -> Promotion:
        """Promote what a verdict has passed; inside of `run`."""
        lock = self.model(model)[0]
        return promote(
            clone or self.clone, Passed(verdict, level, GOLDEN), {"dvc.lock": lock}, {}, say=self.said.append
        )

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """The environment of a run's last step."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PUSHFORWARD_TOKEN", self.token)
            patch.setenv("PUSHFORWARD_SIGNING_KEY", self.keys[CI].read_text())
            yield

    def another(self, name: str) -> Path:
        """One more clone."""
        self.git(self.folder, "clone", "-q", str(self.bare), name)
        self.person(self.folder / name, ANN)
        return self.folder / name

    def known(self) -> Registry:
        """The registry of the bare repository."""
        return registry.fold("toy", Repository(self.bare).refs(*registry.PLACES))

    def record(self, tag: str) -> dict[str, Any]:
        """The record in a tag of the bare repository."""
        return registry.record(self.git(self.bare, "cat-file", "tag", f"refs/tags/{tag}"))

    def file(self, version: str, name: str) -> bytes:
        """A file that belongs to a version."""
        content = Repository(self.bare).read("refs/pushforward/registry", f"versions/{version}/{name}")
        assert content is not None
        return content

    def _copy(self, source: "Hub") -> None:
        for name in ("hub.git", "clone", "store", "keys"):
            shutil.copytree(source.folder / name, self.folder / name)
        self._configure()
        self.git(self.clone, "remote", "set-url", "origin", str(self.bare))
        self.person(self.clone, ANN)

    def _configure(self) -> None:
        Server(str(self.bare), sys.executable, str(self.store), "s", "hub").save()

    def _make_bare(self) -> None:
        self.git(self.folder, "init", "-q", "--bare", "-b", "main", str(self.bare))
        self.git(self.bare, "config", "--add", "receive.hideRefs", "refs/pushforward")
        self.git(self.bare, "config", "--add", "receive.hideRefs", "!refs/pushforward/registry")
        hook = self.bare / "hooks" / "pre-receive"
        hook.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S -c {shlex.quote(START)} {ROOT / 'src'}\n")
        hook.chmod(0o755)
        own = self.bare / "pushforward"
        own.mkdir()
        self.store.mkdir()
        (own / "token").write_text(f"{self.token}\n")
        self._configure()
        known = {"model": "toy", "environments": {"staging": "auto", "production": "manual"}, "reads": []}
        (own / "registry.json").write_text(json.dumps(known))
        (own / "allowed_signers").write_text(self._line(CI, "version") + self._line(ANN, "any"))
        (own / "allowed_signers").chmod(0o644)

    def _line(self, email: str, may: str) -> str:
        kind, body, *_ = Path(self.key_of(email)).read_text().split()
        return f'{email} namespaces="git,pushforward" {kind} {body} may={may}\n'

    def _key(self, who: str) -> Path:
        path = self.folder / "keys" / who
        path.parent.mkdir(exist_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
        subprocess.run(command, check=True)
        return path

    def _stored(self, content: bytes, suffix: str = "") -> str:
        oid = hashlib.md5(content, usedforsecurity=False).hexdigest() + suffix
        path = self.store / "files" / "md5" / oid[:2] / oid[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return oid


def _git(folder: Path, *args: str) -> str:
    """Git for what outlives a test, and its home."""
    command = ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run([*command, "-C", str(folder), *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    """A hub with one commit on main; made once, to be copied."""
    return Hub(tmp_path_factory.mktemp("begun"), _git)


@pytest.fixture
def hub(begun: Hub, tmp_path: Path, git: Callable[..., str]) -> Hub:
    """A bare repository with the policy hook, one clone and one commit on main."""
    return Hub(tmp_path, git, begun)


@pytest.fixture(scope="session")
def released(begun: Hub, tmp_path_factory: pytest.TempPathFactory) -> Hub:
    """A hub whose v1.0.0, v1.1.0 and v1.2.0 were in production one after the other; made once, to be copied."""
    made = Hub(tmp_path_factory.mktemp("released"), _git, begun)
    for model in ("one", "two", "three"):
        made.commit(model)
        made.promote(model)
    for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
        release(made.clone, version)
    return made


@pytest.fixture
def three(released: Hub, tmp_path: Path, git: Callable[..., str]) -> Hub:
    """A hub whose v1.0.0, v1.1.0 and v1.2.0 were in production one after the other."""
    return Hub(tmp_path, git, released)
