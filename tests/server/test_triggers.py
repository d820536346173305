"""Every workflow that an event starts is a run of its own: followers, branches, tags, people, programs. Real act."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from tests.tiny_server import Tiny, judge, train

from pushforward.report import note, notes
from pushforward.server import pending, runs

pytestmark = pytest.mark.slow

SETTINGS = "pushforward.yaml"


def lists(tiny: Tiny, *names: str, more: str = "") -> dict[str, str]:
    """The settings of a server that runs these workflows too."""
    text = (tiny.clone / SETTINGS).read_text().partition("server:")[0]
    return {SETTINGS: f"{text}server:\n  workflows: [train, judge, {', '.join(names)}]\n{more}"}


def flow(name: str, on: str, script: str = "echo done", more: str = "") -> str:
    """A workflow of one step."""
    return (
        f"name: {name}\non: {on}\n{more}jobs:\n  one:\n    runs-on: ubuntu-latest\n    steps:\n"
        f"      - name: say\n        shell: bash\n        run: |\n          {script}\n"
    )


def follows(*names: str) -> str:
    return f"{{workflow_run: {{workflows: [{', '.join(names)}], types: [completed]}}}}"


def by_file(tiny: Tiny, commit: str = "") -> dict[str, list[runs.Run]]:
    """The single workflows that ran, by file, in the order in which they were asked for."""
    found: dict[str, list[runs.Run]] = {}
    for run in sorted(runs.listed(tiny.server), key=lambda run: run.asked):
        if run.job.event == "workflow" and run.job.commit.startswith(commit):
            found.setdefault(run.job.file, []).append(run)
    return found


def ended(tiny: Tiny, file: str, many: int = 1) -> list[runs.Run]:
    """The runs of a file, once so many of them have their last word."""
    tiny.wait(lambda: len([run for run in by_file(tiny).get(file, []) if _is_over(tiny, run)]) >= many)
    return by_file(tiny)[file]


def _is_over(tiny: Tiny, run: runs.Run) -> bool:
    return run.final and bool(run.ended) and not runs.is_running(tiny.server, run.job.key)


def log_of(tiny: Tiny, run: runs.Run) -> str:
    return "".join(runs.whole_logs(tiny.server, run))


def workflow(name: str) -> str:
    return f".github/workflows/{name}.yml"


def test_what_follows_beside_the_judge_is_a_run_of_its_own_and_takes_no_verdict_away(tiny):
    script = 'echo "told of $N, $C, $E" && echo "key:$PUSHFORWARD_SIGNING_KEY:"'
    env = (
        "env: {N: '${{ github.event.workflow_run.name }}', C: '${{ github.event.workflow_run.conclusion }}',"
        " E: '${{ github.event.workflow_run.event }}'}\n"
    )
    files = {workflow("notify"): flow("notify", follows("train"), script, env)}
    tiny.commit(
        files | {workflow("alert"): flow("alert", follows("train"), "echo no; exit 3")} | lists(tiny, "notify", "alert")
    )
    assert "JUDGED" in tiny.push("main")
    tiny.wait(tiny.idle)
    commit = tiny.commit()
    said = tiny.push("main")
    assert "JUDGED" in said
    assert "✓ notify.yml: done" in said
    assert "! FAILURE  alert.yml: one / say:" in said
    assert [one["verdict"] for one in tiny.reports(commit)] == ["hold"]
    tiny.wait(tiny.idle)
    found = by_file(tiny, commit)
    assert {name: [run.verdict for run in ran] for name, ran in found.items()} == {
        "notify.yml": ["success"],
        "alert.yml": ["failure"],
    }
    (told,) = found["notify.yml"]
    assert "told of train, success, push" in log_of(tiny, told)
    assert "key::" in log_of(tiny, told)  # the server's keys are the judge's
    assert (told.job.cause, told.job.level, told.job.on) == (f"push-{commit}", 1, "workflow_run")
    table = tiny.pushforward("runs")
    assert re.search(rf"notify-{commit[:9]}-\w{{6}} +notify.yml \(workflow_run\) +{commit[:9]} +done +success", table)
    noted = note.load(tiny.server.repository.read("refs/notes/pushforward", notes._path(commit)) or b"").workflows
    assert {one.file: one.verdict for one in noted} == {"notify.yml": "success", "alert.yml": "failure"}
    tiny.git("fetch", "-q", "local", "refs/notes/*:refs/notes/*")
    assert "| **!** alert-" in tiny.git("notes", "--ref=pushforward", "show", commit)
    shown = json.loads(tiny.pushforward("runs", "show", f"alert-{commit[:9]}", "--json"))
    assert shown["verdict"] == "failure"
    assert shown["on"] == "workflow_run"
    assert [(step["name"], step["result"]) for step in shown["steps"]] == [("say", "failure")]
    assert re.search(r"✓ notify.yml  one / say  \d\.\d s", tiny.pushforward("runs", "show", told.job.id))
    assert "notify.yml (workflow_run)" in tiny.pushforward("runs", "--watch")


def test_followers_follow_one_another_three_deep_and_no_deeper(tiny):
    files = {workflow(name): flow(name, follows(before)) for before, name in (("judge", "b"), ("b", "c"))}
    tiny.commit(files | lists(tiny, "b", "c"))
    tiny.push("main")
    commit = tiny.commit()
    said = tiny.push("main")
    assert "✓ b.yml: done" in said
    assert "✓ c.yml: done" in said
    found = by_file(tiny, commit)
    assert [found[name][0].job.level for name in ("b.yml", "c.yml")] == [2, 3]
    refused = tiny.commit({workflow("d"): flow("d", follows("c"))} | lists(tiny, "b", "c", "d"))
    said = tiny.push("main")
    assert tiny.reason(refused) == (
        ".github/workflows/d.yml:2: on.workflow_run never happens here: it would be number 4 in a row; "
        "at most 3 follow one another"
    )


def test_the_judge_is_who_hands_over_a_verdict_also_behind_another_and_under_any_name(tiny):
    behind = judge().replace("name: judge\n", "name: zebra\n").replace("workflows: [train]", "workflows: [between]")
    between = flow("between", follows("train"), 'ls "$PUSHFORWARD_ARTIFACTS/train"')
    files = {workflow("a"): behind, workflow("between"): between, workflow("judge"): flow("judge", follows("train"))}
    tiny.commit(files | lists(tiny, "a", "between"))
    tiny.push("main")
    commit = tiny.commit()
    said = tiny.push("main")
    assert "JUDGED" in said
    assert [one["verdict"] for one in tiny.reports(commit)] == ["hold"]
    assert [*by_file(tiny, commit)] == ["judge.yml"]


def test_what_is_required_must_be_green_before_a_commit_is_judged(tiny):
    needs = lists(tiny, "lint", "scan", more="  required: [lint, scan]\n")
    tiny.commit({workflow("lint"): flow("lint", "push"), workflow("scan"): flow("scan", follows("train"))} | needs)
    assert "JUDGED" in tiny.push("main")
    good = tiny.commit()
    assert "JUDGED" in tiny.push("main")
    assert {name: ran[0].verdict for name, ran in by_file(tiny, good).items()} == {
        "lint.yml": "success",
        "scan.yml": "success",
    }
    bad = tiny.commit({workflow("scan"): flow("scan", follows("train"), "echo a hole; exit 1")})
    tiny.push("main")
    assert tiny.reason(bad).startswith("scan.yml is required (server.required), and is failure: scan.yml: one / say:")
    assert [run.verdict for run in by_file(tiny, bad)["scan.yml"]] == ["failure"]


def test_what_is_required_and_red_after_the_judge_is_told_and_takes_no_verdict_away(tiny):
    needs = lists(tiny, "deploy", more="  required: [deploy]\n")
    tiny.commit({workflow("deploy"): flow("deploy", follows("judge"), "echo it is down; exit 1")} | needs)
    tiny.push("main")
    commit = tiny.commit()
    said = tiny.push("main")
    assert "! NOT GREEN  deploy.yml is required (server.required), and is failure: deploy.yml: one / say:" in said
    assert "JUDGED" in said, "the verdict is told all the same"
    assert [one["verdict"] for one in tiny.reports(commit)] == ["hold"]
    assert [run.verdict for run in by_file(tiny, commit)["deploy.yml"]] == ["failure"]


def test_what_follows_a_schedule_runs_once_it_has_ended(tiny):
    files = {
        workflow("nightly"): flow("nightly", '{schedule: [{cron: "* * * * *"}]}', "echo looked"),
        workflow("digest"): flow(
            "digest", follows("nightly"), 'echo "after $E"', "env: {E: '${{ github.event.workflow_run.event }}'}\n"
        ),
    }
    tiny.commit(files | lists(tiny, "nightly", "digest"))
    tiny.push("main")
    tiny.wait(tiny.idle)
    then = (datetime.now(UTC) - timedelta(hours=1)).strftime(pending.DUE)
    pending.remember(tiny.server, {"nightly.yml * * * * *": then})
    tiny.pushforward("dispatch")
    told = ended(tiny, "digest.yml")[0]
    assert (told.verdict, told.job.level, told.job.on) == ("success", 1, "workflow_run")
    assert "after schedule" in log_of(tiny, told)


def test_an_own_tag_starts_what_answers_to_it_and_nothing_else(tiny):
    files = {
        workflow("publish"): flow(
            "publish", "{push: {tags: ['v*', '!v*-rc*']}}", 'echo "$GITHUB_REF $GITHUB_REF_TYPE"'
        ),
        workflow("docs"): flow("docs", "{push: {tags: ['docs/**']}}"),
    }
    tiny.commit(files | lists(tiny, "publish", "docs"))
    tiny.push("main")
    tiny.git("tag", "v2.0")
    said = tiny.push("v2.0")
    assert "✓ publish.yml: done" in said
    (ran,) = by_file(tiny)["publish.yml"]
    assert "refs/tags/v2.0 tag" in log_of(tiny, ran)
    assert ran.job.trusted
    tiny.git("tag", "-a", "-m", "annotated", "docs/first")
    assert "✓ docs.yml: done" in tiny.push("docs/first")
    tiny.git("tag", "v2.1-rc1")
    assert "done" not in tiny.push("v2.1-rc1")
    for name in ("v3.0", "v3.1", "v3.2", "v3.3"):
        tiny.git("tag", name)
    assert "4 tags in one push start nothing, as on GitHub" in tiny.push("v3.0", "v3.1", "v3.2", "v3.3")
    assert {name: len(ran) for name, ran in by_file(tiny).items()} == {"publish.yml": 1, "docs.yml": 1}


def test_a_tag_whose_hook_never_started_starts_its_workflow_with_the_next_dispatch(tiny):
    tiny.commit({workflow("publish"): flow("publish", "{push: {tags: ['v*']}}")} | lists(tiny, "publish"))
    tiny.push("main")
    tiny.wait(tiny.idle)
    hook = tiny.server.folder.parent / "hooks" / "post-receive"
    text = hook.read_text()
    hook.write_text("#!/bin/sh\nexit 0\n")
    tiny.git("tag", "v1")
    tiny.push("v1")
    hook.write_text(text)
    assert not by_file(tiny)
    tiny.pushforward("dispatch")
    assert [run.verdict for run in by_file(tiny)["publish.yml"]] == ["success"]
    tiny.pushforward("dispatch")
    assert len(by_file(tiny)["publish.yml"]) == 1


def test_a_branch_that_answers_to_its_push_alone_is_run_and_judged(tiny):
    text = train('echo "$GITHUB_EVENT_NAME $GITHUB_REF"')
    pull = "  pull_request: {branches: [main]}\n"
    assert pull in text
    tiny.commit({workflow("train"): text.replace(pull, "").replace('{branches: [main], paths-ignore: ["**.md"]}', "")})
    tiny.push("main")
    tiny.git("switch", "-q", "-c", "topic")
    commit = tiny.commit()
    said = tiny.push("topic")
    assert "push refs/heads/topic" in said
    assert "JUDGED" in said
    assert [one["verdict"] for one in tiny.reports(commit)] == ["hold"]


def test_a_branch_that_nothing_judged_answers_to_is_told_what_a_branch_is(tiny):
    pull = "  pull_request: {branches: [main]}\n"
    tiny.commit({workflow("train"): train().replace(pull, "")})
    tiny.push("main")
    tiny.git("switch", "-q", "-c", "topic")
    commit = tiny.commit()
    tiny.push("topic")
    assert tiny.reason(commit) == (
        "nothing that is judged runs for a branch: .github/workflows/train.yml runs for push of main alone, and here a "
        "branch is a pull request into main, and a push of itself"
    )


def test_a_push_of_a_branch_runs_at_its_tip_what_answers_to_it_beside_the_pull_request(tiny):
    script = 'echo "$GITHUB_SHA $GITHUB_REF"'
    files = {
        workflow("lint"): flow("lint", "{push: {branches: ['feature/**'], paths: ['**.txt']}}", script),
        workflow("other"): flow("other", "{push: {branches-ignore: ['feature/**', main]}}", script),
        workflow("check"): flow("check", "pull_request", script),
    }
    tiny.commit(files | lists(tiny, "lint", "other", "check"))
    tiny.push("main")
    tiny.git("switch", "-q", "-c", "feature/one")
    commit = tiny.commit()
    said = tiny.push("feature/one")
    assert "JUDGED" in said
    found = by_file(tiny, commit)
    assert {name: [run.verdict for run in ran] for name, ran in found.items()} == {
        "lint.yml": ["success"],
        "check.yml": ["success"],
    }
    assert f"{commit} refs/heads/feature/one" in log_of(tiny, found["lint.yml"][0])
    assert "refs/pull/1/merge" in log_of(tiny, found["check.yml"][0])
    assert not found["lint.yml"][0].job.trusted


def test_a_workflow_is_started_by_hand_with_inputs_of_their_types(tiny):
    on = (
        "\n  workflow_dispatch:\n    inputs:\n      month: {required: true}\n"
        "      kind: {type: choice, options: [a, b], default: b}\n"
        "      dry: {type: boolean, default: true}\n      count: {type: number}\n"
    )
    named = " ".join(f"${{{{ inputs.{name} }}}}" for name in ("month", "kind", "dry", "count"))
    env = f"env: {{TOLD: '{named} ${{{{ github.event.inputs.month }}}}'}}\n"
    script = 'echo "told $TOLD at $GITHUB_REF"'
    tiny.commit({workflow("retrain"): flow("retrain", on, script, env)} | lists(tiny, "retrain"))
    tiny.push("main")
    said = tiny.pushforward("runs", "start", "retrain", "-f", "month=2013-05", "-f", "count=3")
    assert "retrain.yml is started: retrain-" in said
    (ran,) = ended(tiny, "retrain.yml")
    assert ran.verdict == "success"
    assert "told 2013-05 b true 3 2013-05 at refs/heads/main" in log_of(tiny, ran)
    tiny.git("switch", "-q", "-c", "topic")
    commit = tiny.commit()
    tiny.push("topic")
    told = tiny.pushforward(
        "runs", "start", "retrain.yml", "-f", "month=1", "-f", "dry=false", "--ref", "topic", "--json"
    )
    (started,) = json.loads(told)
    assert (started["commit"], started["on"], started["trusted"]) == (commit, "workflow_dispatch", False)
    ended(tiny, "retrain.yml", 2)
    assert "told 1 b false  1 at refs/heads/topic" in log_of(tiny, runs.named(tiny.server, started["id"]))
    for words, why in (
        (["retrain"], "input month is required"),
        (["retrain", "-f", "month=1", "-f", "kind=c"], "input kind is one of a, b, not 'c'"),
        (["retrain", "-f", "month=1", "-f", "dry=yes"], "input dry is a boolean, not 'yes'"),
        (["retrain", "-f", "month=1", "-f", "count=many"], "input count is a number, not 'many'"),
        (["retrain", "-f", "mont=1"], "it has no input mont; it has month, kind, dry, count\n  next: -f month=…"),
        (["train"], "train.yml is not started by hand"),
        (["nope"], "no workflow of main is called nope; by hand can be started: retrain"),
        (["retrain", "-f", "month=1", "--ref", "gone"], "the server has no branch or tag gone"),
    ):
        assert why in tiny.pushforward("runs", "start", *words, check=False)


def test_a_program_starts_what_hears_of_its_event_and_a_run_is_tried_again(tiny):
    on = "{repository_dispatch: {types: [data-arrived]}}"
    env = "env: {TOLD: '${{ github.event.action }} ${{ github.event.client_payload.month }}'}\n"
    tiny.commit({workflow("hear"): flow("hear", on, 'echo "told $TOLD"; exit 1', env)} | lists(tiny, "hear"))
    tiny.push("main")
    tiny.pushforward("runs", "start", "--event", "data-arrived", "--payload", '{"month": "2013-05"}')
    (ran,) = ended(tiny, "hear.yml")
    assert ran.verdict == "failure"
    assert "told data-arrived 2013-05" in log_of(tiny, ran)
    tiny.pushforward("runs", "retry", ran.job.id)
    tiny.wait(lambda: (run := runs.named(tiny.server, ran.job.id)).final and run.started > ran.started)
    (again,) = ended(tiny, "hear.yml")
    assert again.started > ran.started
    assert again.verdict == "failure"
    said = tiny.pushforward("runs", "start", "--event", "other", check=False)
    assert "no workflow of main answers to a repository_dispatch of type other; types heard of are data-arrived" in said
    assert "no object of JSON" in tiny.pushforward("runs", "start", "--event", "x", "--payload", "[1]", check=False)


def test_what_can_never_start_here_is_refused_by_name_where_it_is_pushed(tiny):
    commit = tiny.commit({workflow("triage"): flow("triage", "issues")} | lists(tiny, "triage"))
    tiny.push("main")
    assert tiny.reason(commit) == (
        ".github/workflows/triage.yml:2: on.issues never happens here: nothing like it happens to a plain repository"
    )
