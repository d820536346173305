"""`pushforward reject`: Say that what was judged at a commit shall not be taken, or take back your acceptance of it."""

import click

from pushforward.commands import common


@click.command(epilog=common.example("pushforward reject my-idea -m 'it needs a column that we lose in July'"))
@click.argument("commit")
@common.WHY
@common.MODEL
@common.JSON
def reject(commit: str, reason: str, model: str, as_json: bool) -> None:
    """Say that what was judged at a commit shall not be taken, or take back your acceptance of it.

    A protected default branch does not take it then. After there is a version, rollback and deprecate are the way.
    """
    from pushforward.release import review

    common.said(review.reject(common.project(), commit, reason, model=model), as_json=as_json)
