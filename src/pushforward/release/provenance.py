"""What a version was made from: one in-toto statement with SLSA provenance, bytes that depend on nothing else.

The subjects are the files of the model. The dependencies are the commit, the locks of the environment and the data,
each by SHA-256: DVC knows its objects by MD5, which anybody can forge, so every object is hashed again here.
"""

import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from pushforward import __version__, schema, untrusted
from pushforward.errors import DATA, TOOL, PushforwardError
from pushforward.gate.verdict import BY, Verdict, by_limits, self_scored
from pushforward.git import remote as remotes
from pushforward.git.repository import Repository
from pushforward.judge import identity
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import fitted
from pushforward.pipeline import store as objects
from pushforward.pipeline.checkout import checkout
from pushforward.pipeline.lock import LISTING, LOCK
from pushforward.pipeline.revision import MANIFEST, Revision, sha256
from pushforward.pipeline.storage import storage
from pushforward.pipeline.store import Store
from pushforward.text import plain

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "urn:pushforward:build:dvc-pipeline:v1"
BUILDERS = {"server": "urn:pushforward:builder:server", "forge": "urn:pushforward:builder:forge"}
SCORING, TOLD = "scoring code", "settings"
CHUNK = 1 << 20
LIMIT_BYTES = 64 * 1024 * 1024
Hexadecimal = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})$")]


@dataclass(frozen=True)
class Content:
    """The digests of one file, or of the listing of one folder, in hexadecimal; `md5` is "" where DVC has none."""

    md5: str
    sha256: str


@dataclass(frozen=True)
class Statement:
    """A provenance statement that was read. Digests are SHA-256, commits are git's; absent ones are "".

    `subjects` are the files of the model by path, `data` every file and folder (with a slash at its end) that the
    pipeline made or read, `locks` the environment's lock files, `scoring` is of the code that scores with the model,
    `settings` of pushforward.yaml. `fitted` is how the manifest says that the model was fitted. `judged` says how,
    where no model was asked, and `unlocked` what of the environment is not locked, and `accepted` is the person's word
    that it rests on, where the verdict does not promote.
    """

    model: str
    number: int
    commit: str
    tree: str
    params: str
    judge: str
    builder: str
    subjects: Mapping[str, str]
    data: Mapping[str, Content] = field(default_factory=dict)
    locks: Mapping[str, str] = field(default_factory=dict)
    scoring: str = ""
    settings: str = ""
    lock: str = ""
    lock_commit: str = ""
    verdict: str = ""
    ledger: str = ""
    previous: str = ""
    unlocked: tuple[str, ...] = ()
    fitted: Mapping[str, Any] = field(default_factory=dict)
    judged: str = ""
    accepted: str = ""


def claim_of(verdict: Verdict) -> str:
    """How a version was judged where that was not by asking its model; "" for any other."""
    if by_limits(verdict):
        return f"by: {verdict.rules.get(BY)}"
    return "self-scored" if self_scored(verdict) else ""


def statement(
    root: Path,
    made: Revision,
    verdict: Verdict,
    *,
    number: int,
    previous: bytes | None,
    accepted: str = "",
    say: Callable[[str], None],
) -> bytes:
    """The statement on what `verdict` passed: canonical JSON, the same bytes for the same promotion.

    `made` is the commit that the version will name; its locks name the objects, which are read
    from the cache and the remote that the checkout in `root` knows. `number` counts the versions from 1, `previous` is
    the statement on the one before, `accepted` the word of a person that it rests on, if it does.

    Refuses a model that is not the one judged, and objects that are nowhere.
    """
    repository, target, rules = made.repository, made.commit, made.settings
    before = read(previous) if previous is not None else None
    data = _data(root, repository, target, before.data if before else {}, say)
    model = rules.model_path
    subjects = {path: found for path, found in data.items() if path == model or path.startswith(f"{model}/")}
    subjects = {path: found for path, found in subjects.items() if not path.endswith(("/", "/.gitignore"))}
    _check(verdict, subjects, model)
    if self_scored(verdict) and rules.predictions is not None:
        _check_table(verdict, data, rules.predictions.path)
    definition = {
        "buildType": BUILD,
        "externalParameters": {
            "model": rules.model.name,
            "commit": verdict.commit,
            "params": Revision(repository, verdict.commit).params_digest,
        },
        # of the claim of a model that was not asked, and of an environment that is not locked; most say nothing here
        "internalParameters": {"number": number}
        | ({"judged": claim} if (claim := claim_of(verdict)) else {})
        | ({"accepted": accepted} if accepted else {})
        | ({"fitted": dict(means)} if (means := _means(root, f"{model}/{MANIFEST}", data, before)) else {})
        | ({"unlocked": list(made.unlocked)} if made.unlocked else {}),
        "resolvedDependencies": _dependencies(made, verdict, data),
    }
    run = _run(repository, verdict, target, sha256(previous) if previous is not None else "")
    return _canonical(
        {
            "_type": STATEMENT,
            "subject": [_file(path, found) for path, found in sorted(subjects.items())],
            "predicateType": PREDICATE,
            "predicate": {"buildDefinition": definition, "runDetails": run},
        }
    )


