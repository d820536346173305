"""`pushforward trust`: Say whose signatures count: trust the public key in the file KEY (- is standard input), or list
the keys.
"""

from pathlib import Path
from typing import Any

import click

from pushforward.commands import common, completion
from pushforward.text import columns


@click.command(epilog=common.example("pushforward trust ~/.ssh/id_ed25519.pub --for staging"))
@click.argument("key", required=False)
@click.option("--as", "email", default="", help="Whose key it is: the address of the tagger. Default: your own.")
@click.option(
    "--for",
    "environments",
    multiple=True,
    help="An environment, `main` or `accept`. Default: every environment.",
    shell_complete=completion.environments,
)
@click.option("--revoke", is_flag=True, help="From now on it signs nothing. KEY may be a fingerprint.")
@click.option("--bare", type=click.Path(path_type=Path), help="The server. Default: where `local` points.")
@click.option("--file", type=click.Path(path_type=Path), help="The file of a forge: .github/allowed_signers.")
@click.option("--json", "as_json", is_flag=True, help="The keys as one JSON list.")
def trust(
    key: str | None,
    email: str,
    environments: tuple[str, ...],
    revoke: bool,
    bare: Path | None,
    file: Path | None,
    as_json: bool,
) -> None:
    """Say whose signatures count: trust the public key in the file KEY (- is standard input), or list the keys."""
    from pushforward.registry import signers

    if bare is not None and file is not None:
        raise click.UsageError("--bare is a server's file and --file a forge's: say one of them")
    # A server, or a forge's file, that is named is found from anywhere; only the clone's own server needs a clone.
    here = Path.cwd() if bare is not None or file is not None else common.project()
    if key is None:
        if revoke or email or environments:
            raise click.UsageError("which key? pushforward trust KEY.pub")
        _keys(signers.listed(here, bare, file), as_json=as_json)
        return
    place = signers.place_of(here, bare, file)
    if revoke:
        named = key if key.startswith("SHA256:") else signers.read_key(Path(key))
        changed = signers.revoke(place, named)
    else:
        public = signers.read_key(Path(key).expanduser())
        who = email or signers.owner(here, Path(key).expanduser(), public)
        changed = [signers.add(place, public, who, environments)]
    _keys(changed, as_json=as_json)
    if file is not None and not as_json:
        click.echo(f"next: git add {file} && git commit, and have it merged: only the default branch's file counts")


def _keys(keys: list[Any], *, as_json: bool) -> None:
    if as_json:
        told = [
            {"principal": key.principal, "may": sorted(key.may), "valid_before": key.valid_before}
            | {"key": key.key, "fingerprint": key.fingerprint}
            for key in keys
        ]
        common.show(told)
        return
    rows = [(key.principal, common.may(key), f"{key.key.split()[0]} {key.fingerprint}") for key in keys]
    for line in columns(rows):
        click.echo(line)
    if not rows:
        click.echo("nobody may sign yet\n  next: pushforward trust KEY.pub --as EMAIL")
