"""The house in numbers: rooms, arrows between them, circles, and what has grown too long: `make house`.

A room is what lies directly below `src/pushforward`: a folder, or a module that stands there alone. An arrow is an
import of one by another, also inside a function; imports for types alone do not count.
"""

import argparse
import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "pushforward"
SOURCE = Path(__file__).parent.parent / "src" / PACKAGE
LONG_FILE, LONG_FUNCTION, MANY_PARAMETERS = 500, 50, 8
Graph = Mapping[str, set[str]]


@dataclass(frozen=True)
class Function:
    """A function or method: where it is, how long it is, how many parameters it has besides `self` and `cls`."""

    name: str
    lines: int
    parameters: int


@dataclass(frozen=True)
class Module:
    """A file of the package: its name below it, what it imports there, and what is counted in it."""

    name: str
    lines: int
    imports: frozenset[str]
    lazy: int
    functions: tuple[Function, ...]

    @property
    def room(self) -> str:
        """The room that it is in; its own name where it stands alone."""
        return self.name.partition(".")[0]


def read(source: Path) -> list[Module]:
    """Every module of the package, without the doors of its rooms."""
    paths = {_name(source, path): path for path in sorted(source.rglob("*.py")) if path.name != "__init__.py"}
    return [_module(name, path.read_text(), paths) for name, path in paths.items()]


def _name(source: Path, path: Path) -> str:
    return ".".join(path.relative_to(source).with_suffix("").parts)


def _module(name: str, text: str, known: Iterable[str]) -> Module:
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    typed = {id(inner) for node in ast.walk(tree) if _is_for_types(node) for inner in ast.walk(node)}
    imports = [node for node in _imports(tree) if id(node) not in typed]
    lazy = {id(node) for function in functions for node in _imports(function)}
    targets = {target for node in imports for target in _targets(node)}
    return Module(
        name,
        len(text.splitlines()),
        frozenset(targets & set(known) - {name}),
        len(lazy),
        tuple(_function(name, node) for node in functions),
    )


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))


def _targets(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """What an import may be of, below the package: a room, a module, or both."""
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        names = [node.module or "", *(f"{node.module}.{name}" for name in names)]
    return (name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(f"{PACKAGE}."))


def _function(module: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Function:
    given = node.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    stars = sum(one is not None for one in (given.vararg, given.kwarg))
    own = stars + sum(name not in {"self", "cls"} for name in names)
    return Function(f"{module}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1, own)


def between(modules: Iterable[Module]) -> dict[str, set[str]]:
    """Room -> the rooms that it imports."""
    arrows: dict[str, set[str]] = {}
    for module in modules:
        others = {name.partition(".")[0] for name in module.imports}
        arrows.setdefault(module.room, set()).update(others - {module.room})
    return arrows


def circles(graph: Graph) -> list[list[str]]:
    """Groups of those that reach one another."""
    reach = {name: _reached(graph, name) for name in graph}
    groups = {tuple(sorted(other for other in reach[name] if name in reach[other])) for name in graph}
    return [list(group) for group in sorted(groups) if group]


def _reached(graph: Graph, start: str) -> set[str]:
    reached: set[str] = set()
    open_ = list(graph[start])
    while open_:
        name = open_.pop()
        if name not in reached:
            reached.add(name)
            open_ += graph.get(name, ())
    return reached


def told(source: Path) -> Iterator[str]:
    """The numbers, a line each, and by name what is over its limit."""
    modules = read(source)
    rooms, arrows = between(modules), {module.name: set(module.imports) for module in modules}
    functions = sorted((one for module in modules for one in module.functions), key=lambda one: -one.lines)
    files = sorted(modules, key=lambda module: -module.lines)
    lines = sum(len(path.read_text().splitlines()) for path in source.rglob("*.py"))
    yield f"{lines:6,} lines in {len(modules)} modules in {len(rooms)} rooms"
    yield f"{sum(map(len, rooms.values())):6,} import arrows between rooms"
    yield f"{sum(map(len, arrows.values())):6,} import arrows between modules"
    yield from _counted("circles of rooms", (" > ".join(circle) for circle in circles(rooms)))
    yield from _counted("circles of modules", (" > ".join(circle) for circle in circles(arrows)))
    yield f"{files[0].lines:6,} lines in the longest file, {files[0].name}"
    long = [f"{one.lines:,} {one.name}" for one in files if one.lines > LONG_FILE]
    yield from _counted(f"files of more than {LONG_FILE} lines", long)
    yield f"{functions[0].lines:6,} lines in the longest function, {functions[0].name}"
    long = [f"{one.lines} {one.name}" for one in functions if one.lines > LONG_FUNCTION]
    yield from _counted(f"functions of more than {LONG_FUNCTION} lines", long)
    many = [f"{one.parameters} {one.name}" for one in functions if one.parameters > MANY_PARAMETERS]
    yield from _counted(f"functions with more than {MANY_PARAMETERS} parameters", many)
    yield f"{sum(module.lazy for module in modules):6,} imports inside functions"


def _counted(what: str, names: Iterable[str]) -> Iterator[str]:
    known = list(names)
    yield f"{len(known):6,} {what}"
    yield from (f"         {name}" for name in known)


def drawn(source: Path) -> Iterator[str]:
    """Each room and what it stands on."""
    for room, others in sorted(between(read(source)).items()):
        yield f"{room:12} {' '.join(sorted(others)) or '-'}"


def main() -> None:
    """Print the numbers, or the arrows between rooms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", default=SOURCE, help="another tree's src/pushforward")
    parser.add_argument("--arrows", action="store_true", help="each room and what it stands on")
    asked = parser.parse_args()
    print("\n".join((drawn if asked.arrows else told)(asked.source)))


if __name__ == "__main__":
    main()
