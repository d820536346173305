import json
from pathlib import Path

import pytest

from pushforward import __version__, params, schema, settings, yamlfile
from pushforward.errors import PushforwardError

ROOT = Path(__file__).parent.parent
LFS = "git lfs pull, take it out of LFS in .gitattributes, then git add --renormalize . && git commit"

GOOD = b"""\
tool: "%s"
models:
  flight-delay:
    path: model
    environment: [requirements/run.txt]
    holdout: {path: data/holdout, key: flight_id, label: late, cluster: date, time: decided_at}
    score: python -m flights.predict {rows} {events} {out}
    batches: params.yaml:data.months
gate:
  window: 2
"""  # fmt: skip
GOOD = GOOD.replace(b"%s", __version__.encode())
RERUN = GOOD[: GOOD.index(b"    path")] + b"    environment: []\n"
PARAMS = b"""\
data:
  months:
    - "2013-01"
    - "2013-02"
    - "2013-03"
    - "2013-04"
train:
  max_depth: 4
"""
OLD = b"""\
model: {name: toy, path: model, score: "s {rows} {events} {out}", holdout: data/holdout, key: id, label: y}
data: {months: ["2013-01"]}
gate: {window: 2}
"""


def arrived(params=PARAMS, told=GOOD):
    return settings.parse(told).arrived({"params.yaml": params}.get)


def test_one_model_is_read_with_its_contract_and_its_loss():
    read = settings.parse(GOOD)
    assert (read.level, read.model.name, read.contract.holdout, read.contract.time) == (
        3,
        "flight-delay",
        "data/holdout",
        "decided_at",
    )
    assert read.gate.alpha == 0.05
    assert (read.gate.metric, read.gate.probability) == ("logloss", True)
    assert read.promote.environments == {"staging": "auto", "production": "manual"}
    assert read.outs == ["model", "data/holdout"]
    squared = settings.parse(GOOD.replace(b"    batches", b"    loss: squared\n    batches"))
    assert (squared.gate.metric, squared.gate.probability) == ("squared", False)
    assert arrived()[-1] == "2013-04"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            b"    batches",
            b'    metrics: {"m.json:auc": {better: higher, at_least: 0.8}}\n    batches',
            'flight-delay.metrics."m.json:auc".at_least is not judged yet',
        ),
        (
            b"    batches",
            b'    metrics: {"m.json:auc": {better: higher}}\n    noise: {param: train.seed}\n    batches',
            "flight-delay.noise is not judged yet",
        ),
        (
            b"gate:",
            b"promote: {metrics: true}\ngate:",
            "promote.metrics is of level 1, and at level 3 (contract) what passes is promoted",
        ),
        (b"path: model", b'path: "a model"', "models.flight-delay.path (it is 'a model') has to be of letters"),
    ],
)
def test_what_the_judge_cannot_answer_for_yet_is_refused_in_a_line(old, new, words):
    assert old in GOOD
    read = settings.parse(GOOD.replace(old, new))
    with pytest.raises(PushforwardError, match=r"^pushforward\.yaml: ") as refused:
        _ = read.contract
    assert words in refused.value.message
    assert (refused.value.next, refused.value.exit_code) == ("edit pushforward.yaml", 2)


def test_a_loss_of_one_s_own_is_what_the_gate_calls_a_command():
    read = settings.parse(GOOD.replace(b"    batches", b"    loss: l {labels} {predictions} {out}\n    batches"))
    assert (read.gate.metric, read.contract.loss) == ("command", "l {labels} {predictions} {out}")
    assert settings.parse(GOOD).contract.loss is None


def test_what_is_none_is_nothing_to_the_judge():
    text = GOOD.replace(b"date, time: decided_at", b"none, time: none").replace(b" {events}", b"")
    contract = settings.parse(text).contract
    assert (contract.cluster, contract.time, contract.events) == (None, None, False)


def test_below_level_3_it_is_said_which_level_it_is_and_what_level_3_needs():
    read = settings.parse(RERUN)
    assert (read.level, read.model.name, read.model.path, read.outs) == (0, "flight-delay", None, [])
    with pytest.raises(PushforwardError) as refused:
        _ = read.contract
    assert refused.value.message == (
        "pushforward.yaml: the model flight-delay is at level 0 (rerun), and judging it needs level 3: `holdout`, rows "
        "that no model has seen, and `score`, the command that scores them"
    )
    assert refused.value.next == "pushforward adopt --level 3"


