"""Runs of real workflows by act: results, limits, what hostile code can do, what is kept of a run."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pushforward.actions import act as run
from pushforward.actions import log as actlog
from pushforward.actions import place, runlog, supervisor, workflow
from pushforward.actions.event import Event, Repository
from pushforward.actions.lint import STAND_INS
from pushforward.actions.log import Mask, Progress, Reader
from pushforward.actions.result import WorkflowResult
from pushforward.errors import PushforwardError
from pushforward.sandbox import jail
from pushforward.sandbox.jail import Jail, Policy

pytestmark = pytest.mark.whole

USES = {name.partition("/")[2]: f"{name}@{sha}" for name, sha in STAND_INS.items()}
CHECKOUT = f"{{uses: {USES['checkout']}}}"

# act may end before it has read what a step on a busy machine has written last.
READ = "sleep 0.5"


def best() -> Jail:
    return jail.find(trust=True)


def isolating() -> Jail:
    found = best()
    if found.kind == "none":
        pytest.skip("NOT TESTED HERE: nothing on this machine isolates runs")
    return found


@dataclass
class Project:
    """A clone and its bare repository, and runs of what is committed."""

    folder: Path
    runs: int = 0
    seen: list[Progress] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bare = self.folder / "flights.git"
        self.clone = self.folder / "clone"
        self.git("init", "-q", "--bare", "-b", "main", str(self.bare), cwd=self.folder)
        self.git("clone", "-q", str(self.bare), str(self.clone), cwd=self.folder)

    def git(self, *args: str, cwd: Path | None = None) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
        done = subprocess.run(
            ["git", *identity, *args], cwd=cwd or self.clone, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str], branch: str = "main") -> str:
        self.git("checkout", "-q", "-B", branch)
        for name, text in files.items():
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a change")
        self.git("push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def run(
        self,
        text: str,
        *,
        files: dict[str, str] | None = None,
        event: Callable[[str], Event] = lambda sha: Event("push", sha, "refs/heads/main"),
        policy: Policy | None = None,
        cage: Jail | None = None,
        cancel: threading.Event | None = None,
        **options: object,
    ) -> WorkflowResult:
        sha = self.commit({".github/workflows/ci.yml": text, **(files or {})})
        self.runs += 1
        self.seen.clear()
        return run.run_workflow(
            workflow.load("ci.yml", text),
            event(sha),
            run.Setup(
                repository=Repository(self.bare, "acme/flights"),
                folder=self.folder / f"run-{self.runs}",
                artifacts=self.artifacts,
                jail=cage or best(),
                policy=policy or Policy(),
                run_id=41,
                **options,  # type: ignore[arg-type]
            ),
            on_event=self.seen.append,
            cancel=cancel,
        )

    @property
    def artifacts(self) -> Path:
        return self.folder / f"artifacts-{self.runs}"

    @property
    def summary(self) -> str:
        return "\n".join(one.text for one in self.seen if one.kind == "summary")

    @property
    def output(self) -> str:
        return "\n".join(progress.text for progress in self.seen if progress.kind == "output")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def one_job(script: str, *, checkout: bool = False, extra: str = "") -> str:
    lines = "\n".join(f"          {line}" for line in script.strip().splitlines())
    first = f"      - {CHECKOUT}\n" if checkout else ""
    return (
        f"on: [push, pull_request]\njobs:\n  one:\n    runs-on: ubuntu-latest\n{extra}    steps:\n{first}"
        f"      - name: work\n        shell: bash\n        run: |\n{lines}\n"
    )


WHOLE = f"""
name: train
on: push
defaults: {{run: {{shell: bash}}}}
jobs:
  make:
    runs-on: ubuntu-latest
    outputs: {{word: "${{{{ steps.say.outputs.word }}}}"}}
    steps:
      - {CHECKOUT}
      - uses: ./.github/actions/setup
      - id: say
        name: say a word
        run: |
          cat a.txt
          echo word=kiwi >>"$GITHUB_OUTPUT"
          echo "## Report" >>"$GITHUB_STEP_SUMMARY"
          echo "::notice file=a.py,line=3::look here"
          mkdir -p out/deep; echo 1 >out/one; echo 2 >out/deep/two; ln -s /etc/passwd out/link
      - run: false
        continue-on-error: true
      - uses: {USES["upload-artifact"]}
        with: {{name: model, path: out, if-no-files-found: error}}
  use:
    needs: make
    runs-on: ubuntu-latest
    steps:
      - uses: {USES["download-artifact"]}
        with: {{name: model, path: in, run-id: 5, github-token: x}}
      - run: cat in/one in/deep/two; ls in | cat; echo "$WORD"
        env: {{WORD: "${{{{ needs.make.outputs.word }}}}"}}
      - if: ${{{{ false }}}}
        uses: {USES["cache"]}
