"""pushforward.yaml: what is read, what is refused and on which line, and that editors are told the same."""

import json
import os
from pathlib import Path

import pytest

from pushforward import schema
from pushforward.errors import USAGE, PushforwardError

PAGE = Path(__file__).parent.parent / "docs" / "pushforward.schema.json"
METRICS = b"""\
tool: "0.2.0"
models:
  flight-delay:
    path: model.pkl
    environment: [requirements.txt]
    metrics: {"eval/metrics.json:roc_auc.test": {better: higher, at_least: 0.8, lose_at_most: 0.005}}
    noise: {param: train.seed, runs: 5}
"""
CONTRACT = b"""\
tool: "0.2.0"
models:
  flight-delay:
    folder: models/delay
    path: model
    environment: [requirements/run.txt, requirements/data.txt]
    card: docs/model.md
    holdout: {path: data/holdout, key: flight_id, label: late, cluster: none, time: none}
    score: python -m flights.predict {rows} {out}
    classes: [cat, dog]
    loss: python -m flights.loss {labels} {predictions} {out}
    validation: data/predictions.parquet
    batches: params.yaml:data.months
gate: {window: 2, looks: 10, slices: [origin]}
promote: {environments: {staging: auto}, metrics: false}
server: {workflows: [train, judge]}
"""
RERUN = b'tool: "0.2.0"\nmodels:\n  report:\n    environment: []\n'
PREDICTIONS = RERUN + b"    path: m\n    predictions: {path: eval/test.csv, label: r, key: id}\n"


@pytest.mark.parametrize(("text", "level"), [(RERUN, 0), (METRICS, 1), (PREDICTIONS, 2), (CONTRACT, 3)])
def test_the_level_is_what_is_there(text, level):
    assert schema.parse(text).level == level


def test_of_several_models_the_lowest_level_is_that_of_the_project():
    both = METRICS + b"  other:\n    folder: other\n"
    project = schema.parse(both)
    assert {name: model.level for name, model in project.models.items()} == {"flight-delay": 1, "other": 0}
    assert project.level == 0


def test_what_is_left_out_has_its_default():
    found = schema.parse(PREDICTIONS).models["report"]
    assert (found.folder, found.environment, found.batches) == (".", [], None)
    assert found.predictions is not None
    assert (found.predictions.p, found.predictions.cluster) == ("p", "none")