@pytest.mark.parametrize(
    ("text", "words", "then"),
    [
        (RERUN[RERUN.index(b"models") :], f"'tool' is missing: write tool: \"{__version__}\"", "edit pushforward.yaml"),
    ],
)
def test_what_no_verb_can_run_yet_is_refused_by_all(text, words, then):
    with pytest.raises(PushforwardError) as refused:
        settings.parse(text)
    assert words in refused.value.message
    assert refused.value.next.endswith(then)


def test_the_version_that_judges_is_the_one_that_the_settings_name():
    settings.parse(GOOD).check_tool()
    major, minor, patch = __version__.split(".")
    settings.parse(GOOD.replace(__version__.encode(), f"{major}.{minor}.{patch}7".encode())).check_tool()
    with pytest.raises(PushforwardError) as refused:
        settings.parse(GOOD.replace(__version__.encode(), b"7.0.0")).check_tool()
    said = f"pushforward.yaml names pushforward 7.0.0 as the version that judges, and this is {__version__}"
    assert (refused.value.message, refused.value.exit_code) == (said, 2)
    assert refused.value.next == f"run pushforward 7.0.0, or pushforward adopt --update, which names {__version__}"


@pytest.mark.parametrize("folder", [".", "tests/toy"])
def test_the_projects_of_this_repository_name_its_version(folder):
    settings.load(ROOT / folder).check_tool()


def test_the_old_form_is_refused_with_the_command_that_moves_it(tmp_path):
    (tmp_path / "params.yaml").write_bytes(OLD)
    with pytest.raises(PushforwardError) as refused:
        settings.load(tmp_path)
    assert refused.value.message == (
        "params.yaml has model, data, gate of pushforward, which are in pushforward.yaml from this version on"
    )
    assert refused.value.next == "pushforward adopt --update, which moves them"
    (tmp_path / "pushforward.yaml").write_bytes(GOOD)
    assert settings.load(tmp_path).model.name == "flight-delay", "params.yaml is the pipeline's, whatever it has"


@pytest.mark.parametrize("text", [None, b"model: {kind: forest}\ngate: 3\n", b"a: [1", b"- 1\n"])
def test_where_there_are_no_settings_at_all_it_says_what_writes_them(tmp_path, text):
    if text is not None:
        (tmp_path / "params.yaml").write_bytes(text)
    with pytest.raises(PushforwardError) as refused:
        settings.load(tmp_path)
    assert refused.value.message == f"{tmp_path} has no pushforward.yaml"
    assert refused.value.next == "pushforward adopt, which writes it"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (b'- "2013-02"', b'- "2013-03"', 4, "after '2013-01' comes '2013-02'"),
        (b'- "2013-02"', b'- "2013-13"', 4, "'2013-13' is not a month, as '2013-01' is"),
        (b'- "2013-02"', b"- 2013.02", 4, "2013.02 is no name of a batch; write text in quotes"),
        (b"months:", b"weeks:", 1, "'data.months' has to be a list of the batches that have arrived"),
        (PARAMS, b"data: {months: []}\n", 1, "has to be a list of the batches"),
        (PARAMS, b"data: 3\n", 1, "has to be a list of the batches"),
    ],
)
def test_a_list_of_batches_that_is_none_is_refused_by_its_line(old, new, line, words):
    assert old in PARAMS
    with pytest.raises(PushforwardError) as refused:
        arrived(PARAMS.replace(old, new))
    assert refused.value.message.startswith(f"params.yaml:{line}: ")
    assert words in refused.value.message
    assert refused.value.next == "edit params.yaml"


def test_too_few_batches_and_none_at_all_are_refused():
    with pytest.raises(PushforwardError, match=r"params\.yaml: data\.months has 3 batches; a holdout of 2 .* need 4"):
        arrived(PARAMS.replace(b'    - "2013-04"\n', b""))
    with pytest.raises(PushforwardError, match=r"models\.flight-delay\.batches names params\.yaml, which is not there"):
        arrived(None)


