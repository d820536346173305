"""What the judge weighs: the hand-over, the holdout, the champion's own predictions. The shell around the gate."""

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from pushforward import environment, gate, handover, pipeline, registry, score, settings
from pushforward.errors import PushforwardError
from pushforward.gate import Champion, Digests, Evidence, Holdout, Verdict
from pushforward.git import Repository
from pushforward.report import Context, Kind
from pushforward.settings import Settings

MANIFEST = "manifest.json"
SCORE_SECONDS = 600.0
# Of the numbers that a run says of itself, those that a reviewer knows how to read.
SHOWN = ("logloss", "auc", "brier", "ece", "rmse", "mae")


@dataclasses.dataclass(frozen=True)
class Question:
    """What is to be judged: `head` was pushed by `event` to `ref`; `subject` ran, a merge for a pull request."""

    head: str
    subject: str
    event: str
    ref: str
    pull: int | None = None


def ask(root: Path, head: str, event: str, ref: str, pull: int | None) -> Question:
    """What is asked of the judge in `root`; number and merge of a pull request come from the forge's refs."""
    repository = Repository(root)
    if event == "push":
        head = repository.commit(head)
        return Question(head, head, event, ref)
    if pull is None:
        heads = repository.remote("ls-remote", "origin", "refs/pull/*/head").text.splitlines()
        mine = [int(name.split("/")[2]) for commit, name in (line.split("\t") for line in heads) if commit == head]
        if not mine:
            raise PushforwardError(
                f"no pull request has the head {head[:9]}", next="git ls-remote origin 'refs/pull/*/head'"
            )
        pull = max(mine)
    merge = f"refs/pull/{pull}/merge"
    repository.remote("fetch", "-q", "origin", f"+{merge}:{merge}")
    subject = repository.commit(merge)
    if head not in repository.git("rev-parse", f"{subject}^@").text.split():
        raise PushforwardError(f"{merge} is not a merge of {head[:9]} any more: the branch has moved on")
    return Question(head, subject, event, ref, pull=pull)


def weigh(
    root: Path, folder: Path, question: Question, *, work: Path, say: Callable[[str], None]
) -> tuple[Verdict, Context, registry.Level]:
    """Judge the hand-over in `folder` with the code, the rules and the holdout of the checkout in `root`.

    Nothing of the pushed commit is run. Gives the verdict, what the report tells beside it, and which part of the
    version number a promotion would raise. `work` holds what is made on the way.
    """
    started = time.monotonic()
    repository = Repository(root)
    rules = settings.load(root)
    champion = _champion(repository, rules.model.name, question)
    context = _context(repository, question, champion)
    reproduction = pipeline.Reproduction()
    level: registry.Level = "minor"
    months: tuple[str, ...] = ()
    digests = Digests()
    mode: gate.Mode = "superior" if champion else "first"
    try:
        read = handover.read(folder)
        reproduction = read.reproduction
        if read.commit != question.subject:
            raise PushforwardError(f"the hand-over is of {read.commit[:9]}, not of {question.subject[:9]}")
        if reproduction.outcome != "ok":
            raise PushforwardError(reproduction.message)
        asked = _settings(repository, question.subject)
        months = tuple(asked.data.months[-rules.gate.window :])
        mode = _mode(repository, champion, question.subject)
        digests = _digests(read, repository, question.subject, asked)
        if not read.lock:
            raise PushforwardError(f"the run left no {pipeline.LOCK}")
        context = _with_metrics(context, read, repository, champion)
        with _checkouts(repository, work) as checkout:
            verdict, context, level = _judge(rules, asked, champion, question, read, mode, checkout, context, say)
    except PushforwardError as failed:
        verdict = gate.invalid(_reason(failed, reproduction), mode, rules.gate)
        context = dataclasses.replace(context, kind=_kind(reproduction), message=failed.message)
    if months and verdict.holdout is None:
        verdict = dataclasses.replace(verdict, holdout=Holdout(months, 0, 0, ""))
    verdict = dataclasses.replace(
        verdict,
        commit=question.head,
        base=repository.commit("HEAD"),
        ref=question.ref,
        event=question.event,
        pull=question.pull,
        champion=Champion(champion.name, champion.commit) if champion else None,
        digests=digests,
        stages=tuple(gate.Stage(s.name, s.outcome, s.reason, s.seconds) for s in reproduction.stages),
        touched=_touched(repository, question.subject),
        seconds=round(reproduction.seconds + time.monotonic() - started, 1),
    )
    again = f"git fetch local && git switch --detach {question.head} && pushforward repro --clean"
    context = dataclasses.replace(context, next_step=_next_step(verdict, context), reproduce=again)
    return verdict, context, level


