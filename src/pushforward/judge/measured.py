"""The numbers that a run wrote by itself, told and held against their limits below level 2: `judge` asks.

No row is scored and no look is taken: what is compared is what two runs say of themselves, so the verdict is
`measured` where nothing is broken, `hold` where a limit is. It is `promote` where the settings of the target branch say
that limits alone promote, or a person says it of this commit, in words that they sign; who it was by is told with it.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from pushforward import params, percent, schema, untrusted
from pushforward.errors import PushforwardError
from pushforward.gate.verdict import BY, LEVEL, Digests, Guard, Verdict
from pushforward.git import kept
from pushforward.git.refs import RUNS
from pushforward.git.repository import Repository
from pushforward.judge import context as background
from pushforward.judge import handover, noise
from pushforward.judge.question import Question
from pushforward.pipeline import declared
from pushforward.pipeline.lock import LOCK, METRICS
from pushforward.pipeline.revision import Revision, data_digest, manifest_bytes, model_digest, sha256
from pushforward.registry import ssh, trust
from pushforward.report import notes
from pushforward.report.note import Context
from pushforward.schema import Metric
from pushforward.settings import Outline, Settings
from pushforward.text import exact, figure, plain

SUFFIX = ".json"
LOOKED_BACK = 50  # commits of the target branch
KEPT_OUT = frozenset({"hold", "invalid"})  # their numbers are nothing to be held against
MOST = 1000  # numbers of a run

Numbers = Mapping[str, float]


def answer(
    question: Question, judge: Revision, subject: Revision, read: handover.Handover, context: Context, *, first: bool
) -> tuple[Verdict, Context]:
    """The verdict on what a run wrote, by the limits of the commit `judge`, and what its report tells beside it.

    `first` says that there is no version yet.
    """
    rules = judge.settings
    limits = rules.limits
    new, unread = numbers(read.metrics)
    before, old = _before(judge, question, frozenset(limits))
    missing = next((key for key in limits if key not in new), "")
    if missing:
        raise _unwritten(rules.model, missing, read.metrics, unread)
    spread = _spread(judge, before)
    context = dataclasses.replace(
        background.changes(subject, question.ref, before or None),
        override=context.override,
        measured=tuple((key, old.get(key), value) for key, value in new.items()),
        measured_before=before,
        remarks=(_claims(rules.level), *unread, *_unknown(rules, before, spread)),
    )
    guards = tuple(
        guard
        for key, metric in limits.items()
        for guard in held(key, metric, old.get(key), new[key], spread.get(key, ()))
    )
    broken = [guard.detail for guard in guards if guard.outcome == "fail"]
    reason = "; ".join(broken) or _reason(len(guards), old, new, before)
    told = {LEVEL: f"{rules.level} ({schema.LEVELS[rules.level]})"}
    word: Any = "hold" if broken else "measured"
    by, why = _promoter(question, judge, read, guards, first=first)
    if by:
        word, told, reason = "promote", told | {BY: by}, f"by: {by}{f' ({why})' if why else ''}; {reason}"
    return Verdict(word, reason, "superior" if before else "first", "", told, guards=guards), context


def _promoter(
    question: Question, judge: Revision, read: handover.Handover, guards: tuple[Guard, ...], *, first: bool
) -> tuple[str, str]:
    """Who promotes a run on the default branch that breaks no limit, and why; "" where nobody does.

    A person, by a word in the commit's message that they have signed; else its metrics, where the settings say so and
    each limit is shown to be kept: before the first version a limit may wait for numbers to be held against.
    """
    outcomes = {guard.outcome for guard in guards}
    if question.event != "push" or "fail" in outcomes or not (read.part / handover.MODEL).exists():
        return "", ""
    who, why = trust.word(judge.repository.path, judge.repository, question.head, ssh.PROMOTE)
    if who:
        return who, plain(why)
    kept = bool(guards) and (first or "undecided" not in outcomes)
    return ("metrics" if judge.settings.promote.metrics and kept else ""), ""


def digests(read: handover.Handover, subject: Revision) -> Digests:
    """What was run and what came of it; below level 1 there may be no model."""
    found = Digests(lock=kept.digest(read.locks, LOCK), params=subject.params_digest, environment=subject.environment)
    model, path = read.part / handover.MODEL, subject.settings.model.path
    if path is None or not model.exists():
        return found
    manifest = manifest_bytes(model)
    return dataclasses.replace(
        found,
        model=model_digest(model),
        manifest=sha256(manifest) if manifest else "",
        data=data_digest(b"", read.lock, path),
    )


def numbers(files: Mapping[str, bytes]) -> tuple[Numbers, tuple[str, ...]]:
    """The numbers of metrics files by file:path, and which files could not be read, a sentence without a full stop."""
    found: dict[str, float] = {}
    unread = []
    for file, content in sorted(files.items()):
        found |= {f"{file}:{name}": value for name, value in declared.numbers(file, content).items()}
        try:
            if file.endswith(SUFFIX):
                untrusted.plain_json(content, file)
        except PushforwardError as broken:
            unread.append(f"{broken.message}; its numbers are not told")
    return dict(list(found.items())[:MOST]), tuple(unread)


def _before(judge: Revision, question: Question, asked: frozenset[str]) -> tuple[str, Numbers]:
    """The newest commit of the target branch whose run wrote numbers, all that limits are `asked` of; and its numbers.

    What a run wrote is in the lock commit of its commit, where one was recorded, else in the commit itself.
    """
    walked = judge.repository.git("rev-list", "--first-parent", f"-n{LOOKED_BACK}", judge.commit).text.split()
    runs, locked = _runs(judge)
    first: tuple[str, Numbers] = "", {}
    for commit in walked:
        if commit in (question.head, question.subject) or _kept_out(runs, commit):
            continue
        found, _ = numbers(_committed(runs, locked.get(commit, commit)))
        if found and asked <= set(found):
            return commit, found
        if found and not first[0]:
            first = commit, found
    return first


def _spread(judge: Revision, before: str) -> Mapping[str, tuple[float, ...]]:
    """What other seeds of the recipe at the commit `before` gave, as its own run wrote it down."""
    asked = judge.settings.noise
    if asked is None or not before:
        return {}
    runs, locked = _runs(judge)
    commit = locked.get(before, before)
    found = noise.read(runs.read(commit, noise.FILE))
    same = found is not None and found.param == asked.param
    lock, file = Revision(runs, commit).whole_lock, judge.settings.model.beside(params.FILE)
    if found is None or not same or found.recipe != noise.recipe(lock, asked.param, file):
        return {}
    return found.values


def _unknown(rules: Settings, before: str, spread: Mapping[str, tuple[float, ...]]) -> tuple[str, ...]:
    """That nothing says how far the old numbers move by chance, where somebody has asked."""
    if rules.noise is None or not before or spread:
        return ()
    return (f"no spread is known of {before[:7]}: its run has tried no other {rules.noise.param}",)


def _runs(judge: Revision) -> tuple[Repository, dict[str, str]]:
    """Where what runs wrote is kept, and the lock commit of each commit that has one."""
    runs = notes.of(judge.repository.path, RUNS)
    return runs, {ref.name.removeprefix(RUNS): ref.object for ref in runs.refs(RUNS)}


def _kept_out(repository: Repository, commit: str) -> bool:
    """Whether the run of a commit on its branch was held, or came to nothing."""
    return any(one.event == "push" and one.verdict.get("verdict") in KEPT_OUT for one in notes.read(repository, commit))


def _committed(repository: Repository, commit: str) -> dict[str, bytes]:
    """The files of numbers that a commit has: those below the folder of metrics, and those that dvc.yaml declares."""
    listed = repository.git("ls-tree", "--name-only", "-z", commit, f"{METRICS}/", check=False).text
    paths = [path for path in listed.split("\0") if handover.NAME.fullmatch(Path(path).name)]
    with contextlib.suppress(PushforwardError):  # whose dvc.yaml cannot be read declares nothing
        paths += declared.at(repository, commit).files(Revision(repository, commit).lock)
    found = repository.objects([f"{commit}:{path}" for path in paths]) if paths else []
    return {path: one[1] for path, one in zip(paths, found, strict=True) if one}


def held(key: str, metric: Metric, old: float | None, new: float, seeds: tuple[float, ...] = ()) -> Iterator[Guard]:
    """What each limit of a number says of it; one that asks for the old number is undecided where there is none.

    `seeds` are what other seeds gave where the old number is from: what they alone could do is no gain, and no loss.
    """
    for name in schema.limits(metric):
        limit = getattr(metric, name)
        asks = f"{name} asks for {exact(limit)}"
        if name in {"at_least", "at_most"}:
            kept = new >= limit if name == "at_least" else new <= limit
            yield Guard(f"{key} {name}", "pass" if kept else "fail", f"{key} is {exact(new)}, and {asks}")
        elif old is None:
            told = f"{key} is {exact(new)}, and {name} waits for a run of the target branch to be held against"
            yield Guard(f"{key} {name}", "undecided", told)
        else:
            # as decimals: 0.8 - 0.795 is more than 0.005 otherwise
            gain = (Decimal(str(new)) - Decimal(str(old))) * (1 if metric.better == "higher" else -1)
            kept = gain >= Decimal(str(limit)) if name == "gain_at_least" else -gain <= Decimal(str(limit))
            told = f"{key} is {exact(new)} after {exact(old)}, and {asks}"
            alone, spread = _chance(old, new, seeds)
            undecided = alone and not (kept and name == "lose_at_most")
            yield Guard(f"{key} {name}", "undecided" if undecided else "pass" if kept else "fail", told + spread)


def _chance(old: float, new: float, seeds: tuple[float, ...]) -> tuple[bool, str]:
    """Whether a seed alone could have moved a number from `old` to `new`, and how far seeds move it, "" if unknown."""
    if not seeds:
        return False, ""
    low, high = noise.interval((old, *seeds))
    told = (
        f"; {len(seeds)} other seeds of the old recipe gave {exact(min(seeds))} to {exact(max(seeds))}, and one more "
        f"would give {figure(low)} to {figure(high)} ({percent.confidence(noise.ALPHA)})"
    )
    inside = low <= new <= high
    return inside, told + (": no more than a seed does" if inside else "")


def _unwritten(model: Outline, key: str, files: Mapping[str, bytes], unread: tuple[str, ...]) -> PushforwardError:
    file, _, path = key.partition(":")
    if broken := next((words for words in unread if words.startswith(file)), ""):
        why = broken.partition(";")[0]
    elif file in files:
        why = f"{file} has no number {path}"
    else:
        why = f"the run wrote no {file}"
    return PushforwardError(
        f'models.{model.name}.metrics."{model.named(key)}" on the target branch has a limit, and {why}',
        next=f"have the stage that makes {file} write it, or mend the name in {schema.FILE} on the target branch",
    )


def _reason(limits: int, old: Numbers, new: Numbers, before: str) -> str:
    moved = sum(old.get(key) != value for key, value in new.items())
    kept = "no limit of its metrics is broken; " if limits else ""
    if not new:
        return f"{kept}the pipeline ran, and wrote no number"
    if not before:
        return f"{kept}the first run with numbers: {len(new)} to begin from"
    return f"{kept}{moved} of {len(new)} numbers differ from those of the target branch"


def _claims(level: int) -> str:
    """What a verdict of this level does not claim."""
    if level == 0:
        return (
            "level 0 (rerun): this says that the pipeline ran and what it wrote, and is no verdict on the model; its "
            "numbers are as the run wrote them, not judged on the same rows"
        )
    return (
        "level 1 (metrics): numbers are as the run wrote them, not judged on the same rows; no look is counted, and "
        "nothing is said of chance or of rows to come"
    )
