"""Says how the model does on the rows to test on."""

import json
import pickle
from pathlib import Path

from sklearn.metrics import average_precision_score, roc_auc_score
from train import read

if __name__ == "__main__":
    rows = read("data/prepared/test.csv")
    labels = [int(row["r"]) for row in rows]
    with open("model.pkl", "rb") as file:
        p = pickle.load(file).predict_proba([row["text"] for row in rows])[:, 1]
    numbers = {"avg_prec": average_precision_score(labels, p), "roc_auc": roc_auc_score(labels, p)}
    Path("eval").mkdir(exist_ok=True)
    Path("eval/metrics.json").write_text(json.dumps(numbers, indent=1) + "\n")