def _settings(repository: Repository, commit: str) -> Settings:
    text = repository.read(commit, "params.yaml")
    if text is None:
        raise PushforwardError(f"{commit[:9]} has no params.yaml")
    return settings.parse(text, f"{commit[:9]}:params.yaml")


def _leaves(repository: Repository, commit: str) -> dict[str, Any]:
    text = repository.read(commit, "params.yaml")
    return settings.flatten(text, f"{commit[:9]}:params.yaml") if text else {}


def _reason(failed: PushforwardError, reproduction: pipeline.Reproduction) -> str:
    lines = failed.message.strip().splitlines() or ["no reason was given"]
    if reproduction.outcome == "refused":
        return lines[0] if lines[0].startswith("data refused") else f"data refused: {lines[0]}"
    if reproduction.outcome == "failed":
        stage = next((s.name for s in reproduction.stages if s.outcome == "failed"), "the pipeline")
        return f"{stage} failed: {lines[-1]}"
    return lines[0]


def _kind(reproduction: pipeline.Reproduction) -> Kind:
    kinds: dict[str, Kind] = {"refused": "data-refused", "failed": "training-failed", "ok": "judged"}
    return kinds[reproduction.outcome]


def _champion(repository: Repository, model: str, question: Question) -> registry.Registered | None:
    """The version to beat; not one that this very commit has made, so that judging twice gives the same verdict."""
    known = registry.fold(model, repository.refs("refs/tags"))
    own = {
        version.commit
        for version in known.versions
        if question.subject in {version.commit, repository.resolve(f"{version.commit}^")}
    }
    versions = tuple(version for version in known.versions if version.commit not in own)
    uses = tuple(use for use in known.assignments if use.commit not in own)
    return dataclasses.replace(known, versions=versions, assignments=uses).champion


def _mode(repository: Repository, champion: registry.Registered | None, subject: str) -> gate.Mode:
    after = _leaves(repository, subject)
    if champion is None:
        return gate.mode([], None, after)
    return gate.mode(repository.changed(champion.commit, subject), _leaves(repository, champion.commit), after)


def _judge(
    rules: Settings,
    asked: Settings,
    champion: registry.Registered | None,
    question: Question,
    read: handover.Handover,
    mode: gate.Mode,
    checkout: Callable[[str], Path],
    context: Context,
    say: Callable[[str], None],
) -> tuple[Verdict, Context, registry.Level]:
    contract = rules.model
    months = tuple(asked.data.months[-rules.gate.window :])
    root = checkout("HEAD")
    say(f"holdout {' '.join(months)}")
    holdout = _holdout(root, rules, asked, question, read, champion)
    labels = pl.read_parquet(holdout / "labels.parquet")
    keys = labels[contract.key]
    challenger = score.read_predictions(read.folder / handover.PREDICTIONS, keys)
    manifest = _manifest(read.folder / handover.MODEL)
    theirs: Any = None
    champion_manifest: dict[str, Any] = {}
    if champion is not None:
        say(f"champion {champion.name}, scored by its own code")
        theirs, champion_manifest = _score_champion(champion, checkout(champion.commit), holdout, keys, root.parent)
    context = _with_months(context, manifest, champion_manifest)
    evidence = Evidence(
        y=labels[contract.label].cast(pl.Float64).to_numpy(),
        champion=theirs,
        challenger=challenger,
        clusters=labels[contract.cluster].cast(pl.String).to_numpy(),
        mode=mode,
        months=months,
        slices={name: labels[name].cast(pl.String).to_numpy() for name in rules.gate.slices if name in labels.columns},
        challenger_until=_until(manifest),
        champion_until=_until(champion_manifest),
    )
    verdict = gate.judge(evidence, rules.gate)
    size = Holdout(months, labels.height, labels[contract.cluster].n_unique(), _sha256_files(holdout))
    level = _level(mode, manifest, champion_manifest)
    newest = registry.fold(contract.name, Repository(root).refs("refs/tags")).newest
    version = newest.version.bump(level) if newest and champion else registry.FIRST
    context = dataclasses.replace(
        context, months=_rates(labels, contract.cluster, contract.label), next_version=f"{contract.name}@{version}"
    )
    return dataclasses.replace(verdict, holdout=size), context, level


def _with_months(context: Context, manifest: dict[str, Any], champion: dict[str, Any]) -> Context:
    """Name the validation month; what another model said of itself on another month is no comparison."""
    mine, theirs = _validation_month(manifest), _validation_month(champion)
    same = bool(mine) and mine == theirs
    kept = context.champion_validation if same else {}
    return dataclasses.replace(context, validation_month=mine, champion_validation=kept)


