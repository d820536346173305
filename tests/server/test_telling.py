"""Who is told of a run's end: those whom the default branch names, after all is recorded, and nobody waits for it."""

import time
from dataclasses import replace

import pytest
from click.testing import CliRunner
from tests import documents
from tests.mailbox import Webhook, served

from pushforward.arrival.told import UNTOLD
from pushforward.commands import notify
from pushforward.commands.cli import main
from pushforward.errors import PushforwardError
from pushforward.gate.verdict import invalid
from pushforward.git.repository import Repository
from pushforward.judge import recorded
from pushforward.notify.news import News
from pushforward.report.note import Context
from pushforward.server import check, telling
from pushforward.server.record import Outcome
from pushforward.server.runs import Job, Run
from pushforward.text import capital

pytestmark = pytest.mark.whole

NOTIFY = "notify:\n  team: {url_env: HOOK, events: [verdict, release]}\n"


@pytest.fixture
def hook():
    with served(Webhook()) as server:
        yield server


def told_at(tiny, **addresses):
    path = tiny.server.folder / telling.ADDRESSES
    path.write_text("# who is told\n" + "".join(f"{name} = {url}\n" for name, url in addresses.items()))
    path.chmod(0o600)
    return path


def settle(tiny, text=NOTIFY):
    path = tiny.clone / "pushforward.yaml"
    return tiny.commit({"pushforward.yaml": path.read_text().partition("notify:")[0] + text}, "Tell the team")


def findings(tiny):
    return [(found.ok, found.found) for found in check.told(tiny.server.repository.path)]


def test_the_default_branch_says_who_is_told_and_a_topic_branch_redirects_nothing(tiny, hook):
    with served(Webhook()) as other:
        path = told_at(tiny, HOOK=hook.url, OTHER=other.url)
        settle(tiny)
        assert "JUDGED" in tiny.push("main")
        tiny.wait(lambda: len(hook.taken) == 1)
        said = f"{tiny.server.name}: Hold: this change does not replace the champion\nAs it is told to find"
        assert hook.taken[0]["text"] == said
        tiny.branch("idea", f"cat {path} || echo HIDDEN")
        topic = settle(tiny, NOTIFY.replace("HOOK", "OTHER") + "  more: {url_env: OTHER}\n")
        assert "JUDGED" in tiny.push("idea")
        tiny.wait(lambda: len(hook.taken) == 2)
        assert other.paths == []
        log = tiny.pushforward("runs", "logs", "--all", topic[:9])
        assert "HIDDEN" in log
        assert "127.0.0.1" not in log


def test_who_hangs_holds_no_pusher_up_and_what_cannot_be_told_is_told_later(tiny, hook):
    told_at(tiny, HOOK=hook.url)
    hook.answers = [(-1, {})]
    commit = settle(tiny)
    began = time.monotonic()
    said = tiny.push("main")
    assert "JUDGED" in said
    assert [one["verdict"] for one in tiny.reports(commit)] == ["hold"]
    tiny.wait(lambda: hook.paths)
    assert tiny.idle() or time.monotonic() - began > 5
    assert hook.taken == []
    hook.over.set()
    tiny.wait(lambda: len(hook.taken) == 1)
    tiny.wait(lambda: not [*telling.spool(tiny.server).waiting()])


def test_what_was_dropped_is_named_and_an_address_that_lacks_is_told_by_its_name(tiny, hook):
    settle(tiny, NOTIFY + "  owners: {url_env: SMTP, to: [ann@example.org], sender: ci@example.org}\n")
    hook.answers = [(404, {})]
    path = told_at(tiny, HOOK=hook.url)
    assert "JUDGED" in tiny.push("main")
    tiny.wait(lambda: telling.spool(tiny.server).dropped())
    tiny.wait(lambda: any(item.why for item in telling.spool(tiny.server).waiting()))
    found = findings(tiny)
    assert found[:3] == [
        (True, "team: told of verdict, release by 127.0.0.1"),
        (False, "owners: SMTP is not set: nobody is told by it"),
        (False, "1 message waits, the first to owners: SMTP is not set: nobody is told by it"),
    ]
    assert found[3][1].startswith("dropped ")
    assert found[3][1].endswith("(127.0.0.1 answers 404 no_service)")
    assert hook.url not in (tiny.server.folder / "dispatch.log").read_text()
    path.chmod(0o644)
    with pytest.raises(PushforwardError, match="can be read by others, and nothing is sent"):
        telling.addresses(tiny.server)