def test_without_batches_none_have_arrived_and_keys_are_held_out():
    for text in (
        GOOD.replace(b"    batches: params.yaml:data.months\n", b""),
        GOOD.replace(b"params.yaml:data.months", b"none"),
    ):
        read = settings.parse(text.replace(b"    batches: none", b"    data: [d.csv.dvc]"))
        assert (read.batched, read.arrived(lambda _: None)) == (False, [])
        assert (read.renews, read.contract.share) == (500, 0.2)
    assert read.contract.data == ["d.csv.dvc"]
    assert settings.parse(GOOD).batched


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"gate:", b"gate:\n  renews: 99\nx:"),
        (b"time: decided_at}", b"time: decided_at, share: 0}"),
        (b"time: decided_at}", b"time: decided_at, share: 0.6}"),
        (b"    batches", b"    data: []\n    batches"),
        (b"    batches", b"    data: [../d.csv]\n    batches"),
    ],
)
def test_what_epochs_cannot_be_made_of_is_refused(old, new):
    with pytest.raises(PushforwardError, match=r"pushforward\.yaml:\d+"):
        settings.parse(GOOD.replace(old, new, 1))


def test_batches_that_are_no_months_have_arrived_like_any_other():
    names = arrived(PARAMS.replace(b'"2013-0', b'"batch '))
    assert names[0] == "batch 1"
    assert [params.noun(some) for some in (names, ["2013-05"], ["2013-05", "Lima"], [])] == [
        "batch",
        "month",
        "batch",
        "batch",
    ]


def test_batches_have_any_names_in_their_order():
    names = ["Kyoto", "Bergen", "2013-01", "Lima"]
    assert params.batches(f"data: {{months: {json.dumps(names)}}}".encode(), "data.months") == names
    with pytest.raises(PushforwardError, match="'Kyoto' is there twice"):
        params.batches(f"data: {{months: {json.dumps([*names, 'Kyoto'])}}}".encode(), "data.months")


@pytest.mark.parametrize(
    ("value", "name", "told"),
    [
        ("since: 2013-01-01", "train.since", '"2013-01-01"'),
        ("since: 2013-1-1", "", ""),
        ("since: 2013-01-01T10:00:00Z", "train.since", '"2013-01-01T10:00:00'),
        ("since: 2013-01-01 10:00:00", "train.since", '"2013-01-01T10:00:00"'),
        ("days: [2013-01-01]", "train.days.0", '"2013-01-01"'),
        ("cut: {a: {b: [x, {c: 2013-02-03}]}}", "train.cut.a.b.1.c", '"2013-02-03"'),
        ('since: "2013-01-01"', "", ""),
        ("since: 2013-01", "", ""),
        ("since: 10:30:00", "", ""),
        ("2013-01-01: x", "train.2013-01-01", '"2013-01-01"'),
        ("cut: [{2013-01-01: x}]", "train.cut.0.2013-01-01", '"2013-01-01"'),
        ('"2013-01-01": x', "", ""),
        ("7: x", "", ""),
    ],
)
def test_a_date_without_quotes_is_told_by_its_key_whichever_section_holds_it(value, name, told):
    text = PARAMS.replace(b"max_depth: 4", value.encode())
    if not name:
        params.plain(text)
        return
    for read in (params.flatten, params.plain):
        with pytest.raises(PushforwardError) as refused:
            read(text, "params.yaml")
        line = PARAMS.count(b"\n")
        assert refused.value.message.startswith(
            f"params.yaml:{line}: quote the date at {name}, or DVC cannot read the file: "
        )
        assert told in refused.value.message
        assert (refused.value.exit_code, refused.value.next) == (2, "edit params.yaml")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("!!set {x, y}", "'train.max_depth' is a value of the kind set, which DVC cannot read"),
        ("!!binary aGk=", "'train.max_depth' is a value of the kind bytes, which DVC cannot read"),
        ("{[x]: 1}", "'train.max_depth.('x',)' is a value of the kind keyseq, which DVC cannot read"),
        ("!mine 3", "'train.max_depth' has the tag !mine, which DVC cannot read; write it without"),
        ("!mine {x: 3}", "'train.max_depth' has the tag !mine, which DVC cannot read"),
        ("[a, !mine [3]]", "'train.max_depth.1' has the tag !mine, which DVC cannot read"),
        ("!!python/tuple [3]", "'train.max_depth' has the tag tag:yaml.org,2002:python/tuple, which DVC"),
    ],
)
def test_a_value_that_no_stage_can_be_given_is_told(value, words):
    with pytest.raises(PushforwardError) as refused:
        params.plain(PARAMS.replace(b"max_depth: 4", f"max_depth: {value}".encode()))
    assert words in refused.value.message
    assert refused.value.next == "edit params.yaml"


