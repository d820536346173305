"""GitLab: merge requests whose pipeline has trained, the artifact of its job, notes, commit statuses.

Called by `pushforward forge` in the judge's job, by the variables that GitLab gives a job and a project access token.
What a merge request's pipeline leaves was made by its own code: it is read as hostile data.
"""

import io
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from pushforward import files
from pushforward.errors import TOOL, USAGE, PushforwardError
from pushforward.forge.client import TIMEOUT, Api, Token
from pushforward.forge.docket import ERROR, FAILURE, NAME, TOKEN, Comment, Waiting
from pushforward.forge.port import Call
from pushforward.git.refs import HEADS

JOB = "train"
ENDED = frozenset(("success", "failed"))
WAITING = frozenset(("pending", "running"))  # a pipeline of which a status is pending, and no job
UNFINISHED = WAITING | {"created", "preparing", "scheduled", "waiting_for_resource"}
STATES = {FAILURE: "failed", ERROR: "failed"}
LARGEST = 1 << 31  # bytes of an archive, and of what is in it; the judge reads with the project's own limit
MOST_FILES = 100_000
RUN = "#train-"  # at the end of a status' address: the run that it judges
NOT_MOVED = "Cannot transition status"  # it is what it was to become
TANGLED = (NotADirectoryError, IsADirectoryError, FileExistsError)  # one name for a file and for a folder
ACCESS = f"an access token of the project with the scope api, in {TOKEN}, for the environment judge alone"


