"""`pushforward score-card`: The 28 rows of the ML Test Score: which this repository earns, why, and what is missing."""

import click

from pushforward.commands import common


@click.command("score-card", epilog=common.example("pushforward score-card"))
@common.JSON
def score_card(as_json: bool) -> None:
    """The 28 rows of the ML Test Score: which this repository earns, why, and what is missing.

    A row is earned by what pushforward does here, as settings and workflows say, or by a test that names it by
    @pytest.mark.ml_test_score("Data 1"). Nothing is run.
    """
    from pushforward.project import scorecard

    found = scorecard.card(common.project())
    if as_json:
        common.show(found)
        return
    for one in found.rows:
        click.echo(f"{one.points:>3g}  {one.row:<13} {one.title}: {one.why}")
        if one.next:
            click.echo(f"       next: {one.next}")
    sums = ", ".join(f"{section} {total:g}" for section, total in found.sums.items())
    click.echo(f"{sums}: the score is the least, {found.score:g} of 7: {found.says}")