def _dependencies(made: Revision, verdict: Verdict, data: Mapping[str, Content]) -> list[dict[str, Any]]:
    """What the model was made from: source, settings, scoring code, locks, then every file of data."""
    repository, target, requirements = made.repository, made.commit, made.settings.environment
    source = {"gitCommit": verdict.commit, "gitTree": repository.git("rev-parse", f"{verdict.commit}^{{tree}}").text}
    locks = {path: sha256(repository.read(target, path) or b"") for path in requirements}
    return [
        _descriptor("source", source),
        _descriptor(TOLD, {"sha256": sha256(repository.read(target, schema.FILE) or b"")}),
        _descriptor(SCORING, {"sha256": identity.scoring(repository, target, made.model)}),
        *(_descriptor(f"lock:{path}", {"sha256": locks[path]}) for path in sorted(locks)),
        *(_file(f"data:{path}", found) for path, found in sorted(data.items())),
    ]


def _run(repository: Repository, verdict: Verdict, target: str, previous: str) -> dict[str, Any]:
    """Who built it, and what came of it beside the model; `previous` is the digest of the statement before."""
    byproducts = [
        _descriptor("verdict", {"sha256": sha256(verdict.to_json().encode())}),
        _descriptor(LOCK, {"sha256": Revision(repository, target).locks_digest}),
        _descriptor("lock commit", {"gitCommit": target}),
        _descriptor("ledger", {"gitCommit": verdict.ledger}),
        _descriptor("previous provenance", {"sha256": previous}),
    ]
    return {
        "builder": {
            "id": BUILDERS[_place(repository)],
            "version": {"pushforward": __version__},
            "builderDependencies": [_descriptor("judge", {"gitCommit": verdict.base})],
        },
        "byproducts": [one for one in byproducts if any(one["digest"].values())],
    }


def read(content: bytes) -> Statement:
    """Read a statement strictly; anything that `statement` would not write is refused."""
    if len(content) > LIMIT_BYTES:
        raise PushforwardError(
            f"the provenance has {len(content):,} bytes; the limit is {LIMIT_BYTES:,}", exit_code=DATA
        )
    try:
        tree = json.loads(content)
        if _canonical(tree) != content:
            raise ValueError("it is not canonical JSON")
        return _statement(_Form.model_validate(tree))
    except ValidationError as wrong:
        said = untrusted.where(wrong)
    except (TypeError, ValueError, RecursionError) as wrong:
        said = plain(str(wrong))
    raise PushforwardError(f"this is not a provenance statement of ours: {said}", exit_code=DATA)


def model_digest(subjects: Mapping[str, str], model: str) -> str:
    """The digest that a version's tag has of its model, from the SHA-256 of the files at and below the path `model`."""
    files = {path: found for path, found in subjects.items() if path == model or not path.endswith(f"/{MANIFEST}")}
    if len(files) == 1:
        return next(iter(files.values()))
    # in the order of `revision.model_digest`: by the parts of the path, not by its characters
    ordered = sorted(files, key=lambda path: path.split("/"))
    return sha256("".join(f"{files[path]}  {path.removeprefix(f'{model}/')}\n" for path in ordered).encode())


def _check(verdict: Verdict, subjects: Mapping[str, Content], model: str) -> None:
    found = {path: content.sha256 for path, content in subjects.items()}
    manifest = found.get(f"{model}/{MANIFEST}", "")
    if len(found) < (2 if manifest else 1):
        raise PushforwardError(f"{LOCK} names no model at {model}", exit_code=DATA)
    told = (model_digest(found, model), manifest)
    for what, is_, judged in zip(
        ("model", MANIFEST), told, (verdict.digests.model, verdict.digests.manifest), strict=True
    ):
        if is_ != judged:
            raise PushforwardError(
                f"hop store: the {what} in the DVC store has SHA-256 {is_[:12] or 'none'}…, "
                f"the verdict is on {judged[:12] or 'none'}…",
                next=f"pushforward report {verdict.commit[:9]}",
                exit_code=DATA,
            )


