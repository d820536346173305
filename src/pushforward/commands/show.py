"""`pushforward show`: What is in use where, and everything that was judged; rejected changes stay in the table."""

import click

from pushforward.commands import common


@click.command(epilog=common.example("pushforward show --markdown"))
@common.JSON
@common.MODEL
@click.option("--markdown", "as_markdown", is_flag=True, help="The history as a markdown table.")
def show(as_json: bool, model: str, as_markdown: bool) -> None:
    """What is in use where, and everything that was judged; rejected changes stay in the table."""
    from pushforward.views import show as view

    root = common.project()
    read = view.reading(root)
    found = [view.state(root, name, read) for name in ([model] if model else view.models(root))]
    if as_json:
        told = [state.record() for state in found]
        common.show(told[0] if len(told) == 1 else {"models": told})
        return
    import shutil

    columns = shutil.get_terminal_size((80, 24)).columns
    for state in found:
        click.echo(view.markdown(state) if as_markdown else view.terminal(state, width=columns))
