"""Telling a GitLab and a Gitea of a verdict, against doubles with faults: one comment, one status, never a failure."""

import dataclasses
import json

import pytest
from tests import docket_double
from tests.docket_double import BOT, TOKEN
from tests.github_double import DROPPED, HALF, LOST, Fault

from pushforward.errors import PushforwardError
from pushforward.forge import docket as dockets
from pushforward.forge import gitea, gitlab
from pushforward.forge.docket import MARK, Waiting

HEAD = "4f1c2ab9" * 5
REPORT = "## Promote\n\n**Next**: merge it\n\nThe rest.\n"
BUSY = Fault(500, json.dumps({"message": "500 Internal Server Error"}))
FORBIDDEN = Fault(403, json.dumps({"message": "403 Forbidden"}))
SLOW_DOWN = Fault(429, json.dumps({"message": "Too Many Requests"}), {"Retry-After": "2"})
PULL = {"gitlab": "merge_requests/5", "gitea": "issues/5"}
NOTES = {"gitlab": r"merge_requests/5/notes(\?|$)", "gitea": r"issues/5/comments(\?|$)"}
EDITED = {"gitlab": ("PUT", r"/notes/\d+$"), "gitea": ("PATCH", r"/comments/\d+$")}


@pytest.fixture(params=["gitlab", "gitea"])
def forge(request, tmp_path):
    """A forge with merge request, or pull request, 5, and its docket, which waits for nobody and remembers how long."""
    kind = request.param
    with docket_double.serve(docket_double.GitLab() if kind == "gitlab" else docket_double.Gitea()) as double:
        double.open(5, HEAD)
        if kind == "gitlab":
            double.train(5, HEAD, {})
            docket = gitlab.GitLab.of(of_gitlab(double))
        else:
            docket = gitea.Gitea.of(of_gitea(double), tmp_path, "main")
        docket.api.pause = (waited := []).append
        yield Forge(kind, double, docket, tmp_path / "verdict", waited)


def of_gitlab(double):
    """What GitLab tells a job, as far as anything is read from it."""
    return {
        "GITLAB_CI": "true",
        "CI_API_V4_URL": f"{double.url}/api/v4",
        "CI_DEFAULT_BRANCH": "main",
        "CI_JOB_URL": f"{double.url}/octo/flights/-/jobs/41",
        "CI_PROJECT_ID": "7",
        "CI_PROJECT_URL": f"{double.url}/octo/flights",
        "PUSHFORWARD_FORGE_TOKEN": TOKEN,
    }


def of_gitea(double):
    """What Gitea tells a job, as far as anything is read from it."""
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": f"{double.url}/api/v1",
        "GITHUB_REPOSITORY": "octo/flights",
        "GITHUB_RUN_NUMBER": "41",
        "GITHUB_SERVER_URL": double.url,
        "PUSHFORWARD_FORGE_TOKEN": TOKEN,
    }


@dataclasses.dataclass
class Forge:
    kind: str
    double: docket_double.Double
    docket: dockets.Docket
    folder: object
    waited: list

    def judge(self, word="promote", reason="better by 0.01", report=REPORT, **more):
        self.folder.mkdir(exist_ok=True)
        told = {"verdict": word, "reason": reason, "champion": {"version": "flights@v1.2.0"}, **more}
        (self.folder / "verdict.json").write_text(json.dumps(told))
        (self.folder / "report.md").write_text(report)

    def tell(self, pull=5):
        run = "100/1000" if self.kind == "gitlab" else "ab" * 20
        said = []
        dockets.tell(self.docket, Waiting(HEAD, "topic", pull, run), self.folder, said.append)
        return said

    @property
    def states(self):
        return [one["state"] for one in self.double.statuses]


@pytest.mark.parametrize(
    ("word", "states"),
    [
        ("promote", ("success", "success")),
        ("measured", ("success", "success")),
        ("hold", ("failed", "failure")),
        ("unknown", ("pending", "pending")),
        ("calibration-only", ("pending", "pending")),
        ("invalid", ("failed", "error")),
    ],
)
def test_a_verdict_is_one_status_and_one_comment(forge, word, states):
    forge.judge(word)
    forge.tell()
    assert forge.states == [states[forge.kind == "gitea"]]
    (status,) = forge.double.statuses
    waits = "waits for a person (pushforward accept) or more data: " if status["state"] == "pending" else ""
    assert status["description"] == f"{word}: {waits}better by 0.01"
    assert status.get("name", status.get("context")) == "pushforward"
    (comment,) = forge.double.comments
    assert comment["pull"] == 5
    assert comment["body"].startswith("## Promote\n\n**Next**: merge it\n\n[this run](")
    assert comment["body"].endswith(f"The rest.\n\n\n{MARK}")
    assert "[flights@v1.2.0](" in comment["body"]


def test_the_status_is_that_of_the_pipeline_which_trained(forge):
    forge.judge()
    forge.tell()
    (status,) = forge.double.statuses
    if forge.kind == "gitlab":
        assert status["pipeline_id"] == 100
        assert status["target_url"].endswith("/-/jobs/41#train-100/1000")
    else:
        assert status["target_url"] == f"{forge.double.url}/octo/flights/actions/runs/41"


def test_no_verdict_is_told_as_an_error(forge):
    forge.folder.mkdir()
    assert forge.tell() == []
    assert forge.states == [{"gitlab": "failed", "gitea": "error"}[forge.kind]]
    assert forge.double.statuses[0]["description"] == dockets.UNJUDGED
    assert forge.double.comments == []


