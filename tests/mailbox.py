"""Doubles of who is told: a webhook and a mail server on loopback, with their faults."""

import base64
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Webhook(ThreadingHTTPServer):
    """Takes what is posted; `answers` are what it says next, (status, headers), and then 200. -1 hangs, 0 hangs up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.taken: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/services/T0/B1?thread=2"

    def shutdown(self) -> None:
        self.over.set()
        super().shutdown()

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is its own affair."""


class _Hook(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        status, headers = self.server.answers.pop(0) if self.server.answers else (200, {})
        if status < 1:
            self.server.over.wait(-30 * status)
            return
        if status == 200:
            self.server.taken.append(json.loads(content))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"ok" if status == 200 else b"no_service")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Mailbox(socketserver.ThreadingTCPServer):
    """A mail server: takes mail for `example.org`, after a login where a `login` is asked for."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, certificate: Path | None = None, login: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.login, self.mails = login, list[tuple[list[str], str]]()
        self.encrypted = list[bool]()
        self.refuses = 0  # a status in the place of what DATA would be answered
        self.context: ssl.SSLContext | None = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is its own affair."""


class _Session(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self.secure, self.known, self.to = False, not self.server.login, list[str]()
        self.say("220 mailbox")
        while line := self.rfile.readline().decode().strip():
            word = line.partition(" ")[0].upper()
            answer = getattr(self, f"do_{word.lower()}", None)
            if word == "QUIT":
                self.say("221 bye")
                return
            if answer is None:
                self.say("502 what?")
            else:
                answer(line)

    def finish(self) -> None:
        super().finish()
        if self.secure:
            self.connection.close()

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def do_ehlo(self, _: str) -> None:
        offers = ["mailbox"]
        if self.server.context and not self.secure:
            offers.append("STARTTLS")
        if self.server.login:
            offers.append("AUTH PLAIN")
        self.say("\r\n".join(f"250{'-' if one != offers[-1] else ' '}{one}" for one in offers))

    def do_starttls(self, _: str) -> None:
        assert self.server.context
        self.say("220 go")
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)  # type: ignore[assignment]
        self.secure = True

    def do_auth(self, line: str) -> None:
        given = base64.b64decode(line.split()[-1]).decode().split("\0")
        self.known = ":".join(given[1:]) == self.server.login
        self.say("235 welcome" if self.known else "535 no such user")

    def do_mail(self, _: str) -> None:
        self.to = []
        self.say("250 ok" if self.known else "530 who are you?")

    def do_rcpt(self, line: str) -> None:
        to = line.partition("<")[2].partition(">")[0]
        if not to.endswith("@example.org"):
            self.say("550 nobody here")
            return
        self.to.append(to)
        self.say("250 ok")

    def do_data(self, _: str) -> None:
        if self.server.refuses:
            self.say(f"{self.server.refuses} not now")
            return
        self.say("354 go")
        lines = []
        while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
            lines.append(line.removeprefix("."))
        self.server.mails.append((self.to, "\n".join(lines)))
        self.server.encrypted.append(self.secure)
        self.say("250 taken")

    def do_rset(self, _: str) -> None:
        self.say("250 ok")


@contextmanager
def served(server: Any) -> Iterator[Any]:
    """The server, at work for as long as the block lasts."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        with suppress(OSError):
            server.server_close()