def test_a_test_message_says_who_has_taken_it(tiny, hook, monkeypatch):
    settle(tiny, NOTIFY + "  owners: {url_env: SMTP, to: [ann@example.org], sender: ci@example.org}\n")
    tiny.lose("main")
    told_at(tiny, HOOK=hook.url)
    monkeypatch.chdir(tiny.clone)
    done = CliRunner().invoke(main, ["notify", "--test", "--json"])
    assert done.exit_code == 6
    assert documents.check("notify", done.stdout) == [
        {"target": "team", "host": "127.0.0.1", "ok": True, "reason": ""},
        {"target": "owners", "host": "", "ok": False, "reason": "SMTP is not set: nobody is told by it"},
    ]
    assert hook.taken[0]["text"].endswith("a test: whoever reads this is told of what happens here")
    plain = CliRunner().invoke(main, ["notify", "--test"])
    assert plain.stdout == "ok       team: 127.0.0.1 has taken it\n"
    assert plain.stderr == "missing  owners: SMTP is not set: nobody is told by it\n"
    assert CliRunner().invoke(main, ["notify"]).exit_code == 2


@pytest.fixture
def registry(repository, git):
    """Two versions, and an environment that had one, the other, and the one again."""
    for version in ("v1.0.0", "v1.1.0"):
        git(repository, "commit", "-q", "--allow-empty", "-m", version)
        git(repository, "tag", "-a", "-m", "", f"toy@{version}")
    for number, version in enumerate(("v1.0.0", "v1.1.0", "v1.0.0"), 1):
        git(repository, "tag", "-a", "-m", "", f"toy#production#{number}", f"toy@{version}^{{}}")
    return Repository(repository)


@pytest.mark.parametrize(
    ("tag", "event", "title", "text"),
    [
        ("toy#production#1", "release", "Released: toy@v1.0.0 is in use in production", ""),
        ("toy#production#2", "release", "Released: toy@v1.1.0 is in use in production", "before: toy@v1.0.0"),
        ("toy#production#3", "rollback", "Rolled back: toy@v1.0.0 is in use in production", "before: toy@v1.1.0"),
    ],
)
def test_a_tag_that_takes_an_older_version_is_a_rollback(registry, tag, event, title, text):
    (found,) = telling.of_use("flights", registry, tag)
    assert (found.event, found.title, found.text.lower()) == (event, title, text)
    (broken,) = telling.of_use("flights", registry, tag, "verify: lock does not hold")
    assert broken.text == "Its workflow failed: verify: lock does not hold"


@pytest.mark.parametrize("tag", ["toy@v1.0.0", "toy#production#9", "other#production#1", "nightly"])
def test_any_other_tag_is_no_news(registry, tag):
    assert [*telling.of_use("flights", registry, tag)] == []


def test_a_job_of_a_forge_tells_by_its_environment_and_ends_well(repository, git, hook, monkeypatch):
    settings = 'tool: "0.2.0"\nmodels:\n  toy:\n    environment: []\n'
    (repository / "pushforward.yaml").write_text(f"{settings}notify: {{team: {{url_env: HOOK, events: [verify]}}}}\n")
    git(repository, "remote", "add", "origin", "https://github.invalid/octo/toy.git")
    monkeypatch.chdir(repository)
    for name, value in {
        "HOOK": hook.url,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "octo/toy",
        "GITHUB_RUN_ID": "41",
    }.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["notify", "verify"])
    assert (done.exit_code, done.stdout) == (0, "ok       team: 127.0.0.1 has taken it\n")
    assert hook.taken[0]["text"].splitlines() == [
        "octo/toy: what is in use does not hold",
        "Pushforward verify says which hop is broken",
        "https://github.com/octo/toy/actions/runs/41",
    ]
    hook.answers = [(404, {})]
    refused = CliRunner().invoke(main, ["notify", "verify"])
    assert (refused.exit_code, refused.stderr) == (0, "missing  team: 127.0.0.1 answers 404 no_service\n")


