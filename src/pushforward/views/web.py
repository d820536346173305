"""The pages over HTTP, for people on this machine; or as files, for any static host.

Read only: GET and HEAD, no cookie; the forms ask for a page. One script, which no page needs, shows what is new of runs
that go on (`live.js`). A request never names a file: it names a page,
which is made from git.
"""

import hashlib
import re
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.pipeline.revision import Revision
from pushforward.registry.authority import HERE, Reading, reading
from pushforward.views.answers import SVG, Answer
from pushforward.views.history import History
from pushforward.views.pages import COMMIT, Setting, Site
from pushforward.views.underway import Desk

POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action {}; frame-ancestors 'none'"
SCRIPTS = "; script-src 'self'; connect-src 'self'"  # of live.js alone, where pages are served
# A picture opened by itself is a document: it may paint, and nothing else.
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
}
LOCAL = re.compile(r"(?i)(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")
MARK = b'<meta name="generator" content="pushforward'
PATIENCE_SECONDS = 30
MOST_FETCHED = 200  # commits by their names
STREAM = "live"
STREAM_SECONDS, LOOK_SECONDS = 600.0, 1.0  # of one stream, which a browser opens again; between two looks
STREAMS = threading.BoundedSemaphore(50)
Desks = Callable[[Repository], Desk]


def _no_desk(_: Repository) -> Desk:
    return Desk()


def site_of(path: Path, desk: Desks = _no_desk, *, served: bool = False) -> tuple[Site, Reading]:
    """The pages of the repository at `path`: of its authority, where it is no authority itself."""
    repository = Repository(path)
    if repository.git("rev-parse", "--git-dir", check=False).returncode != 0:
        raise PushforwardError(f"{path} is not a git repository", next="pushforward web --repository PATH")
    read = reading(path, _models(repository))
    whole = read.source == HERE or read.repository.path != path  # of a forge, a clone has no branch but the default one
    away = "" if whole else read.repository.git("remote", "get-url", read.source, check=False).text
    setting = Setting(read.name, read.head, away, whole, served, desk(read.repository))
    site = Site(read.repository, setting=setting)
    if not whole and not read.lacks:
        bring(site.history, read.source)
    return site, read


