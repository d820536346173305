"""`pushforward show`: What is in use where, and everything that was judged; rejected changes stay in the table."""

import json

import click

from pushforward.commands import common


@click.command(epilog=common.example("pushforward show --markdown"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--markdown", "as_markdown", is_flag=True, help="The history as a markdown table.")
def show(as_json: bool, as_markdown: bool) -> None:
    """What is in use where, and everything that was judged; rejected changes stay in the table."""
    from pushforward.views import show as view

    state = view.state(common.project())
    if as_json:
        click.echo(json.dumps(state.record(), indent=1))
    else:
        import shutil

        columns = shutil.get_terminal_size((80, 24)).columns
        click.echo(view.markdown(state) if as_markdown else view.terminal(state, width=columns))
