"""The variables of a repository of GitHub that the workflow files read, as steps: as whom a run logs in to the store,
and where the pages are published.

`github` calls it with what the repository has. A role is no secret: what it may is AWS's to say, and to whom.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pushforward.errors import TOOL, PushforwardError
from pushforward.forge.files import RIGHT
from pushforward.forge.plans import Allowance
from pushforward.forge.port import Call, Step, Wanted

S3 = "s3://"
WRITER, READER = "PUSHFORWARD_AWS_ROLE", "PUSHFORWARD_AWS_READER_ROLE"
PAGES = "PUSHFORWARD_PAGES"
ROLE = re.compile(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)
WHY = {
    WRITER: "is who writes to the store: what trains on the default branch",
    READER: "is who reads it: pull requests, the judge, a release, verify",
    PAGES: "is where the pages are, and has them published",
}
PUBLIC = (
    "the site is anybody's to read, though the repository is private: numbers, names and words of commits. Of an "
    "enterprise's it can be its readers' alone: gh api --method PUT repos/OWNER/REPO/pages -F public=false"
)
WITHOUT = {
    WRITER: "what trains on the default branch keeps no model, unless the store lets it in by other means",
    READER: "a store that is not public cannot be read by a pull request's run: only the writer's role is there, and "
    "it is not given to what nobody has merged. The judge, releases and verify take the writer's",
}


def asked(wanted: Wanted) -> bool:
    """Whether runs log in to the store as a role of AWS, or are to."""
    return wanted.login or bool(wanted.aws_role or wanted.aws_reader)


def nobody(setup: str) -> Step:
    """That no run has a login to a store at S3."""
    return Step(
        "login to the store",
        "no run has one: a bucket that is not public is reached only by runners whose machine may",
        by_hand=f"{setup} --aws-role ARN --aws-reader-role ARN",
        optional=True,
    )


def checked(wanted: Wanted, store: str) -> None:
    """Refuse roles that are none, and those of another store than S3."""
    for option, role in (("--aws-role", wanted.aws_role), ("--aws-reader-role", wanted.aws_reader)):
        if role and not ROLE.fullmatch(role):
            raise PushforwardError(
                f"{option} {role}: no role of AWS", next=f"{option} arn:aws:iam::123456789012:role/NAME"
            )
    if (wanted.aws_role or wanted.aws_reader) and not store.startswith(S3):
        raise PushforwardError(
            f"a role of AWS is for a store at S3, and the DVC remote is {store or 'none'}",
            next="--store s3://BUCKET/PATH",
        )


def roles(at: str, there: Mapping[str, str], wanted: Wanted, setup: str) -> Iterator[Step]:
    """Who writes and who reads. `there` are the variables that the repository has."""
    for name, role in ((WRITER, wanted.aws_role), (READER, wanted.aws_reader)):
        known = there.get(name, "")
        if role and known != role:
            yield Step(f"variable {name}", _found(known), (_set(at, name, role, known),))
        elif known:
            yield Step(f"variable {name}", f"{RIGHT}: {known}")
        else:
            option = "--aws-role" if name == WRITER else "--aws-reader-role"
            by_hand = f"{setup} {option} ARN"
            yield Step(f"variable {name}", _found(known), lost=WITHOUT[name], by_hand=by_hand, optional=True)


def _found(known: str) -> str:
    return f"is {known}" if known else "is not there"


def _set(at: str, name: str, value: str, known: str) -> Call:
    body = {"name": name, "value": value}
    return Call("PATCH", f"{at}/{name}", body, WHY[name]) if known else Call("POST", at, body, WHY[name])


@dataclass(frozen=True)
class Site:
    """What the repository at `at` has of GitHub Pages, and the address of a first site, if that is `asked` for."""

    at: str
    there: Any
    expected: str
    asked: bool


def site(found: Site, known: Mapping[str, str], allowed: Allowance) -> Iterator[Step]:
    """The site of the pages, and the variable that says where it is; `known` are those that the repository has."""
    title, at, said = "site by Pages", f"{found.at}/actions/variables", known.get(PAGES, "")
    if found.there is None and not found.asked:
        by_hand = "pushforward setup github --pages public"
        yield Step(title, f"is not there, and {PAGES} {_found(said)}", by_hand=by_hand, optional=True)
    elif found.there is None:

        def after(answer: Any) -> Call:
            url = found.expected if answer is None else str(answer.get("html_url") or "").rstrip("/")
            if not url:
                raise PushforwardError(
                    "GitHub made a site and does not say where", next="the same again", exit_code=TOOL
                )
            return _set(at, PAGES, url, said)

        why = "has the pages published by the workflow pages"
        act = Call("POST", f"{found.at}/pages", {"build_type": "workflow"}, why, after)
        yield Step(title, "is not there", (act,), lost=PUBLIC * allowed.private)
    elif found.there.get("build_type") != "workflow":
        by_hand = f"gh api --method PUT {found.at}/pages -f build_type=workflow, which puts the pages in its place"
        yield Step(title, "another site is there, made of a branch", by_hand=by_hand, optional=True)
    else:
        url = str(found.there.get("html_url") or "").rstrip("/")
        open_to_all = allowed.private and found.there.get("public") is not False
        yield Step(title, f"{RIGHT}: {url}", lost=PUBLIC * open_to_all)
        right = said.rstrip("/") == url
        yield Step(
            f"variable {PAGES}", RIGHT if right else _found(said), () if right else (_set(at, PAGES, url, said),)
        )
