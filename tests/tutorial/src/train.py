"""Fits a forest on the words of the posts."""

import csv
import pickle

import yaml
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline


def read(path):
    """The rows of a table."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    params = yaml.safe_load(open("params.yaml"))
    settings, words = params["train"], params["featurize"]["max_features"]
    forest = RandomForestClassifier(
        n_estimators=settings["n_est"], min_samples_leaf=settings["min_leaf"], random_state=settings["seed"]
    )
    rows = read("data/prepared/train.csv")
    model = make_pipeline(TfidfVectorizer(max_features=words), forest)
    model.fit([row["text"] for row in rows], [int(row["r"]) for row in rows])
    with open("model.pkl", "wb") as file:
        pickle.dump(model, file)