"""
SETUP = f"""
runs:
  using: composite
  steps:
    - uses: {USES["setup-python"]}
    - uses: {USES["setup-uv"]}
"""


@pytest.mark.parametrize("kind", ["bubblewrap", "unshare", "none"])
def test_a_workflow_with_jobs_artifacts_outputs_and_summary_succeeds(project: Project, kind: jail.Kind) -> None:
    if failure := jail.failure_of(Jail(kind)):
        pytest.skip(f"NOT TESTED HERE: {failure}")
    result = project.run(WHOLE, files={"a.txt": "hello\n", ".github/actions/setup/action.yml": SETUP}, cage=Jail(kind))
    assert (result.conclusion, result.errors, result.workflow) == ("success", (), "train")
    assert [(job.name, job.result) for job in result.jobs] == [("make", "success"), ("use", "success")]
    assert [step.name for step in result.jobs[0].steps][:3] == [
        "actions/checkout",
        "./.github/actions/setup",
        "say a word",
    ]
    assert project.summary == "## Report\n"
    assert (project.artifacts / "model/deep/two").read_text() == "2\n"
    assert not (project.artifacts / "model/link").exists()
    assert project.output.splitlines()[-5:] == ["1", "2", "deep", "one", "kiwi"]
    kinds = [progress.kind for progress in project.seen]
    assert kinds[0] == "job-start"
    assert kinds[-2:] == ["job-end", "summary"]
    assert Progress("notice", "a.py:3: look here", "make", "say a word") in project.seen
    folder = result.log.parent
    assert sorted(path.name for path in folder.iterdir()) == ["input", "log.jsonl", "log.txt"]
    assert "step say a word: success" in result.log.read_text()


def test_a_failing_step_is_named_and_what_needs_its_job_is_skipped(project: Project) -> None:
    text = (
        one_job(f"echo before\n{READ}\nexit 3")
        + "  two: {needs: one, runs-on: ubuntu-latest, steps: [{run: 'true'}]}\n"
    )
    result = project.run(text)
    assert result.conclusion == "failure"
    assert result.errors == ("one / work: exit status 3",)
    assert (result.cause.text, result.own) == ("ci.yml: one / work: before", True)
    assert [(job.id, job.result) for job in result.jobs] == [("one", "failure"), ("two", "skipped")]
    ended = next(progress for progress in project.seen if progress.kind == "step-end")
    assert (ended.step, ended.result) == ("work", "failure")


@pytest.mark.parametrize(
    ("script", "told", "own"),
    [
        ("frobnicate", "ci.yml: one / work: frobnicate: command not found", True),
        (
            "echo 'pushforward: the remote has lost it'; " + READ + "; exit 6",
            "ci.yml: one / work: the remote has lost it",
            False,
        ),
        (
            "echo '::error file=a.py,line=3::no such column'; " + READ + "; exit 1",
            "ci.yml: one / work: a.py:3: no such column",
            True,
        ),
        (
            "echo round 9; " + READ + "; exit 137",
            "ci.yml: one / work: it was killed, as happens where memory runs out",
            False,
        ),
    ],
    ids=["no command", "a tool", "annotated", "killed"],
)
def test_the_first_cause_of_a_step_is_told_and_whose_it_is(project: Project, script: str, told: str, own: bool) -> None:
    result = project.run(one_job(script))
    assert result.cause.text.startswith(told)
    assert result.own is own


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("runs-on: ubuntu-latest", "runs-on: [self-hosted, gpu]", "ci.yml:4: job one: runs-on self-hosted, gpu"),
        (
            "runs-on: ubuntu-latest",
            "runs-on: ubuntu-latest\n    container: a",
            "ci.yml:5: job one: containers do not run",
        ),
        ("echo here", "echo ${{ matrix. }}", "ci.yml:"),
    ],
    ids=["no such runner", "container", "expression"],
)
def test_a_workflow_that_cannot_run_says_why_and_has_itself_to_blame(
    project: Project, old: str, new: str, told: str
) -> None:
    text = one_job("echo here")
    assert old in text
    result = project.run(text.replace(old, new))
    assert result.cause.text.startswith(told)
    assert result.cause.next == "edit .github/workflows/ci.yml"
    assert (result.own, result.conclusion) == (True, "failure")


@pytest.mark.parametrize(
    ("job", "why"),
    [
        ("{runs-on: windows-latest, steps: [{run: 'true'}]}", "runs-on windows-latest"),
        ("{runs-on: ubuntu-latest, services: {db: {image: postgres}}, steps: [{run: 'true'}]}", "services"),
        ("{runs-on: ubuntu-latest, steps: [{uses: acme/secret@v1}]}", "pin it by a full commit SHA"),
    ],
)
def test_what_act_would_turn_green_is_refused_before_it_starts(project: Project, job: str, why: str) -> None:
    result = project.run(f"on: push\njobs: {{one: {job}}}\n")
    assert result.conclusion == "failure"
    assert why in result.errors[0]
    assert why in project.seen[0].text
    assert why in result.log.read_text()


def test_what_act_skips_for_want_of_a_runner_is_an_error() -> None:
    reader = Reader(time.monotonic)
    told = list(reader.read({"job": "ci/a", "msg": "🚧  Skipping unsupported platform -- Try `-P x=...`"}))
    assert reader.unsupported
    assert told[0].kind == "error"
    assert "Skipping unsupported platform" in reader.errors[0]


def test_no_log_makes_its_reader_keep_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actlog, "MAX_JOBS", 3)
    monkeypatch.setattr(actlog, "MAX_STEPS", 5)
    reader = Reader(time.monotonic)
    step = {"stage": "Main", "step": "s"}
    told = [one for n in range(9) for one in reader.read({"job": f"j{n}"})]
    told += [one for n in range(9) for one in reader.read({"job": "j0", "stepID": [f"{n}"], **step})]
    kinds = [one.kind for one in told]
    assert (kinds.count("job-start"), kinds.count("step-start"), kinds.count("error")) == (3, 5, 2)
    assert reader.errors == ["the log tells of more than 3 jobs", "the log tells of more than 5 steps"]
    assert [len(job.steps) for job in reader.results()] == [5, 0, 0]


def test_the_summaries_of_a_run_are_bounded_in_all() -> None:
    reader = Reader(time.monotonic)
    entry = {"job": "j", "stepID": ["1"], "command": "summary", "content": "x" * 600_000}
    told = [one for _ in range(4) for one in reader.read(entry) if one.kind == "summary"]
    assert [len(one.text) for one in told] == [600_000, actlog.MAX_SUMMARY - 600_000]
    assert sum(len(one.text) for one in told) == actlog.MAX_SUMMARY


def test_a_log_is_bounded_in_bytes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlog, "MAX_LOG", 4000)
    result = project.run(one_job("for n in $(seq 100); do printf '%0.s€' $(seq 100); echo; done"))
    assert "cut: the log is full" in result.log.read_text()
    assert 3000 < result.log.stat().st_size < 4200


def test_a_workflow_that_act_cannot_run_is_red_with_acts_reason(project: Project) -> None:
    result = project.run(one_job("true", extra="    if: ${{ nonsense( }}\n"))
    assert result.conclusion == "failure"
    assert result.errors
    assert not any(job.result == "success" for job in result.jobs)


def test_jobs_whose_conditions_are_false_make_a_skipped_run(project: Project) -> None:
    result = project.run(one_job("exit 1", extra="    if: false\n"))
    assert (result.conclusion, result.errors) == ("skipped", ())
    assert [(job.id, job.result) for job in result.jobs] == [("one", "skipped")]


@pytest.mark.parametrize(
    ("extra", "limit", "conclusion", "why"),
    [
        ("", 1.0, "timed-out", "the run took longer than it may"),
        ("    timeout-minutes: 0.015\n", None, "timed-out", "job one took longer than its 0.015 minutes"),
    ],
)
def test_limits_of_run_and_job_end_it_and_cleaning_steps_still_run(
    project: Project, extra: str, limit: float | None, conclusion: str, why: str
) -> None:
    text = one_job("sleep 60", extra=extra) + "      - {if: always(), run: echo tidied}\n"
    started = time.monotonic()
    result = project.run(text, limit=limit)
    assert time.monotonic() - started < 8
    assert (result.conclusion, result.errors[-1]) == (conclusion, why)
    assert "tidied" in project.output


def test_a_step_that_ignores_the_polite_end_is_ended_hard(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "GRACE", 0.5)
    text = one_job("sleep 60") + "      - {if: always(), run: \"trap '' INT TERM HUP; sleep 60\"}\n"
    started = time.monotonic()
    result = project.run(text, limit=0.7)
    assert result.conclusion == "timed-out"
    assert time.monotonic() - started < 8


def test_a_run_can_be_cancelled(project: Project) -> None:
    cancel = threading.Event()
    timer = threading.Timer(0.7, cancel.set)
    timer.start()
    result = project.run(one_job("sleep 60"), cancel=cancel)
    timer.join()
    assert (result.conclusion, result.errors[-1]) == ("cancelled", "the run was cancelled")


def test_configuration_of_act_in_the_repository_has_no_effect(project: Project) -> None:
    hostile = {
        ".actrc": "--env GITHUB_REPOSITORY=evil/evil\n--env EVIL=1\n",
        ".env": "EVIL=2\n",
        ".secrets": "EVIL=3\n",
        ".vars": "EVIL=4\n",
        ".input": "EVIL=5\n",
    }
    everywhere = {f"{folder}{name}": text for folder in ("", ".github/") for name, text in hostile.items()}
    script = 'echo "[$EVIL${{ secrets.EVIL }}${{ vars.EVIL }}${{ inputs.EVIL }}] $GITHUB_REPOSITORY"'
    result = project.run(one_job(script, checkout=True), files=everywhere)
    assert result.conclusion == "success"
    assert project.output.splitlines()[-1] == "[] acme/flights"


def test_export_ignore_hides_nothing_and_links_lead_nowhere(project: Project, tmp_path: Path) -> None:
    (project.clone / ".github").mkdir()
    (project.clone / ".github/link").symlink_to("/etc/passwd")
    sha = project.commit({".gitattributes": ".github export-ignore\n", ".github/a b.sh": "x", "other": "y"})
    place.export(Repository(project.bare, "a/b"), sha, tmp_path / "out")
    files = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")]
    assert sorted(files) == [".github", ".github/a b.sh"]


def test_control_codes_and_secrets_reach_neither_the_follower_nor_the_logs(project: Project) -> None:
    secret, other = 'pa"ss $word\\1', "line one\nline two"
    script = """