def test_the_comment_is_renewed_in_place(forge):
    for number in range(60):
        forge.double.say(5, f"comment {number}", "ann")
    for word in ("hold", "promote", "identical"):
        forge.judge(word, report=f"## {word}\n")
        forge.tell()
    ours = [one for one in forge.double.comments if one["author"] == BOT]
    assert len(ours) == 1
    assert ours[0]["body"].startswith("## identical")
    assert forge.double.tried(*EDITED[forge.kind]) == 2


def test_a_person_who_quotes_the_mark_is_not_written_over(forge):
    forge.double.say(5, f"> {MARK}\nwhy?", "ann")
    forge.judge()
    forge.tell()
    assert [one["author"] for one in forge.double.comments] == ["ann", BOT]
    assert forge.double.comments[0]["body"].startswith("> ")


def test_a_comment_of_ours_without_the_mark_stays(forge):
    forge.double.say(5, "the same account, another tool", BOT)
    forge.judge()
    forge.tell()
    assert [one["body"][:8] for one in forge.double.comments] == ["the same", "## Promo"]


@pytest.mark.parametrize("fault", [BUSY, DROPPED, HALF, LOST], ids=["500", "dropped", "half", "lost"])
def test_what_fails_once_is_told_all_the_same_and_once(forge, fault):
    forge.judge()
    forge.double.fail("POST", NOTES[forge.kind], fault)
    forge.double.fail("POST", "statuses", fault)
    said = forge.tell()
    assert len(forge.double.comments) == 1
    assert forge.states[-1] == "success"
    assert len(said) == 1
    assert said[0].startswith("http")


def test_a_limit_is_waited_for(forge):
    forge.judge()
    forge.double.fail("POST", "statuses", SLOW_DOWN)
    forge.tell()
    assert forge.states == ["success"]
    assert forge.waited == [2.0]


def test_what_stays_refused_is_said_and_fails_nothing(forge):
    forge.judge()
    forge.double.fail("POST", "statuses", FORBIDDEN, times=9)
    forge.double.fail("POST", NOTES[forge.kind], BUSY, times=9)
    said = forge.tell()
    assert said[0].startswith("the verdict is not on the commit: ")
    assert "403" in said[0]
    assert said[1].startswith(f"the report is not on the {forge.docket.pull}: ")
    assert all(line.endswith("The verdict stands; the job's log has the report") for line in said)
    assert forge.double.tried("POST", "statuses") == 1, "another right is not had by asking again"
    assert forge.double.tried("POST", NOTES[forge.kind]) == 3


def test_a_wrong_token_is_told_with_the_right_one(forge):
    forge.judge()
    forge.double.fail("POST", "statuses", Fault(401, json.dumps({"message": "401 Unauthorized"})))
    with pytest.raises(PushforwardError, match="401") as failed:
        dockets.set_status(forge.docket, Waiting(HEAD, "topic", 5, ""), "success", "in")
    assert "PUSHFORWARD_FORGE_TOKEN" in failed.value.next


def test_words_and_reports_are_cut_where_the_forge_ends(forge):
    most = forge.docket.longest[0]
    forge.judge("hold", reason="é" * 400, report="## Hold\n" + "line\n" * (most // 4))
    forge.tell()
    assert len(forge.double.statuses[0]["description"]) == 255
    body = forge.double.comments[0]["body"]
    assert most - 200 < len(body) <= most
    assert f"`git fetch && pushforward report {HEAD[:9]}`" in body
    assert body.endswith(MARK)


def test_pictures_and_what_is_no_name_of_one(forge):
    forge.judge()
    names = ["gain-by-day.svg", "../x.svg", 'a"b.svg']
    card = f"{'ef' * 20}/versions/flights@v1.2.0/card.md"
    told = {"pictures": "ab" * 20, "shown": "cd" * 20, "names": names, "card": card}
    (forge.folder / "recorded.json").write_text(json.dumps(told))
    forge.tell()
    body = forge.double.comments[0]["body"]
    middle = {"gitlab": "-/blob", "gitea": "src/commit"}[forge.kind]
    address = f"{forge.double.url}/octo/flights/{middle}/{'ab' * 20}/pull_request/plots/gain-by-day.svg"
    assert f"[gain by day]({address})" in body
    assert f"[its card]({forge.double.url}/octo/flights/{middle}/{card.replace('@', '%40')})" in body
    raw = {"gitlab": "-/raw", "gitea": "raw/commit"}[forge.kind]
    assert f"\n![gain by day]({forge.double.url}/octo/flights/{raw}/{'cd' * 20}/gain-by-day.png)\n" in body
    assert "../x" not in body
    assert 'a"b' not in body


def test_a_push_gets_no_comment(forge):
    forge.judge()
    forge.tell(pull=None)
    assert forge.double.comments == []
    assert forge.states == ["success"]


def test_a_job_without_the_token_says_what_it_lacks(forge):
    given = of_gitlab(forge.double) if forge.kind == "gitlab" else of_gitea(forge.double)
    del given["PUSHFORWARD_FORGE_TOKEN"]
    made = {"gitlab": lambda: gitlab.GitLab.of(given), "gitea": lambda: gitea.Gitea.of(given, forge.folder, "main")}
    with pytest.raises(PushforwardError, match="this job has no PUSHFORWARD_FORGE_TOKEN"):
        made[forge.kind]()
