"""Diagram of a page: a Mermaid flowchart as rows of boxes, in HTML. `build.py` asks for it.

A forge draws the same block by a script of 3 MB; here it is text, that wraps on a phone and is read aloud.
"""

import html
import re
from dataclasses import dataclass, field

NODE = re.compile(r"(?P<name>\w+)(?:(?:\(\[|\[|\{)(?P<text>[^\]})]*)(?:\]\)|\]|\}))?")
EDGE = re.compile(r"^(?P<one>.+?) --(?: (?P<label>.+?) --)?> (?P<other>.+)$")


@dataclass
class Flowchart:
    """Boxes with what they say, what each leads to, and the words on the way."""

    boxes: dict[str, list[str]] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    def box(self, text: str) -> str:
        """The name of a box, which is new where it says something."""
        found = NODE.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"no box of a flowchart: {text}")
        said = re.sub(r"<b>(.+?)</b><br>", r"\1: ", found["text"] or "")
        said = html.unescape(re.sub(r"<[^>]+>", " ", said))
        if said or found["name"] not in self.boxes:
            self.boxes[found["name"]] = [" ".join(said.split()) or found["name"]]
        return found["name"]

    def rank(self, name: str) -> int:
        """How many steps it takes at most to come here."""
        return max((self.rank(one) + 1 for one, other in self.edges if other == name), default=0)


def read(text: str) -> Flowchart:
    """A flowchart of boxes, arrows and groups of boxes side by side. Raises ValueError for anything else."""
    first, *lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not first.startswith("flowchart "):
        raise ValueError(f"no flowchart: {first}")
    chart, group = Flowchart(), ""
    for line in lines:
        if line.startswith("subgraph "):
            group = NODE.match(line.removeprefix("subgraph "))["name"]  # type: ignore[index]
            chart.boxes[group] = []
        elif line == "end":
            group = ""
        elif group:
            inside = Flowchart()
            names = [inside.box(word) for word in line.split("; ") if not word.startswith("direction ")]
            chart.boxes[group] += [inside.boxes[name][0] for name in names]
        elif found := EDGE.match(line):
            one, other = chart.box(found["one"]), chart.box(found["other"])
            chart.edges.append((one, other))
            if found["label"]:
                chart.labels[other] = found["label"]
        else:
            chart.box(line)
    return chart


def drawn(text: str) -> str:
    """The flowchart as an ordered list of rows, from where nothing comes before."""
    chart = read(text)
    rows: dict[int, list[str]] = {}
    for name, said in chart.boxes.items():
        label = chart.labels.get(name)
        before = f"<em>{html.escape(label)}</em>" if label else ""
        rows.setdefault(chart.rank(name), []).extend(f"<span>{before}{html.escape(one)}</span>" for one in said)
    items = "".join(f"<li>{''.join(rows[rank])}</li>" for rank in sorted(rows))
    return f'<ol class="flow">{items}</ol>'