@pytest.mark.parametrize("value", ["gate:\n", "gate: [1]\n", "gate: 3\n"])
def test_a_section_without_keys_is_told_in_words(value):
    with pytest.raises(PushforwardError, match="'gate' must hold keys of its own; write them below it, or take the"):
        settings.parse(GOOD.replace(b"gate:\n  window: 2\n", value.encode()))


@pytest.mark.parametrize(
    ("text", "words", "next_"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "a Git LFS pointer", LFS),
        (b"outs:\n- md5: 0123\n  size: 3\n  path: params.yaml\n", "a DVC pointer", "commit the file itself"),
        (b"md5: 01\r\nouts:\r\n- md5: 0123\r\n  path: params.yaml\r\n", "a DVC pointer", "commit the file itself"),
    ],
)
def test_a_pointer_is_told_as_one(text, words, next_):
    with pytest.raises(PushforwardError) as refused:
        settings.parse(text)
    assert refused.value.message == f"pushforward.yaml is {words}, not what it points to"
    assert (refused.value.exit_code, refused.value.next) == (2, next_)


def test_settings_of_another_version_are_told_as_such():
    with pytest.raises(PushforwardError) as refused:
        settings.parse(GOOD.replace(b"window: 2", b"window: 2\n  quorum: 3"))
    said = f"unknown key 'gate.quorum': pushforward {__version__} has no such setting, another version may; take it out"
    assert said in refused.value.message
    assert "known: quantile, delta, window" in refused.value.message


@pytest.mark.parametrize(
    "text", [b"\xff\xfem\x00", b"", b"- a", b"x" * 70_000, b"a: [1", b"a: 1\n---\nb: 2", b"a: \x00"]
)
def test_no_bytes_bring_it_down(text):
    with pytest.raises(PushforwardError):
        settings.parse(text)


def test_flatten_gives_leaves_by_dotted_key():
    flat = params.flatten(b"a:\n  b: 1\n  c: [1, 2]\nd: x\n")
    assert flat == {"a.b": 1, "a.c": [1, 2], "d": "x"}


def test_months_follow_each_other_over_the_year():
    assert params.next_month("2013-12") == "2014-01"
    assert params.next_month("2013-09") == "2013-10"


LONG = f"# {'x' * yamlfile.PLAIN_CHARACTERS}\n"  # what is as long is looked through before it is built


def test_what_is_nested_as_deeply_as_it_may_is_read():
    deep = yamlfile.LIMIT_DEPTH - 1
    text = f"{LONG}{PARAMS.decode()}own: {'[' * deep}{']' * deep}\n"
    assert params.batches(text.encode(), "data.months") == arrived()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('data:\n  "l0": &a0 [x, x]\n  "l1": *a0\n', "anchor or alias"),
        ("a: &-b [x]\n", "anchor or alias"),
        (LONG + "a: " + "[" * yamlfile.LIMIT_DEPTH + "]" * yamlfile.LIMIT_DEPTH, "nested too deeply"),
        ('a: !!int ""\n', "pushforward.yaml"),
        ("a: !!bool maybe\n", "pushforward.yaml"),
        ("a: !!omap 5\n", "pushforward.yaml"),
    ],
    ids=["quoted", "dash", "deep", "int", "bool", "omap"],
)
def test_what_would_grow_or_does_not_fit_its_tag_is_refused_at_once(text, words):
    with pytest.raises(PushforwardError, match=words):
        settings.parse(text.encode())


ANCHORED = b"""\
base: &base {depth: 3, rate: 0.1}
train:
  <<: *base
  rate: 0.2
months: &months ["2020-01", "2020-02"]
again: *months
"""


def test_parameters_are_the_pipeline_s_and_may_have_anchors():
    assert params.flatten(ANCHORED) == {
        "base.depth": 3,
        "base.rate": 0.1,
        "train.depth": 3,
        "train.rate": 0.2,
        "months": ["2020-01", "2020-02"],
        "again": ["2020-01", "2020-02"],
    }
    assert params.batches(ANCHORED, "again") == ["2020-01", "2020-02"]


