"""Numbers on the last month."""

import json
from pathlib import Path

import pandas as pd
import xgboost as xgb
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score, roc_curve

test = pd.read_parquet("data/features/test.parquet")
model = xgb.XGBClassifier()
model.load_model("model.json")
p = model.predict_proba(test.drop(columns="late"))[:, 1]
numbers = {
    "log_loss": float(log_loss(test["late"], p)),
    "roc_auc": float(roc_auc_score(test["late"], p)),
    "avg_prec": float(average_precision_score(test["late"], p)),
}
Path("metrics.json").write_text(json.dumps(numbers, indent=1))
fpr, tpr, _ = roc_curve(test["late"], p)
pd.DataFrame({"fpr": fpr, "tpr": tpr}).iloc[:: max(1, len(fpr) // 1000)].to_csv("roc.csv", index=False)
