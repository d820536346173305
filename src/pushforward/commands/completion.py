"""Words that a shell completes with Tab: versions, environments, branches and runs, as this clone knows them.

The shell asks while somebody types: where nothing can be read, there is nothing to offer, and no word of it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pushforward.errors import PushforwardError


def versions(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """Versions of this clone's tags, the newest first: with the model's name only where the beginning has one."""
    from pushforward.registry import grammar

    tags = [tag for tag in _names("refs/tags/", "-version:refname") if grammar.VERSION_TAG.fullmatch(tag)]
    short = dict.fromkeys(tag.partition("@")[2] for tag in tags)
    return [word for word in (*short, *tags) if begun and word.startswith(begun)] or ([] if begun else [*short])


def environments(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """Environments that something was put to use in."""
    from pushforward.registry import grammar

    found = (grammar.ENVIRONMENT_TAG.fullmatch(tag) for tag in _names("refs/tags/"))
    return sorted({match["environment"] for match in found if match and match["environment"].startswith(begun)})


def revisions(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """Branches of this clone and of its remotes, and tags."""
    known = ("HEAD", *_names("refs/heads/"), *_names("refs/remotes/"), *_names("refs/tags/"))
    return [name for name in known if name.startswith(begun)]


def runs(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """Runs of the server that this clone pushes to, the newest first."""
    return list(dict.fromkeys(name for name in _runs() if name.startswith(begun)))


def _names(prefix: str, order: str = "refname") -> list[str]:
    from pushforward.git.repository import Repository

    done = Repository(Path.cwd()).git("for-each-ref", f"--sort={order}", "--format=%(refname)", prefix, check=False)
    return [name.removeprefix(prefix) for name in done.text.splitlines()] if done.returncode == 0 else []


def _runs() -> Iterator[str]:
    from pushforward.commands import common
    from pushforward.server import runs as kept

    try:
        server: Any = common.server(None)
        known = kept.listed(server)
    except (PushforwardError, OSError):
        return
    yield from (run.job.id for run in known)
