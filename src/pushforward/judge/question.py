"""The question that a push asks of the judge: what is to be judged, and by which commit. `gate` asks it here first."""

import os
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pushforward import files
from pushforward.errors import PushforwardError
from pushforward.git import remote as remotes
from pushforward.git.refs import PULLS, ZERO
from pushforward.git.repository import Repository
from pushforward.pipeline.checkout import OWN, checkout
from pushforward.pipeline.revision import Revision
from pushforward.pipeline.storage import Storage, storage

PACKAGE = "src/pushforward/"
WORK = ".git/judge"  # where the judge's checkouts lie, and what it makes on the way
AT_ONCE = 2  # checkouts
ADOPTED = "PUSHFORWARD_ADOPTED"  # told by a server to the judge of a push whose tree a pull request has run


@dataclass(frozen=True)
class Question:
    """What is to be judged: `head` was pushed by `event` to `ref`; `subject` ran, a merge for a pull request.

    `model` is the one that is asked about, where the judge knows several. What is handed over of a push was `adopted`
    where a server that trusts all who push took it from the run of a pull request with the same tree.
    """

    head: str
    subject: str
    event: str
    ref: str
    pull: int | None = None
    model: str = ""
    adopted: bool = False

    @property
    def asks(self) -> bool:
        """Whether the pushed code is asked here once more; what a server has adopted was asked, and probed, before."""
        return self.event == "push" and not self.adopted


def ask(root: Path, head: str, event: str, ref: str, pull: int | None, merge: str = "") -> Question:
    """What is asked of the judge in `root`; number and merge of a pull request come from the forge's refs.

    `merge` is the commit that merging would make, of a forge that has no ref for it; its number is then known too.
    """
    repository = Repository(root)
    if event == "push":
        head = repository.commit(head)
        return Question(head, head, event, ref, adopted=bool(os.environ.get(ADOPTED)))
    if merge:
        return _tried(repository, head, event, ref, pull, merge)
    forge = remotes.followed(repository)
    if forge is None:
        raise PushforwardError("this checkout has no git remote with pull requests", next="git remote add origin URL")
    head = repository.resolve(head) or head  # of a forge's pull request the checkout has no commit yet
    if pull is None:
        heads = repository.remote("ls-remote", forge.name, f"{PULLS}*/head").text.splitlines()
        mine = [int(name.split("/")[2]) for commit, name in (line.split("\t") for line in heads) if commit == head]
        if not mine:
            raise PushforwardError(
                f"no pull request has the head {head[:9]}", next=f"git ls-remote {forge.name} '{PULLS}*/head'"
            )
        pull = max(mine)
    merge = f"{PULLS}{pull}/merge"
    repository.remote("fetch", "-q", "--no-auto-maintenance", forge.name, f"+{merge}:{merge}")
    return _tried(repository, head, event, ref, pull, merge)


def _tried(repository: Repository, head: str, event: str, ref: str, pull: int | None, merge: str) -> Question:
    """The question of a pull request whose merge is known."""
    subject = repository.commit(merge)
    if head not in repository.git("rev-parse", f"{subject}^@").text.split():
        raise PushforwardError(f"{merge} is not a merge of {head[:9]} any more: the branch has moved on")
    return Question(head, subject, event, ref, pull=pull)


def judge_of(root: Path, question: Question, before: str = "") -> str:
    """The commit whose code, rules and holdout judge the question.

    For a pull request the target branch, which is checked out. For a push the commit that the branch pointed to before
    (`before`; where the forge does not say, the first parent), or the newest one before that whose settings can be
    read: a change of the judge counts from the next push on.
    """
    repository = Repository(root)
    head = repository.commit("HEAD")
    if question.event != "push" or head != question.head:
        return head
    earlier = None if before == ZERO else repository.resolve(before or f"{head}^")
    while earlier is not None:
        try:
            files.check_tree(repository.tree(earlier), OWN)
            _ = Revision(repository, earlier).settings
        except PushforwardError:
            earlier = repository.resolve(f"{earlier}^")
        else:
            return earlier
    return head


def models_of(root: Path, question: Question, judge: str) -> list[str]:
    """The models that the commit `judge` asks of what was pushed, none where there is one alone.

    One that the pushed commit has taken out of its settings is asked nothing: that it has is told as a change of the
    judge's settings.
    """
    repository = Repository(root)
    known = Revision(repository, judge).settings
    if not known.several:
        return []
    try:
        there = Revision(repository, question.subject).settings.project.models
    except PushforwardError:
        return list(known.project.models)  # it says why, of each
    return [name for name in known.project.models if name in there] or list(known.project.models)


def code_of(root: Path, judge: str) -> Path | None:
    """The folder with the judge's own package, where the project carries one that is not what is checked out."""
    repository = Repository(root)
    own = {path: blob for path, blob in repository.tree(judge).items() if path.startswith(PACKAGE)}
    here = {path: blob for path, blob in repository.tree("HEAD").items() if path.startswith(PACKAGE)}
    if f"{PACKAGE}__main__.py" not in own or own == here:
        return None
    with Checkouts(repository, root / ".git" / "judge-code") as give:
        return give("judge", judge) / PACKAGE.split("/")[0]


class Checkouts:
    """Gives a checkout of any revision for one role, as a folder of `work` that shares the repository's objects.

    Two roles of one revision are two folders: the judge's holds another lock and other months than the commit. What is
    surely asked for can be begun before: it is made beside, and what goes wrong is told to whoever asks for it.
    """

    def __init__(self, repository: Repository, work: Path) -> None:
        self._repository, self._work = repository, work
        self._turn = threading.RLock()
        self._known: Storage | None = None
        self._made: dict[tuple[str, str], Future[Path]] = {}
        self._beside = ThreadPoolExecutor(AT_ONCE)

    def __enter__(self) -> "Checkouts":
        self._storage()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, role: str, commit: str) -> None:
        """Begin with one that will be asked for."""
        with self._turn:
            if (role, commit) not in self._made:
                self._made[role, commit] = self._beside.submit(self._checkout, role, commit)

    def __call__(self, role: str, revision: str) -> Path:
        """The folder of a revision for a role."""
        commit = self._repository.commit(revision)
        self.begin(role, commit)
        return self._made[role, commit].result()

    def close(self) -> None:
        """Have nothing made any more when this comes back."""
        self._beside.shutdown(cancel_futures=True)

    def _checkout(self, role: str, commit: str) -> Path:
        return checkout(self._repository, commit, self._work / f"{role}-{commit[:12]}", storage=self._storage())

    def _storage(self) -> Storage:
        """Where the project keeps its data; the first that asks empties the folder."""
        with self._turn:
            if self._known is None:
                shutil.rmtree(self._work, ignore_errors=True)
                self._work.mkdir(parents=True)
                self._known = storage(self._repository.path)
            return self._known
