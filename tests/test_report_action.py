"""The report action against a double of GitHub, with the real CML where there is one: one comment, one status."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tests import github_double
from tests.github_double import (
    BAD_CREDENTIALS,
    BAD_GATEWAY,
    DROPPED,
    HALF,
    LOST,
    READ_ONLY,
    SERVER_ERROR,
    Comment,
    Fault,
    GitHub,
    Pull,
    refusal,
)

from pushforward.actions.place import ACTIONS
from pushforward.actions.supervisor import ACT
from pushforward.forge import docket
from pushforward.gate import verdict as verdicts
from pushforward.judge import judged
from pushforward.report.note import Context

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parent.parent
POST = ROOT / ".github" / "actions" / "report" / "post.py"
NO_CML = (
    "NOT TESTED HERE with the real CML: $CML names none, none is on PATH, and scripts/cml.sh has put none in .tools"
)
BUILT = next(ROOT.glob(".tools/cml-*/.whole"), None)
HEAD, NEXT = "4f1c2ab9" * 5, "77aa01d3" * 5
LIST, NEW, EDIT = r"/issues/7/comments$", r"/issues/7/comments$", r"/issues/comments/\d+$"

# What CML 0.20.6 was seen to do. Where the tool itself matters a test is run with both, so that neither drifts away.
CML_DOUBLE = r"""
import http.client, json, os, re, sys, time, urllib.error, urllib.request
options = dict(word[2:].split("=", 1) for word in sys.argv if word.startswith("--") and "=" in word)
server, _, repository = options["repo"].replace("://", "/").partition("/")[2].partition("/")
number = options["target"].removeprefix("pr/")
mark = f'"CML watermark {options["watermark-title"]}")'
body = open(sys.argv[-1]).read() + f"\n\n![](https://cml.dev/watermark.png#{os.environ['GITHUB_SHA']} {mark}"

def call(method, path, tree=None):
    address = f"https://{server}/api/v3/repos/{repository}/issues/{path}"
    headers = {"Authorization": f"token {os.environ['GITHUB_TOKEN']}"}
    data = None if tree is None else json.dumps(tree).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data, headers, method=method)) as answer:
        return json.load(answer)

def fail(message, status):
    print(json.dumps({"level": "error", "message": message, "name": "HttpError", "status": status}), file=sys.stderr)
    sys.exit(1)

try:
    pattern = r"!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ " + re.escape(mark)
    found = [said["id"] for said in call("GET", f"{number}/comments") if re.search(pattern, said["body"])]
    path = ("PATCH", f"comments/{found[-1]}") if found else ("POST", f"{number}/comments")
    print(call(*path, {"body": body})["html_url"])
except urllib.error.HTTPError as refused:
    if "x-ratelimit-reset" in refused.headers:
        wait = int(refused.headers["x-ratelimit-reset"]) - int(time.time()) + 30
        said = {"level": "info", "message": f"Retrying because of rate limit in {wait} seconds"}
        print(json.dumps(said), file=sys.stderr, flush=True)
        time.sleep(wait)
    text = refused.read().decode()
    tree = json.loads(text) if text.startswith("{") else {"message": text}
    fail(": ".join([tree["message"], *map(json.dumps, tree.get("errors", []))]), refused.code)
except http.client.IncompleteRead:
    pass
except OSError as broken:
    fail(f"request failed, reason: {broken}", 500)
