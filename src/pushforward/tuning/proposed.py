"""The best parameters as a change that people merge: what a search leaves in a folder, and the proposal made of it.

`pushforward tune --propose` proposes at once; a workflow searches in a job without rights and proposes in another one,
from the folder. That holds what code of the project has written, so nothing of it is taken but values that the
settings let be searched.
"""

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pushforward import files, params, settings, yamledit
from pushforward.errors import DATA, PushforwardError
from pushforward.forge.proposal import Proposal, Proposed, place_of
from pushforward.forge.proposal import propose as propose_change
from pushforward.git import remote as remotes
from pushforward.git.repository import Repository
from pushforward.judge import shown
from pushforward.report import vega
from pushforward.text import code, prose
from pushforward.tuning import pictures, space, told
from pushforward.tuning.tune import Tuned

FOUND, SAID = "tuned.json", "tuned.md"
LIMIT_BYTES = 20 * 1024 * 1024
WIDTH = 1080  # pixels of a picture, twice of what a page gives it
ADDRESS = re.compile(r"https://[\w.:-]+(/[\w.-]+)+")
_FORM = TypeAdapter(Tuned)


def leave(found: Tuned, folder: Path) -> None:
    """Leave in a folder what was found: for `--from`, for people, and its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FOUND).write_bytes(_FORM.dump_json(found, indent=1) + b"\n")
    (folder / SAID).write_text(body(found) + "\n", encoding="utf-8")
    for name, drawn in pictures.draw(found).items():
        (folder / name).write_bytes(drawn)


def read(folder: Path) -> Tuned:
    """What a search has left in a folder; refused where it is of another form."""
    text = files.left(folder, FOUND, LIMIT_BYTES, by="pushforward tune --out")
    try:
        return _FORM.validate_json(text)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PushforwardError(
            f"{folder / FOUND} is not what a search leaves: {where}: {first['msg']}",
            next=f"pushforward tune --out {folder}",
            exit_code=DATA,
        ) from None


def propose(root: Path, found: Tuned, *, say: Callable[[str], None]) -> Proposed | None:
    """Have the best parameters asked for as a change; None where they are worth none."""
    if found.check is None or not found.check.worth or not found.changes:
        return None
    repository = Repository(root)
    _check(root, repository, found)
    remote = remotes.followed(repository)
    if remote is None:
        raise PushforwardError(f"{root} has no git remote to propose to", next="pushforward init")
    branch = f"tune-{found.study}"
    text = repository.read(place_of(repository, remote, branch).base, found.file)
    if text is None or space.today(text, _searched(root), found.file) != dict(found.today):
        raise PushforwardError(
            f"the default branch of {remote.name} has other parameters in {found.file} than the search began with",
            next=f"git pull {remote.name}, then pushforward tune",
        )
    shows = not remote.is_server and settings.load(root).project.report.pictures == "shown"
    links = _pictures(repository, remote.name, found, say) if shows else []
    change = {found.file: yamledit.changed(text, found.changes, found.file)}
    asked = Proposal(branch, change, f"Tune {', '.join(found.changes)}", body(found, links))
    return propose_change(root, asked, say=say)


def _searched(root: Path) -> Mapping[str, Any]:
    told = settings.load(root).project.tune
    return {} if told is None else told.space


def _check(root: Path, repository: Repository, found: Tuned) -> None:
    """Refuse what no search of this commit could have found."""
    searched, best = _searched(root), found.best or {}
    rules = settings.load(root).of(found.model)
    wrong = ""
    if found.commit != repository.commit("HEAD"):
        wrong = f"it is of the commit {found.commit[:9]}"
    elif (
        set(best) != set(searched) or set(found.today) != set(searched) or found.file != rules.model.beside(params.FILE)
    ):
        wrong = "it is of other parameters than tune.space has"
    elif out := space.outside(best, searched):
        wrong = f"{out[0]} lies outside of tune.space"
    elif not set(found.importances) <= set(searched) or any(set(one.values) != set(searched) for one in found.trials):
        wrong = "its trials are of other parameters than tune.space has"
    elif found.check is not None and not len(found.check.today) == len(found.check.best) > 0:
        wrong = "its check has not as many numbers of the best as of today's"
    if wrong or not re.fullmatch(r"[0-9a-f]{12}", found.study):
        raise PushforwardError(
            f"what was found is not proposed: {wrong or 'its study has no name'}",
            next="pushforward tune --propose, of this commit",
            exit_code=DATA,
        )


def _pictures(repository: Repository, remote: str, found: Tuned, say: Callable[[str], None]) -> list[str]:
    """Where a page finds the pictures, on a forge in whose run this is; none where that has none."""
    server, name = os.environ.get("GITHUB_SERVER_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    at = f"{server}/{name}"
    if not ADDRESS.fullmatch(at):
        return []
    drawn = {}
    with contextlib.suppress(ValueError):  # numbers that nothing can be drawn of
        for one, picture in pictures.draw(found).items():
            with contextlib.suppress(ValueError):  # Vega's, where it stumbles: the others are shown
                drawn[one.replace(".svg", ".png")] = vega.png(picture, WIDTH)
    try:
        commit = shown.put(repository, remote, found.commit, drawn, of=f"tune-{found.study}-{len(found.trials)}")
    except PushforwardError as failed:
        say(f"{failed.message}; the change is asked for without them")
        return []
    return [f"![{one}]({at}/blob/{commit}/{one}?raw=true)" for one in drawn] if commit else []


def body(found: Tuned, links: list[str] | None = None) -> str:
    """What is said of a search, as markdown."""
    unread = "; no batch of the holdout was read" if found.past else ""
    parts = [
        f"{told.tally(found)}. Each was tried on {prose('; '.join(found.folds))}{unread}.",
        _values(found),
        "\n".join(f"- {prose(line)}" for line in told.checked(found)),
        f"What counts is the verdict on this change: {prose(told.judge(found))}.",
        " ".join(links or []) or "\n".join(pictures.chart(found)),
        _importances(found),
        f"Study {code(found.study)} of {code(found.commit[:12])}, by {code(found.number)}.",
    ]
    return "\n\n".join(part for part in parts if part)


def _values(found: Tuned) -> str:
    """Today's values beside those of the best."""
    if found.best is None:
        return ""
    rows = [
        f"| {code(name)} | {code(_said(found.today[name]))} | {code(_said(value)) if name in found.changes else ''} |"
        for name, value in found.best.items()
    ]
    return "\n".join(["| parameter | today | best |", "|:--|--:|--:|", *rows])


def _said(value: Any) -> str:
    return space.said({"": value}).strip()


def _importances(found: Tuned) -> str:
    if not found.importances:
        return ""
    rows = [f"| {code(name)} | {share:.0%} |" for name, share in found.importances.items()]
    return "\n".join(["| what matters (PED-ANOVA) | share |", "|:--|--:|", *rows])
