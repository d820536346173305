"""A version as files for whoever serves it: fetched, checked from tag to bytes, loaded and asked before it is accepted.

A refusal names the hop at which the chain broke: tag, registry, provenance, store, load or golden.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pushforward import files, settings
from pushforward.errors import DATA, POLICY, USAGE, PushforwardError
from pushforward.gate.verdict import Verdict
from pushforward.git.refs import REGISTRY
from pushforward.git.repository import Repository
from pushforward.judge import holdout, score
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment
from pushforward.pipeline.revision import MANIFEST, Revision, sha256
from pushforward.registry import authority, trust
from pushforward.registry import tags as registry
from pushforward.registry.authority import Authority
from pushforward.registry.tags import ENVIRONMENT_TAG, VERSION_TAG, Assignment, Registered
from pushforward.release import promote, provenance, rebuild
from pushforward.release.provenance import Statement
from pushforward.report import markdown as report
from pushforward.settings import Settings
from pushforward.untrusted import plain_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL = "model"
SUMS = "SHA256SUMS"
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Bundle:
    """What was written: `folder` holds the version `version`, which gave the golden rows as `parity` says."""

    version: str
    commit: str
    model: str
    parity: str
    folder: str


@dataclass(frozen=True)
class _Recorded:
    """What the tag and the registry say of a version, once both were believed."""

    version: Registered
    record: Mapping[str, Any]
    verdict: Verdict
    made: Statement
    files: Mapping[str, bytes]


def bundle(root: Path, name: str, out: Path, *, say: Callable[[str], None]) -> Bundle:
    """Put the version `name` into the new folder `out`, whole or not at all.

    `name` is a version (`v1.2.0`, or its tag) or an environment tag, whose version it is then. The model comes from the
    DVC remote, into a checkout that nobody has touched, and is loaded by the version's own code in a child process.
    """
    if out.is_symlink():
        raise files.LinkError(str(out), next="another --out")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise PushforwardError(f"{out} is not empty", next=f"mv {out} {out}.old, or another --out", exit_code=USAGE)
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as refused:
        why = f"{out} cannot be made: {refused.strerror}"
        raise PushforwardError(why, next="another --out", exit_code=USAGE) from None
    with authority.of(root) as here, tempfile.TemporaryDirectory(prefix="pushforward-") as scratch:
        version, use = find(here.repository, name)
        try:
            return _bundle(root, here, version, use, out, Path(scratch), say)
        except PushforwardError as failed:
            following = failed.next or f"pushforward verify '{version.name}'"
            raise PushforwardError(failed.message, next=following, exit_code=failed.exit_code) from failed


def _bundle(
    root: Path,
    here: Authority,
    version: Registered,
    use: Assignment | None,
    out: Path,
    scratch: Path,
    say: Callable[[str], None],
) -> Bundle:
    with trust.signers_file(root) as signers:
        told = _believe(here.repository, version, signers)
        if use is not None:
            _believe_use(here.repository, use, version, signers)
    say(f"{version.name}: tag and provenance are signed, and say the same")
    rules = Revision(here.repository, version.commit).settings
    checkout = _fetch(root, here, version, rules, scratch, say)
    _check_model(checkout, told.made, rules)
    say(f"model sha256:{told.record['model'][:12]} is what the tag names")
    same = here.server is not None and environment.at_hand() == told.record["environment"]
    parity = _ask(here.repository, checkout, told, rules, scratch, same=same)
    say(parity)
    _write(out, _content(here.repository, told, rules, checkout))
    return Bundle(version.name, version.commit, str(told.record["model"]), parity, str(out))


def find(repository: Repository, name: str) -> tuple[Registered, Assignment | None]:
    """The version that `name` means (`v1.2.0`, the tag of a version or of an environment), and the latter's tag."""
    whole = VERSION_TAG.fullmatch(name) or ENVIRONMENT_TAG.fullmatch(name)
    model = whole["model"] if whole else Revision(repository, "HEAD").settings.model.name
    known = registry.fold(model, repository.refs("refs/tags"))
    if not ENVIRONMENT_TAG.fullmatch(name):
        return known.named(name), None
    use = next((one for one in known.assignments if one.name == name), None)
    version = known.at(use.commit) if use else None
    if version is None:
        why = "puts no version to use" if use else "is not there"
        raise PushforwardError(f"hop tag: {name} {why}", next="pushforward show")
    return version, use


