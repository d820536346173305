"""The model's files against the tag: no file more, none fewer, whatever brought them. The rest: test_verify."""

import hashlib
import json
from types import SimpleNamespace

import pytest

from pushforward.release.hop import DifferentError
from pushforward.release.stored import check_model


def sha(content):
    return hashlib.sha256(content).hexdigest()


MANIFEST = b'{"data":{"months":["2020-01"]}}'
DATA = json.dumps(json.loads(MANIFEST)["data"], separators=(",", ":")).encode()
FILES = {"model/manifest.json": sha(MANIFEST), "model/model.json": sha(b"b")}


def told(**record):
    """What tag and provenance say of the model, with `record` put in its place."""
    said = {"manifest": sha(MANIFEST), "model": sha(b"b"), "data": sha(DATA)} | record
    return SimpleNamespace(
        rules=SimpleNamespace(model_path="model"),
        record=SimpleNamespace(**said),
        statement=SimpleNamespace(subjects=FILES, fitted={}),
    )


def test_the_files_that_the_tag_names_are_the_model_and_dvcs_own_are_none_of_it():
    said = check_model(told(), FILES | {"model/.gitignore": "1", "model/deep/.gitignore": "2"}, MANIFEST, "there")
    assert said == "model/model.json and manifest.json have the tag's SHA-256"


@pytest.mark.parametrize(
    ("found", "record", "what"),
    [
        (FILES | {"model/evil.py": "1"}, {}, "the model's file model/evil.py"),
        ({"model/manifest.json": sha(MANIFEST)}, {}, "the model's file model/model.json"),
        (FILES | {"model/model.json": ""}, {}, "the model's file model/model.json"),
        ({"model/model.json": sha(b"b")}, {}, "model/manifest.json"),
        (FILES, {"manifest": "0" * 64}, "model/manifest.json"),
        (FILES, {"model": "0" * 64}, "the model "),
        (FILES, {"data": "0" * 64}, "the data that the manifest names"),
    ],
)
def test_a_file_more_or_fewer_or_another_is_named(found, record, what):
    with pytest.raises(DifferentError, match=rf"^{what}.*\(there\)$"):
        check_model(told(**record), found, MANIFEST, "there")
