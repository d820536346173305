"""`pushforward arrive` in a clone with a server of ours: real git, real DVC."""

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.arrival.conftest import digest
from tests.mailbox import Webhook, served

from pushforward.arrival import arrive as arrival
from pushforward.arrival import told
from pushforward.commands.cli import main
from pushforward.errors import PushforwardError
from pushforward.git.repository import Repository
from pushforward.git.server import Server
from pushforward.report import notes
from pushforward.report.note import Context, Report
from pushforward.server import telling
from pushforward.server.record import Outcome
from pushforward.server.runs import Job, Run

pytestmark = pytest.mark.whole

PACKAGE = Path(__file__).parent.parent.parent / "src"
CRON = "23 * * * *"
EARLY, LATER = ("--now", "2020-03-01"), ("--now", "2020-05-08")


def test_a_new_batch_is_one_line_and_its_digest(lake):
    lake.deliver("2020-03", "3\n")
    lake.deliver("2020-04", "4\n")
    said = lake.arrive(*EARLY)
    assert "arrive/2020-03 is pushed" in said
    assert "local judges it as a pull request into main" in said
    assert "1 more after 2020-03: one at a time" in said
    assert lake.branches() == ["arrive/2020-03", "main"]
    assert lake.diff("arrive/2020-03") == [f'+    - "2020-03"  # digest {digest("3" + chr(10))}']
    assert not (lake.clone / "raw").exists()
    assert not any((lake.folder / "store").rglob("*.txt"))


def test_what_is_proposed_is_found_and_nothing_new_is_said(lake):
    assert "nothing new: the source has 2, and the last one here is 2020-02" in lake.arrive(*EARLY)
    lake.deliver("2020-03")
    lake.arrive(*EARLY)
    tip = lake.git(lake.bare, "rev-parse", "arrive/2020-03")
    said = lake.arrive(*EARLY)
    assert "arrive/2020-03 is there, with this change; it waits for whoever merges it" in said
    assert "is tried" not in said
    assert lake.git(lake.bare, "rev-parse", "arrive/2020-03") == tip
    lake.merge("arrive/2020-03")
    assert "nothing new" in lake.arrive(*EARLY)


def test_a_dry_run_changes_nothing(lake):
    lake.deliver("2020-03")
    before = lake.git(lake.bare, "for-each-ref")
    done = lake.json("--dry-run", *EARLY)
    assert done["proposals"] == [{"batch": "2020-03", "kind": "arrive", "branch": "arrive/2020-03", "state": "dry"}]
    assert lake.git(lake.bare, "for-each-ref") == before


def test_what_its_own_stages_refuse_is_an_alarm_in_their_words_and_no_commit(lake):
    lake.deliver("2020-03", "bad\n")
    said = lake.arrive(*EARLY, code=3)
    assert "! 2020-03 was refused, and nothing is proposed: 2020-03, line 1: 'bad' is no number" in said
    assert lake.branches() == ["main"]
    first = lake.json(*EARLY, code=3)
    assert [(one["kind"], one["new"]) for one in first["alarms"]] == [("refused", False)]
    lake.deliver("2020-03", "bad again\n")
    second = lake.json("--now", "2020-03-02", code=3)
    assert [(one["new"], one["since"]) for one in second["alarms"]] == [(True, "2020-03-02T00:00:00+00:00")]
    lake.deliver("2020-03", "good\n")
    assert lake.json("--now", "2020-03-03")["alarms"] == []
    held = lake.git(lake.bare, "show", "refs/pushforward/arrival:alarms.json")
    assert json.loads(held) == {}


