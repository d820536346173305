"""A project of GitLab: how it is, and the calls that make it what its workflow file counts on.

`setup` asks it by the port. It reads what is there first, and changes only what differs; what people have set up
stricter stays so.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pushforward.errors import TOOL, PushforwardError
from pushforward.forge import files, keys
from pushforward.forge.client import Api, Token
from pushforward.forge.docket import TOKEN
from pushforward.forge.files import RIGHT
from pushforward.forge.port import Call, Secret, Step, Wanted

ADDRESS = re.compile(
    r"(?:https?://(?:[^@/]*@)?|ssh://(?:[^@/]*@)?|(?:[^@/:]+@))(?P<host>[\w.-]+)(?::\d+)?[:/]+"
    r"(?P<path>(?:[\w.-]+/)+[\w.-]+?)(?:\.git)?/?"
)
SETUP = "pushforward setup gitlab"
MAINTAINER = 40
JUDGE, PROMOTE = "judge*", "judge/promote"  # the environments that a variable is for: judge and judge/promote, or one
SCHEDULES = {
    "judge": ("*/10 * * * *", "has judged what merge requests have trained"),
    "verify": ("17 4 * * 1", "makes what is in production again from raw data, every Monday"),
}
SCOPE = "filter%5Benvironment_scope%5D"  # which of several variables of one name
TAGS = ("*@v*", "*#*")
DAYS = 364  # GitLab lets a token live for a year
ROLE = "ci_pipeline_variables_minimum_override_role"
SETTINGS: dict[str, tuple[Any, str]] = {
    "only_allow_merge_if_pipeline_succeeds": (True, "a merge does not wait for the pipeline, in which the verdict is"),
    ROLE: ("no_one_allowed", "who may merge can start a judge with variables of their own"),
    "protect_merge_request_pipelines": (False, "pipelines of merge requests can have protected variables"),
    "merge_pipelines_enabled": (False, "pipelines run on a merge that GitLab makes, and the judge makes another"),
}
UNJUDGED = (
    "a merge waits for the verdict in Ultimate alone (external status checks). What was merged before it is judged as "
    "a push, and makes no version unless it passes"
)


@dataclass
class Project:
    """A project of GitLab.com, or of a GitLab at `host`."""

    host: str
    path: str
    api: Api
    _seen: dict[str, Any] = field(default_factory=dict, repr=False)

    name = "GitLab"

    @property
    def place(self) -> str:
        """The address of the project, for people."""
        return f"https://{self.host}/{self.path}"

    @property
    def branch(self) -> str:
        """The default branch; of an empty project the one that GitLab makes first."""
        return str(self._project.get("default_branch") or "main")

    @property
    def _at(self) -> str:
        return f"projects/{quote(self.path, safe='')}"

    @property
    def _project(self) -> Any:
        if self._at not in self._seen:
            self._seen[self._at] = self.api.get(self._at)
        if self._seen[self._at] is None:
            raise PushforwardError(
                f"{self.place} is not there, or not for this token to see", next=self.api.access, exit_code=TOOL
            )
        return self._seen[self._at]

    def _listed(self, below: str) -> list[Any]:
        """Every entry of a list, asked for once."""
        if below not in self._seen:
            self._seen[below] = self.api.listed(f"{self._at}/{below}")
        found: list[Any] = self._seen[below]
        return found

    # The steps.

    def steps(self, wanted: Wanted) -> Iterator[Step]:
        """Variables and settings: what a first run needs."""
        granted = (self._project.get("permissions") or {}).values()
        if max((int((one or {}).get("access_level", 0)) for one in granted), default=0) < MAINTAINER:
            raise PushforwardError(
                f"this token is of no Maintainer of {self.place}", next=self.api.access, exit_code=TOOL
            )
        yield from self._variables(wanted)
        yield from self._settings()

    def files(self, root: Path, wanted: Wanted) -> Iterator[Step]:
        """Allowed signers, DVC remote and the workflow file."""
        fresh = any(
            isinstance(act, Secret) and act.name == keys.SIGNING
            for step in self._variables(wanted)
            for act in step.acts
        )
        yield from files.store(root, wanted, SETUP)
        yield from files.rendered(root, wanted)
        yield from files.allowed_signers(root, wanted, fresh=fresh)

    def rules(self, wanted: Wanted) -> Iterator[Step]:  # noqa: ARG002
        """What closes the default branch and the tags, and what starts the judge."""
        yield self._protected()
        known = {str(one["name"]) for one in self._listed("protected_tags")}
        for name in TAGS:
            body = {"name": name, "create_access_level": MAINTAINER}
            act = Call("POST", f"{self._at}/protected_tags", body, "lets nobody move it, and Maintainers alone make it")
            title = f"protected tag {name}"
            yield Step(title, RIGHT) if name in known else Step(title, "anybody who may push makes one", (act,))
        yield from self._schedules()

    def _variables(self, wanted: Wanted) -> Iterator[Step]:
        """The judge's variables: one that is there stays, but for a new key that is asked for."""
        there = {(str(one["key"]), str(one["environment_scope"])): one for one in self._listed("variables")}
        made = {
            TOKEN: (JUDGE, self._token, "writes statuses, notes, refs and tags"),
            keys.SEAL: (JUDGE, wanted.keys.seal, "seals the numbers of a holdout that is in use"),
            keys.SIGNING: (PROMOTE, wanted.keys.private, "signs versions; the private half is nowhere else"),
        }
        for name, (scope, value, why) in made.items():
            title, found = f"variable {name}", there.get((name, scope))
            if found is None or (wanted.rotate and name == keys.SIGNING):
                lack = f"is not in {scope}" if found is None else "is to be another"
                yield Step(title, lack, (Secret(name, scope, value, why),))
            elif name == keys.SIGNING and not wanted.signs:
                yield Step(
                    title, "its public half counts nowhere", by_hand=f"{SETUP} --rotate, which makes another pair"
                )
            elif not found.get("protected"):
                at = f"{self._at}/variables/{name}?{SCOPE}={quote(scope, safe='')}"
                act = Call("PUT", at, {"protected": True}, "keeps it from branches that are not protected")
                yield Step(title, "every branch reads it", (act,))
            else:
                yield Step(title, RIGHT)
            for wide in (one for key, one in there if key == name and one != scope):
                yield Step(
                    f"{title} of {wide}",
                    "other jobs read it, and the judge's has its own",
                    by_hand=f"delete it at {self.place}/-/settings/ci_cd",
                )

    def _token(self) -> str:
        """A token for the judge, made when it is needed."""
        ends = (datetime.now(UTC) + timedelta(days=DAYS)).date().isoformat()
        body = {"name": "pushforward", "scopes": ["api", "write_repository"], "access_level": MAINTAINER}
        call = Call("POST", f"{self._at}/access_tokens", {**body, "expires_at": ends})
        return str(self.api.call(call)["token"])

    def _settings(self) -> Iterator[Step]:
        """How pipelines and merges go; what this GitLab does not have is told."""
        for name, (wanted, else_) in SETTINGS.items():
            title = f"setting {name}"
            lost = UNJUDGED if name == "only_allow_merge_if_pipeline_succeeds" else ""
            if name not in self._project:
                yield Step(title, "this GitLab has none such", lost=else_ if name == ROLE else "")
            elif self._project[name] == wanted:
                yield Step(title, RIGHT, lost=lost)
            else:
                yield Step(title, else_, (Call("PUT", self._at, {name: wanted}, f"is {wanted} from now on"),), lost)

    def _protected(self) -> Step:
        """The default branch, which nobody pushes to but by a merge request."""
        title, at = f"protected branch {self.branch}", f"{self._at}/protected_branches"
        there = self.api.get(f"{at}/{quote(self.branch, safe='')}")
        others = [str(one["name"]) for one in self._listed("protected_branches") if one["name"] != self.branch]
        lost = (
            f"whoever may push to {', '.join(others)}, protected too, can read the judge's variables" if others else ""
        )
        if there is None:
            body = {"name": self.branch, "push_access_level": 0, "merge_access_level": MAINTAINER}
            return Step(title, "is not there", (Call("POST", at, body, "takes merge requests alone"),), lost)
        if any(int(one.get("access_level") or 0) for one in there.get("push_access_levels") or ()):
            step = f"{self.place}/-/settings/repository: allowed to push and merge: no one"
            return Step(title, "takes pushes too", lost=lost, by_hand=step, optional=True)
        return Step(title, RIGHT, lost=lost)

    def _schedules(self) -> Iterator[Step]:
        """What starts the judge of merge requests, and the verification."""
        known = {str(one["description"]) for one in self._listed("pipeline_schedules") if one.get("active")}
        for name, (cron, why) in SCHEDULES.items():
            title = f"schedule {name}"
            body = {"description": name, "ref": self.branch, "cron": cron}
            act = Call("POST", f"{self._at}/pipeline_schedules", body, why)
            yield Step(title, RIGHT) if name in known else Step(title, "is not there, or not active", (act,))

    # The acts.

    def call(self, act: Call) -> Any:
        """Have a call done."""
        return self.api.call(act)

    def set_secret(self, secret: Secret) -> None:
        """Set a variable of an environment, protected; what has lines cannot be masked."""
        value = secret.value()
        body = {"value": value, "protected": True, "masked": "\n" not in value, "raw": True}
        there = {(str(one["key"]), str(one["environment_scope"])) for one in self._listed("variables")}
        if (secret.name, secret.scope) in there:
            scope = quote(secret.scope, safe="")
            at = f"{self._at}/variables/{secret.name}?{SCOPE}={scope}"
            self.api.call(Call("PUT", at, body))
            return
        told = {"key": secret.name, "environment_scope": secret.scope, **body}
        self.api.call(Call("POST", f"{self._at}/variables", told))

    def open_pull(self, branch: str, title: str, body: str) -> Call | None:
        """The call that opens a merge request of a branch of this project; None where one is open."""
        if self.api.listed(f"{self._at}/merge_requests", source_branch=branch, state="opened"):
            return None
        told = {"source_branch": branch, "target_branch": self.branch, "title": title, "description": body}
        return Call("POST", f"{self._at}/merge_requests", told, "asks for review of the files")


def find(address: str, say: Any = None) -> Project:
    """The project that a git remote's address names, by a token."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise PushforwardError(
            f"the git remote is at {address or 'no address'}, which is no project of GitLab",
            next="git remote set-url origin https://gitlab.com/GROUP/PROJECT, or --repo HOST/GROUP/PROJECT",
        )
    host, path, token = found["host"], found["path"], os.environ.get("GITLAB_TOKEN")
    access = (
        f"GITLAB_TOKEN: a token of a Maintainer, scope api, from https://{host}/-/user_settings/personal_access_tokens"
    )
    if not token:
        raise PushforwardError(f"nobody is logged in to {host}: there is no GITLAB_TOKEN", next=access, exit_code=TOOL)
    root = os.environ.get("GITLAB_API_URL") or f"https://{host}/api/v4"
    api = Api("GitLab", Token(root, {"PRIVATE-TOKEN": token}), access)
    if say is not None:
        api.say = say
    return Project(host, path, api)
