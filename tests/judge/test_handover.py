"""The hand-over as hostile data: whatever the run of the pushed code leaves, it is read whole or refused by name."""

import json
import os
import sys

import pytest

from pushforward.cause import Cause
from pushforward.errors import PushforwardError
from pushforward.judge import handover
from pushforward.pipeline.stages import Reproduction, Stage
from pushforward.settings import Server

DEEP = b"[" * (sys.getrecursionlimit() + 1)  # one more than is parsed
RECORD = {
    "schema": 1,
    "commit": "a" * 40,
    "stages": [{"name": "train", "outcome": "ran", "reason": "new stage", "seconds": 1.5}],
    "pulled": 2,
    "pushed": 3,
    "seconds": 2.5,
    "outcome": "ok",
    "message": "",
}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "handover"
    made.mkdir()
    (made / "run.json").write_text(json.dumps(RECORD))
    return made


def refusal(folder):
    with pytest.raises(PushforwardError) as refused:
        handover.read(folder)
    return refused.value.message


def test_what_was_written_is_read_again(tmp_path):
    root, folder = tmp_path / "root", tmp_path / "handover"
    for name in ("metrics/metrics.json", "metrics/learning.csv", "metrics/.gitignore", "model/a.ubj", "dvc.lock"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(f"\r\n{name} \0".encode())
    done = Reproduction([Stage("train", "ran", "x 1 → 2", 1.25)], 4, 5, 6.5, "refused", "row 7\nis bad")
    handover.write(root, folder, "b" * 40, done, "model")
    read = handover.read(folder)
    assert (read.commit, read.reproduction) == ("b" * 40, done)
    assert read.lock == b"\r\ndvc.lock \0"
    names = ("metrics/learning.csv", "metrics/metrics.json")
    assert read.metrics == {name: f"\r\n{name} \0".encode() for name in names}
    assert [path.name for path in (folder / "model").iterdir()] == ["a.ubj"]


DECLARES = b"""\
stages:
  train: {cmd: c, outs: [eval], metrics: [scores/auc.toml: {cache: false}, m.py: {cache: false}]}
metrics: [eval/deep.json, metrics/metrics.json]
"""


def test_metrics_that_dvc_yaml_declares_come_by_their_paths(tmp_path):
    root, folder = tmp_path / "root", tmp_path / "handover"
    paths = ("scores/auc.toml", "m.py", "eval/deep.json", "eval/other.json", "metrics/metrics.json")
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    (root / "dvc.yaml").write_bytes(DECLARES)
    handover.write(root, folder, "b" * 40, Reproduction(), None)
    wanted = ("eval/deep.json", "metrics/metrics.json", "scores/auc.toml")
    assert handover.read(folder).metrics == {path: path.encode() for path in wanted}


def test_numbers_that_the_lock_does_not_name_are_refused(folder):
    (folder / "declared").mkdir()
    (folder / "declared" / "metrics.json").write_bytes(b"{}")
    md5 = "99914b932bd37a50b983c5e7c90ae93b"
    lock = "schema: '2.0'\nstages:\n  a:\n    cmd: c\n    outs:\n    - {path: metrics.json, hash: md5, md5: %s}\n"
    (folder / "dvc.lock").write_text(lock % md5)
    assert handover.read(folder).metrics == {"metrics.json": b"{}"}
    (folder / "dvc.lock").write_text(lock % md5[::-1])
    assert refusal(folder) == "the hand-over's metrics.json is not the one that its dvc.lock names"


def test_a_link_among_the_declared_metrics_is_no_metric(folder, tmp_path):
    (folder / "declared").mkdir()
    (folder / "declared" / "metrics.json").symlink_to(tmp_path)
    with pytest.raises(PushforwardError, match=r"metrics\.json is no plain file"):
        handover.read_metrics(folder)


def test_writing_again_leaves_nothing_of_before(folder, tmp_path):
    (folder / "predictions.parquet").write_bytes(b"old")
    (tmp_path / "root").mkdir()
    handover.write(tmp_path / "root", folder, "b" * 40, Reproduction(), "model")
    assert [path.name for path in folder.iterdir()] == ["run.json"]
    read = handover.read(folder)
    assert (read.lock, read.metrics, read.reproduction.stages) == (b"", {}, [])


@pytest.mark.parametrize("name", ["model/model.ubj", "model/manifest.json", "model/deep/part.bin"])
def test_a_model_that_is_a_pointer_is_told_as_one(folder, name):
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n")
    assert refusal(folder) == f"the hand-over's {name} is a Git LFS pointer, not what it points to"


def test_a_run_that_left_nothing_is_told_apart_from_one_that_died_early(tmp_path):
    assert "ended before its pipeline began" in refusal(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "has no run.json" in refusal(tmp_path / "empty")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        pytest.param(DEEP),
        pytest.param(b'{"pulled": 1' + b"0" * 5000 + b"}"),
    ],
    ids=["empty", "cut off", "not UTF-8", "deep", "huge number"],
)
def test_a_record_that_is_not_json_is_refused(folder, text):
    (folder / "run.json").write_bytes(text)
    assert "run.json" in refusal(folder)


@pytest.mark.parametrize("value", [[], "text", 7, None, {}])
def test_a_record_that_is_no_record_is_refused(folder, value):
    (folder / "run.json").write_text(json.dumps(value))
    assert "run.json" in refusal(folder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"commit": 1},
        {"commit": "a" * 20_001},
        {"stages": None},
        {"stages": "train"},
        {"stages": {"train": "ran"}},
        {"stages": [RECORD["stages"][0] | {"outcome": "promoted"}]},
        {"stages": [RECORD["stages"][0] | {"name": "x" * 201}]},
        {"stages": [RECORD["stages"][0] | {"reason": ["x"]}]},
        {"stages": [RECORD["stages"][0] | {"seconds": "soon"}]},
        {"outcome": "promote"},
        {"outcome": ["ok"]},
        {"pulled": None},
        {"pulled": "many"},
        {"message": {"text": "x"}},
    ],
    ids=json.dumps,
)
def test_a_value_of_the_wrong_type_is_refused(folder, wrong):
    (folder / "run.json").write_text(json.dumps(RECORD | wrong))
    assert "not of the form" in refusal(folder)