def test_a_server_and_a_job_tell_what_is_news(lake, tmp_path):
    began = datetime.now(UTC).timestamp()
    lake.deliver("2020-04")
    lake.arrive("--look", str(tmp_path / "found"))
    for news in (["after 2020-02 comes 2020-03, and the source has 2020-04 next"], []):
        lake.arrive("--from", str(tmp_path / "found"), code=3)
        assert arrival.news(tmp_path / "found") == news
    bare = Repository(lake.bare)
    assert told.fresh(bare, began) == ["after 2020-02 comes 2020-03, and the source has 2020-04 next"]
    assert told.fresh(bare, began + 3600) == []
    (found,) = telling.of_arrivals("lake", told.fresh(bare, began))
    assert (found.event, found.text) == ("arrival", "After 2020-02 comes 2020-03, and the source has 2020-04 next")


def test_a_run_that_failed_otherwise_is_told_each_time_though_an_old_alarm_stands(lake, tmp_path, monkeypatch):
    found, server, bare = tmp_path / "found", Server.load(lake.bare), Repository(lake.bare)
    lake.settings("  expect: monthly\n")
    lake.deliver("2020-03")
    lake.arrive("--look", str(found))

    def news(run, code):
        """What a run of the server ends with is news of."""
        monkeypatch.setenv(told.RUN, run.key)
        lake.arrive("--from", str(found), *LATER, code=code)
        monkeypatch.delenv(told.RUN)
        return of(run)

    def of(run):
        ended = Run(run, started=datetime(2031, 1, 1, tzinfo=UTC).timestamp(), final=True)
        return [one.text for one in telling._news(server, ended, Outcome("failure", ""))]

    def job(hour):
        return Job("schedule", "refs/heads/main", "0" * 40, file="arrive.yml", cron=CRON, due=f"20200508T{hour}23Z")

    assert news(job("01"), 3) == []
    assert of(job("02")) == ["The run has failed before its end: its log says why"]
    tip = bare.resolve("refs/pushforward/arrival")
    assert news(job("03"), 3) == [], "the same alarms, of another run"
    assert bare.resolve("refs/pushforward/arrival") != tip

    def broken(*_args, **_more):
        raise OSError("the disk is full")

    monkeypatch.setattr(arrival, "_asked", broken)
    for hour in ("04", "05"):
        assert news(job(hour), 1) == ["The run has failed before its end: its log says why"]
        assert arrival.news(found) == [told.UNTOLD], "a job of a forge tells it too"


def test_a_correction_is_a_change_of_its_own_that_has_it_fetched_again(lake):
    lake.deliver("2020-03", "3\n")
    lake.arrive(*EARLY)
    lake.merge("arrive/2020-03")
    lake.deliver("2020-03", "3, corrected\n")
    fresh = digest("3, corrected\n")
    done = lake.json(*EARLY)
    (one,) = done["proposals"]
    assert (one["kind"], one["state"]) == ("correct", "opened")
    assert one["branch"].startswith("correct/2020-03-")
    assert lake.diff(one["branch"]) == [
        f'-    - "2020-03"  # digest {digest("3" + chr(10))}',
        f'+    - "2020-03"  # digest {fresh}',
        "+  corrected:",
        f'+    "2020-03": "{fresh}"',
    ]
    lake.merge(one["branch"])
    assert "nothing new" in lake.arrive(*EARLY)
    lake.deliver("2020-03", "3, once more\n")
    (again,) = lake.json(*EARLY)["proposals"]
    assert again["branch"] != one["branch"]
    assert f'-    "2020-03": "{fresh}"' in lake.diff(again["branch"])


def test_dvc_runs_the_stages_of_a_corrected_batch_again(lake):
    """And of no other: their outs are the same bytes."""
    lake.deliver("2020-03", "3\n")
    lake.arrive(*EARLY)
    lake.merge("arrive/2020-03")
    run = [str(Path(sys.executable).parent / "dvc"), "repro", "validate@2020-03", "validate@2020-01"]
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(run, cwd=lake.clone, env=env, check=True, capture_output=True)
    lake.deliver("2020-03", "3, corrected\n")
    (one,) = lake.json(*EARLY)["proposals"]
    lake.merge(one["branch"])
    done = subprocess.run(run, cwd=lake.clone, env=env, check=True, capture_output=True, text=True)
    assert (lake.clone / "valid" / "2020-03.txt").read_text() == "3, corrected\n"
    assert "Running stage 'validate@2020-03'" in done.stdout
    assert "Running stage 'validate@2020-01'" not in done.stdout