printf '\\033]0;title\\007\\033[31mred\\033[0m \\033[2J\\xc2\\x9b31m \\xe2\\x80\\xae evil\\n'
printf 'progress 1%%\\rprogress 2%%\\n'
echo "$S"; echo "$O"; printf %s "$S" | base64
echo '::add-mask::zebra'
echo "::warning::zebra $S"
echo "zebra $S" >>"$GITHUB_STEP_SUMMARY"
sleep 0.5  # act drops what a step says in the instant before it ends
exit 1
"""
    text = one_job(script) + "        env: {S: '${{ secrets.S }}', O: '${{ secrets.O }}'}\n"
    result = project.run(text, secrets={"S": secret, "O": other})
    everything = project.summary + repr(result) + repr(project.seen) + result.log.read_text()
    everything += (result.log.parent / "log.jsonl").read_text()
    for word in (secret, json.dumps(secret)[1:-1], "line one", "line two", "zebra", "cGEic3Mg"):
        assert word not in everything, word
    assert project.output.splitlines()[:5] == ["red   evil", "progress 2%", "***", "***", "***"]
    shown = result.log.read_text() + project.output + project.summary
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert project.summary == "*** ***\n"


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as outside:
        yield outside.getsockname()[1]


def test_untrusted_code_finds_no_secret_no_network_and_nothing_to_write(
    project: Project, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "canary-in-the-environment")
    (project.bare / "pushforward").mkdir()
    (project.bare / "pushforward/token").write_text("canary-in-the-server")
    (project.folder / "secret").write_text("canary-in-a-file")
    script = f"""