def _validation_month(manifest: dict[str, Any]) -> str:
    training = manifest.get("training")
    return str(training.get("validation_month", "")) if isinstance(training, dict) else ""


def _rates(labels: pl.DataFrame, cluster: str, label: str) -> tuple[tuple[str, int, float], ...]:
    month = pl.col(cluster).cast(pl.String).str.slice(0, 7).alias("month")
    table = labels.group_by(month).agg(pl.len().alias("rows"), pl.col(label).mean().alias("rate")).sort("month")
    return tuple((str(name), int(rows), float(rate)) for name, rows, rate in table.iter_rows())


def _holdout(
    root: Path,
    rules: Settings,
    asked: Settings,
    question: Question,
    read: handover.Handover,
    champion: registry.Registered | None,
) -> Path:
    """The holdout of the months that have arrived, made by the target branch's code."""
    repository = Repository(root)
    if repository.commit("HEAD") == question.subject:
        (root / pipeline.LOCK).write_bytes(
            read.lock
        )  # the same code made it: what the lock names is what we would make
        pipeline.fetch(root, rules.model.holdout)
    else:
        pipeline.seed(repository, champion.commit if champion else None)
        _set_months(root / "params.yaml", asked.data.months)
        pipeline.build(root, rules.model.holdout)
    return root / rules.model.holdout


def _set_months(path: Path, months: list[str]) -> None:
    yaml = YAML()
    tree = yaml.load(path.read_bytes())
    tree["data"]["months"] = months
    yaml.dump(tree, path)


def _score_champion(
    champion: registry.Registered, root: Path, holdout: Path, keys: pl.Series, work: Path
) -> tuple[Any, dict[str, Any]]:
    contract = settings.load(root).model
    repository = Repository(root)
    pipeline.fetch(root, contract.path)
    recorded = registry.record(repository.git("cat-file", "tag", champion.tag).text)
    found = model_digest(root / contract.path)
    if recorded.get("model") != found:
        raise PushforwardError(
            f"the model of {champion.name} has SHA-256 {found[:12]}…, its tag says {str(recorded.get('model'))[:12]}…",
            next=f"git show {champion.name}",
        )
    python = environment.interpreter(repository, champion.commit, contract.requirements, folder=work / "environments")
    out = work / "champion.parquet"
    score.score(
        root,
        contract,
        holdout / "rows.parquet",
        holdout / "events.parquet",
        out,
        python_bin=python,
        timeout=SCORE_SECONDS,
    )
    return score.read_predictions(out, keys), _manifest(root / contract.path)


