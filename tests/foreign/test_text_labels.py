"""Three classes whose labels are texts, by patient: a probability for each is predicted, and no class may be harmed."""

import pytest
from tests.foreign.shapes import DATA, Foreign

from pushforward import __version__
from pushforward.errors import PushforwardError
from pushforward.judge import holdout as holdouts
from pushforward.settings import parse

pytestmark = pytest.mark.whole

SETTINGS = f"""\
tool: "{__version__}"
models:
  lesions:
    path: model
    environment: [run.txt, data.txt, test.txt]
    holdout: {{path: data/holdout, key: image, label: finding, cluster: patient, time: none}}
    score: python predict.py {{rows}} {{out}}
    classes: [benign, "not sure", malignant]
    loss: logloss
    validation: data/validation.csv
    batches: params.yaml:data.months
gate:
  suspect_fall: 1
  promotions: 1
"""
PARAMS = f"""\
{DATA}train:
  columns: 1
"""
DVC = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py]
    outs: [data/train.csv, data/watched.csv, data/holdout]
  train:
    cmd: python train.py
    deps: [train.py, predict.py, data/train.csv, data/watched.csv]
    params: [train.columns]
    outs: [model, data/validation.csv]
"""
PREPARE = """\
import csv, os, random

random.seed(1)
os.makedirs("data/holdout", exist_ok=True)
names, rows = ["benign", "not sure", "malignant"], []
for n in range(1800):
    place = random.randrange(3)
    a, b = place + random.gauss(0, 0.7), (place != 1) + random.gauss(0, 0.5)
    rows.append((f"i{n}", a, b, names[place], f"p{n % 40}"))

def write(path, columns, some):
    head = ["image", "a", "b", "finding", "patient"]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([[row[head.index(c)] for c in columns] for row in [head, *some]])

write("data/train.csv", ["a", "b", "finding"], rows[:600])
write("data/watched.csv", ["image", "a", "b", "finding", "patient"], rows[600:900])
write("data/holdout/rows.csv", ["image", "a", "b"], rows[900:])
write("data/holdout/labels.csv", ["image", "finding", "patient"], rows[900:])
"""
TRAIN = """\
import csv, json, os, pickle
from ruamel.yaml import YAML
from sklearn.linear_model import LogisticRegression
from predict import predict

names = ["a", "b"][: YAML(typ="safe").load(open("params.yaml"))["train"]["columns"]]
table = list(csv.DictReader(open("data/train.csv")))
os.makedirs("model", exist_ok=True)
fit = LogisticRegression().fit([[float(r[n]) for n in names] for r in table], [r["finding"] for r in table])
pickle.dump((names, fit), open("model/model.pkl", "wb"))
json.dump({"training": {"months": ["2020-01"], "validation_month": "2020-02"}}, open("model/manifest.json", "w"))
predict("data/watched.csv", "data/validation.csv", ["finding", "patient"])
"""
PREDICT = """\
import csv, pickle, sys

def predict(rows, out, more=()):
    names, model = pickle.load(open("model/model.pkl", "rb"))
    table = list(csv.DictReader(open(rows)))
    found = model.predict_proba([[float(row[name]) for name in names] for row in table])
    with open(out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *more, *(f"p_{name}" for name in model.classes_)])
        writer.writerows([row["image"], *(row[one] for one in more), *p] for row, p in zip(table, found))

if __name__ == "__main__":
    predict(*sys.argv[1:])
