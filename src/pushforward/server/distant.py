"""A store that is no folder of this machine: the login to it, and what of it a run without network needs.

A run of the default branch reaches the store itself. One of a pull request reaches no network and has no secret: what
its commits name is brought into the server's cache before it begins, and that cache is all the store that it sees.
"""

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from pushforward import durable
from pushforward.errors import MachineError, PushforwardError
from pushforward.git.server import Server
from pushforward.pipeline import store as objects
from pushforward.pipeline.lock import LISTING
from pushforward.pipeline.storage import Storage, own_options
from pushforward.pipeline.store import Store

LOGIN = "keys/store.json"  # where no run sees it
NAME = "server"  # what DVC calls the cache where it stands for the store


def keep(server: Server, clone: Path) -> bool:
    """Take over what .dvc/config.local of a clone says of the store; whether it says anything. Else what was, stays."""
    found = {} if server.store else own_options(clone)
    if found:
        durable.write(server.folder / LOGIN, json.dumps(found) + "\n", mode=0o600)
    return bool(found)


def login(server: Server) -> dict[str, str]:
    """What DVC is told of the store besides what the commit says: keys, a token, an endpoint."""
    path = server.folder / LOGIN
    return {str(name): str(value) for name, value in json.loads(path.read_text()).items()} if path.is_file() else {}


def storage(server: Server, cache: Path, *, network: bool) -> Storage:
    """Where a run keeps its data, with a cache of its own; without network the server's cache is the store."""
    if not network:
        return Storage(cache, NAME, {"url": str(kept(server))})
    options = login(server)
    return Storage(cache, server.remote, options) if options else Storage(cache)


def kept(server: Server) -> Path:
    """The cache that stands for the store."""
    return server.folder / "cache"


def bring(server: Server, commits: Iterable[str], say: Callable[[str], None]) -> None:
    """Have in the server's cache the outs of `commits` that the store has. Nothing is asked where all of it is here."""
    cache = Store(kept(server))
    outs = {oid for one in set(commits) if one for oid in objects.outs(server.repository, one).values()}
    missing = sorted(oid for oid in outs if not _is_here(cache, oid))
    if not missing:
        return
    from pushforward.pipeline import checkout as throwaway
    from pushforward.pipeline import dvc as pipeline

    with tempfile.TemporaryDirectory(prefix="pushforward-") as scratch:
        there = storage(server, cache.path, network=True)
        root = throwaway.checkout(server.repository, server.default_branch, Path(scratch) / "main", storage=there)
        try:
            count = pipeline.stock(root, missing, say=say)
        except PushforwardError as failed:
            raise MachineError(
                "the store does not give what this run needs", next="pushforward check", detail=failed.message
            ) from failed
    if count:
        say(f"  {count} objects from the store: this run reaches no network")


def _is_here(cache: Store, oid: str) -> bool:
    """Whether an object is in the cache, and of a folder each file; what is there under its name is taken for it."""
    if cache.plain(oid) is None:
        return False
    content = cache.content(oid) if oid.endswith(LISTING) else b"[]"
    return content is not None and all(cache.plain(str(one["md5"])) for one in json.loads(content))