def _check_table(verdict: Verdict, data: Mapping[str, Content], path: str) -> None:
    """Refuse a table in the store that is not the one that was judged: DVC knows it by an MD5, which can be forged."""
    judged, found = verdict.holdout.sha256 if verdict.holdout else "", data[path].sha256 if path in data else ""
    if found != judged:
        raise PushforwardError(
            f"hop store: {path} in the DVC store has SHA-256 {found[:12] or 'none'}…, the verdict is on {judged[:12]}…",
            next=f"pushforward report {verdict.commit[:9]}",
            exit_code=DATA,
        )


def _place(repository: Repository) -> str:
    """Whether this is the work of a server on this machine or of a forge's runner: not the same promise."""
    there = remotes.authority(repository)
    return "server" if there is None or (there.folder is not None and there.folder.is_dir()) else "forge"


def _data(
    root: Path, repository: Repository, target: str, before: Mapping[str, Content], say: Callable[[str], None]
) -> dict[str, Content]:
    """Every object that dvc.lock and the .dvc files of `target` name, by path; a folder's path ends with a slash."""
    kept, known = objects.outs(repository, target), objects.places(root)
    stores = [store for store in (known.cache, known.remote) if store]
    found = _committed(repository, target)
    lost: list[str] = []
    for path, oid in kept.items():
        content = _in_stores(path, oid, stores) or _known(path, oid, before)
        if content:
            found |= content
        else:
            lost.append(path)
    if lost and known.remote is None:
        say(f"fetching {len(lost)} of {len(kept)} outs of {LOCK}")
        _fetch(root, repository, target, lost, say)
    for path in lost:
        content = _in_stores(path, kept[path], stores)
        if not content:
            raise PushforwardError(
                f"hop store: {path} (MD5 {kept[path][:12]}…) is in no cache and no remote, or its bytes are others",
                next="dvc push from a machine that has it",
                exit_code=TOOL,
            )
        found |= content
    return found


def _means(root: Path, path: str, data: Mapping[str, Content], before: Statement | None) -> Mapping[str, Any]:
    """How the model was fitted, by its manifest at `path`; nothing where it has none, or does not say."""
    known, manifest = objects.places(root), data.get(path)
    if before is not None and before.data.get(path) == manifest:
        return before.fitted
    stores = [store for store in (known.cache, known.remote) if store]
    found = _intact(manifest.md5, stores) if manifest else None
    return fitted.of(untrusted.plain_json(found[0].read_bytes(), MANIFEST)).means if found else {}


def _committed(repository: Repository, target: str) -> dict[str, Content]:
    """The outs that git keeps instead of DVC: metrics."""
    found: dict[str, Content] = {}
    for entry in Revision(repository, target).lock.values():
        for out in entry.get("outs", []):
            content = repository.read(target, str(out["path"]))
            if content is not None:
                found[str(out["path"])] = _digests(io.BytesIO(content))
    return found


def _in_stores(path: str, oid: str, stores: Iterable[Store]) -> dict[str, Content]:
    """The digests of an object, and of all that a folder's lists; nothing where one of them is not intact here."""
    there = _intact(oid, stores)
    if there is None or not oid.endswith(LISTING):
        return {path: there[1]} if there else {}
    found = {f"{path}/": there[1]}
    for name, inside in objects.members(oid, there[0].read_bytes()).items():
        one = _intact(inside, stores)
        if one is None:
            return {}
        found[f"{path}/{name}"] = one[1]
    return found


def _known(path: str, oid: str, before: Mapping[str, Content]) -> dict[str, Content]:
    """What the statement before says of the same path with the same MD5."""
    name = f"{path}/" if oid.endswith(LISTING) else path
    content = before.get(name)
    if content is None or content.md5 != oid.removesuffix(LISTING):
        return {}
    return {one: found for one, found in before.items() if one == name or (name[-1] == "/" and one.startswith(name))}


def _fetch(root: Path, repository: Repository, target: str, paths: list[str], say: Callable[[str], None]) -> None:
    """Bring the objects of `paths` into the cache of `root`."""
    with tempfile.TemporaryDirectory() as scratch:
        own = checkout(repository, target, Path(scratch) / "checkout", storage=storage(root.absolute()))
        pipeline.fetch(own, *paths, say=say)


def _intact(oid: str, stores: Iterable[Store]) -> tuple[Path, Content] | None:
    """The first copy of an object that is what its name says."""
    for store in stores:
        path = store.file(oid)
        if path.is_file():
            with path.open("rb") as handle:
                content = _digests(handle)
            if content.md5 == oid.removesuffix(LISTING):
                return path, content
    return None


