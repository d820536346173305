"""The shape of DVC's own example, iterative/example-get-started: stages, data, numbers, plots, registry and store."""

import hashlib
import random
from pathlib import Path

STAGES = """\
stages:
  prepare:
    cmd: python src/prepare.py data/data.xml
    deps:
    - data/data.xml
    - src/prepare.py
    params:
    - prepare.seed
    - prepare.split
    outs:
    - data/prepared
  featurize:
    cmd: python src/featurization.py data/prepared data/features
    deps:
    - data/prepared
    - src/featurization.py
    params:
    - featurize.max_features
    - featurize.ngrams
    outs:
    - data/features
  train:
    cmd: python src/train.py data/features model.pkl
    deps:
    - data/features
    - src/train.py
    params:
    - train.min_split
    - train.n_est
    - train.seed
    outs:
    - model.pkl
  evaluate:
    cmd: python src/evaluate.py model.pkl data/features
    deps:
    - data/features
    - model.pkl
    - src/evaluate.py
    outs:
    - eval
metrics:
- eval/metrics.json
plots:
- ROC:
    template: simple
    x: fpr
    y:
      eval/plots/sklearn/roc.json: tpr
- Confusion-Matrix:
    template: confusion
    x: actual
    y:
      eval/plots/sklearn/cm.json: predicted
- eval/importance.json
artifacts:
  text-classification:
    path: model.pkl
    type: model
    desc: Detect whether the given stackoverflow question should have R language tag
    labels:
    - nlp
    - classification
    - stackoverflow
"""
PARAMS = """\
prepare:
  split: 0.20
  seed: 20170428

featurize:
  max_features: 200
  ngrams: 2

train:
  seed: 20170428
  n_est: 50
  min_split: 0.01
"""
PREPARE = """\
import os
import random
import sys
import xml.etree.ElementTree
from ruamel.yaml import YAML

params = YAML(typ="safe").load(open("params.yaml"))["prepare"]
random.seed(params["seed"])
os.makedirs(os.path.join("data", "prepared"), exist_ok=True)
output_train = open(os.path.join("data", "prepared", "train.tsv"), "w")
output_test = open(os.path.join("data", "prepared", "test.tsv"), "w")
for line in open(sys.argv[1]):
    if not line.lstrip().startswith("<row"):
        continue
    attr = xml.etree.ElementTree.fromstring(line).attrib
    label = int("<r>" in attr["Tags"])
    out = output_train if random.random() > params["split"] else output_test
    out.write(f"{attr['Id']}\\t{label}\\t{attr['Title']} {attr['Body']}\\n")
"""
FEATURIZE = """\
import os
import pickle
import sys
from ruamel.yaml import YAML
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

params = YAML(typ="safe").load(open("params.yaml"))["featurize"]


def table(name):
    with open(os.path.join(sys.argv[1], name)) as lines:
        return [line.rstrip("\\n").split("\\t") for line in lines]


train, test = table("train.tsv"), table("test.tsv")
words = CountVectorizer(stop_words="english", max_features=params["max_features"], ngram_range=(1, params["ngrams"]))
weights = TfidfTransformer(smooth_idf=False)
train_x = weights.fit_transform(words.fit_transform([text for _, _, text in train]))
test_x = weights.transform(words.transform([text for _, _, text in test]))
os.makedirs(sys.argv[2], exist_ok=True)
for name, rows, x in (("train", train, train_x), ("test", test, test_x)):
    with open(os.path.join(sys.argv[2], f"{name}.pkl"), "wb") as file:
        pickle.dump(([int(label) for _, label, _ in rows], x, words.get_feature_names_out().tolist()), file)
"""
TRAIN = """\
import os
import pickle
import sys
from ruamel.yaml import YAML
from sklearn.ensemble import RandomForestClassifier

params = YAML(typ="safe").load(open("params.yaml"))["train"]
labels, x, _ = pickle.load(open(os.path.join(sys.argv[1], "train.pkl"), "rb"))
forest = RandomForestClassifier(
    n_estimators=params["n_est"], min_samples_split=params["min_split"], n_jobs=2, random_state=params["seed"]
)
forest.fit(x, labels)
pickle.dump(forest, open(sys.argv[2], "wb"))
"""
EVALUATE = """\
import json
import os
import pickle
import sys
from sklearn import metrics

forest = pickle.load(open(sys.argv[1], "rb"))
os.makedirs("eval/plots/sklearn", exist_ok=True)
found = {"avg_prec": {}, "roc_auc": {}}
for name in ("train", "test"):
    labels, x, words = pickle.load(open(os.path.join(sys.argv[2], f"{name}.pkl"), "rb"))
    told = forest.predict_proba(x)[:, 1]
    found["avg_prec"][name] = metrics.average_precision_score(labels, told)
    found["roc_auc"][name] = metrics.roc_auc_score(labels, told)
json.dump(found, open("eval/metrics.json", "w"), indent=4)
fpr, tpr, _ = metrics.roc_curve(labels, told)
json.dump([{"fpr": f, "tpr": t} for f, t in zip(fpr, tpr)], open("eval/plots/sklearn/roc.json", "w"))
pairs = [{"actual": str(y), "predicted": str(int(p > 0.5))} for y, p in zip(labels, told)]
json.dump(pairs, open("eval/plots/sklearn/cm.json", "w"))
top = sorted(zip(forest.feature_importances_, words), reverse=True)[:30]
json.dump([{"name": word, "importance": weight} for weight, word in top], open("eval/importance.json", "w"))
"""
FILES = {
    "dvc.yaml": STAGES,
    "params.yaml": PARAMS,
    "src/prepare.py": PREPARE,
    "src/featurization.py": FEATURIZE,
    "src/train.py": TRAIN,
    "src/evaluate.py": EVALUATE,
    ".gitignore": "/model.pkl\n/eval\n.venv/\n",
    "data/.gitignore": "/data.xml\n/prepared\n/features\n",
    ".dvcignore": "# Add patterns of files dvc should ignore, which could improve\n# the performance.\n",
    "README.md": "DVC Get Started\n",
    ".github/workflows/get-started.yml": "on: workflow_dispatch\njobs: {}\n",
}


