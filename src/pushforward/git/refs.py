"""The refs that a server owns: git is the only database, and this is its schema. Standard library only."""

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
RUNS = "refs/pushforward/run/"
TRIALS = "refs/pushforward/trial/"
PASSED = "refs/pushforward/passed/"
PULLS = "refs/pull/"


class Kind(NamedTuple):
    """One kind of ref: its pattern, the module that writes it, and what it holds."""

    pattern: str
    written_by: str
    holds: str


SCHEMA = (
    Kind(NOTES, "server.record", "the reports of a commit, newest first, as its note"),
    Kind(f"{VERDICTS}<commit>", "server.record", "verdict.json of a commit; that it is there says that all else is"),
    Kind(f"{REPORTS}<commit>", "server.record", "the pictures of its report"),
    Kind(f"{RUNS}<commit>", "server.record", "its lock commit, where its own dvc.lock is not what the run found"),
    Kind(f"{TRIALS}<commit>", "server.record", "the same of a pull request's run"),
    Kind(f"{PASSED}<tree>", "server.record", "the commit whose content a protected default branch takes"),
    Kind(f"{PULLS}<n>/head", "server.pending", "a topic branch as a pull request"),
    Kind(f"{PULLS}<n>/merge", "server.subject", "that pull request merged into the default branch"),
    Kind(f"{HOLDOUTS}<months>", "judge.ledger", "the looks at a holdout: a chain of commits, one JSON document each"),
    Kind(REGISTRY, "registry.transaction", "verdict, provenance, card and golden rows of every version, as a chain"),
    Kind(TRUST, "registry.signers", "the allowed signers of a server, with their history"),
    Kind(
        f"{FORGE_SIGNERS}<remote>",
        "registry.trust",
        "in a clone: whose signatures count on a forge, as last read",
    ),
    Kind("refs/tags/<model>@v<x.y.z>", "release.promote", "a version, signed by the judge's key"),
    Kind("refs/tags/<model>@v<x.y.z>!", "release.release", "that it is deprecated, signed by a person"),
    Kind("refs/tags/<model>#<environment>#<n>", "release.release", "the n-th version in use there, signed by who may"),
    Kind("refs/tags/<model>#<environment>!#<n>", "release.release", "that the environment is empty from the n-th on"),
)
