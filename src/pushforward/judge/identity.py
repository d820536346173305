"""What makes a version one of its own: the model's bytes, the code that scores with it, the environment of both.

The model alone does not: the same file, asked by other code, gives other answers. A change of words, of tests or of
code that scoring does not reach makes no other version. Of code that loads what it does not name everything counts:
to take two versions for one is false, to number one model twice is not.
"""

import ast
import contextlib
import functools
import json
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pushforward import params, schema
from pushforward.errors import PushforwardError
from pushforward.gate.verdict import Digests, files_of, inert, is_pipeline
from pushforward.git import kept
from pushforward.git.repository import Repository
from pushforward.pipeline import declared
from pushforward.pipeline.revision import Revision, sha256
from pushforward.registry import tags as registry
from pushforward.registry.tags import Registered, Registry
from pushforward.settings import Outline

PACKAGES = "src"
# The run writes them, or they say what it is: none is code.
MADE = ("dvc.lock", "metrics/")
MACHINERY = (".", "Makefile", "dvc.yaml", schema.FILE)
# Python takes them without being asked.
CUSTOMS = ("sitecustomize", "usercustomize")
FILE = "100"
LARGEST = 1 << 20
MODULES = 512  # sources whose imports are kept: of two versions, and of all that they share
# Whoever uses these may load code, or files, that no text names.
LOADERS = {"cffi", "cloudpickle", "code", "ctypes", "dill", "glob", "imp", "importlib", "joblib", "mlflow", "pickle"}
LOADERS |= {"pkgutil", "runpy", "shelve", "subprocess", "torch", "zipimport"}
CALLS = {"__import__", "compile", "eval", "exec"}
METHODS = {"glob", "rglob", "iterdir", "listdir", "scandir", "walk", "system", "popen", "spawnv", "execv"}
PATTERN = re.compile(r"[*?\[\]{}]")
SHORTEST = 3


def existing(repository: Repository, known: Registry, commit: str, digests: Digests) -> Registered | None:
    """The newest version that what was judged at `commit` already is; None where it is one of its own."""
    wanted: str | None = None
    found = repository.objects([version.tag for version in known.versions])
    for version, tag in reversed(list(zip(known.versions, found, strict=True))):
        record = registry.record(tag[1].decode("utf-8", "replace")) if tag else {}
        if (record.get("model"), record.get("environment")) != (digests.model, digests.environment):
            continue
        wanted = wanted or scoring(repository, commit, known.model)
        with contextlib.suppress(PushforwardError):  # settings that cannot be read any more are not these
            if scoring(repository, version.commit, known.model) == wanted:
                return version
    return None


def before_renaming(repository: Repository, model: str, subject: str) -> Registered | None:
    """The champion under another name in whose history `subject` is, where `model` is in use nowhere yet.

    A name that nobody has put to use is a model that no person has looked at: it was compared with nothing.
    """
    refs = repository.refs(*registry.PLACES)
    if registry.fold(model, refs).assignments:
        return None
    beside = _models(repository, subject)
    parsed = (registry.parse(ref.name.removeprefix("refs/tags/")) for ref in refs)
    for name in sorted({found["model"] for found in parsed if found} - {model, *beside}):
        champion = registry.fold(name, refs).champion
        (tag,) = repository.objects([champion.tag]) if champion else (None,)
        made = registry.record(tag[1].decode("utf-8", "replace")).get("commit") if tag else None
        if isinstance(made, str) and repository.merge_base(made, subject) == made:
            return champion
    return None


def last(repository: Repository, models: Iterable[str]) -> str | None:
    """The commit of the newest version of any of the models: its locks are what the next run begins with."""
    refs = repository.refs(*registry.PLACES)
    found = [version.commit for name in models if (version := registry.fold(name, refs).newest)]
    if len(found) < 2:
        return found[0] if found else None
    return repository.git("rev-list", "--no-walk=sorted", *found).text.split()[0]


def _models(repository: Repository, commit: str) -> set[str]:
    """The models that a commit has: none of them is another's earlier name."""
    try:
        return set(Revision(repository, commit).settings.project.models)
    except PushforwardError:
        return set()


