"""The feed: the newest verdicts, versions and uses as Atom (RFC 4287), for whoever reads no pages; pure.

Identities are made of what an entry is of, so that a reader knows it again wherever the pages lie. Links are relative
to the feed's own address, for the pages do not know theirs.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from pushforward.text import plain
from pushforward.views.lists import Stay
from pushforward.views.snapshot import Run, Snapshot, clock

MOST = 50
_SPACE = uuid.UUID("5f0f3b5e-2a5e-5d43-9d3b-6f1d6a0c7e11")


@dataclass(frozen=True)
class Entry:
    """One thing that happened; of one second, what has the higher `rank` came later."""

    identity: str
    seconds: int
    rank: int
    title: str
    author: str
    summary: str
    address: str


def entries(snapshot: Snapshot, stays: Iterable[Stay]) -> list[Entry]:
    """Verdicts, versions and uses, the newest first, as many as a reader wants."""
    found = [_judged(run) for run in snapshot.runs]
    for version in snapshot.registry.versions:
        tag = snapshot.tags[version.tag]
        address = f"version/{version.version}.html"
        title = f"{version.name} was made"
        found.append(Entry(f"version {version.name}", tag.seconds, 1, title, tag.by, tag.reason, address))
    for review in snapshot.registry.reviews:
        tag = snapshot.tags[review.tag]
        title = f"{review.commit[:7]} was {plain(str(tag.record.get('word', 'reviewed')), 20)} by a person's word"
        address = f"run/{review.commit}.html"
        found.append(Entry(f"review {review.name}", tag.seconds, 1, title, tag.by, tag.reason, address))
    for stay in stays:
        use, what = stay.use, stay.version.name if stay.version else stay.use.commit[:7]
        verb = "was taken out of" if use.empties else "was put back into" if stay.back else "was put into"
        title, address = f"{what} {verb} {use.environment}", f"environment/{use.environment}.html"
        found.append(Entry(f"use {use.name}", stay.tag.seconds, 2, title, stay.tag.by, stay.tag.reason, address))
    return sorted(found, key=lambda one: (one.seconds, one.rank, one.identity), reverse=True)[:MOST]


def _judged(run: Run) -> Entry:
    header = run.header
    where = f"#{run.pull} {run.branch}" if run.pull is not None else run.branch
    title = f"{header.verdict}: {run.about.subject or run.commit[:7]} ({where})"
    identity = f"run {run.commit} {run.event} {header.verdict}"
    return Entry(identity, run.about.seconds, 0, title, run.about.author, header.reason, f"run/{run.commit}.html")


def atom(model: str, name: str, found: list[Entry]) -> bytes:
    """The feed as XML. `name` is the repository's."""
    updated = max((one.seconds for one in found), default=0)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        f"<title>{_text(model or name)}</title>",
        f"<id>{_identity(f'feed {name} {model}')}</id>",
        f"<updated>{clock(updated).isoformat()}</updated>",
        '<link rel="self" type="application/atom+xml" href="feed.xml"/>',
        '<link rel="alternate" type="text/html" href="index.html"/>',
        "<author><name>pushforward</name></author>",
    ]
    for one in found:
        lines += [
            "<entry>",
            f"<title>{_text(one.title)}</title>",
            f"<id>{_identity(one.identity)}</id>",
            f"<updated>{clock(one.seconds).isoformat()}</updated>",
            f"<author><name>{_text(one.author or 'unknown')}</name></author>",
            f'<link rel="alternate" type="text/html" href={quoteattr(one.address)}/>',
            f"<summary>{_text(one.summary)}</summary>",
            "</entry>",
        ]
    return ("\n".join([*lines, "</feed>"]) + "\n").encode("utf-8", "replace")


def _identity(what: str) -> str:
    return uuid.uuid5(_SPACE, what).urn


def _text(text: str) -> str:
    return escape(plain(text, 2000))
