"""Embeddings of images in `.npy`, three classes in texts, a network in ONNX: an environment that is really built."""

from pathlib import Path

import pytest
from tests.foreign.stranger import Stranger, tool

__all__ = ["tool"]
DVC = """\
stages:
  embed:
    cmd: python embed.py
    deps: [embed.py]
    outs: [images.npy, animals.txt]
  train:
    cmd: python train.py
    deps: [train.py, images.npy, animals.txt]
    params: [train.steps]
    outs: [model.onnx]
    metrics: [metrics.json: {cache: false}]
"""
EMBED = """\
import numpy as np

dice = np.random.default_rng(1)
kinds = dice.integers(0, 3, 1500)
np.save("images.npy", (np.eye(3, 8)[kinds] + dice.normal(0, 0.6, (1500, 8))).astype("float32"))
open("animals.txt", "w").write("\\n".join(["cat", "dog", "fox"][kind] for kind in kinds))
"""
TRAIN = """\
import json, re
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

steps = int(re.search(r"steps: (\\d+)", open("params.yaml").read())[1])
names, x = open("animals.txt").read().split(), np.load("images.npy")
y = np.array([["cat", "dog", "fox"].index(name) for name in names])
w, b = np.zeros((8, 3), "float32"), np.zeros(3, "float32")
for _ in range(steps):
    p = np.exp(x[:700] @ w + b)
    off = p / p.sum(1, keepdims=True) - np.eye(3)[y[:700]]
    w, b = (w - x[:700].T @ off / 200).astype("float32"), (b - off.mean(0)).astype("float32")
seen, told = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, n]) for name, n in (("x", 8), ("p", 3)))
nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["z"]), helper.make_node("Softmax", ["z"], ["p"])]
fit = [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")]
graph = helper.make_graph(nodes, "net", [seen], [told], fit)
onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)]), "model.onnx")
right = (x[700:] @ w + b).argmax(1) == y[700:]
json.dump({"accuracy": float(right.mean())}, open("metrics.json", "w"))
"""
SHAPE = {
    "dvc.yaml": DVC,
    "params.yaml": "train: {steps: 3}\n",
    "requirements.txt": (Path(__file__).parent / "onnx.txt").read_text(),
    "embed.py": EMBED,
    "train.py": TRAIN,
    ".gitignore": "/images.npy\n/animals.txt\n/model.onnx\n",
}
# What its people write to be judged.
CONTRACT = """\
    holdout: {path: holdout, key: image, label: animal, cluster: none, time: none}
    score: python score.py {rows} {out}
    classes: [cat, dog, fox]
    loss: logloss
    batches: params.yaml:batches
"""
HOLDOUT = """\
import csv, os

os.makedirs("holdout", exist_ok=True)
rows, names = np.load("images.npy")[700:], open("animals.txt").read().split()[700:]
head = ["image", *(f"e{n}" for n in range(8))]
csv.writer(open("holdout/rows.csv", "w")).writerows([head, *([n, *row] for n, row in enumerate(rows))])
csv.writer(open("holdout/labels.csv", "w")).writerows([("image", "animal"), *enumerate(names)])
"""
SCORE = """\
import csv, sys
import numpy as np
import onnxruntime

head, *rows = csv.reader(open(sys.argv[1]))
net = onnxruntime.InferenceSession("model.onnx")
(told,) = net.run(None, {"x": np.array([row[1:] for row in rows], "float32")})
head = ("image", "p_cat", "p_dog", "p_fox")
csv.writer(open(sys.argv[2], "w")).writerows([head, *([row[0], *p] for row, p in zip(rows, told.tolist()))])
"""


@pytest.mark.slow
def test_a_network_in_onnx_is_judged_class_by_class_in_the_environment_of_its_own_locks(tmp_path, tool):
    shop = Stranger(tmp_path, tool, SHAPE)
    assert "model.onnx (dvc.yaml:10, guessed: the out of stage train)" in shop.adopt()
    shop.edit("pushforward.yaml", "    # Level 1:", f"{CONTRACT}    # Level 1:")
    shop.edit("params.yaml", "train:", "batches: [a, b, c, d]\ntrain:")
    shop.edit("dvc.yaml", "outs: [images.npy,", "outs: [holdout, images.npy,")
    shop.edit(".gitignore", "/images.npy\n", "/holdout\n/images.npy\n")
    shop.write({"embed.py": EMBED + HOLDOUT, "score.py": SCORE})
    shop.own("Be judged")
    assert "would be judged: 800 rows, taken as independent, logloss" in shop.rehearse()
    said = shop.push()
    assert "shop@v1.0.0" in shop.tags(), said
    shop.needed("embeddings in `.npy`, a network in ONNX, three classes in texts", "3, a version")
