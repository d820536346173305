"""`pushforward bundle`: Fetch a version for whoever serves it: checked from tag to bytes, loaded and asked before it is
accepted.
"""

from collections.abc import Callable
from pathlib import Path

import click

from pushforward.commands import common, completion


@click.command(epilog=common.example("pushforward bundle v1.2.0 --out release"))
@click.argument("version", shell_complete=completion.versions)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to make; it may not be there.")
@common.JSON
def bundle(version: str, out: Path, as_json: bool) -> None:
    """Fetch a version for whoever serves it: checked from tag to bytes, loaded and asked before it is accepted."""
    from pushforward.release import bundle as bundles

    say: Callable[[str], None] = (lambda _: None) if as_json else (lambda text: click.echo(f"  {text}"))
    made = bundles.bundle(common.project(), version, out, say=say)
    if as_json:
        common.show(made)
    else:
        click.echo(f"{made.version} is in {made.folder}\n  next: cd {made.folder} && sha256sum -c SHA256SUMS")