def test_a_correction_that_is_refused_is_an_alarm(lake):
    lake.deliver("2020-03", "3\n")
    lake.arrive(*EARLY)
    lake.merge("arrive/2020-03")
    lake.deliver("2020-03", "bad\n")
    said = lake.arrive(*EARLY, code=3)
    assert "! 2020-03 is corrected by what was refused: 2020-03, line 1" in said
    assert lake.branches() == ["arrive/2020-03", "main"]


def test_of_what_was_typed_by_hand_nothing_is_claimed(lake):
    lake.deliver("2020-01", "another one\n")
    assert "nothing new" in lake.arrive(*EARLY)


def test_without_a_place_for_it_a_correction_is_told(lake):
    lake.settings(**{"\n  corrected: params.yaml:collect.corrected": ""})
    lake.deliver("2020-03", "3\n")
    lake.arrive(*EARLY)
    lake.merge("arrive/2020-03")
    lake.deliver("2020-03", "other\n")
    said = lake.arrive(*EARLY, code=3)
    assert "! the source has another 2020-03 than was taken in, and nothing fetches it" in said


def _loses(lake):
    (lake.place / "2020-02.txt").unlink()


def _corrects(lake):
    lake.deliver("2020-03", "3, and nothing fetches it\n")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (_loses, "The source has no 2020-02 any more; nothing is taken out here"),
        (_corrects, "The source has another 2020-03 than was taken in, and nothing fetches it"),
    ],
)
@pytest.mark.ml_test_score("Monitoring 1")
def test_whoever_is_to_know_is_told_once_of_a_source_that_changes(lake, tmp_path, changes, said):
    told_of = "notify:\n  team: {url_env: HOOK, events: [arrival]}\n"
    lake.settings(told_of, **{"\n  corrected: params.yaml:collect.corrected": ""})
    lake.deliver("2020-03", "3\n")
    lake.arrive(*EARLY)
    lake.merge("arrive/2020-03")
    changes(lake)
    with served(Webhook()) as hook:
        addresses = Server.load(lake.bare).folder / telling.ADDRESSES
        addresses.write_text(f"HOOK = {hook.url}\n")
        addresses.chmod(0o600)
        for _ in range(2):
            lake.arrive("--look", str(tmp_path / "found"))
            lake.arrive("--from", str(tmp_path / "found"), code=3)
            done = CliRunner().invoke(main, ["notify", "arrival", "--from", str(tmp_path / "found")])
            assert done.exit_code == 0, done.output
        (message,) = hook.taken
    assert said in message["text"]


def test_an_old_batch_that_disappears_is_told_and_stays(lake):
    lake.deliver("2020-03")
    lake.arrive(*EARLY)
    lake.merge("arrive/2020-03")
    (lake.place / "2020-02.txt").unlink()
    said = lake.arrive(*EARLY, code=3)
    assert "! the source has no 2020-02 any more; nothing is taken out here" in said
    assert '- "2020-02"' in lake.git(lake.bare, "show", "main:params.yaml")
    (lake.place / "2020-01.txt").unlink()
    lake.deliver("2020-02")
    assert "nothing new" in lake.arrive(*EARLY), "the first ones may be given up"


def test_a_later_one_waits_for_the_one_before(lake):
    lake.deliver("2020-04")
    said = lake.arrive(*EARLY, code=3)
    assert "! after 2020-02 comes 2020-03, and the source has 2020-04 next" in said
    assert lake.branches() == ["main"]


