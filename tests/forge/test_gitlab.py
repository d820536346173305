"""What waits at a GitLab's desk, and its artifacts: an archive that the author of a merge request may have made."""

import io
import zipfile

import pytest
from tests import desk_double
from tests.desk_double import BOT, packed
from tests.forge.test_desk import of_gitlab
from tests.github_double import DROPPED, HALF, Fault

from pushforward.errors import TOOL, PushforwardError
from pushforward.forge import gitlab
from pushforward.forge.desk import Waiting

A, B = "a" * 40, "b" * 40


@pytest.fixture
def double():
    with desk_double.serve(desk_double.GitLab()) as made:
        yield made


@pytest.fixture
def desk(double):
    made = gitlab.GitLab.of(of_gitlab(double))
    made.api.pause = lambda _: None
    return made


def test_what_was_trained_waits_once(double, desk):
    double.open(5, A)
    double.open(6, B, "other", target="release")
    double.open(7, B, "third")
    job = double.train(5, A, {})
    assert list(desk.waiting()) == [Waiting(A, "topic", 5, f"100/{job}")]
    desk.set_status(Waiting(A, "topic", 5, f"100/{job}"), "failure", "hold: no", final=True)
    assert list(desk.waiting()) == []
    again = double.train(5, A, {})
    assert [one.run for one in desk.waiting()] == [f"101/{again}"], "a run that was started again is judged again"


def test_what_could_not_be_judged_waits_on(double, desk):
    double.open(5, A)
    job = double.train(5, A, {})
    desk.set_status(Waiting(A, "topic", 5, f"100/{job}"), "error", "no verdict", final=False)
    assert len(list(desk.waiting())) == 1


def test_a_status_of_somebody_else_says_nothing(double, desk):
    double.open(5, A)
    job = double.train(5, A, {})
    forged = {"name": "pushforward", "target_url": f"https://x/#train-100/{job}", "author": {"username": "mallory"}}
    double.statuses.append({"sha": A, "status": "success", **forged})
    assert len(list(desk.waiting())) == 1


@pytest.mark.parametrize("status", ["running", "pending", "canceled", "skipped", "manual"])
def test_a_pipeline_that_has_not_ended_is_waited_for(double, desk, status):
    double.open(5, A)
    double.train(5, A, {})
    double.train(5, A, None, status=status)
    assert list(desk.waiting()) == []


def test_a_run_that_failed_is_judged_too(double, desk):
    double.open(5, A)
    double.train(5, A, None, status="failed")
    assert len(list(desk.waiting())) == 1


def test_a_pipeline_of_a_fork_or_of_an_earlier_head_says_nothing_of_this_one(double, desk):
    double.open(5, A)
    double.train(5, B, {})
    double.train(5, A, {})
    double.pipelines[-1]["project_id"] = 8
    assert list(desk.waiting()) == []


def test_more_merge_requests_than_fit_on_a_page(double, desk):
    for number in range(130):
        double.open(number, f"{number:040x}")
        double.train(number, f"{number:040x}", {})
    assert len(list(desk.waiting())) == 130


def test_an_artifact_is_taken_as_it_is(double, desk, tmp_path):
    job = double.train(5, A, {"handover/record.json": b"{}", "handover/models/a/b.bin": b"\0\1", "other/x": b"x"})
    desk.take(Waiting(A, "topic", 5, f"100/{job}"), tmp_path / "handover")
    found = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in (tmp_path / "handover").rglob("*.*")}
    assert found == {"handover/record.json": b"{}", "handover/models/a/b.bin": b"\0\1"}


def test_a_job_without_an_artifact_has_left_nothing(double, desk, tmp_path):
    job = double.train(5, A, None)
    desk.take(Waiting(A, "topic", 5, f"100/{job}"), tmp_path / "handover")
    assert not (tmp_path / "handover").exists()


@pytest.mark.parametrize(
    "fault", [HALF, DROPPED, Fault(500, "{}"), Fault(403, "{}")], ids=["half", "dropped", "500", "403"]
)
def test_half_an_artifact_is_none(double, desk, tmp_path, fault):
    job = double.train(5, A, {"handover/record.json": b"{}" * 5000})
    double.fail("GET", "artifacts", fault, times=9)
    with pytest.raises(PushforwardError, match=f"the artifact of job {job} cannot be taken") as failed:
        desk.take(Waiting(A, "topic", 5, f"100/{job}"), tmp_path / "handover")
    assert failed.value.exit_code == TOOL, "a sweep tries it again"
    assert not (tmp_path / "handover").exists()


def test_the_token_does_not_follow_an_artifact_to_another_server(double, desk, tmp_path):
    job = double.train(5, A, {"handover/record.json": b"{}"})
    with desk_double.serve(desk_double.GitLab()) as store:
        store.fail("GET", "elsewhere", Fault(404, "{}"))
        double.fail("GET", "artifacts", Fault(302, "", {"Location": f"{store.url}/elsewhere"}))
        desk.take(Waiting(A, "topic", 5, f"100/{job}"), tmp_path / "handover")
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


def test_a_status_that_is_there_already_is_no_failure(double, desk):
    said = Fault(400, '{"message": "Cannot transition status via :run from :running"}')
    double.fail("POST", "statuses", said)
    desk.set_status(Waiting(A, "topic", 5, ""), "success", "in", final=True)
    double.fail("POST", "statuses", Fault(400, '{"message": "something else"}'))
    with pytest.raises(PushforwardError, match="something else"):
        desk.set_status(Waiting(A, "topic", 5, ""), "success", "in", final=True)


def test_who_the_token_is(desk):
    assert desk.me() == BOT
