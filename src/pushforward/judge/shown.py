"""The pictures of a comment: PNG of those that were drawn, in refs of a forge that no clone fetches.

`record` puts those of a verdict there, `tuning` those of a search.

PNG, since a forge serves an SVG as text, and mails and phones show none. The same colours are read on a white page and
on a black one, so there is one of each. They are of the validation month, as all pictures of a report.
"""

import time
from collections.abc import Mapping

from pushforward.errors import TOOL, PushforwardError
from pushforward.git.refs import PICTURES
from pushforward.git.repository import EMPTY_TREE, Repository
from pushforward.report import vega

# What says the most, and how many pixels wide it is: twice of what a comment gives it, for dense screens.
WIDTHS = {"gain-by-day": 972, "reliability": 540, "learning": 824, "importance": 824}
KEPT = 300  # commits whose comment has its pictures, the newest
SLACK = 30  # that many more are there before the oldest go, all in one push


def drawn(pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """The PNG of those of the SVG, all by file name, that a comment shows; what cannot be drawn is left out."""
    made = {}
    for name, width in WIDTHS.items():
        if svg := pictures.get(f"{name}.svg"):
            try:
                made[f"{name}.png"] = vega.png(svg, width)
            except ValueError:
                continue
    return made


def put(repository: Repository, remote: str, commit: str, pictures: Mapping[str, bytes], *, of: str = "") -> str:
    """Put the pictures of a comment on `commit` into `remote`, in the place of earlier ones; the commit that has them.

    What is said `of` something else, a search of that commit, has pictures of its own: neither takes the other's place.
    A ref says in its name since when, so the oldest are known without being fetched, and nobody that pushes code can
    have others' forgotten: the moment is the judge's.
    """
    if not pictures:
        return ""
    index = repository.path / ".git" / "shown.index"
    tree = repository.write_tree(EMPTY_TREE, pictures, index=index)
    made = repository.write_commit(tree, [], f"Pictures of the comment on {commit}\n", date=repository.date(commit))
    owner = of or commit
    ref = f"{PICTURES}{int(time.time()):010d}-{owner}"
    _push(repository, remote, f"{made}:{ref}")
    listed = repository.remote("ls-remote", "--refs", remote, f"{PICTURES}*").text.split()[1::2]
    old = _old(listed, ref, owner)
    if old:
        # another judge may have taken some of them away meanwhile
        repository.remote("push", "-q", remote, *(f":{name}" for name in old), check=False)
    return made


def _old(listed: list[str], ref: str, owner: str) -> list[str]:
    """What goes: earlier ones of the same commit or search, and the oldest of all where they are too many."""
    others = sorted(name for name in listed if name != ref)
    mine = [name for name in others if name.removeprefix(PICTURES).partition("-")[2] == owner]
    rest = [name for name in others if name not in mine]
    return mine + (rest[: len(rest) + 1 - KEPT] if len(rest) >= KEPT + SLACK else [])


def _push(repository: Repository, remote: str, spec: str) -> None:
    done = repository.remote("push", "-q", remote, spec, check=False)
    if done.returncode:
        why = " ".join(done.stderr.decode("utf-8", "replace").split())[:300]
        raise PushforwardError(
            f"the pictures of the comment cannot be put into {remote}: {why}",
            next="give the job `contents: write`, or set `report: {pictures: links}` in pushforward.yaml",
            exit_code=TOOL,
        )