@dataclass(frozen=True)
class GitLab:
    """A project of a GitLab, as a job of its pipeline knows it."""

    api: Api
    token: str
    project: str  # its number
    place: str  # its address, for people
    branch: str
    job: str  # the address of the judge's own job
    pipeline: str = ""  # of a push: the pipeline that it is judged in
    name: str = "GitLab"
    pull: str = "merge request"
    longest: tuple[int, int] = (1_000_000, 255)

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "GitLab":
        """The project that the variables of a job tell of."""
        if not given.get(TOKEN):
            raise PushforwardError(f"this job has no {TOKEN}", next=ACCESS, exit_code=USAGE)
        token = given[TOKEN]
        transport = Token(given["CI_API_V4_URL"], {"PRIVATE-TOKEN": token})
        return cls(
            Api("GitLab", transport, ACCESS),
            token,
            given["CI_PROJECT_ID"],
            given["CI_PROJECT_URL"],
            given["CI_DEFAULT_BRANCH"],
            given["CI_JOB_URL"],
            given.get("CI_PIPELINE_ID", ""),
        )

    def waiting(self) -> Iterator[Waiting]:
        """The heads of open merge requests whose newest pipeline of this project has ended and was not judged."""
        asked = {"state": "opened", "target_branch": self.branch, "order_by": "updated_at", "sort": "asc"}
        me = self.me()
        for found in self.api.listed(self._path("merge_requests"), **asked):
            job = self._trained(int(found["iid"]), str(found["sha"]))
            if job is None:
                continue
            waiting = Waiting(str(found["sha"]), str(found["source_branch"]), int(found["iid"]), job)
            if not self._is_judged(waiting, me):
                yield waiting

    def _trained(self, pull: int, head: str) -> str | None:
        """The job that has trained a head, as `pipeline/job`; None while it runs, and where there is none."""
        pipelines = self.api.listed(self._path(f"merge_requests/{pull}/pipelines"))
        mine = [one for one in pipelines if one["sha"] == head and str(one.get("project_id", "")) == self.project]
        newest = max(mine, key=lambda one: int(one["id"]), default=None)
        if newest is None or newest["status"] not in ENDED | WAITING:
            return None
        jobs = [*self.api.listed(self._path(f"pipelines/{newest['id']}/jobs"))]
        if newest["status"] in WAITING and any(job["status"] in UNFINISHED for job in jobs):
            return None  # it waits for more than our own status
        ended = [int(job["id"]) for job in jobs if job["name"] == JOB and job["status"] in ENDED]
        return f"{newest['id']}/{max(ended)}" if ended else None

    def _is_judged(self, waiting: Waiting, me: str) -> bool:
        path = self._path(f"repository/commits/{waiting.head}/statuses")
        told = self.api.listed(path, name=NAME, all="true")
        ours = [one for one in told if one["name"] == NAME and (one.get("author") or {}).get("username") == me]
        return any(str(one.get("target_url", "")).endswith(f"{RUN}{waiting.run}") for one in ours)

    def ref(self, waiting: Waiting) -> str:
        """The ref by which git fetches the commit."""
        return f"{HEADS}{self.branch}" if waiting.pull is None else f"refs/merge-requests/{waiting.pull}/head"

    def take(self, waiting: Waiting, folder: Path) -> None:
        """Put the artifact of the job that has trained into `folder`; a job that left none has none."""
        archive = self._archive(waiting.run.partition("/")[2])
        if archive is not None:
            unpack(archive, folder)

    def _archive(self, job: str) -> bytes | None:
        request = urllib.request.Request(f"{self._root}/{self._path(f'jobs/{job}/artifacts')}")  # noqa: S310
        # the address may lead on to a store of somebody else's, who is not to see the token
        request.add_unredirected_header("PRIVATE-TOKEN", self.token)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                content: bytes = answer.read(LARGEST + 1)
                length = answer.headers.get("Content-Length", "")
        except urllib.error.HTTPError as refused:
            with refused:
                if refused.code == 404:
                    return None
                raise _untaken(job, f"{refused.code} {refused.reason}") from None
        except OSError as broken:
            raise _untaken(job, str(broken)) from None
        if len(content) > LARGEST:
            raise _untaken(job, f"it has more than {LARGEST >> 20} MiB")
        if length.isdigit() and len(content) < int(length):
            raise _untaken(job, f"it ended after {len(content)} of {length} bytes")
        return content

    @property
    def _root(self) -> str:
        transport = self.api.transport
        return transport.root if isinstance(transport, Token) else ""

    def done(self, waiting: Waiting) -> None:
        """Nothing: the status that was set says it."""

    def me(self) -> str:
        """Who the token is."""
        return str(self.api.get("user")["username"])

    def comments(self, pull: int) -> Iterator[Comment]:
        """Every note of a merge request, oldest first."""
        path = self._path(f"merge_requests/{pull}/notes")
        for note in self.api.listed(path, order_by="created_at", sort="asc"):
            yield Comment(int(note["id"]), str((note.get("author") or {}).get("username")), str(note["body"]))

    def write(self, pull: int, body: str, comment: int | None) -> str:
        """Write a note anew, or in the place of one; its address."""
        path = self._path(f"merge_requests/{pull}/notes")
        place = ("POST", path) if comment is None else ("PUT", f"{path}/{comment}")
        call = Call(*place, {"body": body})
        return f"{self.place}/-/merge_requests/{pull}#note_{self.api.call(call)['id']}"

    def set_status(self, waiting: Waiting, state: str, words: str, *, final: bool) -> None:
        """Set the status of a commit, in the pipeline that has trained it: that is the one which a merge waits for."""
        pipeline = waiting.run.partition("/")[0] or self.pipeline
        body: dict[str, Any] = {"state": STATES.get(state, state), "name": NAME, "description": words}
        body["target_url"] = f"{self.job}{RUN}{waiting.run}" if waiting.run and final else self.job
        if pipeline:
            body["pipeline_id"] = int(pipeline)
        try:
            self.api.call(Call("POST", self._path(f"statuses/{waiting.head}"), body))
        except PushforwardError as failed:
            if NOT_MOVED not in failed.message:
                raise

    def links(self, waiting: Waiting) -> dict[str, str]:
        """Where the run of the judge and the changes are."""
        links = {"this run": self.job}
        if waiting.run:
            links["training"] = f"{self.place}/-/jobs/{waiting.run.partition('/')[2]}"
        if waiting.pull is not None:
            links["changes"] = f"{self.place}/-/merge_requests/{waiting.pull}/diffs"
        return links

    def page(self, revision: str, path: str = "") -> str:
        """The address of a revision, or of a file in it."""
        if not path:
            return f"{self.place}/-/tree/{quote(revision)}"
        return f"{self.place}/-/blob/{quote(revision)}/{quote(path)}"

    def picture(self, commit: str, path: str) -> str:
        """The address by which a note shows a file of a commit, to whoever may read the project."""
        return f"{self.place}/-/raw/{commit}/{quote(path)}"

    def _path(self, below: str, **query: str) -> str:
        return f"projects/{self.project}/{below}{f'?{urlencode(query)}' if query else ''}"


def unpack(archive: bytes, folder: Path) -> None:
    """Write the hand-over in an archive that anybody may have made into `folder`: plain files, below it, in limits."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            entries = [one for one in packed.infolist() if not one.is_dir()]
            if len(entries) > MOST_FILES or sum(one.file_size for one in entries) > LARGEST:
                raise PushforwardError(f"the artifact has more than {MOST_FILES:,} files, or {LARGEST >> 20} MiB")
            for entry in entries:
                top, _, path = entry.filename.partition("/")
                if top == folder.name and path:
                    with packed.open(entry) as content:
                        files.write(folder, path, content.read(entry.file_size + 1)[: entry.file_size])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, *TANGLED) as broken:
        raise PushforwardError(f"the artifact of the run is no archive: {broken}") from None


def _untaken(job: str, why: str) -> PushforwardError:
    return PushforwardError(f"the artifact of job {job} cannot be taken: {why}", next="run it again", exit_code=TOOL)