def test_what_should_have_arrived_is_an_alarm_once(lake):
    lake.settings("  expect: monthly\n  grace_days: 7\n")
    assert lake.json("--now", "2020-04-07")["alarms"] == []
    first = lake.json("--now", "2020-04-08", code=3)["alarms"]
    assert [(one["kind"], one["batch"], one["new"]) for one in first] == [("late", "2020-03", True)]
    assert first[0]["words"] == "2020-03 has not arrived, and should have by 2020-04-08"
    later = lake.json("--now", "2020-05-08T10:00", code=3)["alarms"]
    assert [(one["batch"], one["new"]) for one in later] == [("2020-03", False), ("2020-04", True)]
    said = lake.arrive("--now", "2020-05-09", code=3)
    assert "! 2020-03 has not arrived, and should have by 2020-04-08 (known since 2020-04-08)" in said
    lake.deliver("2020-03")
    arrived = lake.json("--now", "2020-05-10", code=3)
    assert [one["batch"] for one in arrived["alarms"]] == ["2020-04"]
    assert arrived["proposals"][0]["state"] == "opened"


def test_batches_that_are_no_periods_are_refused_in_words(lake):
    lake.settings("  expect: weekly\n")
    (alarm,) = lake.json(*EARLY, code=3)["alarms"]
    assert (alarm["kind"], alarm["batch"], alarm["new"]) == ("failed", "2020-01", True)
    assert "arrive.expect is weekly, and the batch '2020-01' is no week like 2013-W22 (so is 2020-02)" in alarm["words"]


def test_one_listed_name_that_is_no_period_hides_no_other_alarm(lake):
    lake.settings("  expect: monthly\n")
    lake.deliver("notes")
    done = lake.json("--now", "2020-04-08", code=3)
    assert [(one["kind"], one["batch"]) for one in done["alarms"]] == [("failed", "notes"), ("late", "2020-03")]
    assert done["proposals"] == []
    assert [one["new"] for one in lake.json("--now", "2020-04-08", code=3)["alarms"]] == [False, False]


def test_a_listed_name_of_the_future_silences_nothing(lake):
    lake.settings("  expect: monthly\n")
    lake.deliver("2031-01")
    done = lake.json("--now", "2020-04-08", code=3)
    assert [(one["kind"], one["batch"]) for one in done["alarms"]] == [("gap", "2020-03"), ("late", "2020-03")]


def _by_day(lake, taken):
    """Have a lake that takes in three days and delivers none; what its parameters say."""
    months = (lake.clone / "params.yaml").read_text()
    first, *others = taken
    days = months.replace('"2020-01"', f'"{first}"').replace('"2020-02"', '"{}"\n    - "{}"'.format(*others))
    lake.write("params.yaml", days)
    lake.settings("  expect: daily\n  grace_days: 0\n")
    for path in lake.place.iterdir():
        path.unlink()
    return days


def test_a_batch_of_the_future_that_was_taken_in_silences_nothing(lake):
    days = _by_day(lake, ("2020-01-01", "2020-01-02", "2031-01-01"))
    for day in ("2020-01-01", "2020-01-02", "2020-01-03", "2031-01-01"):
        lake.deliver(day)
    done = lake.json("--now", "2020-01-05", code=3)
    assert [(one["kind"], one["batch"]) for one in done["alarms"]] == [
        ("gap", "2020-01-03"),
        ("failed", "2031-01-01"),
        ("late", "2020-01-04"),
    ]
    words = (
        "2031-01-01 is taken in, and has not begun yet: what comes before it is not asked for; next: edit params.yaml"
    )
    assert done["alarms"][1]["words"] == words
    lake.write("params.yaml", days.replace("2031-01-01", "2020-01-03"))
    lake.land()
    (lake.place / "2031-01-01.txt").unlink()
    done = lake.json("--now", "2020-01-02", code=0)
    assert done["alarms"] == [], "the day after today came early, and hides nothing"


