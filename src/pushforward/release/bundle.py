"""A version as files for whoever serves it: fetched, checked from tag to bytes, loaded and asked before it is accepted.

A refusal names the hop at which the chain broke: one of `chain`, else model, load or golden.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pushforward import files
from pushforward.errors import DATA, POLICY, TOOL, USAGE, PushforwardError
from pushforward.gate import stats
from pushforward.git.repository import Repository
from pushforward.judge import holdout, score, table
from pushforward.pipeline import dvc as pipeline
from pushforward.pipeline import environment
from pushforward.pipeline.remote import SpoiltError
from pushforward.pipeline.revision import MANIFEST, Revision
from pushforward.registry import authority, trust
from pushforward.registry import tags as registry
from pushforward.registry.grammar import ENVIRONMENT_TAG, VERSION_TAG
from pushforward.registry.tags import Assignment, Registered
from pushforward.release import chain, deployment, entry, hop, rebuild
from pushforward.release.chain import Evidence
from pushforward.release.deployment import Tree
from pushforward.release.entry import CARD, FILES, GOLDEN
from pushforward.release.hop import Steps
from pushforward.release.rebuild import Source
from pushforward.release.stored import check_model
from pushforward.report.markdown import markdown
from pushforward.text import figure

MODEL = "model"
SUMS = "SHA256SUMS"
TOLERANCE = 1e-6
NOT_COMPARED = (
    "it loads and scores; its golden rows are of a holdout that the judge had made otherwise, and not compared"
)
Golden = list[tuple[int | str, float | list[float]]]


@dataclass(frozen=True)
class Bundle:
    """What was written: `folder` holds the version `version`, which gave the golden rows as `parity` says."""

    version: str
    commit: str
    model: str
    parity: str
    folder: str


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
        version, used = find(here.repository, name)
        of = Evidence(here.repository, version.name, lambda: trust.signers_file(root), clone=root)
        url = here.server.store if here.server else ""
        with hop.following(f"pushforward verify '{version.name}'"):
            for step, take in steps(of, root, used).items():
                demand(step, take)
            source = Source(here.repository, of.target, url, root.absolute(), here.server)
            return _bundle(of, source, Path(scratch), out, say)


def steps(of: Evidence, root: Path, used: Assignment | None) -> Steps:
    """What has to hold before anything is fetched: all that is said of the version, and of where it is in use."""
    said: Steps = {name: partial(take, of) for name, take in chain.HOPS.items()}
    return {"use": partial(chain.use, of, root, used), **said} if used else said


def demand(name: str, take: Callable[[], str]) -> None:
    """Refuse what one hop does not bear out."""
    found = hop.taken(name, take)
    if found.ok:
        return
    differs = f": expected {found.expected[:40] or 'nothing'}, found {found.found[:40] or 'nothing'}"
    why = f"hop {name}: {found.said}{differs if found.expected or found.found else ''}"
    code = TOOL if found.tool else DATA if name == "model" else POLICY
    raise PushforwardError(why, next=found.next, exit_code=code)


def _bundle(of: Evidence, source: Source, scratch: Path, out: Path, say: Callable[[str], None]) -> Bundle:
    say(f"{of.name}: tag, verdict and provenance are signed or recorded, and say the same")
    checkout = fetched(of, source, scratch / "checkout", scratch / "cache", say)
    demand("model", lambda: check_model(of, *digests(checkout, of.rules.model_path), "the DVC remote"))
    say(f"model sha256:{of.record.model[:12]} is what the tag names")
    same = source.server is not None and environment.at_hand() == of.record.environment
    told = _ask(of, checkout, scratch, same=same)
    say(told)
    there = deployment.tree(of)
    runs = {f"{deployment.CODE}/{path}" for path in there.executable} if there else set()
    _write(out, _content(of, checkout, there, scratch), runs)
    return Bundle(of.name, of.target, of.record.model, told, str(out))


def find(repository: Repository, name: str) -> tuple[Registered, Assignment | None]:
    """The version that `name` means (`v1.2.0`, the tag of a version or of an environment), and the latter's tag."""
    whole = VERSION_TAG.fullmatch(name) or ENVIRONMENT_TAG.fullmatch(name)
    model = whole["model"] if whole else Revision(repository, "HEAD").settings.model.name
    known = registry.fold(model, repository.refs(*registry.PLACES))
    if not ENVIRONMENT_TAG.fullmatch(name):
        return known.named(name), None
    use = next((one for one in known.assignments if one.name == name), None)
    version = known.at(use.commit) if use else None
    if version is None:
        foreign = any(one.name == name for one in known.foreign)
        why = "puts no version to use" if use else f"is {registry.UNJUDGED}" if foreign else "is not there"
        raise PushforwardError(f"hop tag: {name} {why}", next="pushforward show")
    return version, use


def fetched(of: Evidence, source: Source, folder: Path, cache: Path, say: Callable[[str], None]) -> Path:
    """A clean checkout of a version in `folder`, its model and its holdout from the DVC remote, past every other cache.

    Raises `PushforwardError` with the hop of the model; with `DATA` where the remote has other bytes than were judged.
    """
    checkout = rebuild.checkout(source, folder, cache=cache)
    with _hop("model"):
        asked = [] if of.statement.judged else [of.rules.contract.holdout]
        try:
            pipeline.fetch(checkout, of.rules.model_path, *asked, say=say)
        except SpoiltError as spoilt:  # no fault of a tool
            raise PushforwardError(spoilt.message, next=spoilt.next, exit_code=DATA) from spoilt
    return checkout


