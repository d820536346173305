#!/usr/bin/env python3
"""Tells GitHub of a verdict, with the standard library alone: the commit status, and the report as one comment.

usage: post.py status VERDICT.json     the status `pushforward` of the judged commit
       post.py word                   the same, by what a person's word leaves for it, in $PUSHFORWARD_WORD
       post.py ahead AHEAD.txt         that it waits, with what is known before the work; nothing where nothing is
       post.py comment REPORT.md       the comment on the pull request that has this commit as its head, by $CML

What cannot be told is a warning of the run and nothing else: the verdict stands, and the job summary has the report.
Which commit was judged is read from the `workflow_run` event, what is open from the API, and neither from artifacts.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

NAME = "pushforward"
# A commit status has no neutral state. What a person may decide, or more data, waits: a check's `neutral` would let it
# be merged where it is required, and red would say that it does harm. Every other verdict is a failure.
UNDECIDED = {"unknown": "pending", "calibration-only": "pending"}
STATES = {"promote": "success", "identical": "success", "measured": "success", "invalid": "error", **UNDECIDED}
WAITS = "waits for a person (pushforward accept) or more data"
STATES["accepted"] = "success"  # by a person's word
LONGEST_STATUS = 140  # characters
MARK = '![](https://cml.dev/watermark.png#{} "CML watermark pushforward")'
MARKED = re.compile(re.escape(MARK).replace(re.escape("{}"), "[0-9a-fA-F]+"))
# What answers "may this merge?", and what is unfolded; with the width that two of them leave each other in 838 pixels.
SHOWN = {"gain-by-day": 486, "reliability": 270}
FOLDED = {"learning": 412, "importance": 412}
MOST = 32
COMMIT, PICTURE = re.compile(r"[0-9a-f]{40}"), re.compile(r"[a-z0-9][a-z0-9-]{0,60}\.svg")
CARD = re.compile(r"[0-9a-f]{40}/versions/[a-z0-9][a-z0-9-]{0,60}@v\d+\.\d+\.\d+/card\.md")
SITE = re.compile(r"https://[A-Za-z0-9.-]+(?::\d+)?(?:/[A-Za-z0-9._-]+)*")
VERSION = re.compile(r"[a-z0-9][a-z0-9-]{0,60}@v\d+\.\d+\.\d+")
CML_SEES = 30  # comments, the oldest ones


class Failed(Exception):  # noqa: N818
    """Why something was not told; `final` where another try cannot mend it, else how many seconds to `wait`."""

    def __init__(self, reason: str, *, final: bool = False, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.final, self.wait = final, wait


def main() -> None:
    """Tell what the command line asks for; the exit status is 0 whatever came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pause", type=float, default=5, help="seconds before the second try; four times that later")
    parser.add_argument("--limit", type=float, default=150, help="the most seconds that a try may take, or wait")
    parser.add_argument("what", choices=["status", "word", "ahead", "comment"])
    parser.add_argument("file", type=Path, nargs="?", default=Path())
    asked = parser.parse_args()
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_bytes())
    try:
        if asked.what == "status":
            persist(lambda: set_status(event, asked.file), asked.pause, asked.limit)
        elif asked.what == "word":
            persist(lambda: set_word(event, os.environ["PUSHFORWARD_WORD"]), asked.pause, asked.limit)
        elif asked.what == "ahead":
            persist(lambda: set_ahead(event, asked.file), asked.pause, asked.limit)
        else:
            print(persist(lambda: comment(event, asked.file, asked.limit), asked.pause, asked.limit))
    except Failed as failed:
        untold = "the report is not on a pull request" if asked.what == "comment" else "it is not on the commit"
        untold = "the verdict is not on the commit" if asked.what == "status" else untold
        reason = " ".join(str(failed).split())[:200].replace("%", "%25")
        print(f"::warning::{untold}: {reason}. The verdict stands; the job summary of the judge has the report")


def persist(tell: Callable[[], str], pause: float, limit: float) -> str:
    """Try up to three times, and wait in between as long as GitHub asks for if that is no more than `limit`."""
    for least in (pause, 4 * pause):
        try:
            return tell()
        except Failed as failed:
            if failed.final or failed.wait > limit:
                raise
            time.sleep(max(least, failed.wait))
    return tell()


