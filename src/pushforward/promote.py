"""A passing verdict -> the lock commit, the version tag, the tags of environments that promote by themselves."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pushforward import __version__, ledger, registry, settings
from pushforward.errors import NOT_PROMOTED, POLICY, PushforwardError
from pushforward.gate import Verdict
from pushforward.git import Repository
from pushforward.pipeline import LOCK, METRICS, read_lock
from pushforward.registry import Level, Registered, Registry

ATTEMPTS = 5


@dataclass(frozen=True)
class Promotion:
    """What was made: the version, the commit that it names and the environments that use it from now on."""

    version: str
    commit: str
    environments: tuple[str, ...]
    new: bool


def lock_commit(repository: Repository, commit: str, lock: bytes, metrics: dict[str, bytes], *, scratch: Path) -> str:
    """The commit that a version of `commit` names.

    It is `commit` itself where its own dvc.lock is what the run found. Else it is a child of `commit` that changes only
    dvc.lock and metrics/; the same content gives the same child, whoever makes it.
    """
    honest = read_lock(repository.read(commit, LOCK)) == read_lock(lock)
    same = all(repository.read(commit, f"{METRICS}/{name}") == content for name, content in metrics.items())
    if honest and same:
        return commit
    files = {LOCK: lock} | {f"{METRICS}/{name}": content for name, content in metrics.items()}
    tree = repository.write_tree(commit, files, index=scratch / "lock-commit.index", drop=METRICS)
    subject = repository.subject(commit)
    message = f"Lock: {subject}\n\nWhat the run of {commit} used and made: {LOCK} and {METRICS}/, nothing else.\n"
    return repository.write_commit(tree, [commit], message, date=repository.date(commit))


def promote(
    root: Path,
    verdict: Verdict,
    level: Level,
    lock: bytes,
    metrics: dict[str, bytes],
    *,
    say: Callable[[str], None],
) -> Promotion:
    """Tag what `verdict` passed and push the tags, all or none; retried when another promotion came first.

    A model that already is a version is never tagged again. A verdict that does not say promote is refused.
    """
    if verdict.verdict != "promote":
        raise PushforwardError(f"the verdict is {verdict.verdict}: {verdict.reason}", exit_code=NOT_PROMOTED)
    if verdict.event != "push":
        raise PushforwardError("a pull request is promoted by its merge", next="merge it", exit_code=POLICY)
    repository = Repository(root)
    rules = settings.parse(repository.read(verdict.commit, "params.yaml") or b"")
    target = lock_commit(repository, verdict.commit, lock, metrics, scratch=root / ".git")
    environments = [name for name, how in rules.promote.environments.items() if how == "auto"]
    for attempt in range(ATTEMPTS):
        repository.remote("fetch", "-q", "--tags", "origin")
        known = registry.fold(rules.model.name, repository.refs("refs/tags"))
        there = _version_of(repository, known, verdict.digests.model)
        if there is not None and all(known.in_use(name) == there for name in environments):
            say(f"{there.name} already is this model; nothing to tag")
            _retire(root, verdict, there.name)
            return Promotion(there.name, there.commit, tuple(environments), new=False)
        tags = _make_tags(repository, known, there, target, verdict, level, environments)
        names = [f"refs/tags/{tag}" for tag in tags]
        pushed = repository.remote("push", "-q", "--atomic", "origin", *names, check=False)
        if pushed.returncode == 0:
            name = there.name if there else tags[0]
            commit = there.commit if there else target
            say(f"tagged {', '.join(tags)} at {commit[:9]}")
            _retire(root, verdict, name)
            return Promotion(name, commit, tuple(environments), new=True)
        repository.git("tag", "-d", *tags, check=False)
        said = pushed.stderr.decode("utf-8", "replace").strip()
        if not any(word in said for word in ("already exists", "cannot lock ref", "the next one is")):
            raise PushforwardError(
                f"the tags were refused: {said.splitlines()[0] if said else 'no reason'}", exit_code=POLICY
            )
        time.sleep(0.2 * 2**attempt)
    raise PushforwardError(f"other promotions came first {ATTEMPTS} times", next="push again", exit_code=POLICY)


def _retire(root: Path, verdict: Verdict, name: str) -> None:
    """A promotion has shown what the holdout prefers: it answers no new question, and its numbers are published."""
    if verdict.look is not None and verdict.holdout is not None:
        ledger.of(root).promoted(ledger.name(verdict.holdout.months), verdict.look.number, name)


def _version_of(repository: Repository, known: Registry, model: str) -> Registered | None:
    for version in reversed(known.versions):
        if registry.record(repository.git("cat-file", "tag", version.tag).text).get("model") == model:
            return version
    return None


def _make_tags(
    repository: Repository,
    known: Registry,
    there: Registered | None,
    target: str,
    verdict: Verdict,
    level: Level,
    environments: list[str],
) -> list[str]:
    tags: list[str] = []
    name = there.name if there else ""
    commit = there.commit if there else target
    if there is None:
        number = known.newest.version.bump(level) if known.newest else registry.FIRST
        name = f"{known.model}@{number}"
        line = f"{name}: {verdict.reason}"
        repository.git(
            "tag", "-a", "-F", "-", name, target, stdin=registry.message(line, _record(verdict, known)).encode()
        )
        tags.append(name)
    for environment in environments:
        if there is not None and known.in_use(environment) == there:
            continue
        use = f"{known.model}#{environment}#{known.next_counter(environment)}"
        before = known.in_use(environment)
        record = {
            "schema": 1,
            "version": name,
            "previous": before.name if before else None,
            "by": "pushforward promote",
        }
        line = f"{environment}: {name} from now on"
        repository.git("tag", "-a", "-F", "-", use, commit, stdin=registry.message(line, record).encode())
        tags.append(use)
    return tags


def _record(verdict: Verdict, known: Registry) -> dict[str, object]:
    digests = verdict.digests
    return {
        "schema": 1,
        "model": digests.model,
        "manifest": digests.manifest,
        "data": digests.data,
        "lock": digests.lock,
        "params": digests.params,
        "environment": digests.environment,
        "verdict": hashlib.sha256(verdict.to_json().encode()).hexdigest(),
        "ledger": verdict.ledger or None,
        "commit": verdict.commit,
        "previous": known.newest.name if known.newest else None,
        "pushforward": __version__,
    }
