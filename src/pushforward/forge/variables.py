"""The variables of a repository of GitHub that the workflow files read, as steps: as whom a run logs in to the store.

`github` calls it with what the repository has. A role is no secret: what it may is AWS's to say, and to whom.
"""

import re
from collections.abc import Iterator, Mapping

from pushforward.errors import PushforwardError
from pushforward.forge.port import Call, Step, Wanted

RIGHT = "as it should be"
S3 = "s3://"
WRITER, READER = "PUSHFORWARD_AWS_ROLE", "PUSHFORWARD_AWS_READER_ROLE"
ROLE = re.compile(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)
WHY = {
    WRITER: "is who writes to the store: what trains on the default branch",
    READER: "is who reads it: pull requests, the judge, a release, verify",
}
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
        "no run has one: the bucket has to be anybody's to read and write, or the runners' by their machine",
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
        title, known = f"variable {name}", there.get(name, "")
        if role and known != role:
            body = {"name": name, "value": role}
            call = Call("PATCH", f"{at}/{name}", body, WHY[name]) if known else Call("POST", at, body, WHY[name])
            yield Step(title, f"is {known}" if known else "is not there", (call,))
        elif known:
            yield Step(title, f"{RIGHT}: {known}")
        else:
            option = "--aws-role" if name == WRITER else "--aws-reader-role"
            yield Step(title, "is not there", lost=WITHOUT[name], by_hand=f"{setup} {option} ARN", optional=True)
