"""`pushforward setup`: Set up this repository on a forge: keys, environments, rules, files. What is right is left.

Reads what is there, changes what differs, and asks for the files by a pull request.
"""

import json
import sys
from typing import Any

import click

from pushforward.commands import common
from pushforward.errors import TOOL

AFTER = {"github": "pushforward check --github", "gitlab": "pushforward setup gitlab --dry-run, which looks again"}


@click.command(epilog=common.example("pushforward setup github --dry-run"))
@click.argument("forge", type=click.Choice(["github", "gitlab"]))
@click.option("--dry-run", "dry", is_flag=True, help="Print each call with its body and why. Nothing is changed.")
@click.option("--reviewer", "reviewers", multiple=True, metavar="USER|ORG/TEAM", help="Asked before a release.")
@click.option("--owner", "owners", multiple=True, metavar="@USER|@ORG/TEAM", help="Who approves changes of the judge.")
@click.option(
    "--store", default="", metavar="URL", help="The DVC remote: s3://BUCKET/PATH, or what else runners reach."
)
@click.option("--aws-role", default="", metavar="ARN", help="At S3, without a password: who writes. GitHub alone.")
@click.option(
    "--aws-reader-role", "aws_reader", default="", metavar="ARN", help="At S3: who reads, as pull requests do."
)
@click.option("--pages", type=click.Choice(["public"]), help="Publish the pages by GitHub Pages, for anybody to read.")
@click.option(
    "--tool-from", "tool", default="", metavar="SOURCE", help="Where runners get pushforward, as adopt has it."
)
@click.option("--plan", default="", metavar="PLAN", help="free, pro, team, enterprise. Default: what the forge says.")
@click.option("--rotate", is_flag=True, help="Make the judge another key; what the one before signed still counts.")
@click.option("--repo", default="", metavar="HOST/OWNER/REPO", help="Default: where the git remote points.")
@common.JSON
def setup(forge: str, dry: bool, repo: str, as_json: bool, **asked: Any) -> None:
    """Set up this repository on a forge: keys, environments, rules, files. What is right is left.

    Reads what is there, changes what differs, and asks for the files by a pull request; of an empty repository it
    pushes the default branch. A secret that is there stays. GitHub by gh where that is logged in, else by GH_TOKEN;
    GitLab by GITLAB_TOKEN, that of a Maintainer with the scope api.
    """
    from pushforward.forge import github, project
    from pushforward.forge import setup as forges
    from pushforward.forge.keys import Keys
    from pushforward.forge.port import Forge, Wanted

    if forge != "github" and (asked["aws_role"] or asked["aws_reader"] or asked["pages"]):
        raise click.UsageError("--aws-role, --aws-reader-role and --pages go with github alone")
    asked["pages"] = bool(asked["pages"])
    root = common.project()
    wanted = Wanted(Keys(), forge=forge, **asked)
    at = f"https://{repo}" if repo else forges.address(root)
    there: Forge = project.find(at, _aside) if forge == "gitlab" else github.find(at, _aside)
    with forges.opened(root, there) as base:
        planned = forges.plan(there, base, wanted)
        if not as_json:
            _say(planned, dry=dry)
        pull = "" if dry else forges.apply(there, base, planned, _aside if as_json else click.echo)
    if as_json:
        click.echo(json.dumps(_record(planned, forges.record, pull, dry=dry), indent=1))
    elif dry:
        click.echo("nothing was changed")
    else:
        click.echo(f"next     {f'merge {pull}, then ' if pull else ''}{AFTER[forge]}")
    if planned.left:
        sys.exit(TOOL)


def _aside(line: str) -> None:
    click.echo(line, err=True)


def _say(planned: Any, *, dry: bool) -> None:
    """How each thing is, what only a person does, and in a dry run each act with its body."""
    from pushforward.forge.port import Call
    from pushforward.forge.setup import expected, told

    for step in planned.every:
        word = "ok" if step.right else "later" if step.optional else "missing" if step.by_hand else "to do"
        click.echo(f"{'without' if step.lost and step.right else word:<8} {step.name}: {step.found}")
        if step.lost:
            click.echo(f"         lost: {step.lost}")
        if step.by_hand:
            click.echo(f"  next: {step.by_hand}")
        for act in expected(step) if dry else ():
            click.echo(f"  {told(act)}")
            if isinstance(act, Call) and act.body is not None:
                click.echo(f"           {json.dumps(act.body)}")


def _record(planned: Any, record: Any, pull: str, *, dry: bool) -> dict[str, Any]:
    from pushforward.forge.setup import expected

    steps = [
        {"name": step.name, "found": step.found, "right": step.right, "optional": step.optional}
        | {"lost": step.lost, "by_hand": step.by_hand, "acts": [record(act) for act in expected(step)]}
        for step in planned.every
    ]
    return {"dry_run": dry, "steps": steps, "pull_request": pull}
