"""`pushforward release`: Put a version to use, by a tag that you sign."""

from typing import Any

import click

from pushforward.commands import common, completion

REASON = click.option("-m", "--message", "reason", default="", help="Why, in one sentence; it stays in the tag.")


@click.command(epilog=common.example("pushforward release v1.2.0"))
@click.argument("version", shell_complete=completion.versions)
@click.option(
    "--to",
    "environment",
    default="production",
    show_default=True,
    help="The environment.",
    shell_complete=completion.environments,
)
@REASON
@common.MODEL
@click.option("--older", is_flag=True, help="Yes, VERSION is lower than the one in use there; needs -m.")
@click.option("--detach", is_flag=True, help="Do not wait for what the tag starts on a server: its bundle.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; does not wait.")
def release(version: str, environment: str, reason: str, as_json: bool, **how: Any) -> None:
    """Put a version to use, by a tag that you sign."""
    from pushforward.release import release as releases

    say = None if how.pop("detach") or as_json else click.echo
    made = releases.release(common.project(), version, reason, environment=environment, say=say, **how)
    common.made(made, as_json=as_json)
