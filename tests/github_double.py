"""A double of GitHub: the part of its REST API that a report is posted through, on loopback over TLS, with faults."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.github_settings import Settings

API = "/api/v3"
TOKEN = "a-token-of-the-job"
BOT = {"login": "github-actions[bot]", "type": "Bot"}
JSON = {"Content-Type": "application/json; charset=utf-8"}
LONGEST_COMMENT = 65_536
LONGEST_DESCRIPTION = 140


@dataclass(frozen=True)
class Fault:
    """What comes instead of the right answer; status 0 drops the connection without one.

    With `done` the request takes effect all the same. With `half` it does, and its answer ends in the middle.
    """

    status: int = 0
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    done: bool = False
    half: bool = False


def refusal(status: int, message: str, **headers: str) -> Fault:
    """A refusal in GitHub's form; underscores in the names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status, json.dumps({"message": message, "documentation_url": "https://docs.github.com/rest"}), named)


SERVER_ERROR = refusal(500, "Server Error")
BAD_GATEWAY = Fault(
    502, "<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n", {"Content-Type": "text/html"}
)
BAD_CREDENTIALS = refusal(401, "Bad credentials")
READ_ONLY = refusal(403, "Resource not accessible by integration")
DROPPED = Fault()
LOST = Fault(done=True)
HALF = Fault(half=True)


@dataclass(frozen=True)
class Call:
    """A request as it came in."""

    method: str
    path: str
    body: dict[str, Any]


@dataclass
class Pull:
    """An open pull request: `head` is `owner:branch`, in a fork's owner's name or in this repository's."""

    number: int
    head: str
    sha: str
    base: str = "main"
    state: str = "open"
    merged: bool = False


@dataclass
class Comment:
    """A comment on a pull request."""

    id: int
    pull: int
    body: str
    user: Mapping[str, str]


@dataclass
class GitHub:
    """One repository, `octo/flights`, and everything that happened to it."""

    url: str = ""
    pulls: list[Pull] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings)
    _faults: list[tuple[str, str, Fault]] = field(default_factory=list)

    def say(self, pull: int, body: str, login: str) -> Comment:
        """A comment by somebody."""
        user = BOT if login == BOT["login"] else {"login": login, "type": "User"}
        self.comments.append(Comment(1000 + len(self.comments), pull, body, user))
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

    def answer(self, call: Call, token: str) -> tuple[int, Any]:
        """What GitHub does and says."""
        if token not in (f"Bearer {TOKEN}", f"token {TOKEN}"):
            return 401, {"message": "Bad credentials"}
        path = urlsplit(call.path)
        query = {name: values[-1] for name, values in parse_qs(path.query).items()}
        match call.method, path.path.removeprefix(API).strip("/").split("/"):
            case "GET", ["users", login] if login != "nobody":
                return 200, {"login": login, "name": login, "id": 99}
            case "GET", ["repos", "octo", "flights", "pulls"]:
                return 200, [self._shown(pull) for pull in self.pulls if _asked(pull, query)]
            case "POST", ["repos", "octo", "flights", "pulls"]:
                return self._open(call.body)
            case "PUT", ["repos", "octo", "flights", "pulls", number, "merge"]:
                return self._merge(int(number), call.body)
            case "GET", ["repos", "octo", "flights", "commits", sha, "statuses"]:
                return 200, [one for one in reversed(self.statuses) if one["sha"] == sha]
            case "POST", ["repos", "octo", "flights", "statuses", sha]:
                return self._set_status(sha, call.body)
            case "GET", ["repos", "octo", "flights", "issues", number, "comments"]:
                size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
                found = [self._comment(comment) for comment in self.comments if comment.pull == int(number)]
                return 200, found[(page - 1) * size : page * size]
            case "POST", ["repos", "octo", "flights", "issues", number, "comments"]:
                return _checked(call) or (201, self._comment(self.say(int(number), call.body["body"], BOT["login"])))
            case "PATCH", ["repos", "octo", "flights", "issues", "comments", number]:
                return _checked(call) or (200, self._patch(int(number), call.body["body"]))
        return self.settings.answer(call.method, path.path.removeprefix(API).strip("/").split("/"), call.body)

    def _open(self, body: dict[str, Any]) -> tuple[int, Any]:
        """One of a branch is open at a time."""
        head = f"octo:{body['head']}"
        if any(pull.head == head and pull.state == "open" for pull in self.pulls):
            errors = [{"message": f"A pull request already exists for {head}."}]
            return 422, {"message": "Validation Failed", "errors": errors}
        self.settings.opened.append(body)
        self.pulls.append(Pull(len(self.settings.opened), head, "", body["base"]))
        return 201, self._shown(self.pulls[-1])

    def _merge(self, number: int, body: dict[str, Any]) -> tuple[int, Any]:
        """Whoever names another commit than it is at merges nothing."""
        (pull,) = (pull for pull in self.pulls if pull.number == number)
        if body["sha"] != pull.sha:
            return 409, {"message": "Head branch was modified. Review and try the merge again."}
        pull.state, pull.merged = "closed", True
        return 200, {"merged": True, "sha": "0" * 40}

    def _shown(self, pull: Pull) -> dict[str, Any]:
        head = {"label": pull.head, "ref": pull.head.partition(":")[2], "sha": pull.sha}
        told = {"number": pull.number, "state": pull.state, "merged_at": _now(pull), "base": {"ref": pull.base}}
        return {**told, "head": head, "html_url": f"https://github.com/octo/flights/pull/{pull.number}"}

    def _set_status(self, sha: str, body: dict[str, Any]) -> tuple[int, Any]:
        if len(body["description"]) > LONGEST_DESCRIPTION:
            return 422, {"message": "Validation Failed"}
        self.statuses.append({"sha": sha, **body})
        return 201, self.statuses[-1]

    def _patch(self, number: int, body: str) -> dict[str, Any]:
        """Who may write may edit anybody's comment."""
        (comment,) = (comment for comment in self.comments if comment.id == number)
        comment.body = body
        return self._comment(comment)

    def _comment(self, comment: Comment) -> dict[str, Any]:
        address = f"{self.url}/octo/flights/pull/{comment.pull}#issuecomment-{comment.id}"
        return {"id": comment.id, "body": comment.body, "user": comment.user, "html_url": address}