def _digests(stream: BinaryIO) -> Content:
    weak, strong = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    while chunk := stream.read(CHUNK):
        weak.update(chunk)
        strong.update(chunk)
    return Content(weak.hexdigest(), strong.hexdigest())


def _descriptor(name: str, digest: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "digest": digest}


def _file(name: str, content: Content) -> dict[str, Any]:
    return _descriptor(name, {"md5": content.md5, "sha256": content.sha256})


def _canonical(tree: Any) -> bytes:
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _statement(form: "_Form") -> Statement:
    definition, run = form.predicate.build_definition, form.predicate.run_details
    asked, subjects = definition.external_parameters, _by_name(form.subject)
    needed, made = _by_name(definition.resolved_dependencies), _by_name(run.byproducts)
    if asked.commit != _digest(needed, "source", "gitCommit"):
        raise ValueError("its externalParameters are not those of its source")
    if any(needed.get(f"data:{name}") != digests for name, digests in subjects.items()):
        raise ValueError("a subject is not among its data")
    data = {name.removeprefix("data:"): name for name in needed if name.startswith("data:")}
    locks = {name.removeprefix("lock:"): name for name in needed if name.startswith("lock:")}
    return Statement(
        model=asked.model,
        number=definition.internal_parameters.number,
        judged=definition.internal_parameters.judged,
        accepted=definition.internal_parameters.accepted,
        commit=asked.commit,
        tree=_digest(needed, "source", "gitTree"),
        params=asked.params,
        judge=_digest(_by_name(run.builder.builder_dependencies), "judge", "gitCommit"),
        builder=run.builder.id,
        subjects={name: _digest(subjects, name, "sha256") for name in subjects},
        data={
            path: Content(_digest(needed, name, "md5"), _digest(needed, name, "sha256")) for path, name in data.items()
        },
        locks={path: _digest(needed, name, "sha256") for path, name in locks.items()},
        scoring=needed.get(SCORING, {}).get("sha256", ""),
        settings=needed.get(TOLD, {}).get("sha256", ""),
        lock=_digest(made, LOCK, "sha256"),
        lock_commit=_digest(made, "lock commit", "gitCommit"),
        verdict=_digest(made, "verdict", "sha256"),
        ledger=made.get("ledger", {}).get("gitCommit", ""),
        previous=made.get("previous provenance", {}).get("sha256", ""),
        unlocked=tuple(definition.internal_parameters.unlocked),
        fitted=definition.internal_parameters.fitted,
    )


def _by_name(descriptors: list["_Descriptor"]) -> dict[str, dict[str, str]]:
    return {one.name: one.digest for one in descriptors}


def _digest(named: Mapping[str, Mapping[str, str]], name: str, kind: str) -> str:
    found = named.get(name, {}).get(kind)
    if found is None:
        raise ValueError(f"{name} has no {kind}")
    return found


# The form of a statement, as far as it is read.


def _one_of(*words: str) -> AfterValidator:
    def check(said: str) -> str:
        if said not in words:
            raise ValueError("it is another than ours")
        return said

    return AfterValidator(check)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", alias_generator=to_camel, defer_build=True)


class _Descriptor(_Part):
    name: str
    digest: Annotated[dict[str, Hexadecimal], Field(min_length=1)]


def _unique(descriptors: list[_Descriptor]) -> list[_Descriptor]:
    if len({one.name for one in descriptors}) != len(descriptors):
        raise ValueError("a name is given twice")
    return descriptors


Descriptors = Annotated[list[_Descriptor], AfterValidator(_unique)]


class _Asked(_Part):
    model_config = ConfigDict(extra="forbid")

    model: str
    commit: Hexadecimal
    params: Hexadecimal


class _Inside(_Part):
    number: Annotated[int, Field(ge=1)]
    unlocked: list[str] = []
    judged: str = ""
    accepted: str = ""
    fitted: dict[str, str | bool | int | float] = {}


class _Definition(_Part):
    build_type: Annotated[str, _one_of(BUILD)]
    external_parameters: _Asked
    internal_parameters: _Inside
    resolved_dependencies: Descriptors


class _Builder(_Part):
    id: Annotated[str, _one_of(*BUILDERS.values())]
    builder_dependencies: Descriptors


class _Run(_Part):
    builder: _Builder
    byproducts: Descriptors


class _Predicate(_Part):
    build_definition: _Definition
    run_details: _Run


class _Form(_Part):
    type: Annotated[str, _one_of(STATEMENT), Field(alias="_type")]
    predicate_type: Annotated[str, _one_of(PREDICATE)]
    subject: Descriptors
    predicate: _Predicate
