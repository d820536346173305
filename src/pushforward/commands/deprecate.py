"""`pushforward deprecate`: Say that a version is not to be put to use again."""

import click

from pushforward.commands import common, completion


@click.command(epilog=common.example("pushforward deprecate v1.1.0 -m 'trained on a broken month'"))
@click.argument("version", shell_complete=completion.versions)
@common.WHY
@common.JSON
def deprecate(version: str, reason: str, as_json: bool) -> None:
    """Say that a version is not to be put to use again."""
    from pushforward.release import release as releases

    common.made(releases.deprecate(common.project(), version, reason), as_json=as_json)