def test_a_gap_before_a_day_that_was_taken_in_too_early_is_told_also_once_that_day_is_there(lake):
    _by_day(lake, ("2020-06-10", "2020-06-11", "2020-06-20"))
    for day in range(10, 21):
        lake.deliver(f"2020-06-{day}")
    gap = (
        "the source lists what is not taken in, though later ones are: 2020-06-12, 2020-06-13, 2020-06-14, 2020-06-15, "
        "2020-06-16 and 3 more; next: edit params.yaml"
    )
    early = lake.json("--now", "2020-06-10", code=3)["alarms"]
    assert [(one["kind"], one["batch"]) for one in early] == [("gap", "2020-06-12"), ("failed", "2020-06-20")]
    late = lake.json("--now", "2020-07-01", code=3)["alarms"]
    assert [(one["kind"], one["words"]) for one in late if one["kind"] == "gap"] == [("gap", gap)]


def test_a_branch_of_its_name_with_one_file_more_is_an_alarm_and_never_merged(lake):
    lake.settings("  merge: promote\n")
    lake.deliver("2020-03")
    lake.arrive(*EARLY)
    git, other = lake.git, lake.folder / "other"
    git(lake.folder, "clone", "-q", "-b", "arrive/2020-03", str(lake.bare), str(other))
    (other / "validate.py").write_text("# takes everything\n")
    git(other, "add", "-A")
    git(other, "commit", "-q", "-m", "More")
    git(other, "push", "-q", "origin", "HEAD:arrive/2020-03")
    tip, base = git(lake.bare, "rev-parse", "arrive/2020-03", "main").split()
    told_ = {"event": "pull_request", "verdict": "promote", "commit": tip, "base": base}
    notes.put(Repository(lake.bare), tip, Report(told_, Context(), "promote"), lock=lake.folder / "notes.lock")
    for new in (True, False):
        done = lake.json(*EARLY, code=3)
        (alarm,) = done["alarms"]
        assert (alarm["kind"], alarm["batch"], alarm["new"]) == ("failed", "2020-03", new)
        assert f"has a branch arrive/2020-03 with another change ({tip[:9]})" in alarm["words"]
        assert "next: git push local --delete arrive/2020-03" in alarm["words"]
    assert done["proposals"] == []
    assert git(lake.bare, "rev-parse", "main") == base


def _by_no_hand(lake):
    """A list to which no line is added by itself."""
    text = (lake.clone / "params.yaml").read_text()
    alias = text.replace("  months:", "  all: &all").replace('- "2020-02"', '- "2020-02"\n  months: *all')
    lake.write("params.yaml", alias)


def _by_no_push(lake):
    """A branch below which none can be."""
    lake.git(lake.bare, "update-ref", "refs/heads/arrive", "main")


@pytest.mark.parametrize(
    ("hinder", "words"),
    [
        (_by_no_hand, "data.months is written in a way that is not edited by itself; next: edit params.yaml"),
        (_by_no_push, "local does not take arrive/2020-03: "),
    ],
)
def test_what_cannot_be_proposed_is_an_alarm_and_hides_no_other(lake, hinder, words):
    hinder(lake)
    lake.settings("  expect: monthly\n")
    lake.deliver("2020-03", "3\n")
    done = lake.json("--now", "2020-05-08", code=3)
    found = {one["kind"]: one for one in done["alarms"]}
    assert [(kind, found[kind]["batch"]) for kind in sorted(found)] == [("failed", "2020-03"), ("late", "2020-04")]
    assert words in found["failed"]["words"]
    kept = json.loads(lake.git(lake.bare, "show", "refs/pushforward/arrival:alarms.json"))
    assert sorted(kept) == sorted(one["key"] for one in done["alarms"])


def test_what_was_tried_beside_another_state_counts_for_nothing(lake, tmp_path):
    lake.deliver("2020-03")
    found = tmp_path / "found"
    lake.arrive("--look", str(found))
    lake.write("validate.py", "import sys; sys.exit(3)")
    tip = lake.land("Refuse all")
    said = lake.arrive("--from", str(found), *EARLY)
    assert f"2020-03 has not been tried beside {tip[:9]}" in said
    assert lake.branches() == ["main"]


