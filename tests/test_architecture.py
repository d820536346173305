"""The picture of the rooms is that of the import contracts, and the table of refs is that of the code."""

import ast
import os
import re
import tomllib
from pathlib import Path

import pytest

from pushforward.git import refs

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "pushforward"
PAGE = ROOT / "docs" / "architecture.md"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERS = [
    [name.strip() for name in layer.split("|")]
    for layer in next(one for one in CONTRACTS if one.get("containers") == ["pushforward"])["layers"]
]
ROOMS = sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))


def rooms() -> str:
    """The order of the rooms as a mermaid flowchart, the ground as one box."""
    above = [layer for layer in LAYERS if set(layer) & set(ROOMS)]
    ground = sorted(name for layer in LAYERS for name in layer if name not in ROOMS)
    lines = ["```mermaid", "flowchart TB"]
    for number, layer in enumerate(above):
        boxes = "; ".join(f"{name}[{name}]" for name in layer)
        lines.append(f"  subgraph floor{number}[ ]")
        lines.append(f"    direction LR; {boxes}")
        lines.append("  end")
    lines += [f"  floor{number} --> floor{number + 1}" for number in range(len(above) - 1)]
    lines += [f"  floor{len(above) - 1} --> ground[{' · '.join(ground)}]", "```"]
    return "\n".join(lines)


def table() -> str:
    writers = {kind: ", ".join(f"`{one}`" for one in kind.written_by) for kind in refs.SCHEMA}
    rows = [f"| `{kind.pattern}` | {writers[kind]} | {kind.holds} |" for kind in refs.SCHEMA]
    return "\n".join(["| ref | written by | holds |", "|:--|:--|:--|", *rows])


@pytest.mark.parametrize(("name", "wanted"), [("rooms", rooms()), ("refs", table())])
def test_the_page_says_what_the_code_says(name, wanted):
    text = PAGE.read_text()
    mark = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    made = mark.sub(lambda found: f"{found[1]}{wanted}\n{found[2]}", text)
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(made)
    assert made == text, "UPDATE_GOLDEN=1 writes it"


@pytest.mark.parametrize("kind", refs.SCHEMA, ids=lambda kind: kind.pattern)
def test_who_is_said_to_write_a_ref_is_there(kind):
    names = {name: value for name, value in vars(refs).items() if isinstance(value, str) and name.isupper()}
    (constant,) = [name for name, value in names.items() if kind.pattern.startswith(value) and name != "OWNED"]
    for writer in kind.written_by:
        text = (SOURCE / f"{writer.replace('.', '/')}.py").read_text()
        assert re.search(rf"\b{constant}\b", text) or (constant == "TAGS" and "Tag(" in text), f"{writer}: {constant}"


def test_no_ref_of_ours_is_spelled_out_beside_the_schema():
    spelled = re.compile(r'"refs/(?:pushforward/[a-z]+|notes/pushforward|pull)[/"{]')
    found = {
        str(path.relative_to(SOURCE)): spelled.findall(path.read_text())
        for path in SOURCE.rglob("*.py")
        if path != SOURCE / "git" / "refs.py"
    }
    assert {path: words for path, words in found.items() if words} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_the_plate_of_a_room_names_its_modules_and_imports_nothing(room):
    tree = ast.parse((SOURCE / room / "__init__.py").read_text())
    plate = ast.get_docstring(tree) or ""
    assert len(tree.body) == 1, "a door is a plate"
    modules = {path.stem for path in (SOURCE / room).glob("*.py")} - {"__init__"}
    if room != "commands":  # one for each verb
        assert modules <= set(re.findall(r"`(\w+)`", plate)), modules - set(re.findall(r"`(\w+)`", plate))


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_tests_and_a_row_on_the_page(room):
    assert list((ROOT / "tests" / room).glob("test_*.py"))
    assert f"[{room}](../src/pushforward/{room})" in PAGE.read_text()
