"""What the registry vouches for where a ref beside it is gone: the verdict and the run that a version came of.

Who deletes a ref by git's own command deletes its history with it. The doctor asks here what is missing, and mends it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from pushforward.git.refs import REGISTRY, RUNS, VERDICTS
from pushforward.git.repository import Repository
from pushforward.judge import records
from pushforward.registry import tags as registry
from pushforward.release.entry import VERDICT, folder
from pushforward.server.finding import Finding, few, mends


@dataclass(frozen=True)
class Missing:
    """A ref that is gone, the version that came of it, and what it held (a verdict) or the commit it named (a run)."""

    ref: str
    version: str
    commit: str
    content: bytes = b""
    target: str = ""


def missing(repository: Repository) -> list[Missing]:
    """The verdicts and runs of all versions that are gone, or that are not what the version's tag says."""
    tags = repository.refs(*registry.PLACES)
    models = {parts["model"] for ref in tags if (parts := registry.parse(ref.name.removeprefix("refs/tags/")))}
    versions = [one for model in sorted(models) for one in registry.fold(model, tags).versions]
    found = repository.objects([version.tag for version in versions])
    records = [registry.record(tag[1].decode("utf-8", "replace")) if tag else {} for tag in found]
    there = {ref.name for ref in repository.refs(VERDICTS, RUNS)}
    return [
        one
        for version, record in zip(versions, records, strict=True)
        for one in _of(repository, version, record, there)
    ]


def _of(
    repository: Repository, version: registry.Registered, record: dict[str, object], there: set[str]
) -> Iterator[Missing]:
    commit = str(record.get("commit", ""))
    if repository.resolve(commit) is None:
        return
    content = repository.read(REGISTRY, f"{folder(version.name)}/{VERDICT}") or b""
    known = hashlib.sha256(content).hexdigest() == record.get("verdict")
    lost = f"{VERDICTS}{commit}" not in there or records.read(repository, commit, version.model) is None
    if lost and known:
        yield Missing(f"{VERDICTS}{commit}", version.name, commit, content)
    if f"{RUNS}{commit}" not in there:
        yield Missing(f"{RUNS}{commit}", version.name, commit, target=version.commit)


def refs(repository: Repository) -> Iterator[Finding]:
    """Whether each version has the verdict and the run that it came of."""
    gone = missing(repository)
    told = f"{few([one.ref for one in gone])}: gone, and {gone[0].version} came of it" if gone else ""
    yield Finding("verdicts", not gone, told or "each version has that which it came of", mends(repository.path))