def _asked(pull: Pull, query: Mapping[str, str]) -> bool:
    if query.get("state", "open") not in (pull.state, "all"):
        return False
    return all(query.get(name, value) == value for name, value in {"head": pull.head, "base": pull.base}.items())


def _now(pull: Pull) -> str | None:
    return "2026-01-01T00:00:00Z" if pull.merged else None


def _checked(call: Call) -> tuple[int, Any] | None:
    if len(call.body["body"]) <= LONGEST_COMMENT:
        return None
    wrong = {"message": f"Body is too long (maximum is {LONGEST_COMMENT} characters)", "code": "custom"}
    return 422, {"message": "Validation Failed", "errors": [wrong]}


class Serving(ThreadingHTTPServer):
    """A server of one double, which one request at a time asks."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler], double: Any) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.double, self.turn = double, threading.Lock()

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is its own affair."""

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Answer for as long as the block lasts."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()


class Answering(BaseHTTPRequestHandler):
    """How a double answers: whole, half, or not at all."""

    protocol_version = "HTTP/1.1"
    server: Serving

    def send(self, status: int, content: bytes, headers: Mapping[str, str], *, half: bool = False) -> None:
        """Send an answer, or the first half of one and then nothing more."""
        self.send_response(status, HTTPStatus(status).phrase)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if half else content)
        if half:
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Handler(Answering):
    def do_GET(self) -> None:
        github = self.server.double
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        call = Call(self.command, self.path, json.loads(content) if content else {})
        with self.server.turn:
            github.calls.append(call)
            fault = github.fault(call)
            done = None
            if fault is None or fault.done or fault.half:
                done = github.answer(call, self.headers.get("Authorization", ""))
        if fault is None or fault.half:
            status, tree = done or (500, None)
            content = b"" if status == HTTPStatus.NO_CONTENT else json.dumps(tree).encode()
            self.send(status, content, JSON, half=fault is not None)
        elif fault.status:
            self.send(fault.status, fault.body.encode(), {**JSON, **fault.headers})
        else:
            self.hang_up()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815


def certify(folder: Path) -> Path:
    """A certificate of its own authority for 127.0.0.1 and its key, good for a day, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    usage = x509.KeyUsage(True, False, False, False, False, True, False, False, False)  # sign, and sign certificates
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return path


@contextmanager
def serve(certificate: Path) -> Iterator[GitHub]:
    """A GitHub at its `url`, for as long as the block lasts, with a certificate that `certify` made."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Serving(_Handler, None) as server:
        # the handshake waits for the thread of its connection
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.double = GitHub(f"https://127.0.0.1:{server.server_port}")
        with server.at_work():
            yield server.double
