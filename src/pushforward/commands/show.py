"""`pushforward show`: What is in use where, and everything that was judged; rejected changes stay in the table."""

import click

from pushforward.commands import common


@click.command(epilog=common.example("pushforward show --markdown"))
@common.JSON
@click.option("--markdown", "as_markdown", is_flag=True, help="The history as a markdown table.")
def show(as_json: bool, as_markdown: bool) -> None:
    """What is in use where, and everything that was judged; rejected changes stay in the table."""
    from pushforward.views import show as view

    state = view.state(common.project())
    if as_json:
        common.show(state.record())
    else:
        import shutil

        columns = shutil.get_terminal_size((80, 24)).columns
        click.echo(view.markdown(state) if as_markdown else view.terminal(state, width=columns))