def _believe_use(repository: Repository, use: Assignment, version: Registered, signers: Path) -> None:
    """Refuse an environment tag that nobody signed who may, or that speaks of another version."""
    with _hop("tag"):
        signer = trust.verify_tag(repository, use.tag, use.name, signers)
    how = Revision(repository, "HEAD").settings.promote.environments.get(use.environment)
    if not signer.allows(use.environment, auto=how == "auto"):
        raise _broken("tag", f"the key of {signer.principal} may not sign {use.name}", "pushforward trust")
    said = registry.record(repository.git("cat-file", "tag", use.tag).text).get("version")
    if said is not None and said != version.name:
        raise _broken("tag", f"{use.name} names {version.name} and says {str(said)[:40]}")


def _believe(repository: Repository, version: Registered, signers: Path) -> _Recorded:
    """The signed tag, and the registry's files that it binds; an error where one of them says something else."""
    with _hop("tag"):
        signer = trust.verify_tag(repository, version.tag, version.name, signers)
    if not signer.allows(trust.VERSION):
        raise _broken("tag", f"the key of {signer.principal} may not sign a version", "pushforward trust")
    text = repository.git("cat-file", "tag", version.tag).text
    record = registry.record(text)
    names = (*promote.RECORDED.values(), promote.SIGNATURE)
    found = {name: repository.read(REGISTRY, f"{promote.folder(version.name)}/{name}") for name in names}
    files = {name: content for name, content in found.items() if content is not None}
    if len(files) < len(names):
        missing = next(name for name in names if name not in files)
        raise _broken("registry", f"it has no {missing} of {version.name}")
    for key, name in promote.RECORDED.items():
        is_, said = sha256(files[name]), str(record.get(key))
        if is_ != said:
            raise _broken("registry", f"its {name} has SHA-256 {is_[:12]}…, the tag says {said[:12]}…")
    with _hop("provenance"):
        when = trust.TAGGER.search(text)
        at = int(when["when"]) if when else None
        content, signature = files[promote.PROVENANCE], files[promote.SIGNATURE]
        trust.verify_file(content, signature, signer.principal, signers, name=promote.PROVENANCE, at=at)
        made = provenance.read(content)
        verdict = Verdict.from_json(files[promote.VERDICT])
    _check_same(repository, version, record, made)
    return _Recorded(version, record, verdict, made, files)


def _check_same(repository: Repository, version: Registered, record: Mapping[str, Any], made: Statement) -> None:
    """Tag and provenance are signed each; they must also be of one version."""
    path = Revision(repository, version.commit).settings.model.path
    pairs = {
        "name": (made.model, version.model),
        "commit": (made.commit, record.get("commit")),
        "lock commit": (made.lock_commit, version.commit),
        "number": (made.number, record.get("number")),
        "verdict": (made.verdict, record.get("verdict")),
        "dvc.lock": (made.lock, record.get("lock")),
        settings.FILE: (made.params, record.get("params")),
        "model": (provenance.model_digest(made.subjects, path), record.get("model")),
        "manifest": (made.subjects.get(f"{path}/{MANIFEST}"), record.get("manifest")),
    }
    for what, (told, said) in pairs.items():
        if told != said:
            raise _broken("provenance", f"its {what} is {str(told)[:40]}, the tag says {str(said)[:40]}")


def _fetch(
    root: Path, here: Authority, version: Registered, rules: Settings, scratch: Path, say: Callable[[str], None]
) -> Path:
    """A clean checkout of the version, its model and its holdout from the DVC remote, past every cache."""
    checkout, url = scratch / "checkout", here.server.store if here.server else ""
    rebuild.checkout(here.repository, version.commit, checkout, cache=scratch / "cache", url=url, like=root.absolute())
    with _hop("store"):
        pipeline.fetch(checkout, rules.model.path, rules.model.holdout, say=say)
    return checkout


def _check_model(checkout: Path, made: Statement, rules: Settings) -> None:
    """The model's files, no more and no fewer, each with the SHA-256 that the provenance names."""
    folder = checkout / rules.model.path
    wanted = {path: digest for path, digest in made.subjects.items() if path.startswith(f"{rules.model.path}/")}
    for path, digest in wanted.items():
        place = checkout / path
        inside = place.parent.resolve().is_relative_to(folder.resolve())
        if not inside or place.is_symlink() or not place.is_file():
            raise _broken("store", f"it holds no file {path}")
        found = _digest(place)
        if found != digest:
            raise _broken("store", f"{path} has SHA-256 {found[:12]}…, the provenance says {digest[:12]}…")
    there = {path for path in folder.rglob("*") if not path.is_dir() and path.name != ".gitignore"}
    if extra := sorted(
        str(path.relative_to(checkout)) for path in there if str(path.relative_to(checkout)) not in wanted
    ):
        raise _broken("store", f"it holds {extra[0]}, which the provenance does not name")