"""


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return github_double.certify(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def github(certificate: Path) -> Iterator[GitHub]:
    with github_double.serve(certificate) as served:
        yield served


def event(head: str = HEAD, *, owner: str = "octo", branch: str = "topic", pushed_by: str = "pull_request") -> str:
    """The payload with which judge.yml starts, as far as anything is read from it."""
    run = {"head_sha": head, "head_branch": branch, "event": pushed_by, "head_repository": {"owner": {"login": owner}}}
    told = {"default_branch": "main", "full_name": "octo/flights", "html_url": "https://github.com/octo/flights"}
    return json.dumps({"workflow_run": run, "repository": told})


@dataclass
class Job:
    """A job on a runner that has the judge's folder `verdict`, and posts it."""

    folder: Path
    github: GitHub
    certificate: Path
    cml: str = "no-such-program"
    real: bool = False
    event: str = event()
    given: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        (self.folder / "event.json").write_text(self.event)
        given = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "CI": "true",
            "CML": self.cml,
            "GITHUB_ACTOR": "ann",
            "GITHUB_API_URL": f"{self.github.url}{github_double.API}",
            "GITHUB_EVENT_NAME": "workflow_run",
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_REPOSITORY": "octo/flights",
            "GITHUB_RUN_ID": "41",
            "GITHUB_SERVER_URL": self.github.url,
            "GITHUB_SHA": "0" * 40,
            "GITHUB_TOKEN": github_double.TOKEN,
        }
        return given | trusting(self.certificate) | self.given

    def post(self, what: str, *file: str, limit: float = 120) -> str:
        """What the script says, whose end is never a failure and which leaves the judge's folder as it is."""
        command = [sys.executable, "-W", "error", str(POST), "--pause=0.02", f"--limit={limit}", what, *file]
        before = {path.name: path.read_bytes() for path in (self.folder / "verdict").iterdir()}
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.environment(), cwd=self.folder, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert {path.name: path.read_bytes() for path in (self.folder / "verdict").iterdir()} == before
        return done.stdout

    def comment(self, report: str = "## Promote\n", *, limit: float = 120) -> str:
        (self.folder / "verdict" / "report.md").write_text(report)
        return self.post("comment", "verdict/report.md", limit=limit)

    def word(self, text: str) -> str:
        self.given["PUSHFORWARD_WORD"] = text
        return self.post("word")

    def status(self, verdict: str | None, **options: float) -> str:
        if verdict is not None:
            (self.folder / "verdict" / "verdict.json").write_text(verdict)
        return self.post("status", "verdict/verdict.json", **options)


def trusting(certificate: Path) -> dict[str, str]:
    return {"SSL_CERT_FILE": str(certificate), "NODE_EXTRA_CA_CERTS": str(certificate)}


@pytest.fixture
def job(tmp_path: Path, github: GitHub, certificate: Path) -> Job:
    """Without a CML."""
    (tmp_path / "verdict").mkdir()
    github.pulls.append(Pull(7, "octo:topic", HEAD))
    return Job(tmp_path, github, certificate)


@pytest.fixture
def answered(job: Job) -> Job:
    """With what does the same as CML."""
    path = job.folder / "cml.py"
    path.write_text(CML_DOUBLE)
    return replace(job, cml=shlex.join([sys.executable, str(path)]))


BOTH = pytest.mark.parametrize("posting", ["double", "real"], indirect=True)


@pytest.fixture
def posting(request: pytest.FixtureRequest, answered: Job) -> Job:
    """With the double of CML, or with CML itself."""
    if getattr(request, "param", "double") == "double":
        return answered
    found = os.environ.get("CML") or shutil.which("cml") or (BUILT and f"node {BUILT.parent / 'bin' / 'cml.js'}")
    return replace(answered, cml=found, real=True) if found else pytest.skip(NO_CML)


# the comment


@BOTH
def test_two_pushes_make_one_comment_that_is_patched_in_place(posting: Job) -> None:
    github = posting.github
    address = f"{github.url}/octo/flights/pull/7#issuecomment-1000\n"
    assert posting.comment("## Hold\n") == address
    github.say(7, "Pity. What about the night flights?", "ann")
    github.pulls[0].sha, posting.event = NEXT, event(NEXT)
    assert posting.comment("## Promote\n") == address
    assert [said.body.partition("\n")[0] for said in github.comments] == [
        "## Promote",
        "Pity. What about the night flights?",
    ]
    assert (github.tried("POST", NEW), github.tried("PATCH", EDIT)) == (1, 1)
    assert f"#{NEXT} " in github.comments[0].body


def test_the_pull_request_of_a_fork_gets_its_comment_alike(posting: Job) -> None:
    """Of three branches of one name the right one, and by a name that needs quoting."""
    branch = "käse & more/#1+2 100%"
    posting.github.pulls = [
        Pull(number, f"{owner}:{branch}", HEAD if owner == "bea" else NEXT)
        for number, owner in {5: "octo", 6: "ann", 7: "bea"}.items()
    ]
    posting.event = event(owner="bea", branch=branch)
    assert "/pull/7#" in posting.comment()
    assert [said.pull for said in posting.github.comments] == [7]