def scoring(repository: Repository, commit: str, model: str = "") -> str:
    """SHA-256 of what `score` of a model runs at `commit`: its command, the code that it reaches, what that names.

    Without a command everything counts: nothing says what asks the model.
    """
    revision = Revision(repository, commit, model)
    command, tree = revision.settings.score, revision.tree
    chosen, contents = _reached_by(command, revision)
    told = {path for path in chosen if PurePosixPath(path).name == params.FILE} & files_of(revision.leaves)
    chosen = [path for path in chosen if path not in told]
    leaves = {key: value for key, value in revision.leaves.items() if files_of((key,)) <= told}
    leaves.pop(revision.arrivals, None)
    parts = [command, json.dumps(leaves, sort_keys=True, default=str)]
    others = [path for path in chosen if path not in contents]
    contents |= dict(zip(others, _contents(repository, commit, others), strict=True))
    parts += [f"{path} {tree[path].split()[0]} {sha256(contents[path])}" for path in sorted(chosen)]
    return sha256("\n".join(parts).encode("utf-8", "surrogateescape"))


def judging(revision: Revision) -> set[str]:
    """The files of a revision that the commands of its loss and its floor reach; empty where it has none."""
    contract = revision.settings.contract
    commands = [command for command in (contract.loss, contract.floor_command) if command]
    reached = (path for command in commands for path in _reached_by(command, revision)[0])
    return set(reached) - {params.FILE, schema.FILE}


def _reached_by(command: str, revision: Revision) -> tuple[list[str], dict[str, bytes]]:
    """The files of a revision that a command of it reaches, all where that cannot be told; and its source."""
    repository, commit, tree = revision.repository, revision.commit, revision.tree
    model = revision.settings.model
    candidates = declared.without(repository, commit, (path for path in tree if _counts(path, model)))
    source = {path for path in candidates if path.endswith(".py") and tree[path].startswith(FILE)}
    contents = dict(zip(sorted(source), _contents(repository, commit, sorted(source)), strict=True))
    linked = any(not tree[path].startswith(FILE) for path in candidates)
    reached = None if linked else _reach(command, contents, model.folder)
    return (candidates if reached is None else [path for path in candidates if reached.needs(path)]), contents


def _counts(path: str, model: Outline) -> bool:
    """Whether a file could take part in scoring at all; locks of the environment are counted by themselves."""
    machinery = path.startswith((*MADE, *MACHINERY)) or kept.is_lock(path) or is_pipeline(path)
    return not (inert(path) or machinery or path in model.environment)


def _contents(repository: Repository, commit: str, paths: list[str]) -> list[bytes]:
    found = repository.objects([f"{commit}:{path}" for path in paths])
    return [one[1] if one else b"" for one in found]  # a submodule's commit is not here


@dataclass
class _Reached:
    """The modules that scoring imports, by path, and the texts in them, by which it can name files."""

    modules: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    roots: frozenset[str] = frozenset({".", PACKAGES})  # beside their modules lies whatever else the project has

    def needs(self, path: str) -> bool:
        """Whether scoring imports a file, finds it beside its own modules, or names it."""
        if path.endswith(".py"):
            return path in self.modules
        folders = {str(PurePosixPath(module).parent) for module in self.modules}
        if any(path.startswith(f"{folder}/") for folder in folders - self.roots):
            return True
        return any(_names(text, path) for text in self.texts)


def _names(text: str, path: str) -> bool:
    """Whether a text of the code can be the name of a file, a folder that it is in, or a part of its path."""
    parts = path.split("/")
    return text in parts or parts[-1] in text or (not {"/", "."}.isdisjoint(text) and text in path)


def _reach(command: str, contents: Mapping[str, bytes], folder: str) -> _Reached | None:
    """What the command reaches, read off the code without running it; None where that cannot tell."""
    entry = _entry(command, contents, folder)
    if entry is None:
        return None
    waiting, roots = entry
    waiting += [path for name in CUSTOMS for path in _modules(name, roots, contents)]
    reached = _Reached(set(), set(_fragments(shlex.split(command))), frozenset({".", PACKAGES, *_roots(folder)}))
    while waiting:
        path = waiting.pop()
        if path in reached.modules:
            continue
        reached.modules.add(path)
        module = _module(contents[path])
        if module is None:
            return None
        reached.texts |= module.texts
        for name in _imports(module, _package(path, roots)):
            waiting += _modules(name, roots, contents)
    return reached


