"""`pushforward init`: Make or renew the server of this clone: bare repository, hooks, keys, DVC remote, the git remote
`local`.
"""

from pathlib import Path
from typing import Any

import click

from pushforward.commands import common
from pushforward.errors import PushforwardError


@click.command(epilog=common.example("pushforward init && git push local main"))
@click.option(
    "--bare", type=click.Path(path_type=Path), help="The bare repository. Default: <clone>.git beside the clone."
)
@click.option(
    "--trust-pushers/--no-trust-pushers",
    "trust",
    default=None,
    help="Run topic branches without a jail where the machine has none.",
)
@click.option(
    "--protect-main/--no-protect-main",
    "protect",
    default=None,
    help="The default branch takes only what has a passing verdict, or changes nothing that the pipeline reads.",
)
@click.option("--move-store", is_flag=True, help="Move the server's DVC remote to where .dvc/config here says.")
@click.option("--new-key", is_flag=True, help="End the server's key, and make another; what it signed stays good.")
@common.JSON
def init(bare: Path | None, as_json: bool, **wishes: bool | None) -> None:
    """Make or renew the server of this clone: bare repository, hooks, keys, DVC remote, the git remote `local`.

    What a server has stays: store, keys, flags.
    """
    from pushforward.server import init as servers

    if bare is None and (joined := servers.join(Path.cwd())) is not None:
        steps = [joined.command("pushforward check"), joined.command("pushforward trust - --as EMAIL", reads="KEY.pub")]
        if as_json:
            common.show({"server": joined.url, "elsewhere": True, "next": [*steps, "git push local HEAD"]})
            return
        click.echo(f"server   {joined.url}, on another machine: it runs and keeps everything there")
        click.echo(f"check    {steps[0]}\nsign     {steps[1]}\nnext     git push local HEAD")
        return
    with common.aside(as_json):
        told = _made(bare, wishes)
    if as_json:
        common.show(told)


def _made(bare: Path | None, wishes: dict[str, bool | None]) -> dict[str, Any]:
    """Make the server and tell of it as it goes; all of that as a record."""
    from pushforward.git.repository import Repository
    from pushforward.server import check, installation
    from pushforward.server import init as servers

    server = servers.init(
        Path.cwd(), bare=bare, say=click.echo, **{name: wish for name, wish in wishes.items() if wish is not None}
    )
    keys = Path(server.bare) / "pushforward" / "allowed_signers"
    click.echo(f"server   {server.bare}")
    click.echo(f"store    {server.store or 'as .dvc/config says'}")
    click.echo(f"keys     {keys}")
    if server.trust:
        click.echo("trust    pushers: where this machine has no jail, topic branches run without one")
    if server.protect:
        click.echo(f"protect  {server.default_branch} takes only what has a passing verdict")
    principal = ""
    try:
        you = servers.welcome(server, Path.cwd())
        principal = you.principal
        click.echo(f"you      {principal} may sign for {common.may(you)}")
    except PushforwardError as unknown:
        click.echo(f"you      may push, and cannot sign yet: {unknown.message}\n         {unknown.next}")
    found = [*check.machine(Path(server.bare), trust=server.trust), *installation.server(Path(server.bare))]
    common.findings(found, only_bad=True)
    lacks = list(check.project(Repository(Path.cwd())))
    for one in lacks:
        if not one.ok:
            click.echo(f"lacks    {one.found}\n  next: {one.mend}")
    first = "" if all(one.ok for one in lacks) else "pushforward rehearse, and then "
    step = f"{first}git push local {server.default_branch}"
    click.echo(f"next     {step}")
    return {
        "server": server.bare,
        "elsewhere": False,
        "store": server.store,
        "keys": str(keys),
        "trust": server.trust,
        "protect": server.protect,
        "signer": principal,
        "lacks": [one for one in lacks if not one.ok],
        "next": [step],
    }
