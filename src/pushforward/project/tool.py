"""The tool for a runner of a forge: where it comes from, pinned, as a line of the shell that installs it.

Called by `adopt`. A name in a package index can be anybody's, so it is never installed by its name: the repository
carries it, or `--tool-from` says a git URL with its commit, or a wheel with its hash.
"""

import hashlib
import re
import shlex
from pathlib import Path

from pushforward import files, section
from pushforward.errors import PushforwardError

GIT = re.compile(r"(?:git\+)?(?P<url>(?:https|ssh)://[\w.@:/~-]+)@(?P<commit>[0-9a-f]{40})")
WHEEL = re.compile(r"(?P<url>https://[\w.@:/~%-]+/(?P<name>[\w.-]+\.whl))#sha256=(?P<hash>[0-9a-f]{64})")
PATH = re.compile(r"(?P<path>(?!/)[\w./+-]+\.whl)")
# What `install` wrote, read back from the file that it was written into.
WRITTEN = re.compile(
    r"'pushforward(?:\[\w+\])? @ git\+(?P<git>\S+@[0-9a-f]{40})'"
    r"|curl -fsSLo \S+ (?P<url>\S+\.whl) && echo '(?P<hash>[0-9a-f]{64})  "
    r"|echo '[0-9a-f]{64}  (?P<path>[^']+\.whl)' \| sha256sum"
)
# In a run of a local server the tool is the server's own: it stands before whatever the repository calls so.
SERVED = (
    """mkdir -p .venv/bin && printf '#!/bin/sh\\nPYTHONPATH="$PUSHFORWARD_LIB:$PYTHONPATH" """
    """exec "$PUSHFORWARD_PYTHON" -m pushforward "$@"\\n' > .venv/bin/pushforward && chmod +x .venv/bin/pushforward"""
)
STORES = ("s3", "gs", "azure", "ssh")  # the extras of pushforward
INSTALL = "uv pip install -q --python .venv/bin/python"


def checked(root: Path, source: str) -> str:
    """A source as it is written down; refused where it is not pinned, or no file of the repository."""
    if found := GIT.fullmatch(source):
        return f"{found['url']}@{found['commit']}"
    if WHEEL.fullmatch(source):
        return source
    if PATH.fullmatch(source) and section.sound(source) and files.read(root, source) is not None:
        return source
    raise PushforwardError(
        f"--tool-from {source}: no git URL with its commit, no wheel with its hash, no wheel in this repository",
        next="pushforward adopt --tool-from https://HOST/pushforward.git@COMMIT (40 digits), or URL.whl#sha256=HASH",
    )


def written(text: str) -> str:
    """The source that a generated file installs from; "" where it names none."""
    found = WRITTEN.search(text)
    if found is None:
        return ""
    return found["git"] or found["path"] or f"{found['url']}#sha256={found['hash']}"


def needed(url: str) -> str:
    """The extra of pushforward by which DVC reaches a store at `url`: [s3]; "" for what it reaches without."""
    kind = url.partition("://")[0]
    return f"[{kind}]" if kind in STORES else ""


def install(root: Path, source: str, more: str = "") -> str:
    """What installs the tool from its source with the extra `more`, alone in an environment of its own."""
    if found := GIT.fullmatch(source):
        return f"{INSTALL} 'pushforward{more} @ git+{found['url']}@{found['commit']}'"
    if found := WHEEL.fullmatch(source):
        place = f".venv/{found['name']}"
        fetched = f"curl -fsSLo {place} {found['url']} && {_checked(found['hash'], place)}"
        return f"{fetched} && {INSTALL} {shlex.quote(f'{place}{more}')}"
    digest = hashlib.sha256(files.read(root, source) or b"").hexdigest()
    return f"{_checked(digest, source)} && {INSTALL} {shlex.quote(f'./{source}{more}')}"


def _checked(digest: str, place: str) -> str:
    return f"echo '{digest}  {place}' | sha256sum -c --quiet -"
