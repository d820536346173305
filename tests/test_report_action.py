"""The scripts of the report action, with a forge that answers from a table: never fatal, never silent, never twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ACTION = Path(__file__).parent.parent / ".github" / "actions" / "report"
URL = "https://example.org/comment/1"
HEAD = "4f1c2ab9" * 5

# Answers the n-th call with the n-th line of its table, the last one for ever: exit status, standard output, and
# standard error, tab by tab. Notes the words of each call.
STUB = """#!/bin/sh
name=$(basename "$0")
calls="$STUBS/$name.calls"
printf '%s\\037' "$@" >>"$calls"
printf '\\n' >>"$calls"
number=$(wc -l <"$calls")
line=$(sed -n "${number}p" "$STUBS/$name.table")
[ -n "$line" ] || line=$(tail -n 1 "$STUBS/$name.table")
printf '%s' "$(printf '%s' "$line" | cut -f 2)"
printf '%s' "$(printf '%s' "$line" | cut -f 3)" >&2
exit "$(printf '%s' "$line" | cut -f 1)"
"""


class Forge:
    """Stand-ins for gh, cml and sleep on PATH."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("gh", "cml", "sleep"):
            (folder / name).write_text(STUB)
            (folder / name).chmod(0o755)
            self.answer(name, (0, "", ""))

    def answer(self, name, *answers):
        lines = ["\t".join(map(str, answer)) for answer in answers]
        (self.folder / f"{name}.table").write_text("\n".join(lines) + "\n")

    def calls(self, name):
        path = self.folder / f"{name}.calls"
        return [line.split("\x1f")[:-1] for line in path.read_text().splitlines()] if path.exists() else []

    def run(self, script, argument):
        env = {
            "PATH": f"{self.folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": os.environ["HOME"],
            "STUBS": str(self.folder),
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_REPOSITORY": "ann/flights",
            "GITHUB_SERVER_URL": "https://example.org",
            "HEAD": HEAD,
            "CML": "cml --driver=github",
        }
        command = ["bash", str(ACTION / script), str(argument)]
        done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=self.folder, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def forge(tmp_path):
    folder = tmp_path / "forge"
    folder.mkdir()
    return Forge(folder)


def status(forge, word="promote", reason="log loss falls by 0.0071"):
    verdict = forge.folder / "verdict.json"
    verdict.write_text(json.dumps({"verdict": word, "reason": reason}, ensure_ascii=False))
    said = forge.run("status.sh", verdict)
    calls = forge.calls("gh")
    return said, dict(word.split("=", 1) for word in calls[-1] if "=" in word) if calls else {}


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("promote", "success"),
        ("identical", "success"),
        ("hold", "failure"),
        ("unknown", "failure"),
        ("calibration-only", "failure"),
        ("invalid", "error"),
        ("a word of a later version", "failure"),
    ],
)
def test_each_verdict_has_its_state(forge, word, state):
    said, fields = status(forge, word)
    assert said == ""
    assert fields == {"state": state, "context": "pushforward", "description": f"{word}: log loss falls by 0.0071"}
    assert forge.calls("gh")[0][:4] == ["api", "--method", "POST", f"repos/ann/flights/statuses/{HEAD}"]


@pytest.mark.parametrize("reason", ["x" * 139, "− ✓ é " * 100])
@pytest.mark.parametrize("word", ["hold", "calibration-only"])
def test_a_long_reason_is_cut_to_what_the_forge_takes(forge, word, reason):
    _, fields = status(forge, word, reason)
    assert fields["description"].startswith(f"{word}: {reason[:100]}")
    assert len(fields["description"]) <= 140


def test_a_reason_is_text_and_nothing_else(forge):
    reason = "$(touch PWNED) `id` \"x\" 'y' ${HOME} @/etc/passwd %0A::error::"
    _, fields = status(forge, reason=reason)
    assert fields["description"] == f"promote: {reason}"
    assert not (forge.folder / "PWNED").exists()