@pytest.mark.parametrize("name", sorted(RECORD.keys() - {"schema"}))
def test_a_key_that_is_missing_is_refused(folder, name):
    (folder / "run.json").write_text(json.dumps({key: value for key, value in RECORD.items() if key != name}))
    assert refusal(folder).endswith(f"not of the form expected: {name}: Field required")


@pytest.mark.parametrize(
    ("key", "number"),
    [("seconds", "NaN"), ("seconds", "Infinity"), ("seconds", "1" + "0" * 400), ("pulled", "-Infinity")],
    ids=["NaN", "Infinity", "400 digits", "minus infinity"],
)
def test_a_number_that_no_verdict_can_hold_is_refused(folder, key, number):
    text = json.dumps(RECORD | {key: 12345}).replace("12345", number)
    (folder / "run.json").write_text(text)
    assert "run.json" in refusal(folder)


def test_half_a_character_is_refused_with_the_path_of_its_field(folder):
    stage = RECORD["stages"][0] | {"name": "\ud800"}
    (folder / "run.json").write_text(json.dumps(RECORD | {"stages": [RECORD["stages"][0], stage]}))
    assert "not of the form expected: stages.1.name: " in refusal(folder)


@pytest.mark.parametrize(("key", "value"), [("pulled", True), ("pulled", 2.0), ("pushed", -1), ("seconds", True)])
def test_what_is_nearly_a_number_is_none(folder, key, value):
    (folder / "run.json").write_text(json.dumps(RECORD | {key: value}))
    assert f"not of the form expected: {key}: " in refusal(folder)


def test_of_very_many_stages_the_first_thousand_are_told(folder):
    (folder / "run.json").write_text(json.dumps(RECORD | {"stages": RECORD["stages"] * 1001}))
    assert len(handover.read(folder).reproduction.stages) == 1000


def test_a_link_is_refused_wherever_it_points(folder, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    (folder / "metrics").mkdir()
    (folder / "metrics" / "metrics.json").symlink_to(secret)
    assert "metrics.json, which is no plain file" in refusal(folder)
    (folder / "metrics" / "metrics.json").unlink()
    (folder / "model").symlink_to(tmp_path)
    assert "model, which is no plain file" in refusal(folder)


def test_a_pipe_is_refused_and_not_waited_for(folder):
    (folder / "run.json").unlink()
    os.mkfifo(folder / "run.json")
    assert "run.json, which is no plain file" in refusal(folder)


@pytest.mark.parametrize("name", ["run.json", "metrics/metrics.json"])
def test_a_folder_where_a_file_should_be_is_refused(folder, name):
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir(parents=True)
    assert name in refusal(folder)


def test_too_many_files_are_refused_with_the_setting_that_says_how_many(folder):
    (folder / "metrics").mkdir()
    for number in range(5):
        (folder / "metrics" / f"{number}.json").touch()
    with pytest.raises(
        PushforwardError, match=r"more than 6 files \(server.handover_files on .*\): in metrics"
    ) as many:
        handover.read(folder, Server(handover_files=6))
    assert many.value.next.startswith("raise server.handover_files in pushforward.yaml on the target branch")
    assert len(handover.read(folder, Server(handover_files=7)).metrics) == 5


def test_why_scoring_failed_is_added_however_much_the_target_branch_lets_a_run_hand_over(folder):
    (folder / "model").mkdir()
    for number in range(1100):
        (folder / "model" / str(number)).touch()
    assert not handover.write_cause(folder, "a" * 40, Cause("it was killed", "let it use less memory"))
    assert "it was killed" in (folder / handover.FAILED).read_text()
    (folder / handover.FAILED).unlink()
    (folder / handover.FAILED).symlink_to(folder / "elsewhere")
    assert handover.write_cause(folder, "a" * 40, Cause("again")), "it has said so itself, whatever that is"
    with pytest.raises(PushforwardError, match="is a link"):
        handover.write_words(folder, PushforwardError("again"))
    assert not (folder / "elsewhere").exists()


def test_too_many_bytes_are_refused_before_they_are_read_with_the_setting_that_says_how_many(folder):
    (folder / "model").mkdir()
    with (folder / "model" / "weights").open("wb") as sparse:
        sparse.truncate(230 << 20)
    said = r"more than 200 MiB \(server.handover_mib on the target branch\): model/weights has 230 MiB"
    with pytest.raises(PushforwardError, match=said) as large:
        handover.read(folder)
    assert large.value.next.startswith("raise server.handover_mib in pushforward.yaml on the target branch")
    assert handover.read(folder, Server(handover_mib=231)).commit == RECORD["commit"]


def test_a_record_too_large_to_parse_is_refused(folder):
    (folder / "run.json").write_text(json.dumps(RECORD) + " " * handover.LIMIT_RECORD)
    assert "run.json is larger than 1 MiB" in refusal(folder)


def test_only_tables_and_numbers_are_taken_as_metrics(folder):
    (folder / "metrics" / "deep").mkdir(parents=True)
    for name in ("a.json", "b.csv", "c.py", ".gitattributes", "deep/d.json"):
        (folder / "metrics" / name).write_text(name)
    assert sorted(handover.read(folder).metrics) == ["metrics/a.json", "metrics/b.csv"]
