"""Calls of a forge's API, by gh and by a token, against a double with faults: each is told, none half believed."""

import pytest
from tests import gh_stub, github_double
from tests.github_double import BAD_CREDENTIALS, DROPPED, HALF, READ_ONLY, SERVER_ERROR, TOKEN, Fault, refusal

from pushforward.errors import TOOL, PushforwardError
from pushforward.forge import client
from pushforward.forge.port import Answer, Call

STATUSES = "repos/octo/flights/statuses/abc"
PULLS = "repos/octo/flights/pulls"
STATUS = {"state": "success", "context": "pushforward", "description": "in", "target_url": None}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return github_double.certify(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def github(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with github_double.serve(certificate) as double:
        yield double


@pytest.fixture(params=["gh", "token"])
def api(request, github, tmp_path, monkeypatch):
    """An API by each road, which waits for nobody and remembers for how long it would have."""
    root = f"{github.url}{github_double.API}"
    if request.param == "gh":
        variables, _ = gh_stub.install(tmp_path / "bin", root, TOKEN)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        transport = client.Program((str(tmp_path / "bin" / "gh"), "api"))
    else:
        transport = client.Token(root, {"Authorization": f"Bearer {TOKEN}"})
    waited, said = [], []
    made = client.Api("GitHub", transport, "gh auth login", said.append, waited.append)
    made.waited, made.said = waited, said
    return made


def test_a_call_is_done_and_its_answer_read(api, github):
    assert api.call(Call("POST", STATUSES, STATUS))["context"] == "pushforward"
    assert github.statuses == [{"sha": "abc", **STATUS}]
    assert api.listed(PULLS) == []


def test_a_list_is_read_page_by_page(api, github):
    for number in range(205):
        github.say(1, f"comment {number}", "ann")
    found = api.listed("repos/octo/flights/issues/1/comments")
    assert [comment["body"] for comment in found] == [f"comment {number}" for number in range(205)]


def test_what_is_not_there_is_told_apart_from_what_is_refused(api, github):
    assert api.get("repos/octo/nothing", absent="none") == "none"
    github.fail("GET", PULLS, READ_ONLY, times=2)
    with pytest.raises(PushforwardError, match=r"GitHub answers 403 to GET .*: Resource not accessible by integration"):
        api.get(PULLS)
    assert api.get(PULLS, absent="none", refused=True) == "none"


@pytest.mark.parametrize("fault", [SERVER_ERROR, DROPPED, HALF], ids=["500", "dropped", "half"])
def test_what_may_be_repeated_is_where_the_forge_failed(api, github, fault):
    github.fail("GET", PULLS, fault, times=2)
    assert api.get(PULLS) == []
    assert api.waited == [0.5, 2.0]


def test_a_forge_that_stays_broken_is_told(api, github):
    github.fail("GET", PULLS, SERVER_ERROR, times=3)
    with pytest.raises(PushforwardError, match=f"answers 500 to GET {PULLS}: Server Error") as told:
        api.get(PULLS)
    assert told.value.exit_code == TOOL
    assert github.tried("GET", PULLS) == 3


@pytest.mark.parametrize("fault", [HALF, DROPPED], ids=["half", "dropped"])
def test_half_an_answer_is_none(api, github, fault):
    github.fail("POST", STATUSES, fault)
    with pytest.raises(PushforwardError, match=r"no whole answer of GitHub to POST .*whether it was done is not known"):
        api.call(Call("POST", STATUSES, STATUS))
    assert github.tried("POST", STATUSES) == 1, "a post that may have been done is not done again"


def test_a_post_that_the_forge_failed_at_is_not_repeated(api, github):
    github.fail("POST", STATUSES, SERVER_ERROR)
    with pytest.raises(PushforwardError, match="answers 500") as told:
        api.call(Call("POST", STATUSES, STATUS))
    assert told.value.next == "the same again; what is done already is left"
    assert github.tried("POST", STATUSES) == 1


def test_a_wrong_login_names_what_to_type(api, github):
    github.fail("GET", PULLS, BAD_CREDENTIALS)
    with pytest.raises(PushforwardError, match=r"answers 401 to GET .*: Bad credentials") as told:
        api.get(PULLS)
    assert told.value.next == "gh auth login"


def test_the_primary_limit_is_told_with_its_end(api, github):
    at = 1_800_000_000  # 08:00 UTC
    github.fail(
        "GET", PULLS, refusal(403, "API rate limit exceeded", x_ratelimit_remaining="0", x_ratelimit_reset=f"{at}")
    )
    with pytest.raises(PushforwardError, match=r"those of this hour are used up \(primary limit\), until 08:00 UTC"):
        api.get(PULLS)
    assert github.tried("GET", PULLS) == 1
    assert api.waited == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_short_wait_is_kept_for_a_post_too(api, github, method):
    path, body = (PULLS, None) if method == "GET" else (STATUSES, STATUS)
    github.fail(method, path, refusal(403, "You have exceeded a secondary rate limit", retry_after="7"))
    api.call(Call(method, path, body))
    assert api.waited == [7.0]
    assert api.said == ["GitHub asks to wait 7 s: too many in a short time (secondary limit), 7 s"]


def test_a_long_wait_is_told_and_not_kept(api, github):
    github.fail("GET", PULLS, refusal(429, "Too Many Requests", retry_after="3600"))
    with pytest.raises(PushforwardError, match=r"takes no more calls for now: .*secondary limit\), 3600 s"):
        api.get(PULLS)
    assert api.waited == []


def test_a_second_limit_is_the_end(api, github):
    github.fail("GET", PULLS, refusal(403, "You have exceeded a secondary rate limit"), times=2)
    with pytest.raises(PushforwardError, match="takes no more calls for now"):
        api.get(PULLS)
    assert api.waited == [60.0]


def test_an_answer_that_is_no_json_is_none(api, github):
    github.fail("GET", PULLS, Fault(200, "<html>captive portal</html>"), times=3)
    with pytest.raises(PushforwardError, match=r"what came is no JSON, or half of it.*: nothing was changed"):
        api.get(PULLS)


def test_a_refusal_tells_every_reason():
    answer = Answer(422, b'{"message": "Validation Failed", "errors": [{"message": "name is taken"}, "and more"]}')
    assert client.reason(answer) == "Validation Failed: name is taken: and more"
    assert client.reason(Answer(502, b"<html>")) == "Bad Gateway"
    assert client.reason(Answer(502, b"[1]")) == "no reason given"


def test_a_token_goes_to_no_other_place(certificate, github, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    transport = client.Token(f"{github.url}{github_double.API}", {"Authorization": f"Bearer {TOKEN}"})
    github.fail("GET", PULLS, refusal(301, "Moved Permanently", location="https://elsewhere.example/api"), times=9)
    with pytest.raises(PushforwardError, match=r"Moved Permanently; it is at https://elsewhere.example/api now"):
        client.Api("GitHub", transport).get(PULLS)


def test_a_forge_that_nobody_reaches_is_told(monkeypatch):
    transport = client.Token("https://127.0.0.1:1", {})
    api = client.Api("GitHub", transport, pause=lambda _: None)
    with pytest.raises(PushforwardError, match=r"no whole answer of GitHub to GET x \(https://127.0.0.1:1: .*refused"):
        api.get("x")


def test_a_program_that_is_not_logged_in_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not client.logged_in("gh", "auth", "token")
    variables, _ = gh_stub.install(tmp_path, "", "")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert not client.logged_in("gh", "auth", "token")
    monkeypatch.setenv("GH_DOUBLE_TOKEN", "x")
    assert client.logged_in("gh", "auth", "token")