def test_whatever_acting_ends_with_what_was_wrong_before_is_told(lake, tmp_path, monkeypatch):
    lake.settings("  expect: monthly\n")
    lake.deliver("2020-03")
    lake.arrive("--look", str(tmp_path / "found"))

    def broken(*_args, **_more):
        raise OSError("the disk is full")

    monkeypatch.setattr(arrival, "propose", broken)
    assert "a bug: OSError: the disk is full" in lake.arrive("--from", str(tmp_path / "found"), *LATER, code=1)
    late = "2020-04 has not arrived, and should have by 2020-05-08"
    assert arrival.news(tmp_path / "found") == [late, told.UNTOLD]
    assert told.fresh(Repository(lake.bare), 0.0) == [late]


def test_an_alarm_that_cannot_be_kept_is_told_all_the_same(lake, monkeypatch):
    lake.settings("  expect: monthly\n")

    def broken(_root):
        raise PushforwardError("local cannot be read")

    monkeypatch.setattr(told, "_place", broken)
    said = lake.arrive("--now", "2020-04-08", code=3)
    assert "! 2020-03 has not arrived, and should have by 2020-04-08\n" in said
    assert "alarms cannot be recorded in refs/pushforward/arrival, and are told again: local cannot be read" in said


def test_a_long_alarm_is_told_apart_by_all_that_it_is_of():
    many = [f"batch-{number:03d}" for number in range(200)]
    first, second = (arrival.Alarm("gone", many[0], "gone", ",".join(names)) for names in (many[1:], many[1:-1]))
    assert first.batch == second.batch == "batch-000"
    assert first.key != second.key
    assert len(first.key) < 100


def test_news_follows_no_link_and_an_absent_file_is_news(tmp_path):
    failed = ["the run has failed before its end: its log says why"]
    assert arrival.news(tmp_path) == failed
    (tmp_path / "told.json").write_text('{"alarms": [{"words": "of another", "new": true}], "whole": true}')
    (tmp_path / "arrived.json").symlink_to(tmp_path / "told.json")
    assert arrival.news(tmp_path) == failed
    (tmp_path / "arrived.json").unlink()
    (tmp_path / "told.json").rename(tmp_path / "arrived.json")
    assert arrival.news(tmp_path) == ["of another"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("print('x')", "wrote no batches.json"),
        ("import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('nonsense')", "it is no JSON"),
        ("import sys; sys.exit(6)", "failed with exit status 6"),
    ],
)
def test_a_source_that_cannot_be_asked_is_an_alarm(lake, script, words):
    lake.write("source.py", script)
    lake.land()
    done = lake.json(*EARLY, code=3)
    (alarm,) = done["alarms"]
    assert alarm["kind"] == "source"
    assert words in alarm["words"]
    assert done["proposals"] == []


def test_a_batch_that_cannot_be_tried_is_proposed_by_nobody(lake):
    lake.write("collect.py", "import sys; print('the server is down'); sys.exit(6)")
    lake.land()
    lake.deliver("2020-03")
    (alarm,) = lake.json(*EARLY, code=3)["alarms"]
    assert alarm["kind"] == "failed"
    assert "the server is down" in alarm["words"]
    assert lake.branches() == ["main"]


