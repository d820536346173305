"""Splits the posts of data/data.xml into rows to train on and rows to test on."""

import csv
import random
from pathlib import Path
from xml.etree import ElementTree

import yaml

COLUMNS = ["id", "date", "text", "r"]


def posts():
    """Every post: its id, its day, its words, and whether it is tagged `r`."""
    for post in ElementTree.parse("data/data.xml").getroot():
        text = f"{post.get('Title')} {post.get('Body')}"
        yield [post.get("Id"), post.get("CreationDate")[:10], text, int("<r>" in post.get("Tags"))]


def write(path, rows):
    """Write rows as a table."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


if __name__ == "__main__":
    params = yaml.safe_load(open("params.yaml"))["prepare"]
    rows = list(posts())
    random.Random(params["seed"]).shuffle(rows)
    cut = int(len(rows) * params["split"])
    write("data/prepared/test.csv", rows[:cut])
    write("data/prepared/train.csv", rows[cut:])
