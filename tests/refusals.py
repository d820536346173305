"""Every refusal that a user can see: found in the source, seen in the tests, told in docs/refusals.md.

`make refusals` runs the tests with $RECORD_REFUSALS naming a file that this module's recorder writes, then renders the
table. tests/test_refusals.py holds the table to the source, so that no refusal is added without it.
"""

import ast
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "pushforward"
PAGE = ROOT / "docs" / "refusals.md"
GOLDEN = ROOT / "tests" / "golden" / "policy.toml"
RECORD = "RECORD_REFUSALS"
BASE = "PushforwardError"
POLICY = "PolicyError"  # of the hook: the next command is its second argument
SHARED = "registry.ssh"  # the hook and the commands refuse by it


@dataclass(frozen=True, order=True)
class Site:
    """A place in the source that makes a refusal: its module, lines and text, with ‹names› for what is filled in."""

    module: str
    first: int
    last: int
    text: str
    next: str
    exit_code: str


def sites() -> list[Site]:
    """Every refusal in the source, module by module."""
    trees = {_module(path): ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}
    kinds = {BASE} | {
        node.name
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(isinstance(base, ast.Name) and base.id == BASE for base in node.bases)
    }
    found: list[Site] = []
    for module, tree in trees.items():
        makers = {
            node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and _makes(node, kinds)
        }
        inside = [(maker.lineno, maker.end_lineno or 0) for maker in makers.values()]
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            made_inside = any(first <= call.lineno <= last for first, last in inside)
            if name == POLICY:
                found.append(_rule(module, call, _said_before(tree, call)))
            elif name in makers or (name in kinds and not made_inside):
                text = next((said for argument in call.args if (said := _text(argument))), "")
                if text:
                    found.append(_site(module, call, text, makers.get(name)))
    return sorted(found)


def _rule(module: str, call: ast.Call, known: dict[str, str]) -> Site:
    """A rule of the hook."""
    why, then = (_text(argument, known) for argument in call.args)
    return Site(module, call.lineno, call.end_lineno or call.lineno, why, then, POLICY)


def _said_before(tree: ast.Module, call: ast.Call) -> dict[str, str]:
    """Name -> text of the strings that the module, and the function of `call`, give a name to."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    own = [node for node in functions if node.lineno <= call.lineno <= (node.end_lineno or 0)]
    named = [node for part in (tree, *own) for node in part.body if isinstance(node, ast.Assign)]
    known: dict[str, str] = {}
    for node in named:
        if isinstance(node.targets[0], ast.Name) and (text := _text(node.value, known)):
            known[node.targets[0].id] = text
    return known


def of_server(known: list[Site]) -> list[Site]:
    """The rules by which a server refuses a push: those of the hook, and of signatures, which commands have too."""
    return [site for site in known if site.module.startswith("policy.") or site.module == SHARED]


def _module(path: Path) -> str:
    """The name of a module below the package: its room and its own."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def _makes(function: ast.FunctionDef, kinds: set[str]) -> bool:
    """Whether a function gives a refusal whose text its caller says."""
    returns = function.returns
    return isinstance(returns, ast.Name) and returns.id in kinds


def _site(module: str, call: ast.Call, text: str, maker: ast.FunctionDef | None) -> Site:
    keywords = {word.arg: word.value for word in call.keywords}
    if maker is not None:
        made = next(
            node for node in ast.walk(maker) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            and node.func.id.endswith("Error")
        )  # fmt: skip
        keywords = {word.arg: word.value for word in made.keywords} | keywords
    code = keywords.get("exit_code")
    return Site(
        module,
        call.lineno,
        call.end_lineno or call.lineno,
        text,
        _text(keywords["next"]) if "next" in keywords else "",
        code.id if isinstance(code, ast.Name) else "USAGE" if code is None else "…",
    )


def _text(node: ast.expr, known: Mapping[str, str] = MappingProxyType({})) -> str:
    """A string as it is written, with the name of what is filled in between ‹ and ›; "" where it is no string.

    `known` are strings that have a name.
    """
    if isinstance(node, ast.Name):
        return known.get(node.id, "")
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else _text(part.value, known) or f"‹{_name(part)}›"
            for part in node.values
            if isinstance(part, ast.Constant | ast.FormattedValue)
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, known) + _text(node.right, known)
    return ""


