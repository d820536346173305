"""The docket of a forge: what waits for the judge, what its run has left, and where a verdict is told.

Asked by `sweep` and by `pushforward forge`, of forges that start no judge when a pull request has been trained: the
judge comes by itself, takes what waits, and nothing from whoever started it. `gitlab` and `gitea` answer.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pushforward.errors import PushforwardError
from pushforward.forge.client import Api
from pushforward.text import plain

NAME = "pushforward"  # of the commit status
TOKEN = "PUSHFORWARD_FORGE_TOKEN"  # noqa: S105, the name of a variable
MARK = "<!-- pushforward: the report of the judge, renewed in place -->"
SUCCESS, PENDING, FAILURE, ERROR = "success", "pending", "failure", "error"
# What a person may decide, or more data, waits: green would let it be merged, red would say that it does harm.
UNDECIDED = {"unknown": PENDING, "calibration-only": PENDING}
# every other verdict is a failure
STATES = {"promote": SUCCESS, "identical": SUCCESS, "measured": SUCCESS, "invalid": ERROR, **UNDECIDED}
WAITS = "waits for a person (pushforward accept) or more data"
UNJUDGED = "the judge came to no verdict; its log says why"
CUT = "\n\n… the rest is too long for a comment: `git fetch && pushforward report {commit}`"
SHOWN = ("gain-by-day", "reliability")  # what answers "may this merge?"
MOST = 32  # pictures
COMMIT, PICTURE = re.compile(r"[0-9a-f]{40}"), re.compile(r"([a-z0-9][a-z0-9-]{0,60})\.svg")
VERSION = re.compile(r"[a-z0-9][a-z0-9-]{0,60}@v\d+\.\d+\.\d+")
CARD = re.compile(r"[0-9a-f]{40}/versions/[a-z0-9][a-z0-9-]{0,60}@v\d+\.\d+\.\d+/card\.md")
PAUSES = (5.0, 20.0)  # seconds before each further try to tell


@dataclass(frozen=True)
class Waiting:
    """A commit that was trained and is not judged yet; without `pull` it was pushed to the default branch.

    `run` is the forge's name of the run that trained it: each run is judged once.
    """

    head: str
    branch: str
    pull: int | None
    run: str


@dataclass(frozen=True)
class Comment:
    """A comment on a pull request: whose it is, and what it says."""

    id: int
    author: str
    body: str


class Docket(Protocol):
    """The judge's side of a forge, with a token that only the judge has."""

    @property
    def api(self) -> Api:
        """The calls of its API."""

    @property
    def name(self) -> str:
        """What the forge is called in words."""

    @property
    def pull(self) -> str:
        """What a pull request is called here, in words."""

    @property
    def longest(self) -> tuple[int, int]:
        """The characters that a comment, and the words of a status, may have."""

    def waiting(self) -> Iterator[Waiting]:
        """What was trained and is not judged yet, oldest first."""

    def ref(self, waiting: Waiting) -> str:
        """The ref by which git fetches the commit."""

    def take(self, waiting: Waiting, folder: Path) -> None:
        """Put what the run has left into `folder`, as it is; nothing, where it has left nothing."""

    def done(self, waiting: Waiting) -> None:
        """Take it off the list."""

    def me(self) -> str:
        """Who the token is."""

    def comments(self, pull: int) -> Iterator[Comment]:
        """Every comment on a pull request, oldest first."""

    def write(self, pull: int, body: str, comment: int | None) -> str:
        """Write a comment anew, or in the place of one; its address."""

    def set_status(self, waiting: Waiting, state: str, words: str, *, final: bool) -> None:
        """Set the status `pushforward` of a commit: a state of `STATES`; unless `final`, its run is judged again."""

    def links(self, waiting: Waiting) -> dict[str, str]:
        """Where the run of the judge and the changes are."""

    def page(self, revision: str, path: str = "") -> str:
        """The address of a version, or of a file in a commit."""

    def picture(self, commit: str, path: str) -> str:
        """The address by which a comment shows a file of a commit, to whoever may read the repository."""