@pytest.mark.parametrize(
    "pulls",
    [[], [Pull(7, "octo:topic", NEXT)], [Pull(7, "octo:topic", HEAD, base="release")], [Pull(7, "ann:topic", HEAD)]],
    ids=["closed", "moved on", "of another branch", "of another fork"],
)
def test_where_no_open_pull_request_has_the_judged_head_nothing_is_said(job: Job, pulls: list[Pull]) -> None:
    job.github.pulls = pulls
    assert job.comment() == f"::notice::no open pull request has the head {HEAD[:9]} any more: nothing to comment on\n"
    assert job.github.comments == []


def test_a_fork_that_is_gone_has_no_pull_request(job: Job) -> None:
    job.event = event().replace('{"owner": {"login": "octo"}}', "null")
    assert job.comment().startswith("::notice::no open pull request")


FAULTS = {"500": SERVER_ERROR, "502": BAD_GATEWAY, "dropped": DROPPED, "lost": LOST, "half": HALF}


@pytest.mark.parametrize(
    ("posting", "fault"),
    [*(("double", name) for name in FAULTS), ("real", "500"), ("real", "half")],
    indirect=["posting"],
)
def test_what_may_pass_is_tried_again_and_leaves_one_comment(posting: Job, fault: str) -> None:
    github = posting.github
    github.fail("POST", NEW, FAULTS[fault])
    assert posting.comment("## Hold\n").endswith("/pull/7#issuecomment-1000\n")
    if posting.real:
        assert len(github.comments) == 1
        return
    github.fail("PATCH", EDIT, FAULTS[fault])
    assert posting.comment("## Promote\n").endswith("/pull/7#issuecomment-1000\n")
    (said,) = github.comments
    assert said.body.startswith("## Promote\n")


def test_a_list_that_cml_gets_half_of_is_no_reason_for_a_second_comment(posting: Job) -> None:
    posting.comment()
    posting.github.fail("GET", LIST, HALF)
    assert posting.comment().endswith("#issuecomment-1000\n")
    assert len(posting.github.comments) == 1


@pytest.mark.parametrize(
    ("posting", "fault", "reason"),
    [
        ("double", "500", "Server Error"),
        ("double", "502", "502 Bad Gateway"),
        ("double", "dropped", "reason: "),
        ("real", "502", "502 Bad Gateway"),
    ],
    indirect=["posting"],
)
def test_what_does_not_pass_is_a_warning_after_three_tries(posting: Job, fault: str, reason: str) -> None:
    posting.github.fail("POST", NEW, FAULTS[fault], times=99)
    said = posting.comment()
    assert said.startswith("::warning::the report is not on a pull request: ")
    assert reason in said
    assert said.endswith("The verdict stands; the job summary of the judge has the report\n")
    assert said.count("\n") == 1
    assert posting.github.tried("POST", NEW) == 3
    assert posting.github.comments == []


@pytest.mark.parametrize(
    ("posting", "fault", "reason"),
    [
        ("double", BAD_CREDENTIALS, "Bad credentials"),
        ("double", READ_ONLY, "Resource not accessible by integration"),
        ("real", READ_ONLY, "Resource not accessible by integration"),
    ],
    ids=["double-401", "double-403", "real-403"],
    indirect=["posting"],
)
def test_what_another_try_cannot_mend_is_not_tried_again(posting: Job, fault: Fault, reason: str) -> None:
    posting.github.fail("POST", NEW, fault, times=99)
    assert f"not on a pull request: {reason}. The verdict stands" in posting.comment()
    assert posting.github.tried("POST", NEW) == 1


@BOTH
def test_a_report_that_is_too_long_is_refused_once_and_said_so(posting: Job) -> None:
    assert "Body is too long (maximum is 65536 characters)" in posting.comment("x" * 65_600)
    assert posting.github.tried("POST", NEW) == 1
    assert posting.github.comments == []


@BOTH
def test_a_rate_limit_of_an_hour_is_not_waited_for(posting: Job) -> None:
    reset = str(int(time.time()) + 3600)
    limited = refusal(403, "API rate limit exceeded.", x_ratelimit_remaining="0", x_ratelimit_reset=reset)
    posting.github.fail("POST", NEW, limited, times=99)
    limit = 12 if posting.real else 4  # on a busy machine CML takes long to start
    said = posting.comment(limit=limit)
    assert f"::warning::the report is not on a pull request: no answer after {limit} s." in said
    assert "because of rate limit in 36" in said
    assert posting.github.tried("POST", NEW) == 1


def quote(said: Comment) -> str:
    return "Thanks!\n\n" + "\n".join(f"> {line}" for line in said.body.splitlines())