def _entry(command: str, contents: Mapping[str, bytes], folder: str) -> tuple[list[str], tuple[str, ...]] | None:
    """The first modules of a command that runs in `folder`, and the folders that it imports from."""
    words, sources = shlex.split(command), tuple(dict.fromkeys((*_roots(folder)[1:], PACKAGES)))
    if len(words) > 2 and words[0] in {"python", "python3"} and words[1] == "-m":
        roots = (_roots(folder)[0], *sources)
        found = _modules(words[2], roots, contents) + _modules(f"{words[2]}.__main__", roots, contents)
        return (found, roots) if found else None
    script = posixpath.normpath(posixpath.join(folder, words[1])) if len(words) > 1 else ""
    if words[:1] in (["python"], ["python3"]) and script in contents:
        return [script], (script.rpartition("/")[0], *sources)
    return None


def _roots(folder: str) -> tuple[str, str]:
    """The folder of a model as a command that runs there imports from it, and its `src`."""
    return ("", PACKAGES) if folder == "." else (folder, f"{folder}/{PACKAGES}")


def _modules(name: str, roots: Iterable[str], contents: Mapping[str, bytes]) -> list[str]:
    """The files that importing `name` runs: its packages and itself."""
    found = []
    for root in roots:
        parts = [root] if root else []
        for part in name.split("."):
            parts.append(part)
            place = "/".join(parts)
            found += [path for path in (f"{place}/__init__.py", f"{place}.py") if path in contents]
    return found


def _package(path: str, roots: Iterable[str]) -> list[str]:
    """The package that the module at `path` is in, part by part."""
    root = max((root for root in roots if not root or path.startswith(f"{root}/")), key=len, default="")
    return path.removeprefix(f"{root}/" if root else "").split("/")[:-1]


@dataclass(frozen=True)
class _Module:
    """What a module imports, or may import, and the texts in it, by which it can name files."""

    imports: tuple[str, ...]
    relative: tuple[tuple[int, str, tuple[str, ...]], ...]  # how far up, from what, and which names
    texts: frozenset[str]


@functools.lru_cache(maxsize=MODULES)
def _module(content: bytes) -> _Module | None:
    """What a source says; None where it cannot be read, or may load what it does not name.

    Two versions have most of their modules in common: each source is read once.
    """
    parsed = _parsed(content)
    if parsed is None:
        return None
    nodes = [*ast.walk(parsed)]
    if any(map(_loads, nodes)):
        return None
    imports, relative = list[str](), list[tuple[int, str, tuple[str, ...]]]()
    for node in nodes:
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            relative.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
    texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return _Module(tuple(imports), tuple(relative), frozenset(_fragments(texts)))


def _parsed(content: bytes) -> ast.Module | None:
    if len(content) > LARGEST:
        return None
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _imports(module: _Module, package: list[str]) -> Iterator[str]:
    """The names of modules that a module imports, or may import: `from a import b` names `a.b` too."""
    yield from module.imports
    for level, base, names in module.relative:
        above = package[: len(package) - level + 1] if level else []
        whole = ".".join([*above, *([base] if base else [])])
        yield from filter(None, [whole, *(f"{whole}.{name}".lstrip(".") for name in names)])


def _loads(node: ast.AST) -> bool:
    """Whether a node of a module may load what it does not name."""
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] in LOADERS for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return not node.level and (node.module or "").partition(".")[0] in LOADERS
    if isinstance(node, ast.Name):
        return node.id in CALLS
    if isinstance(node, ast.Attribute):
        return node.attr in METHODS or _is_search_path(node)
    return isinstance(node, ast.keyword) and node.arg == "allow_pickle"


def _is_search_path(node: ast.Attribute) -> bool:
    return node.attr in {"path", "modules"} and isinstance(node.value, ast.Name) and node.value.id == "sys"


def _fragments(texts: Iterable[str]) -> Iterator[str]:
    """The parts of texts that can stand in a path; what a pattern leaves open is left out."""
    for text in texts:
        yield from (part for part in PATTERN.split(text) if len(part) >= SHORTEST)