def test_stages_that_look_at_a_batch_see_no_variable_of_whoever_asks(lake, monkeypatch):
    names = ("PUSHFORWARD_FORGE_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "GH_TOKEN", "AWS_SECRET_ACCESS_KEY", "MINE")
    for name in names:
        monkeypatch.setenv(name, "a-secret")
    seen = lake.folder / "seen.json"
    telling = f"import json, os, pathlib\npathlib.Path({str(seen)!r}).write_text(json.dumps(dict(os.environ)))\n"
    lake.write("collect.py", telling + (lake.clone / "collect.py").read_text())
    lake.land()
    lake.deliver("2020-03")
    assert "arrive/2020-03 is pushed" in lake.arrive(*EARLY)
    found = json.loads(seen.read_text())
    assert "a-secret" not in found.values()
    assert found["PYTHONPATH"].split(os.pathsep)[0].endswith("/checkout/src")
    assert found["DVC_STAGE"] == "collect@2020-03"
    assert {name: os.environ[name] for name in names} == dict.fromkeys(names, "a-secret")


def test_stages_that_are_named_look_at_it_where_none_is_of_a_batch_alone(lake):
    plain = DVC_OF_ALL
    lake.write("dvc.yaml", plain)
    lake.land()
    lake.deliver("2020-03")
    said = lake.arrive(*EARLY, code=3)
    assert "dvc.yaml has no stage of 2020-03 alone, so nothing looks at it before it is committed" in said
    lake.settings("  stages: [look]\n")
    lake.write("look.py", "import sys; print('2020-03 is odd', file=sys.stderr); sys.exit(3)")
    lake.land()
    assert "2020-03 is odd" in lake.arrive(*EARLY, code=3)
    lake.settings("", look="lock")
    assert "dvc.yaml has no stage lock" in lake.arrive(*EARLY, code=3)


DVC_OF_ALL = """\
stages:
  look:
    cmd: python look.py
    deps: [look.py]
    params: [data.months]
    outs: [rows.txt]
"""


def test_a_project_without_the_section_is_told_what_to_write(lake):
    lake.write("pushforward.yaml", (lake.clone / "pushforward.yaml").read_text().partition("arrive:")[0])
    lake.land()
    assert "pushforward.yaml has no `arrive`" in lake.arrive(code=2)


def test_two_schedulers_at_once_open_one(lake, git, tmp_path):
    lake.deliver("2020-03")
    clones = [tmp_path / f"runner{number}" for number in range(2)]
    for clone in clones:
        git(tmp_path, "clone", "-q", "-o", "local", str(lake.bare), str(clone))
    env = os.environ | {"PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-m", "pushforward", "arrive", "--json", *EARLY]
    done = []

    def run(clone):
        done.append(subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, check=False))

    threads = [threading.Thread(target=run, args=(clone,)) for clone in clones]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    states = sorted(json.loads(one.stdout)["proposals"][0]["state"] for one in done)
    assert states == ["opened", "there"]
    assert lake.branches() == ["arrive/2020-03", "main"]


def test_a_look_is_acted_on_by_whoever_may_push(lake, tmp_path):
    lake.deliver("2020-03")
    found = tmp_path / "found"
    assert "the source has 3" in lake.arrive("--look", str(found))
    assert lake.branches() == ["main"]
    (lake.place / "2020-03.txt").unlink()
    said = lake.arrive("--from", str(found), *EARLY)
    assert "arrive/2020-03 is pushed" in said
    assert json.loads((found / "arrived.json").read_text())["proposals"][0]["state"] == "opened"


STRANGE = '{"commit": "x", "listed": [{"batch": "a\\nb", "digest": "123456"}], "tried": {}}'


@pytest.mark.parametrize(
    ("text", "words"),
    [(text, "is not what `pushforward arrive --look` writes") for text in ("", "[]", "{")]
    + [(STRANGE, "entry 0: 'a b' is no name of a batch")],
)
def test_what_a_look_leaves_is_read_as_hostile_data(lake, tmp_path, text, words):
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "arrival.json").write_text(text)
    said = lake.arrive("--from", str(tmp_path / "found"), code=3)
    assert words in said


def test_a_batch_that_was_not_tried_is_not_proposed(lake, tmp_path):
    (tmp_path / "found").mkdir()
    listed = [{"batch": f"2020-0{number}", "digest": "sha256:00"} for number in (1, 2, 3)]
    tree = {"commit": "x", "listed": listed, "tried": {}, "failed": ""}
    (tmp_path / "found" / "arrival.json").write_text(json.dumps(tree))
    said = lake.arrive("--from", str(tmp_path / "found"), *EARLY)
    assert "2020-03 has not been tried" in said
    assert lake.branches() == ["main"]