"""
SHAPE = {
    "params.yaml": PARAMS,
    "pushforward.yaml": SETTINGS,
    "dvc.yaml": DVC,
    ".gitignore": "/model\n/data\n/handover\n/verdict\n__pycache__\n",
    "prepare.py": PREPARE,
    "train.py": TRAIN,
    "predict.py": PREDICT,
}
CLASSES = ["benign", "not sure", "malignant"]
RULES = parse(SETTINGS.encode())


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    return Foreign(tmp_path, git, monkeypatch, SHAPE)


def test_text_labels_are_judged_class_by_class(project):
    first, report = project.judge("--probe")
    assert first.verdict == "promote", first.reason
    assert (first.clusters, first.cluster, first.clipped, first.positives) == (40, "patient", 0, None)
    assert [one.name for one in first.validation.numbers] == ["log loss", "accuracy"]
    assert first.rules["slices"] == ["finding"]
    rows = project.golden["rows"]
    assert all(len(row["p"]) == 3 and abs(sum(row["p"]) - 1) < 1e-9 for row in rows)
    assert not list((project.root / "verdict").glob("plots/roc*"))
    project.release("lesions@v1.0.0")
    project.edit("params.yaml", "columns: 1", "columns: 2")
    second, report = project.judge()
    assert (second.verdict, second.champion.version) == ("promote", "lesions@v1.0.0"), second.reason
    assert {(one.column, one.value) for one in second.slices} == {("finding", name) for name in CLASSES}
    assert second.validation.numbers[1].name == "accuracy"
    assert second.validation.numbers[0].gain > 0
    assert "40 patients" in report
    assert "positive" not in report.replace("A positive gain", "")
    # the label of another list of classes is another model's
    project.release("lesions@v1.1.0")
    project.edit("pushforward.yaml", '"not sure", malignant', 'malignant, "not sure"')
    project.judge()
    project.edit("params.yaml", "columns: 2", "columns: 1")
    third, _ = project.judge()
    assert "lesions@v1.1.0 tells other classes than the settings: benign, not sure, malignant" in third.reason


def test_a_label_that_is_no_class_and_probabilities_that_are_none_are_refused(project):
    project.edit("predict.py", "*p] for row", "*(2 * p)] for row")
    verdict, _ = project.judge()
    assert verdict.reason.startswith("predictions.csv: p_"), verdict.reason
    project.edit("predict.py", "*(2 * p)] for row", "*(p / 2)] for row")
    assert project.judge()[0].reason == "the challenger predicts probabilities that do not add up to 1"
    project.edit("predict.py", "*(p / 2)] for row", "*p] for row")
    wrong = '[*rows[900:-1], (*rows[-1][:3], "odd", "p1")])'
    project.edit(
        "prepare.py", '["image", "finding", "patient"], rows[900:])', f'["image", "finding", "patient"], {wrong}'
    )
    project.commit("The next push is judged by what that one makes")
    verdict, _ = project.judge()
    assert verdict.reason == "data/holdout/labels.csv: finding is 'odd', which is none of `classes` (1 such rows)"


def labelled(tmp_path, labels):
    (tmp_path / "rows.csv").write_text("image\n1\n2\n")
    (tmp_path / "labels.csv").write_text(f"image,patient,finding\n1,p,{labels[0]}\n2,p,{labels[1]}\n")
    return holdouts.tables(tmp_path, RULES)[2]


def test_labels_are_the_places_of_their_classes(tmp_path):
    assert labelled(tmp_path, ("malignant", "benign"))["finding"].to_list() == [2.0, 0.0]
    with pytest.raises(PushforwardError, match=r"finding is None, which is none of `classes`"):
        labelled(tmp_path, ("", "benign"))


KNOWN = "'classes' go with the losses logloss, brier, accuracy, not with squared"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("loss: logloss", "loss: squared", KNOWN),
        ('"not sure", ', "benign, ", "'benign' is there twice"),
        ('[benign, "not sure", malignant]', "[benign]", "at least 2"),
    ],
)
def test_classes_are_of_the_losses_that_know_them(old, new, why):
    with pytest.raises(PushforwardError, match=why):
        parse(SETTINGS.replace(old, new).encode())


def test_the_accuracy_is_of_classes():
    text = SETTINGS.replace('    classes: [benign, "not sure", malignant]\n', "")
    assert parse(text.encode()).binary
    with pytest.raises(PushforwardError, match=r"accuracy is of labels of several classes; name them in 'classes'"):
        parse(text.replace("logloss", "accuracy").encode())


def test_texts_without_classes_are_told_how_to_name_them(tmp_path):
    (tmp_path / "rows.csv").write_text("image\n1\n")
    (tmp_path / "labels.csv").write_text("image,patient,finding\n1,p,benign\n")
    rules = parse(SETTINGS.replace('    classes: [benign, "not sure", malignant]\n', "").encode())
    with pytest.raises(PushforwardError, match=r"finding \(holdout\.label\) is String, not a number") as refused:
        holdouts.tables(tmp_path, rules)
    assert "name the classes in classes" in refused.value.next


def test_every_loss_can_be_sent_to_the_process_that_draws():
    import pickle

    from pushforward.gate import loss
    from pushforward.settings import GateRules

    for rules in (GateRules(metric="pinball", quantile=0.9), GateRules(metric="huber", delta=1.0), GateRules()):
        found = pickle.loads(pickle.dumps(loss.of(rules)))
        assert found.title == loss.of(rules).title
    assert pickle.loads(pickle.dumps(loss.of(GateRules(), 3))).classes == 3
    assert pickle.loads(pickle.dumps(loss.given("NDCG lost"))).form == "given"