def test_a_person_who_quotes_the_report_by_mail_is_not_written_over(posting: Job) -> None:
    """CML alone would write the next report over the person's words."""
    github = posting.github
    posting.comment("## Hold\n")
    words = quote(github.comments[0])
    github.say(7, words, "ann")
    assert posting.comment("## Promote\n").endswith("#issuecomment-1000\n")
    assert [said.body.partition("\n")[0] for said in github.comments] == ["## Promote", "Thanks!"]
    assert github.comments[1].body == words


def test_a_comment_that_bears_the_mark_before_there_is_a_report_stays_its_authors(posting: Job) -> None:
    github = posting.github
    forged = f'## Promote\n\n![](https://cml.dev/watermark.png#{HEAD} "CML watermark pushforward")'
    github.say(7, forged, "mallory")
    posting.comment("## Hold\n")
    posting.comment("## Invalid\n")
    assert [(said.body.partition("\n")[0], said.user["login"]) for said in github.comments] == [
        ("## Promote", "mallory"),
        ("## Invalid", "github-actions[bot]"),
    ]


def test_after_a_hundred_comments_there_is_still_one_report(posting: Job) -> None:
    """CML alone sees only the first thirty, and would write a new one every time."""
    for number in range(130):
        posting.github.say(7, f"Comment {number}", "ann")
    posting.comment("## Hold\n")
    posting.comment("## Promote\n")
    reports = [said.body for said in posting.github.comments if said.user["type"] == "Bot"]
    assert [body.partition("\n")[0] for body in reports] == ["## Promote"]
    assert "watermark.png#" in reports[0]


@BOTH
def test_settings_of_the_runner_are_not_touched(posting: Job) -> None:
    path = Path(os.environ["HOME"]) / ".gitconfig"
    before = path.read_text()
    posting.comment()
    assert path.read_text() == before


def test_a_cml_that_could_not_be_installed_is_a_warning(job: Job) -> None:
    assert "not on a pull request: no-such-program: No such file or directory." in job.comment()
    job.cml = f"{shlex.quote(sys.executable)} no-such.py"
    assert "No such file or directory" in job.comment()


def test_a_report_that_is_missing_is_a_warning(job: Job) -> None:
    assert "verdict/report.md: No such file or directory" in job.post("comment", "verdict/report.md")


def test_what_the_forge_says_cannot_command_the_runner(job: Job) -> None:
    job.github.fail("GET", "/pulls", refusal(422, "no\n::error::%0A::set-env name=PATH::/evil"))
    said = job.comment()
    assert "422 no ::error::%250A::set-env" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("fault", [SERVER_ERROR, BAD_GATEWAY, DROPPED, HALF], ids=["500", "502", "dropped", "half"])
@pytest.mark.parametrize("path", ["/pulls", "/issues/7/comments"])
def test_what_is_asked_before_cml_is_tried_again_as_well(answered: Job, fault: Fault, path: str) -> None:
    answered.github.fail("GET", path, fault)
    assert answered.comment().endswith("#issuecomment-1000\n")


# the status


WAITS = "waits for a person (pushforward accept) or more data: "


def verdict(word: str = "promote", reason: str = "log loss falls by 0.0071") -> str:
    return json.dumps({"verdict": word, "reason": reason}, ensure_ascii=False)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("promote", "success"),
        ("identical", "success"),
        ("measured", "success"),
        ("hold", "failure"),
        ("unknown", "pending"),
        ("calibration-only", "pending"),
        ("invalid", "error"),
        ("accepted", "success"),
        ("rejected", "failure"),
        ("a word of a later version", "failure"),
    ],
)
def test_each_verdict_has_its_state_and_leads_to_the_run(job: Job, word: str, state: str) -> None:
    assert job.status(verdict(word)) == ""
    assert job.github.statuses == [
        {
            "sha": HEAD,
            "state": state,
            "context": "pushforward",
            "description": f"{word}: {WAITS if state == 'pending' else ''}log loss falls by 0.0071",
            "target_url": f"{job.github.url}/octo/flights/actions/runs/41",
        }
    ]


AHEAD = "this holdout answers no more until 2013-06 arrives; your change is trained and shown on validation only"


