"""Fit the model on all months but the last, and stop by that one."""

from pathlib import Path

import pandas as pd
import xgboost as xgb
import yaml

params = yaml.safe_load(Path("params.yaml").read_text())["train"]
train, test = (pd.read_parquet(f"data/features/{part}.parquet") for part in ("train", "test"))
model = xgb.XGBClassifier(
    n_estimators=params["rounds"],
    early_stopping_rounds=params["patience"],
    random_state=params["seed"],
    tree_method="hist",
    eval_metric="logloss",
    **{
        name: params[name]
        for name in ("learning_rate", "max_depth", "min_child_weight", "subsample", "colsample_bytree", "max_bin")
    },
)
model.fit(
    train.drop(columns="late"), train["late"], eval_set=[(test.drop(columns="late"), test["late"])], verbose=False
)
model.save_model("model.json")