def _ask(repository: Repository, checkout: Path, told: _Recorded, rules: Settings, scratch: Path, *, same: bool) -> str:
    """Have the version score its holdout and compare the golden rows; how they compare, as a sentence.

    `same` asks for the very same bits: this machine, and the environment that it was judged in.
    """
    import numpy as np
    import polars as pl

    contract, version = rules.model, told.version
    place = checkout / contract.holdout
    rows = holdout.read(place / holdout.ROWS, holdout.ROWS)
    out = scratch / "predictions.parquet"
    with _hop("load"):
        python = environment.interpreter(
            repository, version.commit, contract.requirements, folder=scratch / "environments"
        )
        asked = (place / holdout.ROWS, place / holdout.EVENTS, out)
        score.score(checkout, contract, *asked, python_bin=python, timeout=score.SCORE_SECONDS)
        probability = rules.gate.metric in {"logloss", "brier"}
        predictions = score.read_predictions(out, rows[contract.key], probability=probability)
    judged = told.verdict.holdout
    if judged is None or holdout.digest(place) != judged.sha256:
        return (
            "it loads and scores; its golden rows are of a holdout that the judge had made otherwise, and not compared"
        )
    keys, expected = _golden(told.files[promote.GOLDEN], contract.key)
    named = rows[contract.key] if rows[contract.key].dtype.is_integer() else rows[contract.key].cast(pl.String)
    at = {key: place for place, key in enumerate(named.to_list())}
    if missing := [key for key in keys if key not in at]:
        raise _broken("golden", f"the holdout has no row {str(missing[0])[:40]!r}")
    found = predictions[[at[key] for key in keys]]
    off = float(np.abs(found - expected).max(initial=0.0))
    if not off:
        return f"it loads, and gives its {len(keys)} golden rows to the last bit"
    if same or off > TOLERANCE:
        raise _broken("golden", f"it gives other predictions than when it was judged, by up to {off:.3g}")
    return f"it loads, and gives its {len(keys)} golden rows within {TOLERANCE:g} (by up to {off:.2g}: another machine)"


def _golden(content: bytes, key: str) -> "tuple[list[Any], NDArray[np.float64]]":
    import numpy as np

    try:
        tree = plain_json(content, promote.GOLDEN)
        rows = [(row[key], float(row["p"])) for row in tree["rows"]]
    except (KeyError, TypeError, ValueError, PushforwardError):
        raise _broken("golden", f"{promote.GOLDEN} is not of the form expected") from None
    if not rows:
        raise _broken("golden", f"{promote.GOLDEN} has no rows")
    return [name for name, _ in rows], np.array([p for _, p in rows])


def _content(repository: Repository, told: _Recorded, rules: Settings, checkout: Path) -> dict[str, bytes | Path]:
    """Path in the bundle -> its bytes, or the file that has them."""
    files: dict[str, bytes | Path] = {
        f"{MODEL}/{path.removeprefix(f'{rules.model.path}/')}": checkout / path for path in told.made.subjects
    }
    files |= {name: content for name, content in told.files.items() if name != promote.CARD}
    files["model-card.md"] = told.files[promote.CARD]
    files["report.md"] = report.markdown(told.verdict).encode()
    files["tag.txt"] = repository.git("cat-file", "tag", told.version.tag).stdout
    return files


def _write(out: Path, content: Mapping[str, bytes | Path]) -> None:
    """The folder `out` with `content` and its SHA-256 sums: made beside it, on disk, then renamed."""
    out = out.absolute()
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        made = Path(scratch) / out.name
        sums = []
        for name in sorted(content):
            path, source = made / name, content[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(source, Path):
                shutil.copyfile(source, path)
            else:
                path.write_bytes(source)
            sums.append(f"{_digest(path)}  {name}\n")
        (made / SUMS).write_text("".join(sums))
        for path in [*made.rglob("*"), made]:
            _sync(path)
        made.replace(out)  # an empty folder in its place is replaced too
    _sync(out.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextlib.contextmanager
def _hop(name: str) -> Iterator[None]:
    """An error inside is one of this hop."""
    try:
        yield
    except PushforwardError as failed:
        raise PushforwardError(
            f"hop {name}: {failed.message}", next=failed.next, exit_code=failed.exit_code
        ) from failed


def _broken(hop: str, why: str, following: str = "") -> PushforwardError:
    return PushforwardError(
        f"hop {hop}: {why}", next=following, exit_code=DATA if hop in {"store", "golden"} else POLICY
    )
