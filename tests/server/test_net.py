"""Whatever dies after a push was taken: the pusher is told in a line, nothing is lost, and no traceback is seen."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pushforward.server import runs
from pushforward.server.init import write_hooks

pytestmark = pytest.mark.whole

SLOW = "sleep 3"


def processes(*words: str) -> list[int]:
    """The processes in whose command line are all of these words."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if all(word in line for word in words) and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def of(tiny, module: str) -> list[int]:
    """The processes of this test's own server that run a module: its copy of the tool is nobody else's."""
    mine = []
    for pid in processes("-m", f"pushforward.server.{module}"):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(tiny.server.bare) in environment:
            mine.append(pid)
    return mine


def wait(what: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def heard(push: subprocess.Popen[str]) -> list[str]:
    said = push.communicate(timeout=120)[0]
    assert "Traceback" not in said, said
    return [line.removeprefix("remote: ").rstrip() for line in said.splitlines()]


def begun(tiny, commit: str) -> bool:
    return bool(runs.running(tiny.server)) and runs.load(tiny.server, runs.key("push", commit)) is not None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_who_watches_is_killed_and_the_run_goes_on(tiny, number):
    commit = tiny.train(SLOW)
    push = tiny.leave("main")
    wait(lambda: begun(tiny, commit))
    (watcher,) = of(tiny, "post_receive")
    os.kill(watcher, number)
    said = heard(push)
    told = f"the push is taken, but the server could not go on: what tells of it was killed ({128 + number}), "
    assert f"{told}and runs go on without it" in said
    step = f"  next: pushforward check, then pushforward dispatch, on the server, which judges main {commit[:9]}; "
    assert f"{step}so does the next push after it" in said
    assert any(line.endswith("main -> main") for line in said)
    tiny.wait(lambda: tiny.reports(commit))
    assert [one["verdict"] for one in tiny.reports(commit)] == ["hold"]


@pytest.mark.parametrize("piece", ["coordinator", "run"])
def test_what_works_is_killed_and_the_run_is_brought_to_its_end(tiny, piece):
    commit = tiny.train(SLOW)
    push = tiny.leave("main")
    wait(lambda: begun(tiny, commit))
    lock = runs.lock(tiny.server, runs.key("push", commit))
    wait(lock.read_text)  # whose it is: the process of a run is a fork, and its words are the coordinator's
    every = of(tiny, "dispatch")
    run = [pid for pid in every if str(pid) == lock.read_text().partition(" ")[0]]
    (prey,) = run if piece == "run" else [pid for pid in every if pid not in run]
    os.kill(prey, signal.SIGKILL)
    assert "  JUDGED" in heard(push)
    assert [one["verdict"] for one in tiny.reports(commit)] == ["hold"]


def test_all_is_killed_at_once_and_the_next_push_takes_it_up(tiny):
    commit = tiny.train(SLOW)
    push = tiny.leave("main")
    wait(lambda: begun(tiny, commit))
    for pid in (*of(tiny, "post_receive"), *of(tiny, "dispatch")):
        os.kill(pid, signal.SIGKILL)
    assert any("so does the next push after it" in line for line in heard(push))
    tiny.wait(tiny.idle)
    assert tiny.reports(commit) == []
    tiny.branch("idea")
    tiny.push("idea")
    tiny.wait(lambda: tiny.reports(commit))
    assert [one["verdict"] for one in tiny.reports(commit)] == ["hold"]


def break_module(tiny, name: str, text: str) -> None:
    path = tiny.server.folder / "lib" / "pushforward" / name
    path.write_text(text)
    for old in path.parent.glob(f"__pycache__/{path.stem}.*"):
        old.unlink()


@pytest.mark.parametrize(
    ("module", "text", "why"),
    [
        ("server/runs.py", "def cut(", "the server's copy of the tool is damaged, or its environment"),
        ("server/post_receive.py", "import no_such_module", "the server's copy of the tool is damaged, or its env"),
        ("text.py", "raise SystemExit(3)", "the server's copy of the tool is damaged, or its environment"),
    ],
)
def test_a_copy_that_cannot_be_started_is_told_and_the_next_init_and_push_judge_all(tiny, module, text, why):
    break_module(tiny, module, text)
    commit = tiny.commit()
    push = tiny.leave("main")
    said = heard(push)
    assert any(line.startswith(f"the push is taken, but the server could not go on: {why}") for line in said)
    assert any(f"then pushforward dispatch, on the server, which judges main {commit[:9]};" in line for line in said)
    assert push.returncode == 0
    from pushforward.server.init import renew

    list(renew(tiny.server))
    tiny.branch("idea")
    tiny.push("idea")
    tiny.wait(lambda: tiny.reports(commit))


def test_a_dispatcher_that_cannot_work_says_why_and_the_next_one_does(tiny):
    broken = "raise PermissionError(13, 'Permission denied', '/srv/secret/store.git/x')\n"
    module = tiny.server.folder / "lib" / "pushforward" / "server" / "recover.py"
    whole = module.read_text()
    break_module(
        tiny, "server/recover.py", whole.replace("def server(", f"def server(*_):\n    {broken}\n\ndef server_(")
    )
    commit = tiny.commit()
    said = heard(tiny.leave("main"))
    assert "the dispatcher ended before this run did: x: Permission denied; the next push takes " in " ".join(said)
    assert not any("/srv" in line for line in said)
    assert "  next: pushforward check, then pushforward dispatch, on the server" in said
    break_module(tiny, "server/recover.py", whole)
    tiny.branch("idea")
    tiny.push("idea")
    tiny.wait(lambda: tiny.reports(commit))
    tiny.wait(tiny.idle)
    assert not (tiny.server.folder / "dispatch.fault").exists()


def test_a_policy_that_is_killed_takes_nothing_and_says_so(tiny):
    break_module(tiny, "policy/hook.py", "import os\n\ndef main():\n    os.kill(os.getpid(), 9)\n")
    before = tiny.git("ls-remote", "local", "main")
    tiny.commit()
    push = tiny.leave("main")
    assert "pushforward: the policy was killed (137); nothing of this push was taken" in heard(push)
    assert push.returncode != 0
    assert tiny.git("ls-remote", "local", "main") == before


@pytest.mark.parametrize("gone", ["python", "git", "log"])
def test_what_is_gone_is_named_and_no_path_of_the_server(tiny, gone):
    if gone == "python":
        path = tiny.server.folder / "server.json"
        path.write_text(path.read_text().replace(str(tiny.server.python), "/opt/gone/python"))
        words = "python: No such file or directory"
    elif gone == "log":
        (tiny.server.folder / "dispatch.log").unlink(missing_ok=True)
        (tiny.server.folder / "dispatch.log").mkdir()
        words = "dispatch.log: Is a directory"
    else:
        break_module(tiny, "server/pending.py", "def starts_a_run(*_):\n    raise FileNotFoundError(2, 'x', 'git')\n")
        tiny.git("tag", "x")
        words = "git is not installed, or not on its path"
    commit = tiny.commit()
    said = heard(tiny.leave("main", *(["x"] if gone == "git" else [])))
    assert f"the push is taken, but the server could not go on: {words}" in said
    assert any(f"which judges main {commit[:9]}" in line for line in said)
    assert not any(str(tiny.server.folder) in line for line in said)


def test_hooks_are_the_same_whoever_writes_them(tiny):
    write_hooks(tiny.server)
    for name in ("pre-receive", "post-receive"):
        text = Path(tiny.server.bare, "hooks", name).read_text()
        assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0
        assert max(map(len, text.splitlines())) < 250