def told(folder: Path) -> tuple[str, str]:
    """The state and the words that the verdict in `folder` stands for; of none, that there is none."""
    try:
        verdict = json.loads((folder / "verdict.json").read_bytes())
        word, reason = str(verdict["verdict"]), str(verdict["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return ERROR, UNJUDGED
    return STATES.get(word, FAILURE), f"{word}: {f'{WAITS}: ' if word in UNDECIDED else ''}{reason}"


def tell(docket: Docket, waiting: Waiting, folder: Path, say: Callable[[str], None]) -> None:
    """Tell the forge of the verdict in `folder`: a status, and a comment on the pull request.

    What cannot be told is said, and nothing else: the verdict stands.
    """
    state, words = told(folder)
    _persist(docket, say, "the verdict is not on the commit", lambda: set_status(docket, waiting, state, words))
    if waiting.pull is not None and (folder / "report.md").is_file():
        _persist(docket, say, f"the report is not on the {docket.pull}", lambda: say(comment(docket, waiting, folder)))


def set_status(docket: Docket, waiting: Waiting, state: str, words: str, *, final: bool = True) -> None:
    """Set a commit's status in at most as many characters as the forge takes."""
    docket.set_status(waiting, state, plain(words, docket.longest[1]), final=final)


def comment(docket: Docket, waiting: Waiting, folder: Path) -> str:
    """Write the report in `folder` into the one comment that is ours, or into a new one; its address.

    Ours has the mark and is by who the token is: a person who quotes the mark is not written over.
    """
    report = with_links((folder / "report.md").read_text("utf-8"), folder, docket, waiting)
    most = docket.longest[0] - len(MARK) - 2
    if len(report) > most:
        cut = CUT.format(commit=waiting.head[:9])
        report = report[: most - len(cut)].rpartition("\n")[0] + cut
    me, pull = docket.me(), waiting.pull or 0
    ours = [found.id for found in docket.comments(pull) if MARK in found.body and found.author == me]
    return docket.write(pull, f"{report}\n\n{MARK}", ours[-1] if ours else None)


def with_links(report: str, folder: Path, docket: Docket, waiting: Waiting) -> str:
    """The report with its pictures and where the rest is, below what is to be done next."""
    recorded = _json(folder / "recorded.json")
    links = dict(docket.links(waiting))
    if champion := _champion(_json(folder / "verdict.json")):
        links[champion] = docket.page(champion)
        if CARD.fullmatch(card := str(recorded.get("card"))):
            links["its card"] = docket.page(*card.split("/", 1))
    names, drawn, shown = _names(recorded), str(recorded.get("pictures")), str(recorded.get("shown"))
    if COMMIT.fullmatch(drawn):
        links |= {_said(name): docket.page(drawn, f"pull_request/plots/{name}.svg") for name in names}
    lines = [" · ".join(f"[{name}]({address})" for name, address in links.items())]
    if COMMIT.fullmatch(shown):
        seen = [name for name in SHOWN if name in names]
        lines.append(" ".join(f"![{_said(name)}]({docket.picture(shown, f'{name}.png')})" for name in seen))
    told = "\n\n".join(line for line in lines if line)
    place = report.find("\n", report.find("\n**Next**: ") + 1)
    return f"{report[:place]}\n\n{told}{report[place:]}" if place > 0 else f"{report}\n\n{told}\n"


def _champion(verdict: Mapping[str, object]) -> str:
    """The version that the verdict compares with, if that is a plain name."""
    champion = verdict.get("champion")
    name = champion.get("version") if isinstance(champion, dict) else None
    return name if isinstance(name, str) and VERSION.fullmatch(name) else ""


def _names(recorded: Mapping[str, object]) -> list[str]:
    """The pictures that were recorded, by name."""
    names = recorded.get("names")
    found = [PICTURE.fullmatch(str(name)) for name in names[:MOST]] if isinstance(names, list) else []
    return [match[1] for match in found if match is not None]


def _said(name: str) -> str:
    return name.replace("-", " ")


def _json(path: Path) -> Mapping[str, object]:
    try:
        tree = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _persist(docket: Docket, say: Callable[[str], None], untold: str, tell: Callable[[], None]) -> None:
    """Try up to three times. Every try looks again at what is there: one whose answer was lost has told it already."""
    for pause in (*PAUSES, None):
        try:
            tell()
        except PushforwardError as failed:
            if pause is None or failed.next == docket.api.access:  # another right is what it wants
                say(f"{untold}: {plain(failed.message, 300)}. The verdict stands; the job's log has the report")
                return
            docket.api.pause(pause)
        else:
            return
