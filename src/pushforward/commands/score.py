"""`pushforward score`: Score the holdout with the model at hand; the predictions go into the hand-over."""

import os
from pathlib import Path

import click

from pushforward.commands import common


@click.command(epilog=common.example("pushforward score --probe"))
@click.option(
    "--out", type=click.Path(path_type=Path), default=common.HANDOVER, show_default=True, help="The hand-over folder."
)
@click.option(
    "--probe", is_flag=True, envvar="PUSHFORWARD_PROBE", help="Score again with the future replaced. On for branches."
)
@common.JSON
def score(out: Path, probe: bool, as_json: bool) -> None:
    """Score the holdout with the model at hand; the predictions go into the hand-over."""
    from pushforward import schema, settings
    from pushforward.judge import challenge, handover

    root = Path.cwd()
    forget = probe and bool(os.environ.get("CI"))
    rules = settings.load(root)
    unscored = [one for one in rules.each if one.measures or one.self_scored]
    if len(unscored) == len(rules.each):
        level = f"level {rules.level} ({schema.LEVELS[rules.level]})"
        told = f"{level}: nothing is scored; what the run wrote is handed over as it is"
        handover.write_unscored(root / handover.output(out), told)
        common.progress(as_json)(told)
        if as_json:
            common.show({"folder": str(out), "scored": [], "leak": ""})
        return
    with common.aside(as_json):
        leak = challenge.answer(
            root, rules, root / handover.output(out), probe=probe, forget=forget, say=common.progress(as_json)
        )
    if as_json:
        scored = [one.contract.name for one in rules.each if one not in unscored]
        common.show({"folder": str(out), "scored": scored, "leak": leak})
