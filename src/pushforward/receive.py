"""The post-receive hook: start the dispatcher in a session of its own, and let the pusher watch.

Run by git in the bare repository. Whoever dies here, the run goes on: what is to be done is derived from refs.
"""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from pushforward.git import NOTES, ZERO
from pushforward.init import Server
from pushforward.process import clean_environment, index_environment

POLL_SECONDS = 0.05
LOCK = "dispatch.lock"
CURRENT = "current"
LOG = "report.log"
DONE = "done"


def key(event: str, commit: str) -> str:
    """The name of a run's folder."""
    return f"{event}-{commit}"


def start(server: Server) -> subprocess.Popen[bytes]:
    """Start a dispatcher that outlives the pusher; it waits for the one at work and ends when nothing is left."""
    log = server.folder / "dispatch.log"
    with log.open("ab") as sink:
        return subprocess.Popen(
            [server.python, "-m", "pushforward.dispatch", server.bare],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd="/",
            env=clean_environment(index_environment() | {"PYTHONPATH": str(server.folder / "lib")}),
            start_new_session=True,
        )


def busy(server: Server) -> bool:
    """Whether a dispatcher is at work."""
    with (server.folder / LOCK).open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def follow(server: Server, event: str, commit: str, worker: subprocess.Popen[bytes]) -> None:
    """Print the log of a run as it grows, until the run is done or nobody works on it any more."""
    folder = server.folder / "runs" / key(event, commit)
    position, told, since = 0, False, time.monotonic()
    while True:
        finished = (folder / DONE).exists()
        position = _print_from(folder / LOG, position)
        if finished:
            return
        if not told and position == 0 and time.monotonic() - since > 1:
            current = server.folder / CURRENT
            ahead = current.read_text() if current.exists() else ""
            if ahead and ahead != key(event, commit):
                kind, _, other = ahead.partition("-")
                print(f"queued: {other[:9]} ({kind}) is being judged", flush=True)
                told = True
        if worker.poll() is not None and not busy(server) and not (folder / DONE).exists():
            print(_why_not(server, commit, worker.returncode), flush=True)
            return
        time.sleep(POLL_SECONDS)


def _why_not(server: Server, commit: str, status: int) -> str:
    """Why a dispatcher has ended without a run of this commit."""
    repository = server.repository
    if repository.git("notes", f"--ref={NOTES}", "list", commit, check=False).returncode == 0:
        return f"{commit[:9]} is judged already\n  next: git fetch local && pushforward report {commit[:9]}"
    if repository.resolve(server.default_branch) is None:
        branch = server.default_branch
        return f"there is no {branch} to compare with yet\n  next: git push local {branch}"
    if status == 0 and not repository.git("for-each-ref", f"--points-at={commit}", "refs/heads").text:
        return f"the branch has moved on before the turn of {commit[:9]} came"
    return (
        "the dispatcher ended before this run did; the next push takes it up again\n"
        f"  its log: {server.folder / 'dispatch.log'}"
    )


def _print_from(log: Path, position: int) -> int:
    if not log.exists():
        return position
    with log.open("rb") as handle:
        handle.seek(position)
        text = handle.read()
    whole = text.rpartition(b"\n")[0]
    if not whole:
        return position
    sys.stdout.write(whole.decode("utf-8", "replace") + "\n")
    sys.stdout.flush()
    return position + len(whole) + 1


def main() -> int:
    """Follow the runs of the branches that one push moved."""
    updates = [line.split() for line in sys.stdin]
    if os.environ.get("PUSHFORWARD_RUN"):
        return 0  # pushed by a run: it must not start another
    server = Server.load(Path(os.environ.get("GIT_DIR", ".")).resolve())
    branches = [(new, ref) for _, new, ref in updates if ref.startswith("refs/heads/") and new != ZERO]
    worker = start(server)  # whatever was pushed: an earlier push may still wait for its verdict
    default = f"refs/heads/{server.default_branch}"
    try:
        for new, ref in sorted(branches, key=lambda branch: branch[1] != default):
            follow(server, "push" if ref == default else "pull_request", new, worker)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(0)  # the pusher left; the run goes on
    return 0


if __name__ == "__main__":
    sys.exit(main())