def test_what_is_known_ahead_waits_on_the_commit_until_the_verdict(job: Job) -> None:
    assert job.post("ahead", "verdict/ahead.txt") == ""
    assert job.github.statuses == [], "where nothing is known nothing is told"
    (job.folder / "verdict" / "ahead.txt").write_text(f"{AHEAD}\n")
    assert job.post("ahead", "verdict/ahead.txt") == ""
    (told,) = job.github.statuses
    assert (told["sha"], told["state"], told["context"], told["description"]) == (HEAD, "pending", "pushforward", AHEAD)
    job.status(verdict("identical"))
    job.post("ahead", "verdict/ahead.txt")
    assert [one["state"] for one in job.github.statuses] == ["pending", "success"], "no verdict is taken back"


@pytest.mark.parametrize(
    ("word", "state"), [("accepted", "success"), ("rejected", "failure"), ("unknown", "pending"), ("hold", "failure")]
)
def test_a_persons_word_takes_the_place_of_the_verdict(job: Job, word: str, state: str) -> None:
    reason = 'by ann@example.org against `unknown`: it\'s "June" %0A::error:: $(touch PWNED)'
    job.status(verdict("unknown"))
    assert job.word(verdict(word, reason)) == ""
    told = job.github.statuses[-1]
    assert (told["sha"], told["state"], told["context"]) == (HEAD, state, "pushforward")
    assert told["description"] == f"{word}: {WAITS if word == 'unknown' else ''}{reason}"[:140]
    assert [one["state"] for one in job.github.statuses] == ["pending", state]


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "7", '{"verdict": "accepted"}'])
def test_a_word_that_cannot_be_read_leaves_the_verdict(job: Job, text: str) -> None:
    job.status(verdict("unknown"))
    assert job.word(text) == ""
    assert [one["state"] for one in job.github.statuses] == ["pending"]


@pytest.mark.parametrize("reason", ["x" * 139, "− ✓ é " * 100])
@pytest.mark.parametrize("word", ["hold", "calibration-only"])
def test_a_long_reason_is_cut_to_what_the_forge_takes(job: Job, word: str, reason: str) -> None:
    assert job.status(verdict(word, reason)) == ""
    waits = WAITS if word == "calibration-only" else ""
    assert job.github.statuses[0]["description"] == f"{word}: {waits}{reason}"[:140]


def test_a_reason_is_text_and_nothing_else(job: Job) -> None:
    reason = "$(touch PWNED) `id` \"x\" 'y' ${HOME} @/etc/passwd %0A::error::"
    job.status(verdict(reason=reason))
    assert job.github.statuses[0]["description"] == f"promote: {reason}"
    assert not (job.folder / "PWNED").exists()


@pytest.mark.parametrize("text", [None, "", "{", "{}", "[]", "7"])
def test_a_judge_that_left_no_verdict_is_an_error_on_the_commit(job: Job, text: str | None) -> None:
    """A required status that never comes would look like one that is still to come."""
    assert job.status(text) == ""
    (status,) = job.github.statuses
    assert (status["state"], status["description"]) == ("error", "the judge came to no verdict; its log says why")


@pytest.mark.parametrize("fault", [SERVER_ERROR, BAD_GATEWAY, DROPPED, HALF], ids=["500", "502", "dropped", "half"])
def test_a_status_is_tried_again(job: Job, fault: Fault) -> None:
    job.github.fail("POST", "/statuses/", fault, times=2)
    assert job.status(verdict()) == ""
    assert job.github.statuses[-1]["state"] == "success"


@pytest.mark.parametrize(
    ("fault", "reason", "tries"),
    [
        (SERVER_ERROR, "500 Server Error", 3),
        (BAD_GATEWAY, "502 Bad Gateway", 3),
        (BAD_CREDENTIALS, "401 Bad credentials", 1),
        (READ_ONLY, "403 Resource not accessible by integration", 1),
        (refusal(429, "Too many requests", retry_after="3600"), "429 Too many requests", 1),
    ],
    ids=["500", "502", "401", "403", "429"],
)
def test_a_status_that_the_forge_refuses_is_a_warning(job: Job, fault: Fault, reason: str, tries: int) -> None:
    job.github.fail("POST", "/statuses/", fault, times=99)
    assert job.status(verdict()).startswith(f"::warning::the verdict is not on the commit: {reason}. ")
    assert job.github.tried("POST", "/statuses/") == tries


