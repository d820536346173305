"""`pushforward accept`: Take what the judge could not tell, by a tag that you sign."""

import click

from pushforward.commands import common


@click.command(epilog=common.example("pushforward accept my-idea -m 'June will be late: the snow of May is gone'"))
@click.argument("commit")
@common.WHY
@common.MODEL
@click.option("--detach", is_flag=True, help="Do not wait for what the tag starts on a server: its version.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; does not wait.")
def accept(commit: str, reason: str, model: str, detach: bool, as_json: bool) -> None:
    """Take what the judge could not tell, by a tag that you sign.

    Your key must be trusted for it: pushforward trust KEY.pub --for accept.
    """
    from pushforward.release import review

    say = None if detach or as_json else click.echo
    common.said(review.accept(common.project(), commit, reason, model=model, say=say), as_json=as_json)
