"""The refs that a server owns: git is the only database, and this is its schema. Standard library only."""

from collections.abc import Mapping
from typing import NamedTuple

# No object: what a ref was before it was there, and is when it is gone.
ZERO = "0" * 40
HEADS, TAGS = "refs/heads/", "refs/tags/"
# What a server writes, and no pusher.
OWNED = ("refs/notes/", "refs/pushforward/", "refs/pull/")
NOTES = "refs/notes/pushforward"
REGISTRY = "refs/pushforward/registry"
TRUST = "refs/pushforward/trust"
FORGE_SIGNERS = "refs/pushforward/forge/"
HOLDOUTS = "refs/pushforward/holdout/"
VERDICTS = "refs/pushforward/verdict/"
REPORTS = "refs/pushforward/report/"
PICTURES = "refs/pushforward/pictures/"
RUNS = "refs/pushforward/run/"
TRIALS = "refs/pushforward/trial/"
PASSED = "refs/pushforward/passed/"
PULLS = "refs/pull/"
FOREIGN = "refs/pushforward/foreign/"
HANDOVERS = "refs/pushforward/handover/"
MONITORED = "refs/pushforward/monitor/"
ARRIVAL = "refs/pushforward/arrival"


class Kind(NamedTuple):
    """One kind of ref: its pattern, the modules that write it, and what it holds."""

    pattern: str
    written_by: tuple[str, ...]
    holds: str


SCHEMA = (
    Kind(
        NOTES,
        ("report.notes",),
        "the reports of a commit, newest first, as its note; beside it as JSON, in a folder that git shows nobody",
    ),
    Kind(
        f"{VERDICTS}<commit>",
        ("judge.passed",),
        "verdict.json of a commit that has passed on the default branch, or may be accepted, or MODEL.json of each of "
        "several models; in `pull` what a pull request came to; versions rest on it, and reviews",
    ),
    Kind(f"{REPORTS}<commit>", ("judge.recorded",), "the pictures of its report"),
    Kind(
        f"{PICTURES}<seconds>-<commit or search>",
        ("judge.shown",),
        "on a forge: the pictures of a comment as PNG, since when; the oldest go, and no clone fetches them",
    ),
    Kind(
        f"{RUNS}<commit>",
        ("server.record", "judge.recorded"),
        "the commit that was judged, or its lock commit where its own dvc.lock is not what the run found; that it is "
        "there says that all else is. Of a tag's run by the tag object",
    ),
    Kind(f"{TRIALS}<commit>", ("server.record",), "the lock commit of a pull request's run, by the merge tried"),
    Kind(
        f"{HANDOVERS}<commit>",
        ("forge.gitea",),
        "on Gitea and Forgejo: what the run of a commit has left for the judge, who takes it away",
    ),
    Kind(f"{PASSED}<tree>", ("server.record",), "the commit whose content a protected default branch takes"),
    Kind(f"{PULLS}<n>/head", ("server.pending",), "a topic branch as a pull request"),
    Kind(f"{PULLS}<n>/merge", ("server.subject",), "that pull request merged into the default branch"),
    Kind(
        f"{HOLDOUTS}<batches>",
        ("judge.ledger",),
        "the looks at a holdout, of keys as `epoch.<n>`: a chain of commits, a JSON document each; of one of several "
        "models at `<model>@<batches>`",
    ),
    Kind(
        REGISTRY,
        ("release.promote",),
        "verdict, provenance and its signature, card and golden rows of every version, as a chain",
    ),
    Kind(
        f"{MONITORED}<environment>",
        ("monitoring.kept",),
        "the looks at what is in use there: a chain of commits, record and report of one look each; of one of several "
        "models at `<model>@<environment>`",
    ),
    Kind(ARRIVAL, ("arrival.told",), "what has not arrived as it should, and since when it is known, as a chain"),
    Kind(TRUST, ("registry.signers",), "the allowed signers of a server, with their history"),
    Kind(
        f"{FORGE_SIGNERS}<remote>",
        ("registry.trust",),
        "in a clone: whose signatures count on a forge, as last read",
    ),
    Kind(
        f"{FOREIGN}<tag>",
        ("server.foreign",),
        "what a tag of GTO's names that was there before the server: the tag is kept, and is nobody's version here",
    ),
    Kind(f"{TAGS}<model>@v<x.y.z>", ("release.promote",), "a version, signed by the judge's key"),
    Kind(f"{TAGS}<model>@v<x.y.z>!", ("release.release",), "that it is deprecated, signed by a person"),
    Kind(
        f"{TAGS}<model>@review#<n>",
        ("release.review",),
        "a person's word on a verdict, accepted or rejected, which they have signed",
    ),
    Kind(
        f"{TAGS}<model>#<environment>#<n>",
        ("release.promote", "release.release"),
        "the n-th version in use there: by itself where the settings say auto, else signed by who may",
    ),
    Kind(f"{TAGS}<model>#<environment>!#<n>", ("release.release",), "that the environment is empty from the n-th on"),
)


def foreign(objects: Mapping[str, str]) -> set[str]:
    """The names of tags among refs, by their objects, that a mark says to be foreign: each mark is of one object."""
    marks = {ref.removeprefix(FOREIGN): identity for ref, identity in objects.items() if ref.startswith(FOREIGN)}
    return {name for name, identity in marks.items() if objects.get(TAGS + name) == identity}