def test_a_verdict_on_a_branch_is_told_with_its_branch_and_what_leads_to_its_report():
    verdict = replace(
        invalid("june came <!channel>"), commit="4f1c2ab9" * 5, event="pull_request", ref="refs/heads/idea"
    )
    found = telling.of_verdict("flights", recorded.report(verdict, Context()))
    assert (found.event, found.title) == ("verdict", "Invalid: 4f1c2ab cannot be judged (idea)")
    assert (found.text, found.then) == ("June came <!channel>", "pushforward report 4f1c2ab94")


def test_who_wants_to_hear_of_nothing_such_is_told_nothing(hook):
    from pushforward.schema import Target

    wanted = {"team": Target(url_env="HOOK", events=["release"])}
    assert [*telling.at_once(wanted, {"HOOK": hook.url}, News("verdict", "flights", "Hold"))] == []
    assert hook.paths == []


class Spawned:
    """What would be started, in the place of starting it."""

    def __init__(self, monkeypatch):
        self.asked = []
        monkeypatch.setattr(telling.post_receive, "spawn", lambda _, *words: self.asked.append(words))


@pytest.mark.parametrize(
    ("file", "verdict", "final", "told"),
    [
        ("verify.yml", "failure", True, ("verify", "lock: it is another one")),
        ("pushforward-verify.yml", "failure", True, ("verify", "lock: it is another one")),
        ("verify.yml", "success", True, None),
        ("verify.yml", "failure", False, None),
        ("retrain.yml", "failure", True, None),
        ("monitor.yml", "failure", True, ("monitor", "The run has failed: its log says why")),
        ("monitor.yml", "success", True, None),
        ("arrive.yml", "failure", True, ("arrival", capital(UNTOLD))),
        ("arrive.yml", "success", True, None),
    ],
)
def test_a_scheduled_run_that_fails_is_news(tiny, monkeypatch, file, verdict, final, told):
    spawned = Spawned(monkeypatch)
    settle(tiny, "notify:\n  team: {url_env: HOOK, events: [verify, monitor, arrival]}\n")
    tiny.lose("main")
    job = Job("schedule", "refs/heads/main", "0" * 40, file=file, cron="17 4 * * 1", due="20260101T0417Z")
    telling.tell(tiny.server, Run(job, final=final), Outcome(verdict, "", reason="lock: it is another one"))
    waiting = [item.news for item in telling.spool(tiny.server).waiting()]
    assert [(one.event, one.text) for one in waiting] == ([told] if told else [])
    assert spawned.asked == ([("--tell",)] if told else [])


@pytest.mark.parametrize(("said", "failed"), [("true", True), ("false", False), ("", False)])
def test_a_job_says_by_a_variable_that_its_run_has_failed(monkeypatch, said, failed):
    monkeypatch.setenv("PUSHFORWARD_FAILED", said)
    assert notify.notify.make_context("notify", ["monitor"]).params["failed"] is failed


def test_what_nobody_wants_any_more_is_no_news_and_settings_that_cannot_be_read_tell_nobody(tiny, monkeypatch, capsys):
    spawned = Spawned(monkeypatch)
    commit = settle(tiny)
    tiny.lose("main")
    report = recorded.report(replace(invalid("because"), commit=commit, event="push"), Context())
    run = Run(Job("push", "refs/heads/main", commit), final=True)
    telling.tell(tiny.server, run, Outcome("invalid", "", report, state="cancelled"))
    assert [*telling.spool(tiny.server).waiting()] == []
    telling.tell(tiny.server, run, Outcome("invalid", "", report))
    assert [item.news.event for item in telling.spool(tiny.server).waiting()] == ["verdict"]
    tiny.commit({"pushforward.yaml": "notify: ["})
    tiny.lose("main")
    telling.tell(tiny.server, run, Outcome("invalid", "", report))
    assert capsys.readouterr().out.startswith(f"nobody is told of {commit[:9]}: main:pushforward.yaml")
    assert spawned.asked == [("--tell",)]


def test_a_version_that_is_made_is_news_and_one_that_was_there_before_is_not(promoted):
    repository = Repository(promoted.bare)
    found = [*telling.of_versions("flights", repository, ["toy"], promoted.head())]
    assert [(one.event, one.title) for one in found] == [("promotion", f"Promoted: toy@v1.0.0 ({promoted.head()[:9]})")]
    assert found[0].text.startswith("Tagged as toy@v1.0.0, in use in staging")
    assert [*telling.of_versions("flights", repository, ["toy"], "0" * 40)] == []