def questions(count: int) -> str:
    """Questions of a forum as a file of XML rows, a third of them about R."""
    dice = random.Random(20170428)
    ours, theirs = (
        "ggplot dataframe vector apply factor plot lm knitr cran",
        "pointer class thread json css",
    )
    both = "how can error function list value loop file data string index return column import value why"
    rows = ['<?xml version="1.0" encoding="utf-8"?>', "<posts>"]
    for n in range(count):
        about = dice.random() < 0.35
        words = [dice.choice(both.split()) for _ in range(12)]
        words += [dice.choice((ours if (dice.random() < 0.75) == about else theirs).split()) for _ in range(3)]
        dice.shuffle(words)
        tags = "&lt;r&gt;" if about else "&lt;python&gt;"
        day = f"20{10 + n * 8 // count:02}-{1 + n * 12 // count % 12:02}-01T00:00:00.000"
        text = f'Title="{" ".join(words[:5])}" Body="{" ".join(words[5:])}"'
        rows.append(f'  <row Id="{n + 1}" PostTypeId="1" CreationDate="{day}" {text} Tags="{tags}" />')
    return "\n".join([*rows, "</posts>", ""])


def store(folder: Path, count: int) -> str:
    """Put the data into a store, as `dvc push` does; the text of the `.dvc` file that names it."""
    text = questions(count).encode()
    oid = hashlib.md5(text, usedforsecurity=False).hexdigest()
    place = folder / "files" / "md5" / oid[:2] / oid[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(text)
    return f"outs:\n- md5: {oid}\n  size: {len(text)}\n  hash: md5\n  path: data.xml\n"
