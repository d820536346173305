"""Gitea and Forgejo: hand-overs that runs have pushed as refs, pull requests, comments, commit statuses.

Called by `pushforward forge` in a job of their Actions, by the variables that they share with GitHub's. Not every
version gives a run's artifacts away, and Forgejo none: a run leaves its hand-over in git, below refs/pushforward/.
Whoever may push may write there, so it is read as hostile data, as the artifact on another forge is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pushforward import files
from pushforward.errors import TOOL, USAGE, PushforwardError
from pushforward.forge.client import Api, Token
from pushforward.forge.desk import NAME, Comment, Waiting
from pushforward.forge.port import Call
from pushforward.git import remote as remotes
from pushforward.git.refs import HANDOVERS, HEADS, PULLS
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.git.swap import swap

TOKEN = "PUSHFORWARD_FORGE_TOKEN"  # noqa: S105, the name of a variable
PAGE = 50  # as many as they give at once
LARGEST = 1 << 31  # bytes of a hand-over; the judge reads with the project's own limit
MOST_FILES = 100_000
PLAIN_FILE = ("100644", "100755")
ACCESS = f"a token of an account for the judge, in the secret {TOKEN}: write:repository, write:issue, read:user"


@dataclass(frozen=True)
class Gitea:
    """A repository of a Gitea or a Forgejo, as a job of its Actions knows it, and its checkout."""

    api: Api
    repository: Repository
    full_name: str
    place: str  # its address, for people
    branch: str
    run: str  # the address of the judge's own run
    name: str = "Gitea"
    pull: str = "pull request"
    longest: tuple[int, int] = (65_000, 255)
    _pulls: list[Mapping[str, Any]] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, given: Mapping[str, str], root: Path, branch: str) -> "Gitea":
        """The repository that the variables of a job tell of, or the one that the judge is kept apart from."""
        if not given.get(TOKEN):
            raise PushforwardError(f"this job has no {TOKEN}", next=ACCESS, exit_code=USAGE)
        server, own = given["GITHUB_SERVER_URL"], given["GITHUB_REPOSITORY"]
        full_name = given.get("PUSHFORWARD_REPOSITORY") or own
        name = "Forgejo" if given.get("FORGEJO_ACTIONS") or given.get("FORGEJO_TOKEN") else "Gitea"
        transport = Token(given["GITHUB_API_URL"], {"Authorization": f"token {given[TOKEN]}"})
        run = f"{server}/{own}/actions/runs/{given['GITHUB_RUN_NUMBER']}"
        place = f"{server}/{full_name}"
        return cls(Api(name, transport, ACCESS), Repository(root), full_name, place, branch, run, name)

    def waiting(self) -> Iterator[Waiting]:
        """The hand-overs that are there; those of pushes first, for a pull request is judged by what came of them.

        One of a commit that is the head of no open pull request and not on the default branch any more is dropped.
        """
        listed = self.repository.remote("ls-remote", self._remote, f"{HANDOVERS}*").text.splitlines()
        runs = {ref: run for run, ref in (line.split("\t") for line in listed)}
        pulls = {str(pull["head"]["sha"]): pull for pull in self._open()} if runs else {}
        pushed = []
        for ref, run in runs.items():
            head = ref.removeprefix(HANDOVERS)
            if self._is_pushed(head):
                pushed.append(Waiting(head, self.branch, None, run))
            elif head not in pulls:
                self.done(Waiting(head, "", None, run))
        yield from sorted(pushed, key=self._age, reverse=True)
        for ref, run in runs.items():
            if (pull := pulls.get(ref.removeprefix(HANDOVERS))) is not None:
                yield Waiting(str(pull["head"]["sha"]), str(pull["head"]["ref"]), int(pull["number"]), run)

    def _age(self, waiting: Waiting) -> int:
        """How many commits the default branch has gone on since."""
        return int(self.repository.git("rev-list", "--count", f"{waiting.head}..{self._tip}").text)

    @property
    def _tip(self) -> str:
        return f"refs/remotes/{self._remote}/{self.branch}"

    @property
    def _remote(self) -> str:
        return _remote(self.repository)

    def _is_pushed(self, head: str) -> bool:
        """Whether a commit is one that the default branch has pointed to: on its way along first parents."""
        if self.repository.resolve(head) is None:
            return False
        return head in self.repository.git("rev-list", "--first-parent", self._tip).text.split()

    def _open(self) -> list[Mapping[str, Any]]:
        found = list(self._every("pulls?state=open&sort=oldest"))
        return [pull for pull in found if pull["base"]["ref"] == self.branch]

    def ref(self, waiting: Waiting) -> str:
        """The ref by which git fetches the commit."""
        return f"{HEADS}{self.branch}" if waiting.pull is None else f"{PULLS}{waiting.pull}/head"

    def take(self, waiting: Waiting, folder: Path) -> None:
        """Put the files of the hand-over's commit into `folder`; nothing but plain files, below it, in limits."""
        ref = f"{HANDOVERS}{waiting.head}"
        self.repository.remote("fetch", "-q", "--no-tags", self._remote, f"+{ref}:{ref}")
        listed = self.repository.git("ls-tree", "-r", "-l", "-z", "--full-tree", ref).stdout.split(b"\0")
        rows = [row.decode("utf-8", "surrogateescape").partition("\t") for row in listed if row]
        sizes = [int(head.split()[3]) for head, _, _ in rows if head.split()[3].isdigit()]
        if len(rows) > MOST_FILES or sum(sizes) > LARGEST:
            raise PushforwardError(f"the hand-over has more than {MOST_FILES:,} files, or {LARGEST >> 20} MiB")
        for head, _, path in rows:
            mode, _, blob, _ = head.split()
            if mode in PLAIN_FILE:
                files.write(folder, path, self.repository.git("cat-file", "blob", blob).stdout)

    def done(self, waiting: Waiting) -> None:
        """Take the hand-over away, unless a later run has left another."""
        swap(self.repository, self._remote, f"{HANDOVERS}{waiting.head}", waiting.run, "")

    def me(self) -> str:
        """Who the token is."""
        return str(self.api.get("user")["login"])

    def comments(self, pull: int) -> Iterator[Comment]:
        """Every comment on a pull request, oldest first."""
        for found in self._every(f"issues/{pull}/comments"):
            yield Comment(int(found["id"]), str((found.get("user") or {}).get("login")), str(found["body"]))

    def write(self, pull: int, body: str, comment: int | None) -> str:
        """Write a comment anew, or in the place of one; its address."""
        if comment is None:
            call = Call("POST", self._path(f"issues/{pull}/comments"), {"body": body})
        else:
            call = Call("PATCH", self._path(f"issues/comments/{comment}"), {"body": body})
        return str(self.api.call(call)["html_url"])

    def set_status(self, waiting: Waiting, state: str, words: str, *, final: bool) -> None:  # noqa: ARG002
        """Set the status of a commit; that it is judged, its hand-over says, which is gone then."""
        body = {"state": state, "context": NAME, "description": words, "target_url": self.run}
        self.api.call(Call("POST", self._path(f"statuses/{waiting.head}"), body))

    def links(self, waiting: Waiting) -> dict[str, str]:
        """Where the run of the judge and the changes are."""
        changes = {} if waiting.pull is None else {"changes": f"{self.place}/pulls/{waiting.pull}/files"}
        return {"this run": self.run, **changes}

    def page(self, revision: str, path: str = "") -> str:
        """The address of a revision, or of a file in it."""
        if not path:
            return f"{self.place}/src/tag/{quote(revision)}"
        return f"{self.place}/src/commit/{quote(revision)}/{quote(path)}"

    def picture(self, commit: str, path: str) -> str:
        """The address by which a comment shows a file of a commit, to whoever may read the repository."""
        return f"{self.place}/raw/commit/{commit}/{quote(path)}"

    def _path(self, below: str) -> str:
        return f"repos/{self.full_name}/{below}"

    def _every(self, path: str) -> Iterator[Mapping[str, Any]]:
        """All that a list has. How many come at once is for the server to say, so the end is an empty page."""
        page, seen = 1, set[int]()
        while True:
            joint = "&" if "?" in path else "?"
            found = self.api.get(f"{self._path(path)}{joint}limit={PAGE}&page={page}", absent=[])
            fresh = [one for one in found if int(one["id"]) not in seen]
            if not fresh:
                return
            yield from fresh
            seen.update(int(one["id"]) for one in fresh)
            page += 1


def leave(repository: Repository, head: str, folder: Path) -> str:
    """Push the hand-over in `folder` as that of a commit, in the place of one of an earlier run; its ref."""
    ref = f"{HANDOVERS}{head}"
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files.plain(folder.parent, folder.name)}
    tree = repository.write_tree(EMPTY_TREE, found, index=repository.path / ".git" / "handover.index")
    made = repository.write_commit(tree, [], f"Hand-over of {head}\n", date=repository.date(head))
    done = repository.remote("push", "-q", "--force", _remote(repository), f"{made}:{ref}", check=False)
    if done.returncode != 0:
        raise PushforwardError(
            f"the hand-over cannot be left in {ref}: {done.stderr.decode('utf-8', 'replace').strip()[:300]}",
            next="push the branch to this repository itself: a fork's run may not write",
            exit_code=TOOL,
        )
    return ref


def _remote(repository: Repository) -> str:
    remote = remotes.followed(repository)
    if remote is None:
        raise PushforwardError("this checkout has no git remote", next="git remote add origin URL")
    return remote.name
