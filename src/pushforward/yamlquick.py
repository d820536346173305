"""YAML that is plain, by libyaml: the same value as ruamel.yaml's in a tenth of the time. Where it is not, nothing.

What is written here `safe` reads back as the same value, and so does ruamel.yaml.

Plain is what YAML 1.2's core schema, ruamel.yaml and people agree upon: texts, numbers, truths, lists, mappings with
each key once; no merge keys, no tags, no name of an anchor twice. What else there is, one of the slower readers reads.
"""

import contextlib
import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, ClassVar

import yaml
from yaml.constructor import ConstructorError

try:
    from yaml import CSafeDumper as Dumper
    from yaml import CSafeLoader as Loader
except ImportError:  # built where there was no libyaml: slower, and the same
    from yaml import SafeDumper as Dumper  # type: ignore[assignment]
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

NOT_PLAIN = (yaml.YAMLError, ValueError, TypeError)
_MOMENT = r"[0-9]{4}-[0-9]{1,2}-[0-9].*"
_ODD = r"[-+]?[0-9.][-+.0-9eE]*[_:][-+._:0-9eE]*|[-+]?0[oOxX].*|[-+]?0[bB][01_]*|[-+][-+._:0-9eE]*_[-+._:0-9eE]*"
_FORMS = (
    ("null", r"~|null|Null|NULL", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?|[-+]?\.[0-9]+", "-+.0123456789"),
    # moments, numbers with _ or : in them, infinity: here readers differ
    ("other", rf"<<|=|{_MOMENT}|{_ODD}|[-+]?\.[0-9]+[eE].*|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "<=-+.0123456789"),
)


class _Plain(Loader):
    """Makes values of what is plain, and refuses the rest."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {  # type: ignore[misc]
        "": [("tag:yaml.org,2002:null", re.compile(r"\Z"))]
    }
    yaml_constructors: ClassVar[dict[str | None, Any]] = {None: Loader.construct_undefined}

    def mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        """A mapping, each of whose keys is there once."""
        found = {self.construct_object(key): self.construct_object(value, deep=True) for key, value in node.value}
        if len(found) < len(node.value):
            raise ConstructorError(problem="a key is there twice")
        return found

    def integer(self, node: yaml.ScalarNode) -> int:
        """A number of base 10, 8 or 16."""
        base = {"0o": 8, "0x": 16}.get(node.value[:2], 10)
        return int(node.value if base == 10 else node.value[2:], base)


class _Written(Dumper):
    """Writes values of what is plain, each where it is: no anchors.

    A text that any reader could take for more is quoted.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {  # type: ignore[misc]
        "": [("tag:yaml.org,2002:null", re.compile(r"\Z"))]
    }

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002, as PyYAML has it
        """Every value is written again."""
        return True


_Written.add_representer(OrderedDict, Dumper.represent_dict)
_Written.add_representer(tuple, Dumper.represent_undefined)  # it would come back as a list
for _tag, _form, _first in _FORMS:
    _Plain.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_form})\\Z"), [*_first])
    _Written.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_form})\\Z"), [*_first])
for _tag, _built in (
    ("null", lambda _, _node: None),
    ("bool", lambda _, node: node.value[0] in "tT"),
    ("int", _Plain.integer),
    ("float", lambda _, node: float(node.value)),
    ("str", lambda _, node: node.value),
    ("seq", lambda self, node: [self.construct_object(one, deep=True) for one in node.value]),
    ("map", _Plain.mapping),
):
    _Plain.yaml_constructors[f"tag:yaml.org,2002:{_tag}"] = _built


def events(source: str) -> Iterator[yaml.Event]:
    """What a text is made of, in its order. Raises `yaml.YAMLError`."""
    return yaml.parse(source, Loader=_Plain)


def load(source: str) -> Any:
    """What a text says that is plain; one of `NOT_PLAIN` where it is not, or is no YAML.

    Its nesting and its aliases have to be bounded already, where it is not the tool's own.
    """
    if source.startswith("%"):
        raise ValueError("it says which YAML it is")
    return yaml.load(source, Loader=_Plain)  # noqa: S506, it makes values alone


def dump(value: Any) -> str:
    """A value as a text, its mappings in the order that they have; one of `NOT_PLAIN` for what is no plain value."""
    return yaml.dump(value, Dumper=_Written, sort_keys=False, allow_unicode=True)


def safe(source: str) -> Any:
    """What a text says, as ruamel.yaml's safe reader has it, and so DVC; raises what that raises."""
    if "\t" not in source:  # which libyaml takes where ruamel.yaml does not
        with contextlib.suppress(*NOT_PLAIN):
            return load(source)
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(source)