def set_status(event: Mapping[str, Any], path: Path) -> str:
    """Set the commit status that branch protection can require; it leads to the run, whose summary is the report."""
    try:
        state, said = _outcome(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        state, said = "error", "the judge came to no verdict; its log says why"
    return _status(event, state, said)


def set_word(event: Mapping[str, Any], text: str) -> str:
    """Let the commit status say what a word has made of the verdict; one that cannot be read alters nothing."""
    try:
        state, said = _outcome(text)
    except (ValueError, KeyError, TypeError):
        return ""
    return _status(event, state, said)


def _outcome(text: str | bytes) -> tuple[str, str]:
    """The state of what was said, and the words for it."""
    verdict = json.loads(text)
    word, reason = str(verdict["verdict"]), str(verdict["reason"])
    return STATES.get(word, "failure"), f"{word}: {f'{WAITS}: ' if word in UNDECIDED else ''}{reason}"


def set_ahead(event: Mapping[str, Any], path: Path) -> str:
    """Let the commit status wait, and say what is known before the work; nothing is set where nothing is known.

    Nor where there is a verdict already: whoever runs the training once more is told by the next one.
    """
    said = path.read_text("utf-8").strip() if path.is_file() else ""
    head = event["workflow_run"]["head_sha"]
    told = bool(said) and any(one["context"] == NAME for one in call("GET", f"commits/{head}/statuses"))
    return _status(event, "pending", said) if said and not told else ""


def _status(event: Mapping[str, Any], state: str, said: str) -> str:
    run = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}".format_map(os.environ)
    told = {"state": state, "context": NAME, "description": said[:LONGEST_STATUS], "target_url": run}
    return str(call("POST", f"statuses/{event['workflow_run']['head_sha']}", told)["state"])


def comment(event: Mapping[str, Any], path: Path, limit: float) -> str:
    """Write the report into the one comment that is ours, or into a new one; its address, or why there is none.

    Every try looks again at what there is, so that one whose answer was lost does not lead to a second comment.
    """
    head = event["workflow_run"]["head_sha"]
    pull = open_pull(event)
    if pull is None:
        return f"::notice::no open pull request has the head {head[:9]} any more: nothing to comment on"
    report = with_links(_report(path), path.parent, event, pull)
    comments = list(every(f"issues/{pull}/comments"))
    marked = [found for found in comments if MARKED.search(found["body"] or "")]
    ours = [found for found in marked if found["user"] and found["user"]["type"] == "Bot"]
    # CML takes the last comment with its mark, whoever wrote it, and a reply by mail quotes the mark: where it would
    # write over a person's words, or cannot see ours, it is not asked.
    if [found for found in marked if found in comments[:CML_SEES]][-1:] == ours[-1:]:
        return cml(report, pull, head, limit)
    body = {"body": f"{report}\n\n{MARK.format(head)}"}
    if ours:
        return str(call("PATCH", f"issues/comments/{ours[-1]['id']}", body)["html_url"])
    return str(call("POST", f"issues/{pull}/comments", body)["html_url"])


def open_pull(event: Mapping[str, Any]) -> int | None:
    """The number of the pull request from the judged branch, if it still has the judged commit as its head.

    Asked by branch: GitHub names no pull request for a commit that is only in a fork.
    """
    run = event["workflow_run"]
    owner = run["head_repository"]["owner"]["login"] if run["head_repository"] else ""
    wanted = {"state": "open", "base": event["repository"]["default_branch"], "head": f"{owner}:{run['head_branch']}"}
    found = call("GET", f"pulls?{urlencode(wanted)}")
    return next((int(pull["number"]) for pull in found if pull["head"]["sha"] == run["head_sha"]), None)


def with_links(report: str, folder: Path, event: Mapping[str, Any], pull: int) -> str:
    """The report with its pictures and where the rest is, below what is to be done next.

    Pictures are files of the repository itself, by the address with which GitHub shows those of a private one to
    whoever may read it, and to nobody else; each leads to its file, for a mail or a forge that shows none.
    """
    at = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}".format_map(os.environ)
    run, recorded = f"{at}/actions/runs/{os.environ['GITHUB_RUN_ID']}", _read(folder / "recorded.json")
    links = [("this run", run), ("its files", f"{run}#artifacts"), ("changes", f"{at}/pull/{pull}/files")]
    if page := _page(event["workflow_run"]["head_sha"]):
        links.append(("page", page))
    if champion := _champion(folder / "verdict.json"):
        links.append((champion, f"{at}/tree/{quote(champion)}"))
        if CARD.fullmatch(card := str(recorded.get("card"))):
            links.append(("its card", f"{at}/blob/{quote(card)}"))
    drawn = _drawn(recorded)
    shown = str(recorded.get("shown")) if COMMIT.fullmatch(str(recorded.get("shown"))) else ""
    pictures = [_pictures(at, shown, drawn, names) for names in (SHOWN, FOLDED)] if shown else ["", ""]
    listed = [(_said(name), f"{at}/blob/{path}") for name, path in drawn.items()]
    lines = [_linked(links), pictures[0], _folded(pictures[1], _linked(listed))]
    told = "\n\n".join(line for line in lines if line)
    place = report.find("\n", report.find("\n**Next**: ") + 1)
    return f"{report[:place]}\n\n{told}{report[place:]}" if place > 0 else f"{report}\n\n{told}\n"


def _pictures(at: str, commit: str, drawn: Mapping[str, str], widths: Mapping[str, int]) -> str:
    """One line of pictures, of those that were drawn."""
    addresses = {name: f"{at}/blob/{commit}/{name}.png" for name in widths if name in drawn}
    return "\n".join(
        f'<a href="{address}"><img src="{address}?raw=true" width="{widths[name]}" alt="{_said(name)}"></a>'
        for name, address in addresses.items()
    )