def test_a_limit_that_ends_soon_is_waited_for(job: Job) -> None:
    reset = str(int(time.time()) + 1)
    limited = refusal(403, "API rate limit exceeded.", x_ratelimit_remaining="0", x_ratelimit_reset=reset)
    job.github.fail("POST", "/statuses/", limited)
    job.github.fail("POST", "/statuses/", refusal(429, "Slow down", retry_after="1"))
    began = time.monotonic()
    assert job.status(verdict()) == ""
    assert time.monotonic() - began > 1
    assert job.github.tried("POST", "/statuses/") == 3


def test_a_forge_that_is_not_there_is_a_warning(job: Job) -> None:
    job.github = replace(job.github, url="https://127.0.0.1:9")
    assert "::warning::the verdict is not on the commit: <urlopen error" in job.status(verdict())


# the whole action


def test_cml_is_pinned_by_commit_and_installed_from_its_lock_file() -> None:
    steps = YAML(typ="safe").load(POST.parent / "action.yml")["runs"]["steps"]
    (fetched,) = (step["with"] for step in steps if "repository" in step.get("with", {}))
    (install,) = (step["run"] for step in steps if "npm" in step.get("run", ""))
    assert re.fullmatch("[0-9a-f]{40}", fetched["ref"])
    assert install.startswith("npm ci --omit=dev --ignore-scripts ")


def workflow() -> str:
    """The steps of judge.yml that render a verdict and post it, in one job."""
    jobs = YAML(typ="safe").load(ROOT / ".github" / "workflows" / "judge.yml")["jobs"]
    (render,) = (step for step in jobs["judge"]["steps"] if step.get("name") == "report")
    checkout, *_, post = jobs["post"]["steps"]
    steps = [checkout, render, post]
    return json.dumps({"on": "workflow_run", "jobs": {"post": {"runs-on": "ubuntu-latest", "steps": steps}}})


