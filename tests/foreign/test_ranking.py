"""A ranking, judged by a loss of its own: what is lost of NDCG at each query, computed by the judge's code."""

import pytest
from tests.foreign.shapes import DATA, Foreign

from pushforward import __version__
from pushforward.errors import PushforwardError
from pushforward.settings import parse

pytestmark = pytest.mark.whole

SETTINGS = f"""\
tool: "{__version__}"
models:
  search:
    path: model.json
    environment: [run.txt, data.txt, test.txt]
    holdout: {{path: data/holdout, key: document, label: relevance, cluster: none, time: none}}
    score: python rank.py {{rows}} {{out}}
    loss: python lost/ndcg.py {{labels}} {{predictions}} {{out}}
    loss_key: query
    batches: params.yaml:data.months
gate:
  suspect_fall: 1
  promotions: 1
"""
PARAMS = f"""\
{DATA}train:
  weight: 0.1
"""
DVC = """\
stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py]
    outs: [data/holdout]
  train:
    cmd: python train.py
    deps: [train.py]
    params: [train.weight]
    outs: [model.json]
"""
PREPARE = """\
import csv, os, random

random.seed(1)
os.makedirs("data/holdout", exist_ok=True)
rows, labels = [("document", "a", "b")], [("document", "query", "relevance")]
for query in range(200):
    for n in range(8):
        a, b = random.random(), random.random()
        rows.append((f"d{query}-{n}", a, b))
        much = min(2, int(a + b + random.random()))
        labels.append((f"d{query}-{n}", f"q{query}", ["none", "some", "much"][much]))
for name, table in (("rows", rows), ("labels", labels)):
    with open(f"data/holdout/{name}.csv", "w", newline="") as file:
        csv.writer(file).writerows(table)
"""
TRAIN = """\
import json
from ruamel.yaml import YAML

json.dump(YAML(typ="safe").load(open("params.yaml"))["train"], open("model.json", "w"))
"""
RANK = """\
import csv, json, sys

weight = json.load(open("model.json"))["weight"]
with open(sys.argv[2], "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["document", "p"])
    for row in csv.DictReader(open(sys.argv[1])):
        writer.writerow([row["document"], 10 * (weight * float(row["a"]) + (1 - weight) * float(row["b"]))])
"""
NDCG = """\
import csv, math, sys

GAINS = {"none": 0, "some": 1, "much": 3}
score = {row["document"]: float(row["p"]) for row in csv.DictReader(open(sys.argv[2]))}
queries = {}
for row in csv.DictReader(open(sys.argv[1])):
    queries.setdefault(row["query"], []).append((score[row["document"]], GAINS[row["relevance"]]))

def dcg(gains):
    return sum(gain / math.log2(place + 2) for place, gain in enumerate(gains))

with open(sys.argv[3], "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["query", "loss"])
    for query, found in queries.items():
        best = dcg(sorted((gain for _, gain in found), reverse=True))
        mine = dcg([gain for _, gain in sorted(found, reverse=True)])
        writer.writerow([query, 1 - mine / best if best else 0.0])
"""
SHAPE = {
    "params.yaml": PARAMS,
    "pushforward.yaml": SETTINGS,
    "dvc.yaml": DVC,
    ".gitignore": "/model.json\n/data\n/handover\n/verdict\n__pycache__\n",
    "prepare.py": PREPARE,
    "train.py": TRAIN,
    "rank.py": RANK,
    "lost/ndcg.py": NDCG,
}


@pytest.fixture
def project(tmp_path, git, monkeypatch):
    return Foreign(tmp_path, git, monkeypatch, SHAPE)