def test_parameters_stand_for_no_more_values_than_a_file_could_say(monkeypatch):
    monkeypatch.setattr(yamlfile, "LIMIT_NODES", 22)
    with pytest.raises(PushforwardError, match=r"params.yaml:6:8: it stands for more than 22 values") as refused:
        params.plain(ANCHORED)
    assert refused.value.next == "edit params.yaml"


def test_the_contract_is_written_down_whole():
    text = (Path(__file__).parent.parent / "docs" / "contract.md").read_text()
    named = {*schema.Model.model_fields} - {"folder", "metrics", "noise", "predictions"}
    missing = [name for name in named if f"`{name}" not in text]
    missing += [name for name in schema.Holdout.model_fields if f"`holdout.{name}`" not in text]
    assert not missing
    read = settings.parse(text.partition("```yaml\n")[2].partition("```")[0].encode())
    contract = read.contract
    assert (contract.cluster, contract.time, contract.events, contract.predicted) == (None, None, False, ("p",))
    assert (read.gate.metric, read.project.tool) == ("squared", __version__)


def test_paths_of_a_model_below_the_root_are_named_from_its_folder(tmp_path):
    text = """\
tool: "0.2.0"
models:
  wine:
    folder: models/wine
    path: model.pkl
    environment: [requirements.txt]
    metrics: {"eval/m.json:auc": {better: higher}}
    holdout: {path: data/holdout, key: id, label: y, cluster: none, time: none}
    score: python predict.py {rows} {out}
    validation: data/v.csv
    batches: params.yaml:data.months
"""
    rules = settings.parse(text.encode())
    contract = rules.contract
    assert (contract.path, contract.holdout) == ("models/wine/model.pkl", "models/wine/data/holdout")
    assert contract.validation == rules.validation == "models/wine/data/v.csv"
    assert rules.outs == ["models/wine/model.pkl", "models/wine/data/holdout", "models/wine/data/v.csv"]
    assert rules.batches == ("models/wine/params.yaml", "data.months")
    assert contract.environment == ["requirements.txt"], "locks are named from the root"
    assert rules.model.beside("metrics/m.json") == "models/wine/metrics/m.json"
    assert rules.model.named("models/wine/eval/m.json:auc") == "eval/m.json:auc"
    measured = settings.parse(text[: text.index("    holdout")].encode())
    assert list(measured.limits) == ["models/wine/eval/m.json:auc"]


TWO = """\
tool: "0.2.0"
models:
  red: {folder: a, path: m.json, environment: [r.txt], metrics: {"m.json:auc": {better: higher}}}
  wine:
    folder: b
    path: model.pkl
    environment: [r.txt]
    holdout: {path: holdout, key: id, label: y, cluster: none, time: none}
    score: python predict.py {rows} {out}
    loss: huber
gate: {delta: 2}
"""


def test_of_several_models_each_is_read_by_itself_and_none_without_its_name():
    rules = settings.parse(TWO.encode())
    assert rules.several
    assert [one.model.name for one in rules.each] == ["red", "wine"]
    assert [one.level for one in rules.each] == [1, 3]
    assert (rules.level, rules.environment) == (1, ["r.txt"])
    assert rules.outs == ["a/m.json", "b/model.pkl", "b/holdout"]
    assert [one.gate.delta for one in rules.each] == [None, 2], "a parameter is of the loss that has it"
    with pytest.raises(PushforwardError, match=r"pushforward\.yaml has several models: red, wine") as refused:
        _ = rules.model
    assert refused.value.next == "say which: --model red, or red@v1.0.0"
    with pytest.raises(PushforwardError, match=r"has no model white; it has red, wine"):
        rules.of("white")


def test_one_pipeline_is_run_in_one_environment():
    rules = settings.parse(
        TWO.replace("model.pkl\n    environment: [r.txt]", "model.pkl\n    environment: [s.txt]").encode()
    )
    with pytest.raises(PushforwardError, match=r"models\.wine\.environment is another than that of red"):
        _ = rules.environment


def test_a_model_that_is_alone_is_meant_whatever_it_was_called():
    rules = settings.parse(GOOD)
    assert rules.of("an-older-name").model.name == rules.model.name
    assert [one.model.name for one in rules.each] == [rules.model.name]
