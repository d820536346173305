"""`pushforward repro`: Bring the pipeline up to date: only what changed runs, only what that needs is fetched."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pushforward.commands import common
from pushforward.errors import BUG, DATA, PushforwardError

if TYPE_CHECKING:
    from pushforward.git.repository import Repository
    from pushforward.settings import Settings


OUTCOMES = ("ran", "restored", "frozen", "unchanged", "failed")


@click.command(epilog=common.example("pushforward repro"))
@click.option("--clean", is_flag=True, help="Start from the champion's dvc.lock, not from this commit's. On in CI.")
@click.option("--push", is_flag=True, envvar="PUSHFORWARD_PUSH", help="Send results and run cache to the DVC remote.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=common.HANDOVER, show_default=True, help="The hand-over folder."
)
@click.option(
    "--jobs", type=click.IntRange(1, 64), help="How many stages run side by side; default: repro.jobs of the settings."
)
@common.JSON
def repro(clean: bool, push: bool, out: Path, jobs: int | None, as_json: bool) -> None:
    """Bring the pipeline up to date: only what changed runs, only what that needs is fetched."""
    with common.aside(as_json):
        commit, done = _run(clean, push, out, jobs)
    if as_json:
        stages = [
            {"name": one.name, "outcome": one.outcome, "reason": one.reason, "seconds": one.seconds}
            for one in done.stages
        ]
        told = {"commit": commit, "folder": str(out), "stages": stages, "seconds": done.seconds}
        common.show(told | {"pulled": done.pulled, "pushed": done.pushed})


def _run(clean: bool, push: bool, out: Path, jobs: int | None) -> tuple[str, Any]:
    """Reproduce, hand over, and end where a stage has failed; the commit, and what was done."""
    from pushforward import files, settings
    from pushforward.git.repository import Repository
    from pushforward.judge import handover, identity
    from pushforward.pipeline import declared, folders
    from pushforward.pipeline import dvc as pipeline
    from pushforward.pipeline import lint as stages
    from pushforward.pipeline.checkout import OWN

    root = Path.cwd()
    clean = clean or bool(os.environ.get("CI"))
    repository = Repository(root)
    commit = repository.commit("HEAD")
    handover.claim(out)
    with handover.refusal(out, commit):
        tree = repository.tree(commit)
        files.check_tree(tree, OWN)
        stages.check_bytecode(tree)
        rules = settings.load(root)
        noisy = [one for one in rules.each if one.noise is not None]
    if clean:
        if dirty := repository.unclean():
            raise PushforwardError(f"this folder differs from its commit: {dirty[0]}", next="git stash -u")
        with handover.refusal(out, commit):
            pipeline.seed(repository, identity.last(repository, rules.project.models), rules.outs)
    with handover.refusal(out, commit):
        folders.check(root, set(tree))
        pull = clean or _begin(root, repository, rules)
        shown = declared.here(root).metrics
        kept, push = push, push and _takes(root, rules)
        done = pipeline.reproduce(
            root,
            pull=pull,
            push=push,
            whole=not clean,
            wanted=rules.outs,
            shown=shown,
            jobs=jobs or rules.project.repro.jobs,
            say=click.echo,
        )
    _stages(done.stages)
    with handover.refusal(out, commit):
        _hand_over(root, out, commit, done, rules)
    if clean:
        with handover.refusal(out, commit):
            pipeline.untouched(repository)
    for one in noisy if kept and done.outcome == "ok" else ():
        from pushforward.judge import seeds

        with handover.refusal(out, commit):
            seeds.run(root, one, out, say=lambda text: click.echo(f"  {text}"))
    _end(done)
    return commit, done


def _end(done: Any) -> None:
    if done.outcome == "ok":
        return
    last = done.message.strip().splitlines()[-1:] or ["it gave no reason"]
    stage = next((stage.name for stage in done.stages if stage.outcome == "failed"), "the pipeline")
    raise PushforwardError(
        f"{stage} {done.outcome}: {done.cause or last[0][:300]}",
        next=done.next,
        exit_code=DATA if done.outcome == "refused" else BUG,
    )


def _begin(root: Path, repository: "Repository", rules: "Settings") -> bool:
    """Whether there is a store to fetch from; where there is no lock here, begin with that of the newest version."""
    from pushforward.judge import identity
    from pushforward.pipeline import dvc as pipeline
    from pushforward.pipeline import folders
    from pushforward.pipeline import store as objects
    from pushforward.registry import authority

    places, models = objects.places(root), rules.project.models
    at_hand = places.remote is not None and places.remote.path.is_dir()
    if folders.locks_here(root) or not (at_hand or "://" in places.url):
        return at_hand
    try:
        read = authority.reading(root, models)
    except PushforwardError as unknown:
        click.echo(f"  no dvc.lock here, and no version to begin with: {unknown.message}")
        return at_hand
    if (last := identity.last(read.repository, models)) is None:
        return at_hand
    pipeline.seed(repository, last, rules.outs, source=read.repository)
    click.echo(f"  no dvc.lock here: it begins with that of the newest version ({last[:9]} in {read.source})")
    return True


def _takes(root: Path, rules: "Settings") -> bool:
    """Whether the store takes what a run makes; where nothing is promoted, one that does not is no fault."""
    from pushforward.pipeline.storage import storage
    from pushforward.text import plain

    there = storage(root)
    if rules.highest > 1 or rules.promote.metrics:
        there.refuse_read_only()
    if there.read_only:
        click.echo(f"  not stored: {there.remote} ({plain(there.url)}) can only be read")
    return not there.read_only


def _hand_over(root: Path, out: Path, commit: str, done: Any, rules: Any) -> None:
    from pushforward.judge import handover

    if not rules.several:
        handover.write(root, out, commit, done, rules.model.path, handover.tables(rules))
        return
    handover.write(root, out, commit, done, None)
    for one in rules.each:
        handover.add(root, out / handover.MODELS / one.name, one.model.path, handover.tables(one))


def _stages(stages: list[Any]) -> None:
    from pushforward.report.words import fold_stages

    counts = {name: [s for s in stages if s.outcome == name] for name in OUTCOMES}
    for stage in fold_stages(stages):
        if stage.outcome != "unchanged":
            click.echo(f"  {stage.name:<26} {stage.outcome:<8} {stage.seconds:5.1f} s  {stage.reason}")
    click.echo("  stages: " + ", ".join(f"{len(some)} {name}" for name, some in counts.items() if some))
