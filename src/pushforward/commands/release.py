"""`pushforward release`: Put a version to use, by a tag that you sign."""

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
@click.option("--older", is_flag=True, help="Yes, VERSION is lower than the one in use there; needs -m.")
@click.option("--detach", is_flag=True, help="Do not wait for what the tag starts on a server: its bundle.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; does not wait.")
def release(version: str, environment: str, reason: str, older: bool, detach: bool, as_json: bool) -> None:
    """Put a version to use, by a tag that you sign."""
    from pushforward.release import release as releases

    say = None if detach or as_json else click.echo
    made = releases.release(common.project(), version, reason, environment=environment, older=older, say=say)
    common.made(made, as_json=as_json)
