"""Where news is sent: an address that no repository holds, https of a webhook or smtp(s) of a mail server.

`spool` and `pushforward notify` send. An address is a secret: no message of an error has more of it than its host.
"""

import http.client
import json
import signal
import smtplib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from pushforward.errors import USAGE, PushforwardError
from pushforward.notify import news as messages
from pushforward.notify.news import News
from pushforward.schema import Target
from pushforward.text import plain

SECONDS = 10.0  # for each answer
WHOLE_SECONDS = 30.0  # for all of one message, however slowly its server answers
HERE = {"localhost", "127.0.0.1", "::1"}
PORTS = {"smtp": 587, "smtps": 465}
AGAIN = {408, 425, 429}  # refusals of a webhook that pass
LONGEST_WAIT = 3600.0


class UndeliveredError(Exception):
    """Why a message was not taken; `final` where another try cannot mend it, else how long to `wait` at least."""

    def __init__(self, reason: str, *, final: bool = False, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.final, self.wait = final, wait


@dataclass(frozen=True)
class Address:
    """An address, taken apart; `text` is a secret."""

    parts: SplitResult
    mail: bool

    @property
    def host(self) -> str:
        """The host, which is all of it that is ever said."""
        return self.parts.hostname or ""


def address(wish: Target, secrets: Mapping[str, str]) -> Address:
    """The address of a target, by the name that the settings have for it; refused where it is no such address."""
    text = secrets.get(wish.url_env, "").strip()
    if not text:
        raise PushforwardError(f"{wish.url_env} is not set: nobody is told by it", exit_code=USAGE)
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise PushforwardError(f"{wish.url_env} is no address", exit_code=USAGE) from None
    local = parts.hostname in HERE
    wanted = ("smtps", "smtp") if wish.to else ("https", *(("http",) if local else ()))
    if parts.scheme not in wanted or not parts.hostname or not text.isprintable() or " " in text:
        form = "smtps://USER:PASSWORD@HOST, or smtp:// with STARTTLS" if wish.to else "https://…"
        raise PushforwardError(f"{wish.url_env} is not of the form {form}", exit_code=USAGE)
    if not wish.to and (parts.username or parts.password):
        raise PushforwardError(f"{wish.url_env} has a login in it, which a webhook does not take", exit_code=USAGE)
    return Address(parts, mail=bool(wish.to))


def send(wish: Target, there: Address, news: News, identity: str) -> None:
    """Send news to a target, within `WHOLE_SECONDS`; raises UndeliveredError where it was not taken."""
    try:
        with _within(WHOLE_SECONDS):
            if there.mail:
                _mail(wish, there, news, identity)
            else:
                _post(there, news)
    except TimeoutError:
        raise UndeliveredError(f"{there.host} has not answered in time") from None
    except (OSError, http.client.HTTPException) as lost:
        raise UndeliveredError(f"{there.host}: {plain(str(lost) or type(lost).__name__, 200)}") from None


def _post(there: Address, news: News) -> None:
    parts = there.parts
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(there.host, parts.port, timeout=SECONDS)
    body = json.dumps(messages.webhook(news)).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "pushforward"}
    try:
        connection.request("POST", f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}", body, headers)
        with connection.getresponse() as answer:
            said = plain(answer.read(300).decode("utf-8", "replace"), 100)
            wait = answer.headers.get("Retry-After", "")
    finally:
        connection.close()
    if answer.status < http.client.MULTIPLE_CHOICES:
        return
    if answer.status < http.client.BAD_REQUEST:
        # wherever it leads: the message is for the host that somebody has named
        raise UndeliveredError(
            f"{there.host} answers {answer.status}: it leads elsewhere, and is not followed", final=True
        )
    passes = answer.status >= http.client.INTERNAL_SERVER_ERROR or answer.status in AGAIN
    seconds = min(float(wait), LONGEST_WAIT) if wait.isascii() and wait.isdigit() else 0.0
    raise UndeliveredError(f"{there.host} answers {answer.status} {said}".rstrip(), final=not passes, wait=seconds)


def _mail(wish: Target, there: Address, news: News, identity: str) -> None:
    parts, secure = there.parts, ssl.create_default_context()
    port = parts.port or PORTS[parts.scheme]
    message = messages.mail(news, wish.sender or "", wish.to, identity)
    try:
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(there.host, port, timeout=SECONDS, context=secure)
        else:
            server = smtplib.SMTP(there.host, port, timeout=SECONDS)
        with server:
            if parts.scheme == "smtp":
                _encrypt(server, there, secure)
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            refused: Mapping[str, Any] = server.send_message(message)
    except smtplib.SMTPRecipientsRefused as none:
        code = max(code for code, _ in none.recipients.values())
        raise UndeliveredError(f"{there.host} takes mail for none of them: {code}", final=code >= PERMANENT) from None
    except smtplib.SMTPResponseException as refusal:
        # what a server says may repeat what it was sent
        final = refusal.smtp_code >= PERMANENT
        raise UndeliveredError(f"{there.host} answers {refusal.smtp_code}", final=final) from None
    except smtplib.SMTPException as broken:
        raise UndeliveredError(f"{there.host}: {type(broken).__name__}") from None
    if refused:
        raise UndeliveredError(f"{there.host} takes no mail for {plain(', '.join(refused), 200)}", final=True)


PERMANENT = 500  # of SMTP


def _encrypt(server: smtplib.SMTP, there: Address, secure: ssl.SSLContext) -> None:
    server.ehlo()
    if server.has_extn("starttls"):
        server.starttls(context=secure)
        server.ehlo()
    elif there.host not in HERE:
        raise UndeliveredError(f"{there.host} offers no STARTTLS, and nothing is sent in the clear", final=True)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer: a server that sends a letter a second answers in time, each time."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        with suppress(TypeError):  # one that was not set from Python
            signal.signal(signal.SIGALRM, before)
