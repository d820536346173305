"""Every refusal that a user can see: found in the source, seen in the tests, told in docs/refusals.md.

`make refusals` runs the tests with $RECORD_REFUSALS naming a file that this module's recorder writes, then renders the
table. tests/test_refusals.py holds the table to the source, so that no refusal is added without it.
"""

import ast
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests import policy_server

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "pushforward"
PAGE = ROOT / "docs" / "refusals.md"
RECORD = "RECORD_REFUSALS"
FILLED = r"‹[^›]*›"
BASE = "PushforwardError"
SERVERS = "PolicyError"
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
    """Every refusal of a command in the source, module by module; those of the server's hook are `rules`."""
    paths = [path for path in sorted(SOURCE.rglob("*.py")) if not path.is_relative_to(SOURCE / "policy")]
    trees = {_module(path): ast.parse(path.read_text()) for path in paths}
    kinds = {BASE: dict[str, ast.expr]()} | {
        node.name: _given(node)
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
        for call, function in _calls(tree):
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            made_inside = any(first <= call.lineno <= last for first, last in inside)
            if name in makers or (name in kinds and not made_inside):
                given = [_spelled(argument, function) for argument in call.args]
                if name in makers:  # it may be told the hop too, in a word
                    told = [texts for texts in given if texts]
                    given = [texts for texts in told if any(" " in text for text in texts)] or told
                texts = given[0] if given else []
                keywords = _keywords(call, makers.get(name), kinds)
                found += [_site(module, call, text, keywords) for text in texts]
    return sorted(set(found))


def _calls(tree: ast.AST) -> list[tuple[ast.Call, ast.AST]]:
    """Every call, with the innermost function that it is in."""
    inner: dict[ast.Call, ast.AST] = {}
    for node in ast.walk(tree):  # from the outside in
        if isinstance(node, ast.Module | ast.FunctionDef):
            inner |= {call: node for call in ast.walk(node) if isinstance(call, ast.Call)}
    return list(inner.items())


def rules() -> list[Site]:
    """Every refusal of the hook in the source: one for each text, wherever it is put together before it is raised."""
    found: list[Site] = []
    for path in sorted((SOURCE / "policy").rglob("*.py")):
        for call, function in _calls(ast.parse(path.read_text())):
            if isinstance(call.func, ast.Name) and call.func.id == SERVERS and len(call.args) == 2:
                what, then = call.args
                following, last = next(iter(_spelled(then, function)), ""), call.end_lineno or call.lineno
                texts = _spelled(what, function)
                found += [Site(_module(path), call.lineno, last, text, following, "") for text in texts]
    return sorted(found)


def _spelled(node: ast.expr, function: ast.AST) -> list[str]:
    """The texts that an expression may be: itself, either side of a choice, or what its name was given before."""
    if isinstance(node, ast.IfExp):
        return _spelled(node.body, function) + _spelled(node.orelse, function)
    if isinstance(node, ast.Name):
        given = [one for one in ast.walk(function) if isinstance(one, ast.Assign) and one.lineno < node.lineno]
        values = [
            one.value
            for one in given
            if any(isinstance(target, ast.Name) and target.id == node.id for target in one.targets)
        ]
        return [text for value in values if not isinstance(value, ast.Name) for text in _spelled(value, function)]
    text = _text(node)
    return [text] if text else []


def examples(known: list[Site], said: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
    """(module, text) of a rule -> the shortest of what it was seen to say; ("", why) for what no known rule says."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    ordered = sorted(known, key=lambda site: -len(re.sub(FILLED, "", site.text)))
    forms = [(site, _form(site.text)) for site in ordered]
    for what, then in sorted(said, key=lambda one: (len(one[0]), one)):
        why = what.partition(" refused: ")[2] or what
        site = next((site for site, form in forms if form.fullmatch(why)), None)
        found.setdefault((site.module, site.text) if site else ("", why), (what, then))
    return found


def _form(text: str) -> re.Pattern[str]:
    """What a text may be once it is filled in; that it begins with a name alone says nothing."""
    parts = re.split(FILLED, text)
    return re.compile(".*".join(re.escape(" ".join(part.split(" "))) for part in parts))


def _module(path: Path) -> str:
    """The name of a module below the package: its room and its own."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def _makes(function: ast.FunctionDef, kinds: set[str]) -> bool:
    """Whether a function gives a refusal whose text its caller says."""
    returns = function.returns
    return isinstance(returns, ast.Name) and returns.id in kinds and bool(_made_in(function))


def _made_in(function: ast.FunctionDef) -> list[ast.Call]:
    """Where a function makes a refusal; one that only hands on what another has made is no maker."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [call for call in calls if ast.unparse(call.func).endswith("Error")]


Keywords = dict[str, ast.expr]


def _given(kind: ast.ClassDef) -> Keywords:
    """What a kind of refusal says of itself: the keywords that it gives its base, or their defaults."""
    made = [node for node in ast.walk(kind) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    calls = [
        node for node in ast.walk(kind) if isinstance(node, ast.Call) and ast.unparse(node.func) == "super().__init__"
    ]
    arguments = made[0].args if made else None
    defaults: Keywords = {}
    if arguments is not None:
        named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        defaults = {one.arg: value for one, value in named if value is not None}
    words = {word.arg: word.value for call in calls for word in call.keywords if word.arg}
    return {
        name: defaults.get(value.id, value) if isinstance(value, ast.Name) else value for name, value in words.items()
    }


def _keywords(call: ast.Call, maker: ast.FunctionDef | None, kinds: dict[str, Keywords]) -> Keywords:
    """The keywords of a refusal: of its kind, of the function that makes it, of the call itself."""
    made = call
    if maker is not None:
        made = _made_in(maker)[0]
    kind = kinds.get(made.func.id, {}) if isinstance(made.func, ast.Name) else {}
    return kind | {word.arg: word.value for one in (made, call) for word in one.keywords if word.arg}


def _site(module: str, call: ast.Call, text: str, keywords: Keywords) -> Site:
    code = keywords.get("exit_code")
    return Site(
        module,
        call.lineno,
        call.end_lineno or call.lineno,
        text,
        _text(keywords["next"]) if "next" in keywords else "",
        "USAGE" if code is None else code.id if isinstance(code, ast.Name) and code.id.isupper() else "…",
    )


def _text(node: ast.expr) -> str:
    """A string as it is written, with the name of what is filled in between ‹ and ›; "" where it is no string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else f"‹{_name(part)}›" for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
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
        "Made by `make refusals` from the source and from the tests that show each refusal: one row a rule. ‹names›",
        "stand for what is filled in. A command ends with the exit code of its row.",
        "",
        "## By the server, before a push is taken",
        "",
        "Nothing of a refused push stays. The example is what a test against a real bare repository was told; a rule",
        "without one has a test of its own. What registry.ssh refuses, below, a push of a tag is refused for too.",
    ]
    lines += _server()
    lines += ["", "## By a command", ""]
    for module in sorted({site.module for site in known}):
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


def _server() -> Iterator[str]:
    """The rules of the server, module by module, each with one refusal that a test has seen."""
    known = rules()
    seen = examples(known + [site for site in sites() if site.module == SHARED], pushed())
    for module in sorted({site.module for site in known}):
        yield from ("", f"### {module}", "")
        yield from ("| refusal | next | for example |", "|:--|:--|:--|")
        for text in dict.fromkeys(site.text for site in known if site.module == module):
            what, then = seen.get((module, text), ("", ""))
            following = next((site.next for site in known if site.text == text and site.next), then)
            # where nothing is filled in the example says no more than what was pushed
            example = what if re.search(FILLED, text) else what.partition(" refused: ")[0]
            yield f"| {cell(text)} | {cell(following, code=True)} | {cell(example) or '—'} |"


def pushed() -> set[tuple[str, str]]:
    """What the tests of the policy were told: the refusals, each with its next command."""
    return {told for text in policy_server.goldens().values() for told in refused(text)}


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
