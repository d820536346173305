"""Addresses are secrets, https or smtp with TLS, and whoever is behind one cannot hold anything up."""

import socket
import time

import pytest
from tests import github_double
from tests.mailbox import Mailbox, Webhook, served

from pushforward.errors import PushforwardError
from pushforward.notify import targets
from pushforward.notify.news import News
from pushforward.notify.targets import UndeliveredError
from pushforward.schema import Target

NEWS = News("verdict", "flights", "Hold: a1b2c3d", "It is worse.")
HOOK = Target(url_env="HOOK")
MAIL = Target(url_env="SMTP", to=["ann@example.org"], sender="ci@example.org")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return github_double.certify(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def hook():
    with served(Webhook()) as server:
        yield server


def send(url, wish=HOOK):
    targets.send(wish, targets.address(wish, {wish.url_env: url}), NEWS, "id1")


def test_a_webhook_gets_its_message_at_its_whole_address(hook):
    send(hook.url)
    assert hook.paths == ["/services/T0/B1?thread=2"]
    assert hook.taken[0]["text"] == "flights: Hold: a1b2c3d\nIt is worse."


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "HOOK is not set: nobody is told by it"),
        ("http://hooks.example.org/x", "HOOK is not of the form https://…"),
        ("ftp://hooks.example.org/x", "HOOK is not of the form https://…"),
        ("file:///etc/passwd", "HOOK is not of the form https://…"),
        ("https://", "HOOK is not of the form https://…"),
        ("https://a b.example.org", "HOOK is not of the form https://…"),
        ("https://x.example.org:port/", "HOOK is no address"),
        ("https://ann:secret@example.org/x", "HOOK has a login in it, which a webhook does not take"),
        ("smtps://example.org", "HOOK is not of the form https://…"),
        ("ghp_sometoken", "HOOK is not of the form https://…"),
    ],
)
def test_what_is_no_address_of_a_webhook_is_refused_and_not_repeated(url, said):
    with pytest.raises(PushforwardError) as refused:
        targets.address(HOOK, {"HOOK": url})
    assert refused.value.message == said


def test_what_is_no_address_of_a_mail_server_is_refused():
    with pytest.raises(PushforwardError, match=r"^SMTP is not of the form smtps://"):
        targets.address(MAIL, {"SMTP": "https://ann:secret@example.org"})


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]:1/x", "https://example.org"]
)
def test_in_the_clear_goes_only_what_stays_on_the_machine(url):
    assert targets.address(HOOK, {"HOOK": url}).host


@pytest.mark.parametrize(
    ("status", "headers", "final", "wait", "said"),
    [
        (500, {}, False, 0, "127.0.0.1 answers 500 no_service"),
        (503, {"Retry-After": "7"}, False, 7, "127.0.0.1 answers 503 no_service"),
        (429, {"Retry-After": "99999999"}, False, 3600, "127.0.0.1 answers 429 no_service"),
        (429, {"Retry-After": "soon"}, False, 0, "127.0.0.1 answers 429 no_service"),
        (404, {}, True, 0, "127.0.0.1 answers 404 no_service"),
        (
            302,
            {"Location": "http://127.0.0.1:1/"},
            True,
            0,
            "127.0.0.1 answers 302: it leads elsewhere, and is not followed",
        ),
    ],
)
def test_what_a_webhook_refuses_is_told_by_whether_it_may_pass(hook, status, headers, final, wait, said):
    hook.answers.append((status, headers))
    with pytest.raises(UndeliveredError) as failed:
        send(hook.url)
    assert (str(failed.value), failed.value.final, failed.value.wait) == (said, final, wait)
    assert (hook.taken, len(hook.paths)) == ([], 1)


def test_who_does_not_listen_hangs_up_or_hangs_may_do_better_later(hook, monkeypatch):
    monkeypatch.setattr(targets, "SECONDS", 0.3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(UndeliveredError, match=r"127\.0\.0\.1: .*refused") as failed:
            send(f"http://127.0.0.1:{free.getsockname()[1]}/")
    assert not failed.value.final
    hook.answers = [(0, {}), (-1, {})]
    for said in ("127.0.0.1: ", "127.0.0.1 has not answered in time"):
        began = time.monotonic()
        with pytest.raises(UndeliveredError) as failed:
            send(hook.url)
        assert str(failed.value).startswith(said)
        assert not failed.value.final
        assert time.monotonic() - began < 5


def test_who_answers_a_letter_a_time_is_not_waited_for(monkeypatch):
    import threading

    monkeypatch.setattr(targets, "WHOLE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def drip():
            taken, _ = listening.accept()
            with taken:
                while not stop.is_set():
                    taken.sendall(b"H")
                    time.sleep(0.05)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        with pytest.raises(UndeliveredError, match="has not answered in time"):
            send(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        assert time.monotonic() - began < 5
        stop.set()
        thread.join(5)


def test_a_mail_is_sent_with_tls_and_a_login(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with served(Mailbox(certificate, login="ci:pass/word@1")) as box:
        send(f"smtp://ci:pass%2Fword%401@127.0.0.1:{box.port}", MAIL)
        assert box.encrypted == [True]
        ((to, text),) = box.mails
        assert to == ["ann@example.org"]
        assert "Subject: flights: Hold: a1b2c3d" in text
        assert "Message-ID: <id1@example.org>" in text
        with pytest.raises(UndeliveredError, match=r"^127\.0\.0\.1 answers 535$") as failed:
            send(f"smtp://ci:wrong@127.0.0.1:{box.port}", MAIL)
        assert failed.value.final


def test_a_certificate_that_nobody_vouches_for_gets_no_mail(certificate):
    with served(Mailbox(certificate)) as box:
        with pytest.raises(UndeliveredError, match="certificate verify failed"):
            send(f"smtp://127.0.0.1:{box.port}", MAIL)
        assert box.mails == []


def test_a_server_without_tls_gets_mail_on_this_machine_alone(monkeypatch):
    with served(Mailbox()) as box:
        send(f"smtp://127.0.0.1:{box.port}", MAIL)
        assert len(box.mails) == 1
        monkeypatch.setattr(targets, "HERE", set())
        with pytest.raises(UndeliveredError, match="no STARTTLS, and nothing is sent in the clear") as failed:
            send(f"smtp://127.0.0.1:{box.port}", MAIL)
        assert (failed.value.final, len(box.mails)) == (True, 1)


def test_a_mail_that_is_refused_is_told_by_whether_it_may_pass():
    with served(Mailbox()) as box:
        for status, final in ((451, False), (554, True)):
            box.refuses = status
            with pytest.raises(UndeliveredError, match=rf"answers {status}$") as failed:
                send(f"smtp://127.0.0.1:{box.port}", MAIL)
            assert failed.value.final is final
        box.refuses = 0
        nobody = MAIL.model_copy(update={"to": ["ann@elsewhere.org"]})
        with pytest.raises(UndeliveredError, match="takes mail for none of them: 550") as failed:
            send(f"smtp://127.0.0.1:{box.port}", nobody)
        assert failed.value.final
        with pytest.raises(UndeliveredError, match=r"takes no mail for bea@elsewhere\.org"):
            send(
                f"smtp://127.0.0.1:{box.port}", MAIL.model_copy(update={"to": ["ann@example.org", "bea@elsewhere.org"]})
            )
        assert box.mails[-1][0] == ["ann@example.org"]
