"""News of a program beside a clone, as `pushforward serve` is: put on disk, and sent by a process of its own.

Whom and of what, the default branch that counts says. Of a server on this machine its own messages and addresses are
used; of any other the addresses are variables of the program, and what waits is in the person's cache. `commands.serve`
calls; whatever fails here is a line of the program's.
"""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from pushforward.errors import PushforwardError
from pushforward.git import remote
from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.notify.asked import asked
from pushforward.notify.news import News
from pushforward.notify.spool import Spool
from pushforward.pipeline import environment
from pushforward.pipeline.revision import Revision
from pushforward.registry import authority
from pushforward.server import post_receive, telling

EVENT = "serving"


def tell(root: Path, say: Callable[[str], None], title: str, text: str, then: str) -> None:
    """Have told what happened to a version that serves; who calls does not wait for whoever is told."""
    try:
        there = remote.authority(Repository(root))
        folder = there.folder if there and there.is_server else root if remote.is_server(root) else None
        if folder is not None:
            server = Server.load(folder.absolute())
            if telling.spool(server).put(telling.targets(server), News(EVENT, server.name, title, text, then)):
                _reap(post_receive.spawn(server, "--tell"))
            return
        with authority.of(root) as at:
            known = asked(at.repository)
            wanted = Revision(at.repository, at.repository.commit("HEAD")).settings.project.notify if known else {}
        place = waiting(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        if Spool(place).put(wanted, News(EVENT, root.name, title, text, then)):
            _spawn(place)
    except (PushforwardError, OSError, ValueError) as failed:
        say(f"nobody is told that {title}: {str(failed).partition(chr(10))[0]}")


def waiting(root: Path) -> Path:
    """Where the messages of a program beside the clone in `root` wait."""
    return environment.cache().parent / "told" / hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]


def _spawn(folder: Path) -> None:
    """Send from a process that has this one's variables, outlives it, and prints where it does."""
    source = str(Path(__file__).parent.parent.parent)
    known = os.environ.get("PYTHONPATH", "")
    env = os.environ | {"PYTHONPATH": f"{source}{os.pathsep}{known}" if known else source}
    words = [sys.executable, "-P", "-m", "pushforward.server.beside", str(folder)]
    _reap(subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True))


def _reap(child: subprocess.Popen[bytes]) -> None:
    """Have somebody wait for it, for as long as this program runs, which may be months; nobody ends later for it."""
    threading.Thread(target=child.wait, daemon=True).start()


def main() -> int:
    """Send what waits in a folder, by the addresses that the environment has."""
    Spool(Path(sys.argv[1]), say=lambda line: print(line, flush=True)).send(os.environ)
    return 0


if __name__ == "__main__":
    sys.exit(main())
