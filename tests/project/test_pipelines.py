"""A dvc.yaml as its people wrote it: what is read, by which line, and which out is the model."""

import pytest

from pushforward.project import pipelines, reading

WHOLE = """\
vars:
  - {out: {dir: build}}
  - more.yaml
stages:
  prepare:
    wdir: etl
    cmd: [python a.py, python b.py]
    deps: [../raw.csv]
    params: [a.b, other.yaml: [c], third.yaml: null]
    outs: [x.csv: {cache: false}, y.csv]
  train-it:
    cmd: python fit.py
    outs: ['${out.dir}/${name}.onnx', '${unknown}/log']
    plots: [curve.csv: {x: a}]
  each:
    foreach: [1, 2]
    do: {cmd: 'echo ${item}', outs: ['p/${item}']}
metrics: [m.json]
plots: [all: {x: {curve.csv: a}}, r.json]
artifacts:
  best: {path: 'build/net.onnx', type: model}
  data: {path: y.csv, type: dataset}
"""


def read(root, text, **files):
    (root / "ml").mkdir()
    (root / "ml" / "dvc.yaml").write_text(text)
    for name, more in files.items():
        (root / "ml" / f"{name}.yaml").write_text(more)
    return pipelines.read(root, "ml")


def test_everything_is_read_with_its_line_and_from_the_root(tmp_path):
    found, odd = read(tmp_path, WHOLE, more="name: net\n")
    assert odd == []
    prepare, train, each = found.stages
    assert [stage.line for stage in found.stages] == [5, 11, 15]
    assert prepare.commands == ("python a.py", "python b.py")
    assert prepare.deps == (("ml/raw.csv", 8),)
    assert prepare.params == (
        ("ml/etl/params.yaml", "a.b", 9),
        ("ml/etl/other.yaml", "c", 9),
        ("ml/etl/third.yaml", "", 9),
    )
    assert [(out.path, out.cached, out.line) for out in prepare.outs] == [
        ("ml/etl/x.csv", False, 10),
        ("ml/etl/y.csv", True, 10),
    ]
    assert [(out.path, out.kind, out.known) for out in train.outs] == [
        ("ml/build/net.onnx", "out", True),
        ("ml/${unknown}/log", "out", False),
        ("ml/curve.csv", "plot", True),
    ]
    assert [out.known for out in each.outs] == [False]
    assert [(out.path, out.line) for out in found.metrics] == [("ml/m.json", 18)]
    assert found.plots == ("ml/all", "ml/r.json", "ml/curve.csv")
    assert [(one.name, one.path, one.line) for one in found.artifacts] == [
        ("best", "ml/build/net.onnx", 21),
        ("data", "ml/y.csv", 22),
    ]


def stages(**outs):
    lines = [f"  {name}:\n    cmd: python {name}.py\n    outs: [{', '.join(some)}]\n" for name, some in outs.items()]
    return "stages:\n" + "".join(lines)


@pytest.mark.parametrize(
    ("text", "path", "why"),
    [
        (WHOLE, "ml/build/net.onnx", "an artifact of type model"),
        (stages(prepare=["a"], train=["m.bin"], report=["r.html"]), "ml/m.bin", "guessed: the out of stage train"),
        (stages(train=["a", "clf.pkl"]), "ml/clf.pkl",
         "guessed: of the outs of stage train the one that is called as a model"),
        (stages(train=["a"], retrain=["b"]), "ml/b", "guessed: the out of stage retrain"),
        (stages(a=["x"]).replace("python a.py", "python train.py"), "ml/x", "guessed: the out of stage a"),
        (stages(train=["a", "b"]), None, ""),
        (stages(constraint=["model"]), None, ""),
        (stages(prepare=["model.pkl"]), None, ""),
        ("stages: {}\n", None, ""),
    ],
)  # fmt: skip
def test_which_out_is_the_model(text, path, why, tmp_path):
    found, _ = read(tmp_path, text)
    first = next(iter(pipelines.candidates(found)), None)
    assert (first.path, first.why) == (path, why) if path else first is None


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("stages: [", 1, "expected the node content"),
        ("stages: {}\nstages: {}\n", 2, "duplicate key"),
        ("- 1\n", 1, "no mapping"),
        ("a: &a [1]\nb: [*b]\n", 2, "an alias of nothing"),
        ("a: " + "[" * (reading.LIMIT_DEPTH + 2) + "]" * (reading.LIMIT_DEPTH + 2), 1, "nested too deep"),
        ("\t", 1, "cannot start any token"),
        ("a: !!int ''\n", 0, ""),
    ],
)
def test_what_cannot_be_read_is_told_and_stops_nothing(text, line, why, tmp_path):
    found, [odd] = read(tmp_path, text)
    assert found == pipelines.Pipeline("ml")
    assert (odd.file, odd.line) == ("ml/dvc.yaml", line)
    assert why in odd.why


def test_a_pointer_a_link_and_a_large_file_are_told_too(tmp_path):
    (tmp_path / "a").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").write_text("x" * (reading.LIMIT_YAML + 1))
    for name, why in (("a", "a Git LFS pointer"), ("b", "is a link"), ("c", "was not read"), ("d", "No such file")):
        with pytest.raises(reading.Odd) as odd:
            reading.text(tmp_path, name, most=reading.LIMIT_YAML)
        assert why in odd.value.why


def test_a_merge_of_yaml_keeps_the_stage(tmp_path):
    text = "base: &base {cmd: x, outs: [model]}\nstages:\n  train:\n    <<: *base\n"
    found, odd = read(tmp_path, text)
    assert [out.path for out in found.stages[0].outs] == ["ml/model"]
    assert odd == []