def test_a_status_that_the_forge_refuses_is_a_warning(forge):
    forge.answer("gh", (1, '{"message":"Not Found"}', "gh: Not Found (HTTP 404)"))
    said, _ = status(forge)
    assert said.endswith("::warning::the commit status could not be set\n")
    assert len(forge.calls("gh")) == 1


@pytest.mark.parametrize("text", [None, "", "{", "{}", "[]"])
def test_without_a_verdict_no_status_is_set(forge, text):
    verdict = forge.folder / "verdict.json"
    if text is not None:
        verdict.write_text(text)
    forge.run("status.sh", verdict)
    assert forge.calls("gh") == []


@pytest.fixture
def report(forge):
    path = forge.folder / "report.md"
    path.write_text("## Promote\n")
    forge.answer("gh", (0, "17", ""))
    return path


def pauses(forge):
    return [int(call[0]) for call in forge.calls("sleep")]


def error(message):
    return (1, "", '{"level":"error","message":"' + message + '","stack":"at post"}')


def test_one_comment_is_posted_to_the_pull_request_that_the_forge_names(forge, report):
    forge.answer("cml", (0, URL, ""))
    assert forge.run("comment.sh", report) == f"{URL}\n"
    (call,) = forge.calls("cml")
    assert call[:4] == ["--driver=github", "comment", "update", "--no-publish"]
    assert {"--target=pr/17", "--watermark-title=pushforward", "--repo=https://example.org/ann/flights"} < set(call)
    assert call[-1] == str(report)
    (asked,) = forge.calls("gh")
    assert asked[:2] == ["api", f"repos/ann/flights/commits/{HEAD}/pulls"]
    assert pauses(forge) == []


def test_without_an_open_pull_request_there_is_a_warning_and_no_comment(forge, report):
    forge.answer("gh", (0, "", ""))
    assert forge.run("comment.sh", report) == f"::warning::no open pull request has the head {HEAD}\n"
    assert forge.calls("cml") == []


def test_where_the_forge_does_not_say_which_there_is_a_warning_and_no_comment(forge, report):
    forge.answer("gh", (1, '{"message":"Not Found","status":"404"}', "gh: Not Found (HTTP 404)"))
    assert "::warning::" in forge.run("comment.sh", report)
    assert forge.calls("cml") == []


@pytest.mark.parametrize("bad", [(1, "", "503"), (0, "", ""), (1, URL, "cut off")], ids=["error", "empty", "both"])
def test_an_answer_that_does_not_count_is_tried_again(forge, report, bad):
    forge.answer("cml", bad, bad, (0, URL, ""))
    assert forge.run("comment.sh", report) == f"{URL}\n"
    assert len(forge.calls("cml")) == 3
    assert pauses(forge) == [5, 20]


def test_after_three_tries_there_is_a_warning_with_the_reason(forge, report):
    forge.answer("cml", error("Server Error"))
    assert forge.run("comment.sh", report) == "::warning::the report could not be posted: Server Error\n"
    assert len(forge.calls("cml")) == 3


@pytest.mark.parametrize(
    "message", ["Bad credentials", "Resource not accessible by integration", "Body is too long (maximum is 65536)"]
)
def test_what_another_try_cannot_mend_is_not_tried_again(forge, report, message):
    forge.answer("cml", error(message))
    assert forge.run("comment.sh", report) == f"::warning::the report could not be posted: {message}\n"
    assert len(forge.calls("cml")) == 1
    assert pauses(forge) == []


def test_a_program_that_is_missing_is_a_warning(forge, report):
    (forge.folder / "cml").unlink()
    assert forge.run("comment.sh", report).startswith("::warning::the report could not be posted")


def test_settings_of_the_runner_are_not_touched(forge, report):
    forge.answer("cml", (0, URL, ""))
    (forge.folder / "cml").write_text('#!/bin/sh\necho "$GIT_CONFIG_GLOBAL $ITERATIVE_DO_NOT_TRACK"\n')
    before = (Path(os.environ["HOME"]) / ".gitconfig").read_text()
    assert forge.run("comment.sh", report) == f"{forge.folder}/gitconfig-cml 1\n"
    assert (Path(os.environ["HOME"]) / ".gitconfig").read_text() == before
