"""What waits at a GitLab's docket, and its artifacts: an archive that the author of a merge request may have made."""

import io
import zipfile

import pytest
from tests import docket_double
from tests.docket_double import BOT, packed
from tests.forge.test_docket import of_gitlab
from tests.github_double import DROPPED, HALF, Fault

from pushforward.errors import TOOL, PushforwardError
from pushforward.forge import gitlab
from pushforward.forge.docket import Waiting

A, B = "a" * 40, "b" * 40


@pytest.fixture
def double():
    with docket_double.serve(docket_double.GitLab()) as made:
        yield made


@pytest.fixture
def docket(double):
    made = gitlab.GitLab.of(of_gitlab(double))
    made.api.pause = lambda _: None
    return made


def test_what_was_trained_waits_once(double, docket):
    double.open(5, A)
    double.open(6, B, "other", target="release")
    double.open(7, B, "third")
    job = double.train(5, A, {})
    assert list(docket.waiting()) == [Waiting(A, "topic", 5, f"100/{job}")]
    docket.set_status(Waiting(A, "topic", 5, f"100/{job}"), "failure", "hold: no", final=True)
    assert list(docket.waiting()) == []
    again = double.train(5, A, {})
    assert [one.run for one in docket.waiting()] == [f"101/{again}"], "a run that was started again is judged again"


def test_what_waits_for_a_person_is_judged_again_only_where_its_run_was_started_again(double, docket):
    double.open(5, A)
    job = double.train(5, A, {})
    docket.set_status(Waiting(A, "topic", 5, f"100/{job}"), "pending", "unknown: who knows", final=True)
    assert double.pipelines[0]["status"] == "pending", "our own status is all that it waits for"
    assert list(docket.waiting()) == []
    jobs = double.pipelines[0]["jobs"]
    jobs[0] = {"id": 2000, "name": "train", "status": "running"}
    assert list(docket.waiting()) == []
    jobs[0]["status"] = "success"
    assert [one.run for one in docket.waiting()] == ["100/2000"]


def test_what_could_not_be_judged_waits_on(double, docket):
    double.open(5, A)
    job = double.train(5, A, {})
    docket.set_status(Waiting(A, "topic", 5, f"100/{job}"), "error", "no verdict", final=False)
    assert len(list(docket.waiting())) == 1


def test_a_status_of_somebody_else_says_nothing(double, docket):
    double.open(5, A)
    job = double.train(5, A, {})
    forged = {"name": "pushforward", "target_url": f"https://x/#train-100/{job}", "author": {"username": "mallory"}}
    double.statuses.append({"sha": A, "status": "success", **forged})
    assert len(list(docket.waiting())) == 1


@pytest.mark.parametrize("status", ["running", "pending", "canceled", "skipped", "manual"])
def test_a_pipeline_that_has_not_ended_is_waited_for(double, docket, status):
    double.open(5, A)
    double.train(5, A, {})
    double.train(5, A, None, status=status)
    assert list(docket.waiting()) == []


def test_a_run_that_failed_is_judged_too(double, docket):
    double.open(5, A)
    double.train(5, A, None, status="failed")
    assert len(list(docket.waiting())) == 1


def test_a_pipeline_of_a_fork_or_of_an_earlier_head_says_nothing_of_this_one(double, docket):
    double.open(5, A)
    double.train(5, B, {})
    double.train(5, A, {})
    double.pipelines[-1]["project_id"] = 8
    assert list(docket.waiting()) == []


def test_more_merge_requests_than_fit_on_a_page(double, docket):
    for number in range(130):
        double.open(number, f"{number:040x}")
        double.train(number, f"{number:040x}", {})
    assert len(list(docket.waiting())) == 130


def test_an_artifact_is_taken_as_it_is(double, docket, tmp_path):
    job = double.train(5, A, {"handover/record.json": b"{}", "handover/models/a/b.bin": b"\0\1", "other/x": b"x"})
    docket.take(Waiting(A, "topic", 5, f"100/{job}"), tmp_path / "handover")
    found = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in (tmp_path / "handover").rglob("*.*")}
    assert found == {"handover/record.json": b"{}", "handover/models/a/b.bin": b"\0\1"}


def test_a_job_without_an_artifact_has_left_nothing(double, docket, tmp_path):
    job = double.train(5, A, None)
    docket.take(Waiting(A, "topic", 5, f"100/{job}"), tmp_path / "handover")
    assert not (tmp_path / "handover").exists()


@pytest.mark.parametrize(
    "fault", [HALF, DROPPED, Fault(500, "{}"), Fault(403, "{}")], ids=["half", "dropped", "500", "403"]
)
def test_half_an_artifact_is_none(double, docket, tmp_path, fault):
    job = double.train(5, A, {"handover/record.json": b"{}" * 5000})
    double.fail("GET", "artifacts", fault, times=9)
    with pytest.raises(PushforwardError, match=f"the artifact of job {job} cannot be taken") as failed:
        docket.take(Waiting(A, "topic", 5, f"100/{job}"), tmp_path / "handover")
    assert failed.value.exit_code == TOOL, "a sweep tries it again"
    assert not (tmp_path / "handover").exists()


def test_the_token_does_not_follow_an_artifact_to_another_server(double, docket, tmp_path):
    job = double.train(5, A, {"handover/record.json": b"{}"})
    with docket_double.serve(docket_double.GitLab()) as store:
        store.fail("GET", "elsewhere", Fault(404, "{}"))
        double.fail("GET", "artifacts", Fault(302, "", {"Location": f"{store.url}/elsewhere"}))
        docket.take(Waiting(A, "topic", 5, f"100/{job}"), tmp_path / "handover")
        (headers,) = store.sent
    assert not [name for name in headers if "token" in name.lower() or "authorization" in name.lower()]


def archive(*names, link=False):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as out:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o120777 if link else 0o100644) << 16
            out.writestr(entry, "../../outside")
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "left"),
    [
        (archive("../outside", "/outside", "handoverx/a"), []),
        (archive("handover/../outside"), None),
        (archive("handover//etc/outside"), None),
        (archive("handover/link", link=True), ["handover/link"]),
        (archive("handover/a", "handover/a/b"), None),
        (b"no archive", None),
        (packed({"handover/a": b"x"})[:-9], None),
    ],
    ids=["beside", "up", "absolute", "link", "file and folder", "text", "cut"],
)
def test_an_archive_writes_nothing_but_plain_files_below_its_folder(tmp_path, content, left):
    folder = tmp_path / "far" / "in" / "handover"
    if left is None:
        with pytest.raises(PushforwardError) as failed:
            gitlab.unpack(content, folder)
        assert failed.value.exit_code != TOOL, "its author made it so; another try finds the same"
    else:
        gitlab.unpack(content, folder)
    found = [p for p in (tmp_path / "far").rglob("*") if not p.is_dir()]
    assert all(folder in p.parents for p in found)
    assert not any(p.is_symlink() for p in found)
    if left is not None:
        assert [p.relative_to(tmp_path / "far" / "in").as_posix() for p in found] == left


def test_a_status_that_is_there_already_is_no_failure(double, docket):
    said = Fault(400, '{"message": "Cannot transition status via :run from :running"}')
    double.fail("POST", "statuses", said)
    docket.set_status(Waiting(A, "topic", 5, ""), "success", "in", final=True)
    double.fail("POST", "statuses", Fault(400, '{"message": "something else"}'))
    with pytest.raises(PushforwardError, match="something else"):
        docket.set_status(Waiting(A, "topic", 5, ""), "success", "in", final=True)


def test_who_the_token_is(docket):
    assert docket.me() == BOT