exec 2>&1; set +e
env; cat /proc/*/environ; cat {project.folder}/secret "$PUSHFORWARD_REPOSITORY"/pushforward/token
(: </dev/tcp/127.0.0.1/{listener}) && echo REACHED
git push origin HEAD:refs/heads/evil && echo PUSHED
git --git-dir="$PUSHFORWARD_REPOSITORY" update-ref refs/heads/evil HEAD && echo WROTE
echo x >>"$PUSHFORWARD_REPOSITORY/config" && echo WROTE
echo x >>"$PUSHFORWARD_REPOSITORY/objects/info/alternates" && echo WROTE
rm -rf "$PUSHFORWARD_REPOSITORY"
ln -s /etc/passwd "$PUSHFORWARD_ARTIFACTS/link"; mkfifo "$PUSHFORWARD_ARTIFACTS/pipe"
mkdir -p a/b; echo still here; sleep 0.5; chmod -R 000 .
"""
    result = project.run(one_job(script, checkout=True), cage=isolating())
    assert "still here" in project.output
    for word in ("canary", "REACHED", "PUSHED", "WROTE"):
        assert word not in project.output
    assert (project.bare / "pushforward/token").exists()
    project.git("fsck", "--strict", cwd=project.bare)
    assert project.git("for-each-ref", "--format=%(refname)", cwd=project.bare).split() == ["refs/heads/main"]
    assert list(project.artifacts.iterdir()) == []
    assert not (result.log.parent / "box").exists()


@pytest.mark.parametrize("kind", ["bubblewrap", "unshare", "none"])
def test_a_daemon_that_a_step_leaves_behind_is_dead_afterwards(project: Project, kind: jail.Kind) -> None:
    if failure := jail.failure_of(Jail(kind)):
        pytest.skip(f"NOT TESTED HERE: {failure}")
    alive = project.folder / "shared"
    alive.mkdir()
    script = f"""
setsid nohup bash -c 'while :; do date +%N >{alive}/time; sleep 0.05; done' >/dev/null 2>&1 </dev/null &
for i in $(seq 50); do [ -e {alive}/time ] && break; sleep 0.05; done
"""
    result = project.run(one_job(script), policy=Policy(writable=(alive,)), cage=Jail(kind))
    assert result.conclusion == "success"
    before = (alive / "time").read_text()
    time.sleep(0.3)
    assert (alive / "time").read_text() == before


def test_a_pull_request_is_checked_out_as_its_merge_commit_and_other_refs_on_demand(project: Project) -> None:
    base = project.commit({"a": "base\n"})
    text = one_job('cat a; cat main/a; echo "$GITHUB_REF $GITHUB_HEAD_REF $GITHUB_BASE_REF"; cat .dvc/config.local')
    more = f"      - {{uses: {USES['checkout']}, with: {{ref: main, path: main, fetch-depth: 0}}}}\n"
    text = text.replace("      - name: work\n", f"      - {CHECKOUT}\n{more}      - name: work\n")
    head = project.commit({"a": "topic\n", ".dvc/config": "", ".github/workflows/ci.yml": text}, branch="topic")
    tree = project.git("rev-parse", "HEAD^{tree}")
    project.git("checkout", "-q", "main")
    (project.folder / "dvc.config").write_text("[cache]\n")

    def event(sha: str) -> Event:
        # made in the bare repository: only refs/pull/7/merge holds it
        merge = project.git("commit-tree", tree, "-p", base, "-p", head, "-m", "merge", cwd=project.bare)
        project.git("update-ref", "refs/pull/7/merge", merge, cwd=project.bare)
        return Event(
            "pull_request",
            merge,
            "refs/pull/7/merge",
            action="opened",
            number=7,
            base="main",
            base_sha=base,
            head="topic",
            head_sha=head,
        )

    result = project.run(
        text,
        event=event,
        env={"PUSHFORWARD_DVC_CONFIG": str(project.folder / "dvc.config")},
    )
    assert result.conclusion == "success", result.errors
    assert project.output.splitlines()[-4:] == ["topic", "base", "refs/pull/7/merge topic main", "[cache]"]


def test_steps_know_the_run_and_see_a_calm_terminal(project: Project) -> None:
    script = 'echo "$PUSHFORWARD_RUN|$EXTRA|$PAGER|$NO_COLOR|$TERM|$GITHUB_SHA|$GITHUB_RUN_ID|$CI"'
    result = project.run(one_job(script), env={"EXTRA": "given"})
    sha = project.git("rev-parse", "HEAD")
    assert result.conclusion == "success"
    assert project.output == f"41|given|cat|1|dumb|{sha}|41|true"


def test_a_reusable_workflow_of_this_repository_runs(project: Project) -> None:
    called = one_job("echo inside").replace("on: [push, pull_request]", "on: workflow_call")
    text = "on: push\njobs:\n  call: {uses: ./.github/workflows/called.yml}\n"
    result = project.run(text, files={".github/workflows/called.yml": called})
    assert (result.conclusion, project.output) == ("success", "inside")


def test_logs_are_bounded(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlog, "MAX_LOG", 20_000)
    monkeypatch.setattr(actlog, "MAX_OUTPUT_LINES", 100)
    result = project.run(one_job("seq 5000; head -c 3000000 /dev/zero | tr '\\0' x; echo; exit 1"))
    assert result.errors == ("one / work: exit status 1",)
    assert [path.stat().st_size < 25_000 for path in result.log.parent.glob("log.*")] == [True, True]
    assert len(project.output.splitlines()) == 101


def test_a_run_that_writes_without_end_is_ended(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "MAX_READ", 1_000_000)
    result = project.run(one_job("yes"))
    assert result.conclusion == "failure"
    assert "one / work: more than 0 MiB of output" in result.errors[-1]


def test_every_run_has_a_folder_of_its_own(project: Project) -> None:
    (project.folder / "run-1").mkdir()
    (project.folder / "run-1/left").touch()
    with pytest.raises(PushforwardError, match="is not empty"):
        project.run(one_job("true"))


def test_a_mask_hides_the_longest_secret_first_and_leaves_the_rest() -> None:
    mask = Mask(["ab", "abc", " "])
    assert mask.apply_all({"k": ["xabcx", {"ab": 1}]}) == {"k": ["x***x", {"***": 1}]}
    assert Mask([]).apply("as it is") == "as it is"


def test_the_environment_of_this_process_is_left_alone(project: Project) -> None:
    before = dict(os.environ)
    project.run(one_job("true"))
    assert dict(os.environ) == before


LATER = "      - name: later\n        run: echo later\n"
LOUD = "head -c 3000000 /dev/zero | tr '\\0' x; echo; sleep 5"


def test_a_line_that_is_too_long_is_said_once_and_the_run_goes_on(project: Project) -> None:
    result = project.run(one_job(f"{LOUD[: -len('; sleep 5')]}\n{LOUD[: -len('; sleep 5')]}") + LATER)
    assert (result.conclusion, [step.name for step in result.jobs[0].steps]) == ("success", ["work", "later"])
    warnings = [told.text for told in project.seen if told.kind == "warning"]
    assert warnings == ["one / work: a line of more than 1 MiB of output is left out"]


def test_a_run_that_says_too_much_is_told_which_step_and_is_no_success(project: Project, monkeypatch) -> None:
    monkeypatch.setattr(supervisor, "MAX_READ", 1 << 20)
    result = project.run(one_job(LOUD) + LATER)
    why = "one / work: more than 1 MiB of output; print less, or into a file"
    assert (result.conclusion, result.errors[-1]) == ("failure", why)
    assert f"error: {why}\n" in result.log.read_text()
    assert [job.result for job in result.jobs] != ["success"]


@pytest.mark.parametrize("name", ["my team", 'it\'s "ours"\t{x} #1 \\ *?[a] $HOME', "-é & co; (数)"])
@pytest.mark.parametrize("kind", ["bubblewrap", "unshare", "none"])
def test_a_path_that_a_shell_would_cut_is_none_that_steps_are_run_from(
    tmp_path: Path, name: str, kind: jail.Kind
) -> None:
    if failure := jail.failure_of(Jail(kind)):
        pytest.skip(f"NOT TESTED HERE: {failure}")
    (tmp_path / name).mkdir()
    project = Project(tmp_path / name)
    upload = f"      - uses: {USES['upload-artifact']}\n        with: {{name: made, path: b.txt}}\n"
    script = one_job('cp a.txt b.txt\necho "home $HOME"', checkout=True) + upload
    result = project.run(script, files={"a.txt": "kiwi\n"}, cage=Jail(kind))
    assert (result.conclusion, result.errors) == ("success", ())
    assert (project.artifacts / "made" / "b.txt").read_text() == "kiwi\n"
    home = Path(project.output.partition("home ")[2].splitlines()[0])
    assert place.PLAIN_PATH.fullmatch(str(home))
    assert not home.exists(), "nothing of it stays"
