"""Calls of a forge's REST API: by a program of the forge that is logged in, or by a token.

Called by the forges (`github`, and those beside it). What is refused is told in the forge's own words with what to do;
an answer that is not whole is none. Calls that may be repeated are, where the forge failed.
"""

import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlencode

from pushforward import process
from pushforward.errors import TOOL, PushforwardError
from pushforward.forge.port import Answer, Call
from pushforward.text import plain

TIMEOUT = 30.0  # seconds a call
LONGEST = 8 * 1024 * 1024  # bytes of an answer
PAUSES = (0.5, 2.0)  # seconds before each further try
LONGEST_WAIT = 60  # seconds that a forge may ask for
HALF = "what came is no JSON, or half of it"
PAGE = 100
MOST_PAGES = 50
REPEATABLE = frozenset(("GET", "PUT", "DELETE"))
LOGGED_IN = re.compile(r"G(H|LAB|ITHUB|ITLAB|ITEA)_\w+|XDG_CONFIG_HOME|(?i:(HTTPS?|NO)_PROXY)|SSL_CERT_(FILE|DIR)")
STATUS = re.compile(rb"HTTP/[\d.]+ (\d{3})[^\r\n]*")


class LostError(Exception):
    """No answer, or half of one: what the call has done is not known."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """urllib would take the token along to whatever host an answer names."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none: an answer that leads elsewhere is told as it came."""


class Transport(Protocol):
    """How a call gets to a forge."""

    def send(self, call: Call) -> Answer:
        """Send a call, once. Raises LostError where no whole answer comes back."""


@dataclass(frozen=True)
class Program:
    """A forge's own program that is logged in and has a verb `api` like that of gh: `gh api`, `glab api`."""

    argv: tuple[str, ...]

    def send(self, call: Call) -> Answer:
        """Send a call by the program."""
        command = [*self.argv, "--include", "--method", call.method, call.path]
        stdin = None
        if call.body is not None:
            command += ["--input", "-"]
            stdin = json.dumps(call.body).encode()
        done = process.run(command, env=environment(), stdin=stdin, check=False, timeout=TIMEOUT * 2)
        answer = _taken_apart(done.stdout)
        if answer is None:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit status {done.returncode}"]
            raise LostError(f"{self.argv[0]}: {plain(said[0])[:300]}")
        return answer


@dataclass(frozen=True)
class Token:
    """A token in the headers of each call; `root` is the address of the API."""

    root: str
    headers: Mapping[str, str] = field(repr=False)

    def send(self, call: Call) -> Answer:
        """Send a call over HTTPS."""
        given = {**self.headers, "User-Agent": "pushforward"}
        data = None
        if call.body is not None:
            data = json.dumps(call.body).encode()
            given["Content-Type"] = "application/json"
        request = urllib.request.Request(f"{self.root}/{call.path}", data, given, method=call.method)  # noqa: S310
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT) as reply:
                return _read(reply.status, reply, reply.headers)
        except urllib.error.HTTPError as refused:
            with refused:
                return _read(refused.code, refused, refused.headers)
        except urllib.error.URLError as lost:
            raise LostError(f"{self.root}: {plain(str(lost.reason))[:300]}") from None
        except (OSError, http.client.HTTPException) as lost:
            raise LostError(f"{self.root}: {plain(str(lost) or type(lost).__name__)[:300]}") from None