@dataclass
class Runner:
    """What that job finds, the default branch and a verdict that is not rendered yet, and act, which runs it."""

    job: Job

    def __post_init__(self) -> None:
        self.folder, self.cwd = self.job.folder / "checkout", self.job.folder / "cwd"
        for path in (self.cwd, self.folder / ".github" / "workflows"):
            path.mkdir(parents=True)
        (self.folder / ".github" / "workflows" / "judge.yml").write_text(workflow())
        shutil.copytree(POST.parent, self.folder / ".github" / "actions" / "report")
        (self.folder / ".venv").symlink_to(ROOT / ".venv")
        self.judge("June came from the vendor's feed")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Begin"]):
            subprocess.run(["git", *words], cwd=self.folder, check=True)

    def judge(self, reason: str, head: str = HEAD) -> None:
        """Leave a verdict on a pull request's head."""
        judged.store(self.folder / "verdict", replace(verdicts.invalid(reason), commit=head), Context(), "minor")
        self.job.event = event(head)
        self.job.github.pulls[0].sha = head

    def run(self, *, token: str = github_double.TOKEN, cml: bool = True) -> tuple[dict[str, str], list[str], str]:
        """How each step ended, what was printed, and the job summary. The job ends well whatever the forge does."""
        given = {"GITHUB_REPOSITORY": "octo/flights", **trusting(self.job.certificate)}
        given |= {"CML": self.job.cml} if cml else {}
        uses = json.loads(workflow())["jobs"]["post"]["steps"][0]["uses"]
        payload = self.cwd / "event.json"
        payload.write_text(self.job.event)
        argv = [str(ACT), "workflow_run", "-C", str(self.folder), "-e", str(payload), "--json", "--rm"]
        argv += ["-P", "ubuntu-latest=-self-hosted", "--no-cache-server", "--action-cache-path", str(self.cwd / "work")]
        argv += ["--local-repository", f"{uses}={ACTIONS / 'actions+checkout'}", "-s", f"GITHUB_TOKEN={token}"]
        argv += ["--github-instance", self.job.github.url.removeprefix("https://")]
        argv += [word for name, value in given.items() for word in ("--env", f"{name}={value}")]
        env = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "ACT_DISABLE_VERSION_CHECK": "1"}
        done = subprocess.run(argv, capture_output=True, text=True, cwd=self.cwd, env=env, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        log = [json.loads(line) for line in done.stdout.splitlines()]
        ends = [line for line in log if line.get("stage") == "Main" and "stepResult" in line]
        steps = {line["msg"].split(" Main ")[1].rpartition(" [")[0]: line["stepResult"] for line in ends}
        said = [line.get("raw") or line["msg"] for line in log if line.get("raw_output") or "raw" in line]
        return steps, said, "".join(line["content"] for line in log if line.get("command") == "summary")


def test_under_act_two_pushes_make_one_comment_and_a_status_each(posting: Job) -> None:
    runner, github = Runner(posting), posting.github
    for reason, head in {"June came from the vendor": HEAD, "June has rows of July": NEXT}.items():
        runner.judge(reason, head)
        steps, said, summary = runner.run()
        assert steps["commit status"] == steps["comment"] == "success"
        assert said == [f"{github.url}/octo/flights/pull/7#issuecomment-1000\n"]
        assert reason in summary
        assert reason in github.comments[0].body
    assert len(github.comments) == 1
    assert (github.tried("POST", NEW), github.tried("PATCH", EDIT)) == (1, 1)
    assert [(status["sha"], status["state"]) for status in github.statuses] == [(HEAD, "error"), (NEXT, "error")]
    assert github.statuses[0]["target_url"].startswith(f"{github.url}/octo/flights/actions/runs/")


def test_under_act_a_forge_that_refuses_costs_neither_the_summary_nor_the_run(answered: Job) -> None:
    steps, said, summary = Runner(answered).run(token="expired")
    assert steps["commit status"] == steps["comment"] == "success"
    assert [line.partition(". The verdict stands")[0] for line in said] == [
        "::warning::the verdict is not on the commit: 401 Bad credentials",
        "::warning::the report is not on a pull request: 401 Bad credentials",
    ]
    assert "June came from the vendor's feed" in summary
    assert not answered.github.comments
    assert not answered.github.statuses


def test_under_act_a_cml_that_cannot_be_fetched_costs_the_comment_alone(job: Job) -> None:
    steps, said, summary = Runner(job).run(cml=False)
    assert steps["install cml"] == "failure"
    assert steps["comment"] == "success"
    assert said[-1].startswith("::warning::the report is not on a pull request: ")
    assert "June came from the vendor's feed" in summary
    assert [status["state"] for status in job.github.statuses] == ["error"]


def test_under_act_a_push_gets_its_status_and_no_comment(job: Job) -> None:
    runner = Runner(job)
    job.event = event(pushed_by="push")
    steps, said, _ = runner.run()
    assert steps["commit status"] == "success"
    assert "comment" not in steps
    assert said == []
    assert [status["sha"] for status in job.github.statuses] == [HEAD]


def test_under_act_a_word_alone_sets_the_status_and_touches_no_comment(job: Job) -> None:
    """What judge.yml's job `post` has for a review: no verdict, and what the job before has handed over."""
    runner = Runner(job)
    shutil.rmtree(runner.folder / "verdict")
    job.event = event(pushed_by="push")
    tree = json.loads(workflow())
    post = tree["jobs"]["post"]
    needs = {"review": {"runs-on": "ubuntu-latest", "outputs": {"word": "${{ steps.promote.outputs.word }}"}}}
    told = verdict("accepted", "by ann@example.org: it's worth it")
    line = f"word={told}"
    needs["review"]["steps"] = [{"id": "promote", "run": 'echo "$LINE" >> "$GITHUB_OUTPUT"', "env": {"LINE": line}}]
    needs["judge"] = {"runs-on": "ubuntu-latest", "if": "${{ false }}", "steps": [{"run": "true"}]}
    own = YAML(typ="safe").load(ROOT / ".github" / "workflows" / "judge.yml")["jobs"]["post"]
    post |= {"needs": ["judge", "review"], "if": own["if"], "steps": [post["steps"][0], post["steps"][-1]]}
    (runner.folder / ".github" / "workflows" / "judge.yml").write_text(
        json.dumps({"on": "workflow_run", "jobs": {**needs, "post": post}})
    )
    steps, said, _ = runner.run()
    assert steps["a person's word"] == "success", (steps, said)
    assert not {"commit status", "comment"} & set(steps)
    assert [(one["state"], one["description"]) for one in job.github.statuses] == [
        ("success", "accepted: by ann@example.org: it's worth it")
    ]


# links and pictures


PICTURES = {
    "pictures": "b" * 40,
    "names": ["gain-by-day.svg", "learning.svg", "roc.svg"],
    "shown": "c" * 40,
    "card": f"{'d' * 40}/versions/toy@v1.0.0/card.md",
}
REPORT = "## Hold\n\nIt is worse.\n\n**Next**: nothing to do\n\n| a | b |\n"
LINKS = (
    "[this run](/octo/flights/actions/runs/41) · [its files](/octo/flights/actions/runs/41#artifacts)"
    " · [changes](/octo/flights/pull/7/files)"
)
CHAMPION = (
    " · [toy@v1.0.0](/octo/flights/tree/toy%40v1.0.0)"
    f" · [its card](/octo/flights/blob/{'d' * 40}/versions/toy%40v1.0.0/card.md)"
)


def told(answered: Job, *, recorded: object = PICTURES, version: object = "toy@v1.0.0") -> str:
    (answered.folder / "verdict" / "recorded.json").write_text(json.dumps(recorded))
    (answered.folder / "verdict" / "verdict.json").write_text(json.dumps({"champion": {"version": version}}))
    answered.comment(REPORT)
    return answered.github.comments[0].body.replace(answered.github.url, "")


def test_what_is_to_be_done_is_followed_by_links_and_pictures(answered: Job) -> None:
    body = told(answered)
    shown, plots = (f"/octo/flights/blob/{letter * 40}" for letter in "cb")

    def picture(name: str, width: int, alt: str) -> str:
        return f'<a href="{shown}/{name}.png"><img src="{shown}/{name}.png?raw=true" width="{width}" alt="{alt}"></a>'

    assert body.partition("\n\n| a | b |\n")[0] == "\n\n".join(
        [
            "## Hold",
            "It is worse.",
            "**Next**: nothing to do",
            LINKS + CHAMPION,
            picture("gain-by-day", 486, "gain by day"),
            "<details><summary>Learning and importance</summary>",
            picture("learning", 412, "learning"),
            " · ".join(
                f"[{name.replace('-', ' ')}]({plots}/pull_request/plots/{name}.svg)"
                for name in ("gain-by-day", "learning", "roc")
            ),
            "</details>",
        ]
    )


def test_where_no_picture_is_shown_there_are_links_to_all(answered: Job) -> None:
    body = told(answered, recorded={**PICTURES, "shown": ""})
    assert "<img" not in body
    assert "<details>" not in body
    assert f"\n\n[gain by day](/octo/flights/blob/{'b' * 40}/pull_request/plots/gain-by-day.svg) · " in body


@pytest.mark.parametrize(
    ("site", "linked"),
    [
        ("https://octo.github.io/flights", True),
        ("https://octo.github.io/flights/", True),
        ("", False),
        ("http://octo.github.io", False),
        ("https://x) [evil](https://evil", False),
    ],
)
def test_where_there_are_pages_one_link_leads_to_that_of_the_commit(
    answered: Job, site: str, linked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = answered.environment()
    monkeypatch.setattr(answered, "environment", lambda: {**given, "PUSHFORWARD_PAGES": site})
    page = f" · [page](https://octo.github.io/flights/run/{HEAD}.html)"
    assert f"{LINKS}{page if linked else ''}{CHAMPION}\n" in told(answered)


@pytest.mark.parametrize(
    "recorded",
    [
        [],
        {"pictures": "", "names": []},
        {"pictures": "../..", "names": ["roc.svg"], "shown": "../..", "card": "../card.md"},
        {"pictures": "b" * 40, "names": ["../x.svg", "a)](http://evil.svg", "x.png", 3], "shown": 3, "card": 3},
        {"pictures": "b" * 40, "shown": "c" * 40, "card": f"{'d' * 40}/versions/toy@v1.0.0/card.md)](http://evil"},
    ],
)
@pytest.mark.parametrize("version", [None, "x](http://evil)@v1.0.0", 3, "toy@v1.0.0"])
def test_where_nothing_sound_was_recorded_there_is_no_picture(answered: Job, recorded: object, version: object) -> None:
    body = told(answered, recorded=recorded, version=version)
    assert "plots" not in body
    assert "<img" not in body
    assert "evil" not in body
    assert "its card" not in body
    assert f"{LINKS}" in body


def test_what_is_posted_by_itself_agrees_with_what_the_other_forges_are_told() -> None:
    """The action runs without pushforward, so both say which verdict is a success and what a link may lead to."""
    own = runpy.run_path(str(POST), run_name="post")
    assert own["STATES"] == {**docket.STATES, "accepted": "success"}, "no other forge hears of a word"
    assert tuple(own["SHOWN"]) == docket.SHOWN
    assert [own[name].pattern for name in ("COMMIT", "CARD", "VERSION")] == [
        pattern.pattern for pattern in (docket.COMMIT, docket.CARD, docket.VERSION)
    ]