def test_a_ranking_is_judged_by_the_loss_of_the_judges_own_code(project):
    first, report = project.judge("--probe")
    assert first.verdict == "promote", first.reason
    assert (first.rows, first.clusters, first.metric) == (200, 200, "command"), "one a query"
    assert "Rows are taken as independent" in report
    assert first.reason == (
        "there is no champion, and nothing that it would have to beat (200 rows, taken as independent)"
    )
    project.release("search@v1.0.0")
    project.edit("params.yaml", "weight: 0.1", "weight: 0.5")
    second, _ = project.judge()
    assert (second.verdict, second.champion.version) == ("promote", "search@v1.0.0"), second.reason
    (loss,) = second.numbers
    assert loss.name == "loss"
    assert 0 < loss.challenger < loss.champion < 1
    # whose challenger is worse, and has another loss: nobody chooses what they are judged by
    project.release("search@v1.1.0")
    project.write({"lost/ndcg.py": NDCG.replace("1 - mine / best if best else 0.0", "0.5 * (weight := 1)")})
    project.edit("params.yaml", "weight: 0.5", "weight: 0.0")
    third, report = project.judge()
    assert third.verdict in {"hold", "unknown"}, third.reason
    assert third.touched == ("lost/ndcg.py",)
    assert "This change touches the judge" in report


PLAIN = """\
import csv, sys

with open(sys.argv[2], "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["document", "p"])
    writer.writerows([row["document"], row["a"]] for row in csv.DictReader(open(sys.argv[1])))
"""


def test_a_floor_by_command_is_what_the_judge_s_own_code_predicts(project):
    project.write({"plain.py": PLAIN})
    project.edit("pushforward.yaml", "cluster: none", "floor: 'python plain.py {rows} {out}', cluster: none")
    project.edit("params.yaml", "weight: 0.1", "weight: 0.5")
    project.commit("Name what every model has to beat")
    first, _ = project.judge()
    assert first.verdict == "promote", first.reason
    assert first.reason.startswith("there is no champion, so floors only: it beats the floor (200 rows"), first.reason
    project.release("search@v1.0.0")
    # nobody chooses what they have to beat: a floor that is beaten by anything is the next push's
    project.edit("params.yaml", "weight: 0.5", "weight: 0.99")
    project.edit("plain.py", 'row["a"]]', 'row["document"][-1]]')
    second, report = project.judge()
    assert second.verdict == "hold", second.reason
    assert second.touched == ("plain.py",)
    assert "This change touches the judge" in report


def test_equal_losses_of_other_predictions_are_not_identical_models(project):
    project.edit("rank.py", "10 * (", "10 * (1 + weight) * (")
    project.edit("lost/ndcg.py", "1 - mine / best if best else 0.0", "len(query) / 10")
    project.judge()
    project.release("search@v1.0.0")
    project.edit("params.yaml", "weight: 0.1", "weight: 0.5")
    verdict, _ = project.judge()
    assert (verdict.verdict, verdict.reason) == ("invalid", "the two models differ by a constant loss in every row")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("GAINS[row", "NO[row", "failed with exit status 1: lost/ndcg.py:7: NameError"),
        ("for query, found in queries.items():", "for query, found in list(queries.items())[1:]:", "has 199 rows"),
        (
            "[query, 1 - mine / best if best else 0.0]",
            "[query, 'nan']",
            "loss is nan for query 'q0', not a finite number",
        ),
        ('["query", "loss"]', '["query", "lost"]', "exactly 'query', 'loss' are wanted"),
        ("open(sys.argv[3], ", 'open("/dev/null", ', "the loss command ended well but wrote no"),
    ],
)
def test_a_loss_that_is_none_is_refused(project, old, new, why):
    project.edit("lost/ndcg.py", old, new)
    project.commit("The next push is judged by that one")
    verdict, _ = project.judge()
    assert verdict.verdict == "invalid"
    assert why in verdict.reason


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (" {labels}", "", "the command must contain {labels}"),
        ("    loss: python lost/ndcg.py {labels} {predictions} {out}\n", "", "'loss_key' is of a loss by command"),
        ("cluster: none", "floor: 'python plain.py {rows}', cluster: none", "the command must contain {out}"),
    ],
)
def test_a_loss_by_command_is_whole_or_refused(old, new, why):
    with pytest.raises(PushforwardError) as refused:
        parse(SETTINGS.replace(old, new).encode())
    assert why in refused.value.message