@dataclass
class Api:
    """The API of the forge `name`; `access` is what to type where it wants another right, or a login."""

    name: str
    transport: Transport
    access: str = ""
    say: Callable[[str], None] = field(default=lambda _: None, repr=False)
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)

    def get(self, path: str, *, absent: Any = None, refused: bool = False) -> Any:
        """What is at a path; `absent` where nothing is, with `refused` also where it is not for this plan or person."""
        call = Call("GET", path)
        answer = self.answer(call)
        if answer.status == HTTPStatus.NOT_FOUND or (refused and answer.status == HTTPStatus.FORBIDDEN):
            return absent
        return self._tree(call, answer)

    def listed(self, path: str, key: str = "", **query: str) -> list[Any]:
        """Every entry of a list, page by page; in an object it is under `key`. Empty where there is none such."""
        found: list[Any] = []
        for page in range(1, MOST_PAGES + 1):
            asked = urlencode({**query, "per_page": PAGE, "page": page})
            tree = self.get(f"{path}?{asked}", absent=[])
            more = tree.get(key) if isinstance(tree, dict) else tree
            if not isinstance(more, list):
                raise self._lost(Call("GET", path), LostError("it is no list"))
            found += more
            if len(more) < PAGE:
                return found
        raise PushforwardError(f"{self.name}: {path} has more than {PAGE * MOST_PAGES} entries", exit_code=TOOL)

    def call(self, call: Call) -> Any:
        """Have a call done, and what came back as JSON; None where nothing did."""
        return self._tree(call, self.answer(call))

    def answer(self, call: Call) -> Answer:
        """Send a call, again where the forge failed and it may be repeated, or where the forge asks to wait."""
        tries = len(PAUSES) if call.method in REPEATABLE else 0
        for left in range(tries, -1, -1):
            try:
                answer = self._sent(call)
            except LostError as lost:
                if not left:
                    raise self._lost(call, lost) from None
            else:
                if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR or not left:
                    return self._waited(call, answer)
            self.pause(PAUSES[tries - left])
        raise AssertionError  # the last try returns, or raises

    def _waited(self, call: Call, answer: Answer) -> Answer:
        """The answer, or that after the wait that a limit of the forge asks for: such a call has done nothing."""
        limit = limited(answer)
        if limit is None:
            return answer
        wait, words = limit
        if wait is None or wait > LONGEST_WAIT:
            raise PushforwardError(
                f"{self.name} takes no more calls for now: {words}", next="the same again then", exit_code=TOOL
            )
        self.say(f"{self.name} asks to wait {wait:.0f} s: {words}")
        self.pause(wait)
        try:
            answer = self._sent(call)
        except LostError as lost:
            raise self._lost(call, lost) from None
        if limited(answer) is not None:
            raise PushforwardError(
                f"{self.name} takes no more calls for now: {words}", next="the same in some minutes", exit_code=TOOL
            )
        return answer

    def _sent(self, call: Call) -> Answer:
        """An answer that is whole: a program of the forge does not tell where half of one came."""
        answer = self.transport.send(call)
        if answer.status < HTTPStatus.BAD_REQUEST and answer.content.strip():
            try:
                json.loads(answer.content)
            except (ValueError, RecursionError):
                raise LostError(HALF) from None
        return answer

    def _tree(self, call: Call, answer: Answer) -> Any:
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise self.refusal(call, answer)
        return json.loads(answer.content) if answer.content.strip() else None

    def refusal(self, call: Call, answer: Answer) -> PushforwardError:
        """The error of a call that was refused, with the forge's own reason."""
        what = f"{self.name} answers {answer.status} to {call.method} {call.path}: {reason(answer)}"
        if answer.status < HTTPStatus.BAD_REQUEST:
            return PushforwardError(
                f"{what}; it is at {plain(answer.headers.get('location', 'no place it names'))[:200]} now",
                next="git remote set-url, with the repository's new address",
                exit_code=TOOL,
            )
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            return PushforwardError(what, next=self.access, exit_code=TOOL)
        again = (
            "the same again; what is done already is left" if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""
        )
        return PushforwardError(what, next=again, exit_code=TOOL)

    def _lost(self, call: Call, lost: LostError) -> PushforwardError:
        known = "nothing was changed" if call.method == "GET" else "whether it was done is not known"
        return PushforwardError(
            f"no whole answer of {self.name} to {call.method} {call.path} ({lost}): {known}",
            next="the same again: it reads first what is there",
            exit_code=TOOL,
        )


def limited(answer: Answer) -> tuple[float | None, str] | None:
    """Of an answer that is a limit of the forge: how long to wait, None for too long to, and it in words."""
    if answer.status not in (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS):
        return None
    if (after := answer.headers.get("retry-after", "")).isdigit():
        return float(after), f"too many in a short time (secondary limit), {after} s"
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        at = f", until {datetime.fromtimestamp(int(reset), UTC):%H:%M} UTC" if reset.isdigit() else ""
        return None, f"those of this hour are used up (primary limit){at}"
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or "secondary rate limit" in reason(answer):
        return float(LONGEST_WAIT), f"too many in a short time (secondary limit), {LONGEST_WAIT} s"
    return None


def reason(answer: Answer) -> str:
    """Why a forge refuses, in its words and in one line."""
    try:
        tree = json.loads(answer.content)
    except (ValueError, RecursionError):
        return http.client.responses.get(answer.status, "no reason given")
    if not isinstance(tree, dict):
        return "no reason given"
    said = [tree.get("message") or tree.get("error") or "no reason given"]
    errors = tree.get("errors")
    listed = errors if isinstance(errors, list) else []
    said += [error.get("message", "") if isinstance(error, dict) else error for error in listed]
    return plain(": ".join(str(word) for word in said if word))[:400]


def environment() -> dict[str, str]:
    """What a forge's program takes its login from, of this process's environment."""
    return {name: value for name, value in os.environ.items() if LOGGED_IN.fullmatch(name)}


def logged_in(program: str, *ask: str) -> bool:
    """Whether a forge's program is on the PATH and answers `ask`, which wants a login, with success."""
    if shutil.which(program) is None:
        return False
    return process.run([program, *ask], env=environment(), check=False, timeout=TIMEOUT).returncode == 0


def _taken_apart(output: bytes) -> Answer | None:
    """The answer in what a program has printed: status, headers, an empty line, content."""
    head, gap, content = output.replace(b"\r\n", b"\n").partition(b"\n\n")
    status = STATUS.match(head)
    if status is None or not gap:
        return None
    pairs = (line.partition(b":") for line in head.splitlines()[1:])
    headers = {name.decode("latin-1").strip().lower(): value.decode("latin-1").strip() for name, _, value in pairs}
    return Answer(int(status[1]), content, headers)


def _read(status: int, reply: Any, headers: Any) -> Answer:
    content = reply.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise LostError(f"more than {LONGEST >> 20} MiB")
    length = headers.get("Content-Length", "")
    if length.isdigit() and len(content) < int(length):  # read(n) does not tell, as read() does
        raise LostError(f"it ended after {len(content)} of {length} bytes")
    return Answer(status, content, {name.lower(): value for name, value in headers.items()})
