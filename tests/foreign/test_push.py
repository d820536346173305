"""A ranking without Parquet, time, clusters, events, manifest and folder for its model, from adoption to bundle."""

import json

import pytest
from tests.foreign import test_ranking as ranking
from tests.foreign.stranger import LOCKED, Stranger, tool

__all__ = ["tool"]
# What the team had: pairs that are prepared, a weight that is written down, and the gain of a list as its number.
DVC = ranking.DVC.replace("outs: [data/holdout]", "outs: [data/pairs.csv]") + (
    "  evaluate:\n    cmd: python evaluate.py\n    deps: [evaluate.py, ndcg.py, model.json, data/pairs.csv]\n"
    "    metrics: [metrics.json: {cache: false}]\n"
)
PREPARE = """\
import csv, os, random

random.seed(1)
os.makedirs("data", exist_ok=True)
pairs = []
for query in range(200):
    for n in range(8):
        a, b = random.random(), random.random()
        much = min(2, int(a + b + random.random()))
        pairs.append((f"d{query}-{n}", f"q{query}", a, b, ["none", "some", "much"][much]))
with open("data/pairs.csv", "w", newline="") as file:
    csv.writer(file).writerows([("document", "query", "a", "b", "relevance"), *pairs])
"""
NDCG = """\
import math

GAINS = {"none": 0, "some": 1, "much": 3}

def dcg(gains):
    return sum(gain / math.log2(place + 2) for place, gain in enumerate(gains))

def lost(found):
    best = dcg(sorted((GAINS[words] for _, words in found), reverse=True))
    return 1 - dcg([GAINS[words] for _, words in sorted(found, reverse=True)]) / best if best else 0.0
"""
EVALUATE = """\
import csv, json
from ndcg import lost

weight, queries = json.load(open("model.json"))["weight"], {}
for row in csv.DictReader(open("data/pairs.csv")):
    score = weight * float(row["a"]) + (1 - weight) * float(row["b"])
    queries.setdefault(row["query"], []).append((score, row["relevance"]))
json.dump({"ndcg": 1 - sum(map(lost, queries.values())) / len(queries)}, open("metrics.json", "w"))
"""
SHAPE = {
    "dvc.yaml": DVC,
    "params.yaml": "train:\n  weight: 0.1\n",
    "requirements.txt": LOCKED,
    "prepare.py": PREPARE,
    "train.py": ranking.TRAIN,
    "ndcg.py": NDCG,
    "evaluate.py": EVALUATE,
    ".gitignore": "/data\n/model.json\n__pycache__\n",
}
# What it wrote to be judged.
CONTRACT = """\
    holdout: {path: data/holdout, key: document, label: relevance, cluster: none, time: none}
    score: python rank.py {rows} {out}
    loss: python loss.py {labels} {predictions} {out}
    loss_key: query
    batches: params.yaml:batches
"""
HOLDOUT = """\
os.makedirs("data/holdout", exist_ok=True)
head = ("document", "query", "a", "b", "relevance")
for name, places in (("rows", (0, 2, 3)), ("labels", (0, 1, 4))):
    with open(f"data/holdout/{name}.csv", "w", newline="") as file:
        csv.writer(file).writerows([[pair[place] for place in places] for pair in (head, *pairs)])
"""
LOSS = """\
import csv, sys
from ndcg import lost

score = {row["document"]: float(row["p"]) for row in csv.DictReader(open(sys.argv[2]))}
queries = {}
for row in csv.DictReader(open(sys.argv[1])):
    queries.setdefault(row["query"], []).append((score[row["document"]], row["relevance"]))
with open(sys.argv[3], "w", newline="") as file:
    csv.writer(file).writerows([("query", "loss"), *((query, lost(found)) for query, found in queries.items())])
"""


@pytest.mark.slow
def test_one_file_ranked_by_its_own_loss_goes_from_adoption_to_bundle(tmp_path, tool):
    shop = Stranger(tmp_path, tool, SHAPE)
    assert "guessed: the out of stage train" in shop.adopt()
    shop.edit("pushforward.yaml", "    # Level 1:", f"{CONTRACT}    # Level 1:")
    shop.edit("params.yaml", "train:", 'batches: ["a", "b", "c", "d"]\ntrain:')
    shop.edit("dvc.yaml", "outs: [data/pairs.csv]", "outs: [data/pairs.csv, data/holdout]")
    shop.write({"prepare.py": PREPARE + HOLDOUT, "rank.py": ranking.RANK, "loss.py": LOSS})
    shop.own("Be judged")
    said = shop.push()
    assert "shop@v1.0.0" in said, said
    assert "rows are taken as independent" in said
    shop.needed("ranking, a loss of its own for each query", "3, a version")
    shop.git("switch", "-q", "-c", "fairer")
    shop.edit("params.yaml", "weight: 0.1", "weight: 0.5")
    shop.commit("Weigh both alike")
    said = shop.push("fairer")
    assert "PROMOTE" in said, said
    shop.git("switch", "-q", "main")
    shop.git("merge", "-q", "--no-ff", "-m", "Merge", "fairer")
    said = shop.push()
    assert "shop@v1.1.0" in said, said
    shop.git("fetch", "-q", "--tags", "local")
    made = json.loads(shop.call("bundle", "v1.1.0", "--out", str(tmp_path / "out"), "--json"))
    assert made["parity"] == "it loads, and gives its 100 golden rows to the last bit"
    assert json.loads((tmp_path / "out" / "model" / "model.json").read_text()) == {"weight": 0.5}
    card = (tmp_path / "out" / "model-card.md").read_text()
    assert "The score command takes no events: whether features see the future was not asked." in card
    assert "Rows are taken as independent" in card
    assert "nothing here knows whether it was trained on" in card
    told, _ = json.JSONDecoder().raw_decode(shop.call("verify", "v1.1.0", "--json"))
    assert told["ok"], told
