"""The login to a store at S3, as a run of GitHub does it, against doubles of who vouches and of AWS."""

import base64
import json
import os
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pushforward.project import workflows
from pushforward.project.workflows import Form

ROLE = "arn:aws:iam::123456789012:role/pushforward-reader"
SUBJECT = "repo:octo/flights:pull_request"
BODY = base64.urlsafe_b64encode(json.dumps({"sub": SUBJECT}).encode()).decode().rstrip("=")
VOUCHED = f"e30.{BODY}.c2ln"
ANSWER = (
    '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    "<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>to+ken/==</SessionToken>"
    "<SecretAccessKey>sec+ret/</SecretAccessKey><Expiration>2026-11-29T15:00:00Z</Expiration>"
    "<AccessKeyId>ASIA0</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"
    "</AssumeRoleWithWebIdentityResponse>"
)
REFUSED = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"
    "<Message>Not authorized to perform\nsts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>"
)


@dataclass
class Double:
    """Who vouches, and AWS: each answers with the first of what is left, and with the last again and again."""

    vouching: list[tuple[int, str]] = field(default_factory=lambda: [(200, json.dumps({"value": VOUCHED}))])
    giving: list[tuple[int, str]] = field(default_factory=lambda: [(200, ANSWER)])
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def double():
    made = Double()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            made.asked.append((self.path, self.headers.get("Authorization", ""), body))
            answers = made.vouching if self.command == "GET" else made.giving
            status, text = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def login(double, tmp_path):
    """Run the step; what it said, and the variables that the steps after it have."""
    (made,) = (one for one in workflows.render(Form("main", "src", "", login=True)) if one.path.endswith("login.py"))
    script = tmp_path / "login.py"
    script.write_bytes(made.content.replace(b"PAUSE, TIMEOUT = 3, 2, 30", b"PAUSE, TIMEOUT = 3, 0, 30"))
    (tmp_path / "temp").mkdir()

    def run(code=0, **given):
        (tmp_path / "env").write_text("")
        env = {
            "PATH": os.environ["PATH"],
            "RUNNER_TEMP": str(tmp_path / "temp"),
            "GITHUB_ENV": str(tmp_path / "env"),
            "GITHUB_RUN_ID": "77",
            "ROLE": ROLE,
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{double.url}/vouch?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-this-run",
            "AWS_ENDPOINT_URL_STS": f"{double.url}/",
        }
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(script)], env=env | given, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout, (tmp_path / "env").read_text()

    return run


def test_who_is_vouched_for_gets_credentials_that_the_next_steps_find(login, double):
    said, env = login()
    (vouched, token, _), (_, _, asked) = double.asked
    assert parse_qs(urlsplit(vouched).query) == {"api-version": ["2.0"], "audience": ["sts.amazonaws.com"]}
    assert token == "bearer of-this-run"
    assert {name: value for name, (value,) in parse_qs(asked).items()} == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "pushforward-77",
        "WebIdentityToken": VOUCHED,
    }
    assert said.splitlines() == [
        "::add-mask::sec+ret/",
        "::add-mask::to+ken/==",
        f"logged in as {ROLE}, by the subject {SUBJECT}",
    ]
    name, _, path = env.strip().partition("=")
    assert name == "AWS_SHARED_CREDENTIALS_FILE"
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert Path(path).read_text().splitlines() == [
        "[default]",
        "aws_access_key_id = ASIA0",
        "aws_secret_access_key = sec+ret/",
        "aws_session_token = to+ken/==",
    ]
    login()  # a file that is there is no trouble


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ROLE": ""}, "no role is named for such a run"),
        ({"ACTIONS_ID_TOKEN_REQUEST_URL": ""}, "GitHub vouches for no run of a fork"),
    ],
)
def test_who_has_no_role_or_nobody_to_vouch_reads_as_anybody(login, double, given, words):
    said, env = login(**given)
    assert said == f"::notice::nobody was logged in to the store, which is read as by anybody: {words}\n"
    assert env == ""
    assert double.asked == []


def test_a_role_that_does_not_trust_the_subject_is_told_with_it(login, double):
    double.giving = [(403, REFUSED)]
    said, env = login(code=1)
    assert said == (
        f"::error::{ROLE} was not given to the subject {SUBJECT}: {double.url.removeprefix('http://')} answers 403: "
        "Not authorized to perform sts:AssumeRoleWithWebIdentity\n"
    )
    assert env == ""
    assert len(double.asked) == 2, "what is refused is not asked again"


def test_what_the_other_side_breaks_is_asked_again_and_then_told(login, double):
    double.giving = [(500, "oops"), (503, ""), (200, ANSWER)]
    assert "logged in" in login()[0]
    double.giving = [(500, "")]
    assert "answers 500" in login(code=1)[0]


@pytest.mark.parametrize("answer", ["", "<AccessKeyId>A</AccessKeyId>", ANSWER[:200]])
def test_half_an_answer_logs_nobody_in(login, double, answer):
    double.giving = [(200, answer)]
    said, env = login(code=1)
    assert "no whole answer of AWS" in said
    assert env == ""


@pytest.mark.parametrize("answer", ["", "{}", "[]", '{"value"'])
def test_half_an_answer_of_who_vouches_logs_nobody_in(login, double, answer):
    double.vouching = [(200, answer)]
    assert "was not given to the subject of nobody: no whole answer of GitHub" in login(code=1)[0]


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "e30.e30.e30", "a.W10.c"])
def test_a_token_that_cannot_be_read_is_sent_all_the_same(login, double, token):
    double.vouching = [(200, json.dumps({"value": token}))]
    assert "by the subject of nobody" in login()[0]