def bring(history: History, source: str) -> None:
    """Fetch the commits that were judged and lie on no branch of a clone, so that the pages can show their code.

    A forge has those of pull requests by their names. Where it has lost one, pages go without.
    """
    commits = [*history.snapshot().kept]
    found = history.objects(commits)
    gone = [commit for commit in commits if found[commit] is None and COMMIT.fullmatch(commit)][:MOST_FETCHED]
    if gone:
        options = ("-q", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
        history.repository.remote("fetch", *options, source, *gone, check=False)


def _models(repository: Repository) -> list[str]:
    """The names of the models; none where they cannot be read: the pages say so by themselves."""
    try:
        return list(Revision(repository, "HEAD").settings.project.models)
    except PushforwardError:
        return []


def serve(path: Path, host: str, port: int, *, say: Callable[[str], None], desk: Desks = _no_desk) -> None:
    """Serve the pages of the repository at `path` until interrupted; `desk` knows what is under way at a server."""
    site, read = site_of(path, desk, served=True)
    with listen(site, host, port) as server:
        shown = f"[{host}]" if ":" in host else host
        say(f"reads    {read.repository.path.resolve()}")
        if read.lacks:
            say(f"lacks    {read.lacks}")
        say(f"open     http://{shown}:{server.server_address[1]}/")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("")


def listen(site: Site, host: str, port: int) -> ThreadingHTTPServer:
    """A server that is bound and does not serve yet; port 0 takes a free one."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

    class Handler(_Handler):
        pages = site
        policy = POLICY.format("'self'" if site.setting.served else "'none'") + (SCRIPTS if site.setting.served else "")
        # Who listens for others is reached by names that nobody here can know.
        hosts = LOCAL if LOCAL.fullmatch(f"[{host}]" if ":" in host else host) else re.compile(".*")

    try:
        return Server((host, port), Handler)
    except OSError as failed:
        raise PushforwardError(f"cannot listen on {host}:{port}: {failed}", next="pushforward web --port 0") from None


def export(path: Path, folder: Path, desk: Desks = _no_desk) -> int:
    """Write every page of the repository at `path` into `folder`, and nothing else there; how many files.

    An earlier export is brought up to date. A folder with an index.html of somebody else's is refused.
    """
    site, _ = site_of(path, desk)
    index = folder / "index.html"
    if index.exists() and MARK not in index.read_bytes():
        raise PushforwardError(f"{index} is not of an earlier export", next="pushforward web --export another-folder")
    count = 0
    for name, answer in site.everything():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.new")
        fresh.write_bytes(answer.content)
        fresh.replace(target)
        count += 1
    (folder / ".nojekyll").touch()  # GitHub Pages would leave out what starts with an underscore, and be slower
    return count


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD of the pages of one site."""

    pages: Site
    hosts: re.Pattern[str]
    policy: str
    protocol_version = "HTTP/1.1"
    server_version = "pushforward"
    sys_version = ""
    timeout = PATIENCE_SECONDS

    def do_GET(self) -> None:
        """A page, a picture, the style sheet; or the page that says that there is none."""
        # Another site's name that resolves to this machine must not read what is here.
        if not self.hosts.fullmatch(self.headers.get("Host", "")):
            self._send(HTTPStatus.MISDIRECTED_REQUEST, Answer(b"this server has another name\n", "text/plain"))
            return
        asked = urlsplit(self.path)
        path = unquote(asked.path).removeprefix("/")
        if path.rpartition("/")[2] == STREAM and self.pages.setting.served:  # of each model's own pages too
            self._stream()
            return
        try:
            answer = self.pages.answer(path, asked.query)
        except PushforwardError as failed:
            answer = self.pages.missing("", failed.message, failed.next)
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, answer)
        except Exception as bug:  # noqa: BLE001, one page's bug must not end the server
            traceback.print_exception(bug, file=sys.stderr)
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, self.pages.missing("", f"a bug: {type(bug).__name__}"))
        else:
            if answer is None:
                self._send(HTTPStatus.NOT_FOUND, self.pages.missing(path, "There is no such page"))
            else:
                self._send(HTTPStatus.OK, answer)

    def do_HEAD(self) -> None:
        """The same without its content."""
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the server itself refuses: a method that it does not have, a request that is none."""
        status = HTTPStatus(HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else code)
        self.request_version, self.close_connection = self.protocol_version, True
        # Not `message`: it repeats what came in.
        self._send(status, Answer(f"{status.phrase}\n".encode(), "text/plain"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: whoever serves a page for themselves needs no log."""

    def _stream(self) -> None:
        """Tell whoever listens when something of the runs is new, by server-sent events; it asks for the page then."""
        if self.command == "HEAD" or not STREAMS.acquire(blocking=False):
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, Answer(b"too many listen\n", "text/plain"))
            return
        try:
            self.send_response(HTTPStatus.OK)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.close_connection, before = True, self.pages.setting.desk.mark()
            end = time.monotonic() + STREAM_SECONDS
            # what came between the page and this, the page asks for at once
            self.wfile.write(f"retry: 1000\ndata: {before}\n\n".encode())
            while time.monotonic() < end:
                time.sleep(LOOK_SECONDS)
                now = self.pages.setting.desk.mark()
                # a line that says nothing shows whether anybody still listens
                self.wfile.write(f"data: {now}\n\n".encode() if now != before else b":\n\n")
                before = now
        except OSError:
            pass  # whoever listened has gone
        finally:
            STREAMS.release()

    def _send(self, status: int, answer: Answer) -> None:
        tag = f'"{hashlib.sha256(answer.content).hexdigest()[:32]}"'
        unchanged = status == HTTPStatus.OK and tag in self.headers.get("If-None-Match", "")
        self.send_response(HTTPStatus.NOT_MODIFIED if unchanged else status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Security-Policy", PICTURE_POLICY if answer.kind == SVG else self.policy)
        if status == HTTPStatus.OK:
            self.send_header("ETag", tag)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        if self.close_connection:
            self.send_header("Connection", "close")
        if not unchanged:
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        if self.command != "HEAD" and not unchanged:
            self.wfile.write(answer.content)
