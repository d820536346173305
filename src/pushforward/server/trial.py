"""A whole run of a server, tried: a small project is pushed to a server like it, which trains, scores and judges it."""

import json
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from pushforward import __version__, durable, files
from pushforward.git.repository import Repository
from pushforward.git.server import FOLDER, Server, hooks
from pushforward.pipeline import environment
from pushforward.pipeline.revision import Revision
from pushforward.project import sample
from pushforward.report import notes
from pushforward.server import init
from pushforward.server.finding import Finding
from pushforward.server.runs import COORDINATOR

KIND = "trial"
PREFIX = "trial-"
REST_SECONDS = 10.0
DIED = re.compile(r"[A-Z]\w*(Error|Exception): ")
WRONG = ("error", "pushforward: ", "fatal: ", "exec: ", "bash: ", "/", "! ", "✗ ")


def run(made: Server, head: str, *, say: Callable[[str], None]) -> Iterator[Finding]:
    """Whether hook, dispatcher, act, jail, stages and judge of a server work: where it lies, with what it runs on.

    Nothing of the server itself is moved: the scratch server has refs, keys and a store of its own, and its folder
    goes. `head` is the commit whose environment is used.
    """
    repository = made.repository
    revision = Revision(repository, head)
    alone = not environment.carried(repository, head)  # a project apart from the tool: its locks hold no tool
    wanted = [] if alone else revision.settings.environment
    python = Path(made.python) if alone else _python(made, revision.environment)
    if python is None:
        told = f"not tried: the environment that {head[:9]} locks is not built yet; a push builds it"
        yield Finding("run", False, told, f"git push local {made.default_branch}", optional=True)
        return
    for old in made.folder.glob(f"{PREFIX}*"):
        shutil.rmtree(old, ignore_errors=True)  # of a check that was killed
    say("pushing a small project through a whole run, beside the server")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=made.folder, ignore_cleanup_errors=True) as folder:
        clone = _project(Path(folder) / "project", repository, head, wanted, made.folder / "lib" / FOLDER)
        like = _server(clone, made, python)
        pushed = Repository(clone).remote("push", "local", "main", check=False)
        said = pushed.stderr.decode("utf-8", "replace") + _dispatched(like)
        verdict = _verdict(like.repository, Repository(clone).commit("HEAD"))
        _rest(like)
    seconds = time.monotonic() - began
    if verdict == "promote":
        yield Finding("run", True, f"a small project was trained, scored and judged in {seconds:.0f} s")
        return
    log = _kept(made, said)
    told = f"a small project came to {verdict or 'no verdict'}: {_reason(said)}"
    yield Finding("run", False, told, f"less {shlex.quote(str(log))}")


def _rest(server: Server) -> None:
    """Wait for what the small server still tidies up after its answer, or its folder could not be removed whole."""
    end = time.monotonic() + REST_SECONDS
    while durable.held(server.folder / COORDINATOR) and time.monotonic() < end:
        time.sleep(0.05)


def _python(made: Server, digest: str) -> Path | None:
    """The interpreter of the server, or the one that it has built, whichever has the locked environment."""
    built = files.place(made.folder, f"environments/{digest[:16]}") / "bin" / "python"
    for python in (Path(made.python), built):
        stamp = python.parent.parent / environment.STAMP
        if stamp.is_file() and stamp.read_text().strip() == digest and (python.parent / "act").exists():
            return python
    return None


def _project(clone: Path, repository: Repository, head: str, wanted: list[str], tool: Path) -> Path:
    """A clone with the small project in one commit; its environment is that of `head`, its tool the server's copy."""
    clone.mkdir()
    values = {"version": __version__, "environment": json.dumps(wanted), "store": "../../store"}
    for path, content in sample.render(KIND, values).items():
        files.write(clone, path, content)
    files.check(tool, "")
    shutil.copytree(tool, clone / "src" / FOLDER, ignore=shutil.ignore_patterns("__pycache__"))
    for path in wanted:
        files.write(clone, path, repository.read_plain(head, path) or b"")
    sample.commit(sample.begin(clone), ["."], "Try a whole run", now=int(time.time()))
    return clone


def _server(clone: Path, made: Server, python: Path) -> Server:
    """A server of the clone with the settings, the interpreter and the copy of the tool that `made` has."""
    like = replace(init.init(clone, trust=made.trust), python=str(python))
    like.save()
    lib = like.folder / "lib" / FOLDER
    shutil.rmtree(lib)
    shutil.copytree(made.folder / "lib" / FOLDER, lib)
    for name, text in hooks(like).items():
        (Path(like.bare) / "hooks" / name).write_text(text)
    return like


def _verdict(repository: Repository, commit: str) -> str:
    """What the note of a commit says."""
    found = notes.read(repository, commit)
    return str(found[0].verdict.get("verdict", "")) if found else ""


def _dispatched(server: Server) -> str:
    """What the dispatcher says, which the pusher does not see: why it died."""
    log = server.folder / "dispatch.log"
    return log.read_text(errors="replace") if log.is_file() else ""


def _reason(said: str) -> str:
    """What the pusher was told first of what is wrong, the cause before the verdict; else the last line."""
    lines = [line.removeprefix("remote:").strip() for line in said.splitlines()]
    lines = [line for line in lines if line]
    wrong = [line for line in lines if DIED.match(line)]
    wrong += [line for start in WRONG for line in lines if line.startswith(start)]
    return (wrong or lines[-1:] or ["nothing was said"])[0][:200]


def _kept(made: Server, said: str) -> Path:
    """What the pusher was told, in a file for whoever mends it."""
    path = made.folder / "trial.log"
    path.write_text(said)
    return path