def model_digest(folder: Path) -> str:
    """SHA-256 of the model in `folder`: of its one file beside the manifest, or of the list of its files' hashes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in {MANIFEST, ".gitignore"})
    if not files:
        raise PushforwardError(f"{folder.name} holds no model beside {MANIFEST}")
    if len(files) == 1:
        return _sha256(files[0].read_bytes())
    lines = [f"{_sha256(path.read_bytes())}  {path.relative_to(folder).as_posix()}\n" for path in files]
    return _sha256("".join(lines).encode())


def _digests(read: handover.Handover, repository: Repository, subject: str, asked: Settings) -> Digests:
    folder = read.folder / handover.MODEL
    manifest = _manifest(folder)
    return Digests(
        model=model_digest(folder),
        manifest=_sha256((folder / MANIFEST).read_bytes()),
        data=_sha256(json.dumps(manifest.get("data"), sort_keys=True, separators=(",", ":")).encode()),
        lock=_sha256(read.lock),
        params=_sha256(repository.read(subject, "params.yaml") or b""),
        environment=environment.digest(repository, subject, asked.model.requirements),
    )


def _manifest(folder: Path) -> dict[str, Any]:
    if not (folder / MANIFEST).is_file():
        raise PushforwardError(f"the model has no {MANIFEST}")
    return handover.plain_json((folder / MANIFEST).read_bytes(), f"the model's {MANIFEST}")


def _until(manifest: dict[str, Any]) -> str:
    """The last month that a model has trained on, by its manifest: `training.months`."""
    training = manifest.get("training")
    months = training.get("months") if isinstance(training, dict) else None
    return max(str(month) for month in months) if isinstance(months, list) and months else ""


def _level(mode: gate.Mode, manifest: dict[str, Any], champion: dict[str, Any]) -> registry.Level:
    if champion and manifest.get("inputs") != champion.get("inputs"):
        return "major"
    return "patch" if mode == "refresh" else "minor"


def _touched(repository: Repository, subject: str) -> tuple[str, ...]:
    """What of the judge a change touches, against where it left the target branch."""
    target = repository.commit("HEAD")
    base = repository.merge_base(target, subject) if target != subject else repository.resolve(f"{subject}^")
    if base is None or base == subject:
        return ()
    try:
        return gate.touched(repository.changed(base, subject), _leaves(repository, base), _leaves(repository, subject))
    except PushforwardError:
        return ()  # params.yaml cannot be read: that is the verdict already


def _context(repository: Repository, question: Question, champion: registry.Registered | None) -> Context:
    context = Context(branch=question.ref.removeprefix("refs/heads/"))
    if champion is None:
        return context
    before = _leaves(repository, champion.commit)
    try:
        after = _leaves(repository, question.subject)
    except PushforwardError:
        return context  # params.yaml cannot be read: that is the verdict already
    keys = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key) and key != "data.months"]
    old, new = before.get("data.months") or [], after.get("data.months") or []
    files = [
        row
        for row in repository.diffstat(champion.commit, question.subject)
        if row[0] not in {"params.yaml", pipeline.LOCK} and not row[0].startswith(f"{pipeline.METRICS}/")
    ]
    return dataclasses.replace(
        context,
        changed_params=tuple((key, _shown(before.get(key)), _shown(after.get(key))) for key in keys),
        changed_files=tuple(files),
        months_added=tuple(str(month) for month in new if month not in old) if isinstance(new, list) else (),
    )


def _shown(value: Any) -> str:
    return "not set" if value is None else value if isinstance(value, str) else json.dumps(value)


def _with_metrics(
    context: Context, read: handover.Handover, repository: Repository, champion: registry.Registered | None
) -> Context:
    """What the run says of itself: shown, never judged by."""
    theirs = repository.read(champion.commit, f"{pipeline.METRICS}/metrics.json") if champion else None
    curve: tuple[float, ...] = ()
    with contextlib.suppress(ValueError, KeyError, TypeError, csv.Error):
        rows = csv.DictReader(io.StringIO(read.metrics.get("learning.csv", b"").decode()))
        curve = tuple(value for value in (float(row["validation"]) for row in rows) if math.isfinite(value))
    return dataclasses.replace(
        context,
        validation=_numbers(read.metrics.get("metrics.json", b"{}")),
        champion_validation=_numbers(theirs or b"{}"),
        learning_curve=curve,
    )


def _numbers(text: bytes) -> dict[str, float]:
    try:
        found = handover.plain_json(text, "metrics.json")
    except PushforwardError:
        return {}
    inner = found.get("validation", found)
    leaves = inner.items() if isinstance(inner, dict) else ()
    numbers = {str(key): value for key, value in leaves if type(value) in {int, float} and abs(value) < 1e300}
    finite = {key: float(value) for key, value in numbers.items()}
    return {key: finite[key] for key in SHOWN if key in finite} or finite


def _next_step(verdict: Verdict, context: Context) -> str:
    if verdict.verdict == "promote" and verdict.event == "push":
        return "nothing to do: tagged, and in use wherever promotion is automatic,"
    if verdict.verdict == "promote":
        return f"merge {context.branch}; the run on the target branch tags it"
    return ""


def store(folder: Path, verdict: Verdict, context: Context, level: registry.Level) -> None:
    """Put a verdict and what its report needs into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "verdict.json").write_text(verdict.to_json() + "\n")
    beside = {"level": level, "context": dataclasses.asdict(context)}
    (folder / "context.json").write_text(json.dumps(beside, allow_nan=False, indent=1) + "\n")


def stored(folder: Path) -> tuple[Verdict, Context, registry.Level]:
    """What `store` put into `folder`."""
    try:
        verdict = Verdict.from_json((folder / "verdict.json").read_bytes())
        beside = json.loads((folder / "context.json").read_bytes())
    except FileNotFoundError as missing:
        raise PushforwardError(f"{folder} holds no verdict", next="pushforward gate") from missing
    return verdict, TypeAdapter(Context).validate_python(beside["context"]), beside["level"]


@contextlib.contextmanager
def _checkouts(repository: Repository, work: Path) -> Iterator[Callable[[str], Path]]:
    """Gives a checkout of any revision, as a folder of `work` that shares the repository's objects."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    local = pipeline.absolute_config(repository.path)

    def checkout(revision: str) -> Path:
        commit = repository.commit(revision)
        folder = work / commit[:12]
        if not folder.exists():
            repository.git("clone", "-q", "--shared", "--no-checkout", str(repository.path), str(folder))
            Repository(folder).git("checkout", "-q", "--detach", commit)
            (folder / ".dvc" / "config.local").write_text(local)
        return folder

    yield checkout


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sha256_files(folder: Path) -> str:
    lines = [f"{_sha256(path.read_bytes())}  {path.name}\n" for path in sorted(folder.glob("*.parquet"))]
    return _sha256("".join(lines).encode())
