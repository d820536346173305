"""Doubles of GitLab's and Gitea's API on loopback, as their documents have it, with faults: what a docket asks."""

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.github_double import Answering, Call, Fault, Serving

TOKEN = "a-token-of-the-judge"
BOT = "the-judge"


@dataclass
class Double:
    """What both have: calls in order, faults to come, a server that nobody else reaches."""

    url: str = ""
    calls: list[Call] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)  # id, pull, author, body
    sent: list[Mapping[str, str]] = field(default_factory=list)
    _faults: list[tuple[str, str, Fault]] = field(default_factory=list)

    def say(self, pull: int, body: str, author: str) -> dict[str, Any]:
        """A comment by somebody."""
        self.comments.append({"id": 500 + len(self.comments), "pull": pull, "author": author, "body": body})
        return self.comments[-1]

    def fail(self, method: str, path: str, fault: Fault, times: int = 1) -> None:
        """Let the next `times` requests of that method, to what the pattern `path` finds, come to `fault`."""
        self._faults += [(method, path, fault)] * times

    def tried(self, method: str, path: str) -> int:
        """How many requests of that method went to what the pattern `path` finds."""
        return sum(call.method == method and re.search(path, call.path) is not None for call in self.calls)

    def fault(self, call: Call) -> Fault | None:
        """The fault that was ordered for a request, once."""
        for rule in self._faults:
            if rule[0] == call.method and re.search(rule[1], call.path):
                self._faults.remove(rule)
                return rule[2]
        return None

    def answer(self, call: Call, headers: Mapping[str, str]) -> tuple[int, Any]:
        """What the forge does and says: JSON, or bytes as they are."""
        raise NotImplementedError

    def edit(self, number: int, body: str) -> dict[str, Any]:
        """Who may write may edit anybody's comment."""
        (found,) = (one for one in self.comments if one["id"] == number)
        found["body"] = body
        return found


def paged(found: list[Any], query: Mapping[str, str], size: str) -> list[Any]:
    """The page that was asked for, with the forge's own name for its size; 20 entries where none was."""
    many, page = int(query.get(size, 20)), int(query.get("page", 1))
    return found[(page - 1) * many : page * many]