def _folded(pictures: str, links: str) -> str:
    """What is not shown at once; links alone need no fold."""
    if not pictures:
        return links
    return f"<details><summary>Learning and importance</summary>\n\n{pictures}\n\n{links}\n\n</details>"


def _linked(links: Iterable[tuple[str, str]]) -> str:
    return " · ".join(f"[{name}]({address})" for name, address in links)


def _page(commit: str) -> str:
    """The page of a commit, where there are pages; they follow the verdict in a minute or two."""
    site = os.environ.get("PUSHFORWARD_PAGES", "").rstrip("/")
    return f"{site}/run/{commit}.html" if SITE.fullmatch(site) else ""


def _champion(path: Path) -> str:
    """The version that the verdict compares with, if that is a plain name."""
    with suppress(KeyError, TypeError):
        name = _read(path)["champion"]["version"]
        return name if isinstance(name, str) and VERSION.fullmatch(name) else ""
    return ""


def _drawn(recorded: Mapping[str, Any]) -> dict[str, str]:
    """Name -> path of the pictures that were recorded, from the commit that holds them."""
    with suppress(KeyError, TypeError):
        if COMMIT.fullmatch(recorded["pictures"]):
            place = f"{recorded['pictures']}/pull_request/plots"
            names = [name for name in recorded["names"][:MOST] if PICTURE.fullmatch(name)]
            return {name.removesuffix(".svg"): f"{place}/{name}" for name in names}
    return {}


def _read(path: Path) -> Mapping[str, Any]:
    """What the judge has left in a file; nothing where that is no object."""
    with suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def _said(name: str) -> str:
    return name.replace("-", " ")


def cml(report: str, pull: int, head: str, limit: float) -> str:
    """Let CML create or update the comment; its address.

    A try counts only with status 0 and an address on standard output: after a cut-off answer the status is 0 too.
    """
    server, repository = os.environ["GITHUB_SERVER_URL"], os.environ["GITHUB_REPOSITORY"]
    with tempfile.TemporaryDirectory() as scratch:
        body, log, config = (Path(scratch, name) for name in ("report.md", "log", "gitconfig"))
        body.write_text(report, "utf-8")
        config.touch()
        command = [*shlex.split(os.environ["CML"]), "comment", "update", "--no-publish", f"--target=pr/{pull}"]
        command += [f"--watermark-title={NAME}", f"--repo={server}/{repository}", str(body)]
        # else it would write to git's global configuration on every call, call home, and name another commit
        env = {**os.environ, "GIT_CONFIG_GLOBAL": str(config), "ITERATIVE_DO_NOT_TRACK": "1", "GITHUB_SHA": head}
        try:
            with log.open("wb") as errors:
                done = subprocess.run(
                    command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, timeout=limit
                )
        except OSError as missing:
            raise Failed(f"{command[0]}: {missing.strerror}", final=True) from missing
        except subprocess.TimeoutExpired as late:
            reason, _ = _complaint(log)
            raise Failed(f"no answer after {limit:g} s. {reason}", final="limit in" in reason) from late
        address = done.stdout.decode("utf-8", "replace").strip()
        if done.returncode == 0 and address.startswith("http"):
            return address
        reason, status = _complaint(log)
    raise Failed(reason, final=status < 500)


def call(method: str, path: str, body: Mapping[str, str] | None = None) -> Any:
    """One request about this repository; the JSON of its answer."""
    token = os.environ["GITHUB_TOKEN"]
    request = Request(  # noqa: S310
        f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"},
    )
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)
    except HTTPError as refused:
        raise _refusal(refused) from refused
    except (OSError, HTTPException, ValueError) as broken:
        raise Failed(str(broken)) from broken


def every(path: str) -> Iterator[Any]:
    """All that a list of the API has, page by page."""
    page, size = 1, 100
    while True:
        found = call("GET", f"{path}?per_page={size}&page={page}")
        yield from found
        if len(found) < size:
            return
        page += 1


def _refusal(refused: HTTPError) -> Failed:
    """The server's own errors may pass, a limit passes when GitHub says, everything else stays."""
    with refused:
        try:
            reason = str(json.load(refused)["message"])
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            reason = str(refused.reason)
    wait = float(refused.headers.get("retry-after", 0))
    if refused.headers.get("x-ratelimit-remaining") == "0":
        wait = max(wait, 1 + float(refused.headers["x-ratelimit-reset"]) - time.time())
    return Failed(f"{refused.code} {reason}", final=refused.code < 500 and wait <= 0, wait=wait)


def _complaint(log: Path) -> tuple[str, int]:
    """The last that CML says on standard error, and the status of GitHub's answer: 0 where it failed by itself."""
    text = log.read_text("utf-8", "replace")
    for line in reversed(text.splitlines()):
        with suppress(ValueError, KeyError, TypeError):
            said = json.loads(line)
            return str(said["message"]), int(said.get("status", 0))
    return (text, 0) if text else ("the answer was cut off", 500)


def _report(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as missing:
        raise Failed(f"{path}: {missing.strerror}", final=True) from missing


if __name__ == "__main__":
    main()