def _name(part: ast.expr) -> str:
    """The last plain name of what is filled in."""
    names = [node.id for node in ast.walk(part) if isinstance(node, ast.Name)]
    fields = [node.attr for node in ast.walk(part) if isinstance(node, ast.Attribute)]
    return (fields or names or ["…"])[0]


def record(path: Path) -> None:
    """From now on write each refusal that this process makes to `path`: where, and which test showed it."""
    from pushforward.errors import PushforwardError

    original = PushforwardError.__init__

    def recorded(self: PushforwardError, message: str, **given: object) -> None:
        original(self, message, **given)  # type: ignore[arg-type]
        test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0].partition("[")[0]
        lines = [(frame.f_code.co_filename, frame.f_lineno) for frame in _frames(sys._getframe(1))]
        here = [[_module(Path(file)), line] for file, line in lines if Path(file).is_relative_to(SOURCE)][:4]
        with path.open("a") as handle:
            handle.write(json.dumps({"test": test, "lines": here}) + "\n")

    PushforwardError.__init__ = recorded  # type: ignore[method-assign]


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def shown(record_lines: Iterable[str], known: list[Site]) -> dict[tuple[str, str], str]:
    """(module, text) of a refusal -> the first of the tests that showed it."""
    tests: dict[tuple[str, str], set[str]] = {}
    for line in record_lines:
        entry = json.loads(line)
        for module, number in entry["lines"]:
            site = next((site for site in known if site.module == module and site.first <= number <= site.last), None)
            if site is not None:
                tests.setdefault((site.module, site.text), set()).add(entry["test"])
                break
    return {key: min(found) for key, found in tests.items()}


def render(known: list[Site], tests: dict[tuple[str, str], str]) -> str:
    """The page."""
    lines = [
        "# What is refused, and what to do then",
        "",
        "Made by `make refusals` from the source and from the tests that show each refusal; ‹names› stand for what is",
        "filled in. A command ends with the exit code of its row.",
        "",
        "## By the server, before a push is taken",
        "",
        "The rules of the policy, in the words that follow `refused:`. Each is tested against a real bare repository;",
        "nothing of a refused push stays.",
        "",
        "| refusal | next |",
        "|:--|:--|",
    ]
    lines += server_rows(known)
    lines += ["", "## By a command", ""]
    for module in sorted({site.module for site in known if not site.module.startswith("policy.")}):
        lines += [f"### {module}", "", "| refusal | next | exit | shown by |", "|:--|:--|:--|:--|"]
        rows: dict[str, Site] = {}
        for site in known:
            if site.module == module:
                rows.setdefault(site.text, site)
        for site in rows.values():
            test = tests.get((module, site.text), "").rpartition("::")[2].replace("test_", "", 1).replace("_", " ")
            exit_code = site.exit_code.lower().replace("_", " ")
            lines.append(f"| {cell(site.text)} | {cell(site.next, code=True)} | {exit_code} | {test or '—'} |")
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def server_rows(known: list[Site]) -> list[str]:
    """The rows of the rules by which a server refuses a push, one a rule."""
    rules = {(site.text, site.next) for site in of_server(known)}
    return [f"| {cell(what)} | {cell(then, code=True)} |" for what, then in sorted(rules)]


def refused(text: str) -> Iterator[tuple[str, str]]:
    """(what, next) of each refusal in what a pusher saw."""
    what: list[str] = []
    for raw in text.splitlines():
        line = raw.removeprefix("remote: ").strip()
        if line.startswith("next:"):
            yield " ".join(what).removeprefix("pushforward: "), line.removeprefix("next:").strip()
            what = []
        elif line.startswith("pushforward: "):
            what = [line]
        elif what and line:
            what.append(line)


def cell(text: str, *, code: bool = False) -> str:
    """Text as it stands in a cell of a table."""
    flat = " ".join(text.split()).replace("|", "\\|")
    return f"`{flat}`" if code and flat and "`" not in flat else flat.replace("<", "&lt;")


def main() -> int:
    """Render the page from the record that $RECORD_REFUSALS names."""
    known = sites()
    PAGE.write_text(render(known, shown(Path(os.environ[RECORD]).read_text().splitlines(), known)))
    unseen = PAGE.read_text().count("| — |\n")
    print(f"{PAGE.relative_to(ROOT)}: {len(known)} places in the source; {unseen} texts that only child processes show")
    return 0


if __name__ == "__main__":
    sys.exit(main())