def digests(checkout: Path, model: str) -> tuple[dict[str, str], bytes]:
    """The SHA-256 of each file of the model, and its manifest; of what is no plain file, a link too, those words."""
    place = checkout / model
    plain = [path for path in (place, *place.rglob("*")) if path.is_symlink() or not path.is_dir()]
    names = {path.relative_to(checkout).as_posix(): path for path in plain}
    inside = {name: path for name, path in names.items() if not path.is_symlink() and path.is_file()}
    found = {name: digest(inside[name]) if name in inside else "no plain file" for name in names}
    manifest = inside.get(f"{model}/{MANIFEST}")
    return found, manifest.read_bytes() if manifest else b""


def _ask(of: Evidence, checkout: Path, scratch: Path, *, same: bool) -> str:
    """Have the version score its holdout and compare the golden rows; how they compare, as a sentence.

    `same` asks for the same but for rounding: this machine, and the environment that it was judged in.
    """
    import polars as pl

    if of.statement.judged:
        return f"nobody asked it before it was promoted ({of.statement.judged}), and so it is not asked now"
    rules, contract = of.rules, of.rules.contract
    place = checkout / contract.holdout
    given = table.place(place, holdout.ROWS, contract.holdout)
    rows, out = table.read(given, given.name), scratch / f"predictions{given.suffix}"
    with _hop("load"):
        python = environment.interpreter(of.repository, of.target, contract.environment, folder=environment.cache())
        asked = (given, place / holdout.EVENTS if contract.events else None, out)
        score.score(checkout, contract, *asked, python_bin=python, timeout=score.SCORE_SECONDS)
        predictions = score.read_asked(out, rows[contract.key], rules)
    golden = expected(of, place)
    if golden is None:
        return NOT_COMPARED
    named = rows[contract.key] if rows[contract.key].dtype.is_integer() else rows[contract.key].cast(pl.String)
    return parity(golden, dict(zip(named.to_list(), predictions.tolist(), strict=True)), same=same)


def expected(of: Evidence, place: Path) -> Golden | None:
    """The golden rows of a version; None where its holdout, in `place`, is not the one that it was judged by."""
    judged, contract = of.verdict.holdout, of.rules.contract
    if judged is None or holdout.digest(place) != judged.sha256:
        return None
    with _hop("golden"):
        return entry.golden(of.recorded(GOLDEN), contract.key, len(contract.classes))


def parity(golden: Golden, predictions: Mapping[int | str, float | list[float]], *, same: bool) -> str:
    """How predictions by key compare with the golden ones, as a sentence; refused where they are others.

    `same` asks for the same but for rounding.
    """
    import numpy as np

    complete(golden, predictions)
    told, found = np.array([p for _, p in golden]), np.array([predictions[key] for key, _ in golden])
    off = float(np.abs(found - told).max(initial=0.0))
    differs = bool(stats.differing(told, found).any())
    if not off:
        return f"it loads, and gives its {len(golden)} golden rows to the last bit"
    if (same and differs) or off > TOLERANCE:
        raise _broken("golden", f"it gives other predictions than when it was judged, by up to {figure(off)}")
    words = f"within {TOLERANCE:g} (by up to {figure(off)}: another machine)"
    words = words if differs else f"but for rounding (by up to {figure(off)})"
    return f"it loads, and gives its {len(golden)} golden rows {words}"


def complete(golden: Golden, known: Container[int | str]) -> None:
    """Refuse golden rows whose keys are not all `known`."""
    if missing := [key for key, _ in golden if key not in known]:
        raise _broken("golden", f"the holdout has no row {str(missing[0])[:40]!r}")


def above(of: Evidence) -> str:
    """What the names of a model's files in a bundle leave out of their paths."""
    path = of.rules.model_path
    return f"{path}/" if path not in of.statement.subjects else path.removesuffix(path.rpartition("/")[2])


def _content(of: Evidence, checkout: Path, there: Tree | None, scratch: Path) -> dict[str, bytes | Path]:
    """Path in the bundle -> its bytes, or the file that has them; `there` is the version's tree."""
    files: dict[str, bytes | Path] = {
        f"{MODEL}/{name.removeprefix(above(of))}": checkout / name for name in of.statement.subjects
    }
    files |= {name: of.file(name) for name in FILES - {CARD}}
    files["model-card.md"] = of.file(CARD)
    files["report.md"] = markdown(of.verdict).encode()
    files[deployment.TAG] = of.content
    if there is not None:
        files |= {f"{deployment.CODE}/{path}": content for path, content in there.files.items()}
        files[deployment.COMMIT] = of.repository.git("cat-file", "commit", of.target).stdout
    why = deployment.unserved(of, there, checkout)
    golden = None if why else expected(of, checkout / of.rules.contract.holdout)
    if golden is not None:
        files |= deployment.golden_rows(of, {str(key) for key, _ in golden}, checkout, scratch)
    return files | deployment.texts(of, why)


def _write(out: Path, content: Mapping[str, bytes | Path], runs: Collection[str]) -> None:
    """The folder `out` with `content` and its SHA-256 sums: made beside it, on disk, then renamed.

    Of its files those in `runs` can be run.
    """
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
            if name in runs:
                path.chmod(path.stat().st_mode | 0o111)
            sums.append(f"{digest(path)}  {name}\n")
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


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
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


def _broken(name: str, why: str) -> PushforwardError:
    return PushforwardError(f"hop {name}: {why}", exit_code=DATA)