@pytest.mark.parametrize(
    ("text", "old", "new", "line", "words"),
    [
        (METRICS, b"path: model.pkl", b"pth: model.pkl", 4, "did you mean 'path'?"),
        (METRICS, b"better: higher", b"bettr: higher", 6, "did you mean 'better'?"),
        (METRICS, b"    path: model.pkl\n", b"", 3, "models.flight-delay: 'path' is missing: which out the model is"),
        (METRICS, b'tool: "0.2.0"', b"tool: 0.2", 1, "'tool': input should be a valid string (it is 0.2)"),
        (METRICS, b"models:", b"modls:", 2, "unknown section 'modls'; did you mean 'models'?"),
        (METRICS, b"models:", b"train: {}\nmodels:", 2, "unknown section 'train'; known: tool, models, gate"),
        (METRICS, b"model.pkl", b"../model.pkl", 4, "write a path inside of the repository"),
        (METRICS, b"model.pkl", b"/model.pkl", 4, "write a path inside of the repository"),
        (METRICS, b"model.pkl", b"2013-01-01", 4, "'models.flight-delay.path': input should be a valid string"),
        (METRICS, b"  flight-delay:", b"  Flight Delay:", 3, "should match pattern"),
        (METRICS, b":roc_auc.test", b"", 6, "write FILE:KEY, such as params.yaml:data.months"),
        (METRICS, b"better: higher", b"better: lower", 6, "where lower is better, the limit is at_most"),
        (METRICS, b"runs: 5", b"runs: 1", 7, "greater than or equal to 2 (it is 1)"),
        (METRICS, b"    metrics: ", b"    # metrics: ", 3, "'metrics' is missing, whose `noise` this is"),
        (METRICS, b"    noise:", b"    loss: brier\n    noise:", 3, "'loss' is of level 2, and 'predictions'"),
        (METRICS, b"    noise:", b"    batches: none\n    noise:", 3, "'batches' is of level 3"),
        (METRICS, b"[requirements.txt]", b"requirements.txt", 5, "should be a valid list"),
        (CONTRACT, b"    score: ", b"    # score: ", 3, "'score' is missing, the command that answers the holdout"),
        (CONTRACT, b"    holdout: ", b"    # holdout: ", 3, "'holdout' is missing, which `score` is of"),
        (CONTRACT, b" {out}\n    classes", b"\n    classes", 9, "the command must contain {out}"),
        (CONTRACT, b"[cat, dog]", b"[cat, cat]", 10, "'cat' is there twice"),
        (CONTRACT, b"loss: python", b"loss: logloss # ", 11, ""),
        (
            CONTRACT,
            b"time: none",
            b"time: none, floor: 'f {rows} {events} {out}'",
            3,
            "asks for {events}, and 'score' does not",
        ),
        (CONTRACT, b"time: none", b"time: none, floor: 'f {rows}'", 8, "must contain {out}; a column has no"),
        (CONTRACT, b"{rows} {out}", b"{rows} {out} ...", 9, "'...' ends the command, after the words {events} and"),
        (CONTRACT, b"{rows} {out}", b"... {rows} {events} {out}", 9, "'...' ends the command"),
        (CONTRACT, b"score: python", b"score: p {events}", 3, "known at a moment; name the column holdout.time"),
        (CONTRACT, b"loss: python", b"loss: squared # ", 3, "go with the losses logloss, brier, accuracy"),
        (CONTRACT, b"{labels} ", b"", 11, "the command must contain {labels}"),
        (CONTRACT, b"params.yaml:data.months", b"data.months", 13, "write FILE:KEY"),
        (CONTRACT, b"params.yaml:data.months", b"pushforward.yaml:gate.slices", 13, "a file of the pipeline, not"),
        (CONTRACT, b"time: none", b"tme: none", 8, "did you mean 'time'?"),
        (CONTRACT, b"looks: 10", b"metric: brier", 14, "unknown key 'gate.metric'"),
        (CONTRACT, b"staging: auto", b"main: auto", 15, "what a key may sign"),
        (CONTRACT, b"looks: 10", b"quantile: 0.9", 1, "gate.quantile is of the loss pinball, which no model has"),
        (CONTRACT, b"gate:", b"  copy: {folder: models/delay, path: model}\ngate:", 1, "are the same out"),
    ],
)  # fmt: skip
def test_a_refusal_names_file_line_and_key(text, old, new, line, words):
    assert old in text
    if not words:
        assert schema.parse(text.replace(old, new)).level == 3
        return
    with pytest.raises(PushforwardError) as refused:
        schema.parse(text.replace(old, new))
    assert refused.value.message.startswith(f"pushforward.yaml:{line}: ")
    assert words in refused.value.message
    assert "\n" not in refused.value.message
    assert refused.value.next == "edit pushforward.yaml"
    assert refused.value.exit_code == USAGE


@pytest.mark.parametrize("text", [b"", b"- 1\n", b"\xff", b"tool: [", b"tool: &a 1\nmodels: *a\n", b"tool: !!int ''\n"])
def test_what_is_no_such_file_is_refused_in_a_line(text):
    with pytest.raises(PushforwardError, match=r"^pushforward\.yaml"):
        schema.parse(text)


def test_the_published_schema_is_that_of_the_format():
    """`UPDATE_GOLDEN=1` writes it again."""
    text = json.dumps(schema.json_schema(), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text


def test_every_key_is_explained_to_editors():
    found = schema.json_schema()
    for section in (found, *found["$defs"].values()):
        assert section["description"]
        for name, field in section["properties"].items():
            assert field.get("description"), name