@dataclass
class GitLab(Double):
    """One project, number 7, `octo/flights`: merge requests, pipelines with their jobs, artifacts."""

    merges: list[dict[str, Any]] = field(default_factory=list)
    pipelines: list[dict[str, Any]] = field(default_factory=list)  # id, pull, sha, status, project_id, jobs
    artifacts: dict[int, bytes] = field(default_factory=dict)
    settings: "Settings" = field(default_factory=lambda: Settings())

    def open(self, iid: int, sha: str, branch: str = "topic", *, target: str = "main") -> None:
        """An open merge request."""
        self.merges.append(
            {"iid": iid, "sha": sha, "source_branch": branch, "target_branch": target, "state": "opened"}
        )

    def train(self, iid: int, sha: str, files: Mapping[str, bytes] | None, *, status: str = "success") -> int:
        """A pipeline of a merge request whose job `train` has ended so, and what it left; the number of the job."""
        pipeline = 100 + len(self.pipelines)
        job = pipeline * 10
        jobs = [{"id": job, "name": "train", "status": status}, {"id": job + 1, "name": "lint", "status": "success"}]
        self.pipelines.append(
            {"id": pipeline, "pull": iid, "sha": sha, "status": status, "project_id": 7, "jobs": jobs}
        )
        if files is not None:
            self.artifacts[job] = packed(files)
        return job

    def answer(self, call: Call, headers: Mapping[str, str]) -> tuple[int, Any]:
        """What GitLab does and says."""
        if headers.get("PRIVATE-TOKEN") != TOKEN:
            return 401, {"message": "401 Unauthorized"}
        path = urlsplit(call.path)
        query = {name: values[-1] for name, values in parse_qs(path.query).items()}
        parts = path.path.removeprefix("/api/v4").strip("/").split("/")
        if parts == ["user"]:
            return 200, {"id": 9, "username": BOT}
        if parts[:2] not in (["projects", "7"], ["projects", "octo%2Fflights"]):
            return 404, {"message": "404 Project Not Found"}
        if (done := self.settings.answer(call.method, parts[2:], call.body, query)) is not None:
            return done
        match call.method, parts[2:]:
            case "GET", ["merge_requests"]:
                asked = {name: query[name] for name in ("target_branch", "source_branch", "state") if name in query}
                found = [one for one in self.merges if asked.items() <= one.items()]
                return 200, paged(found, query, "per_page")
            case "POST", ["merge_requests"]:
                number = 90 + len(self.merges)
                address = f"{self.url}/octo/flights/-/merge_requests/{number}"
                self.merges.append({"iid": number, "sha": "", "state": "opened", "web_url": address, **call.body})
                return 201, {"iid": number, "web_url": address}
            case "GET", ["merge_requests", iid, "pipelines"]:
                newest = sorted(self.pipelines, key=lambda one: -one["id"])
                return 200, paged([one for one in newest if one["pull"] == int(iid)], query, "per_page")
            case "GET", ["pipelines", number, "jobs"]:
                (found,) = (one for one in self.pipelines if one["id"] == int(number))
                return 200, paged(found["jobs"], query, "per_page")
            case "GET", ["jobs", number, "artifacts"]:
                there = self.artifacts.get(int(number))
                return (200, there) if there is not None else (404, {"message": "404 Not found"})
            case "GET", ["repository", "commits", sha, "statuses"]:
                return 200, paged([one for one in self.statuses if one["sha"] == sha], query, "per_page")
            case "POST", ["statuses", sha]:
                return self._status(sha, call.body)
            case "GET", ["merge_requests", iid, "notes"]:
                notes = [self._note(one) for one in self.comments if one["pull"] == int(iid)]
                return 200, paged(notes, query, "per_page")
            case "POST", ["merge_requests", iid, "notes"]:
                return 201, self._note(self.say(int(iid), call.body["body"], BOT))
            case "PUT", ["merge_requests", _, "notes", number]:
                return 200, self._note(self.edit(int(number), call.body["body"]))
        return 404, {"error": "404 Not Found"}

    def _status(self, sha: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        if body["state"] not in {"pending", "running", "success", "failed", "canceled", "skipped"}:
            return 400, {"error": "state does not have a valid value"}
        if len(body.get("description", "")) > 255:
            return 400, {"message": {"description": ["is too long (maximum is 255 characters)"]}}
        if "pipeline_id" in body and all(one["id"] != body["pipeline_id"] for one in self.pipelines):
            return 404, {"message": "404 Pipeline Not Found"}
        told = {"sha": sha, "status": body["state"], "author": {"username": BOT}, **body}
        same = [one for one in self.statuses if (one["sha"], one.get("pipeline_id")) == (sha, body.get("pipeline_id"))]
        if same and same[-1]["status"] == body["state"] == "running":
            return 400, {"message": "Cannot transition status via :run from :running"}
        self.statuses.append(told)
        for one in self.pipelines:
            if one["id"] == body.get("pipeline_id") and body["state"] in {"pending", "failed"}:
                one["status"] = body["state"]  # a status is a part of its pipeline
        return 201, told

    def _note(self, said: Mapping[str, Any]) -> dict[str, Any]:
        return {"id": said["id"], "body": said["body"], "author": {"username": said["author"]}, "system": False}


@dataclass
class Settings:
    """What a project of GitLab has to be set up: variables, settings, protected branches and tags, schedules."""

    project: dict[str, Any] = field(default_factory=lambda: dict(FRESH))
    variables: list[dict[str, Any]] = field(default_factory=list)
    branches: list[dict[str, Any]] = field(default_factory=list)
    tags: list[dict[str, Any]] = field(default_factory=list)
    schedules: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[dict[str, Any]] = field(default_factory=list)

    def answer(
        self, method: str, parts: list[str], body: dict[str, Any], query: Mapping[str, str]
    ) -> tuple[int, Any] | None:
        """What GitLab does and says; None of what is none of this."""
        lists = {"variables": self.variables, "protected_tags": self.tags, "pipeline_schedules": self.schedules}
        lists["protected_branches"] = self.branches
        match method, parts:
            case "GET", []:
                return 200, self.project
            case "PUT", []:
                self.project |= body
                return 200, self.project
            case "POST", ["access_tokens"]:
                self.tokens.append(body)
                return 201, {**body, "token": f"glpat-{len(self.tokens)}"}
            case "PUT", ["variables", key]:
                scope = query["filter[environment_scope]"]
                same = [one for one in self.variables if (one["key"], one["environment_scope"]) == (key, scope)]
                if not same:
                    return 404, {"message": "404 Variable Not Found"}
                same[0].update(body)
                return 200, same[0]
            case "GET", ["protected_branches", name]:
                there = [one for one in self.branches if one["name"] == name]
                return (200, there[0]) if there else (404, {"message": "404 Not found"})
            case "GET", [kind] if kind in lists:
                return 200, paged(lists[kind], query, "per_page")
            case "POST", [kind] if kind in lists:
                if body.get("masked") and "\n" in body["value"]:
                    return 400, {"message": {"value": ["is invalid"]}}
                lists[kind].append({"active": True, **body} if kind == "pipeline_schedules" else body)
                return 201, lists[kind][-1]
        return None


# What GitLab has made of a project that nobody has set up.
FRESH = {
    "id": 7,
    "default_branch": "main",
    "permissions": {"project_access": {"access_level": 40}, "group_access": None},
    "only_allow_merge_if_pipeline_succeeds": False,
    "ci_pipeline_variables_minimum_override_role": "developer",
    "protect_merge_request_pipelines": True,
    "merge_pipelines_enabled": False,
}


@dataclass
class Gitea(Double):
    """One repository, `octo/flights`, of a Gitea or a Forgejo."""

    pulls: list[dict[str, Any]] = field(default_factory=list)

    def open(self, number: int, sha: str, branch: str = "topic", *, base: str = "main") -> None:
        """An open pull request."""
        told = {"id": 9000 + number, "number": number, "state": "open"}
        self.pulls.append(told | {"head": {"sha": sha, "ref": branch}, "base": {"ref": base}})

    def answer(self, call: Call, headers: Mapping[str, str]) -> tuple[int, Any]:
        """What Gitea does and says; it gives 50 at once at the most, and comments all at once."""
        if headers.get("Authorization") != f"token {TOKEN}":
            return 401, {"message": "invalid username, password or token", "url": f"{self.url}/api/swagger"}
        path = urlsplit(call.path)
        query = {name: values[-1] for name, values in parse_qs(path.query).items()}
        query["limit"] = str(min(50, int(query.get("limit", 30))))
        parts = path.path.removeprefix("/api/v1").strip("/").split("/")
        if parts == ["user"]:
            return 200, {"id": 9, "login": BOT}
        if parts[:3] != ["repos", "octo", "flights"]:
            return 404, {"message": "The target couldn't be found."}
        match call.method, parts[3:]:
            case "GET", ["pulls"]:
                return 200, paged([one for one in self.pulls if one["state"] == query["state"]], query, "limit")
            case "POST", ["statuses", sha]:
                if call.body["state"] not in {"pending", "success", "error", "failure", "warning"}:
                    return 422, {"message": "invalid state"}
                self.statuses.append({"sha": sha, **call.body})
                return 201, self.statuses[-1]
            case "GET", ["issues", number, "comments"]:
                return 200, [self._comment(one) for one in self.comments if one["pull"] == int(number)]
            case "POST", ["issues", number, "comments"]:
                return 201, self._comment(self.say(int(number), call.body["body"], BOT))
            case "PATCH", ["issues", "comments", number]:
                return 200, self._comment(self.edit(int(number), call.body["body"]))
        return 404, {"message": "The target couldn't be found."}

    def _comment(self, said: Mapping[str, Any]) -> dict[str, Any]:
        address = f"{self.url}/octo/flights/pulls/{said['pull']}#issuecomment-{said['id']}"
        return {"id": said["id"], "body": said["body"], "user": {"login": said["author"]}, "html_url": address}


def packed(files: Mapping[str, bytes]) -> bytes:
    """An archive of files by their names, as GitLab gives an artifact away."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return archive.getvalue()


class _Handler(Answering):
    def do_GET(self) -> None:  # noqa: N802
        double = self.server.double
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        call = Call(self.command, self.path, json.loads(content) if content else {})
        with self.server.turn:
            double.calls.append(call)
            double.sent.append(dict(self.headers.items()))
            fault = double.fault(call)
            done = None
            if fault is None or fault.done or fault.half:
                done = double.answer(call, self.headers)
        if fault is None or fault.half:
            status, tree = done or (500, None)
            self.send(
                status, tree if isinstance(tree, bytes) else json.dumps(tree).encode(), {}, half=fault is not None
            )
        elif fault.status:
            self.send(fault.status, fault.body.encode(), fault.headers)
        else:
            self.hang_up()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815


@contextmanager
def serve(double: Any) -> Iterator[Any]:
    """The double at its `url`, for as long as the block lasts."""
    with Serving(_Handler, double) as server:
        double.url = f"http://127.0.0.1:{server.server_port}"
        with server.at_work():
            yield double
