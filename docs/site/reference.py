"""Reference pages of the site: verbs, settings, refs, schemas, as the code itself has them. `build.py` writes them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from pushforward.commands.cli import ROLES, main
from pushforward.git import refs

NAME = "pushforward"
SETTINGS = "pushforward.schema.json"


def pages(docs: Path) -> dict[str, str]:
    """Every generated page, by its place below docs/, in the order of the navigation."""
    settings = docs / SETTINGS
    made = {
        "reference/verbs.md": verbs(),
        place(settings): schema(
            "Settings", "Every key of `pushforward.yaml`: what it may be, what it means, and its default.", settings
        ),
        "reference/refs.md": database(),
    }
    printed = sorted((docs / "schemas").glob("*.json"))
    if printed:
        listed = [f"- [{title(path)}](schemas/{title(path)}.md)" for path in printed]
        head = ["# What programs read", "", "Every key of what a verb prints with `--json`.", ""]
        made["reference/schemas.md"] = "\n".join([*head, *listed]) + "\n"
    for path in (docs / "verdict.schema.json", *printed):
        made[place(path)] = schema(f"Schema: {title(path)}", f"Every key that `{path.name}` describes.", path)
    return made


def place(path: Path) -> str:
    """Where the generated page of a schema is."""
    if path.parent.name == "schemas":
        return f"reference/schemas/{title(path)}.md"
    return f"reference/{'settings' if path.name == SETTINGS else title(path)}.md"


def title(path: Path) -> str:
    """What a schema is called: its file, without endings."""
    return path.name.removesuffix(".json").removesuffix(".schema")


def cell(text: str) -> str:
    """Text in one cell of a table; what is no code has no HTML in it."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(part.replace("<", "\\<") if place % 2 == 0 else part for place, part in enumerate(parts))


def verbs() -> str:
    """Every verb by role, with each argument and option, its subcommands, and an example."""
    lines = ["# Verbs", "", "Every verb by who types it, with each option and an example.", ""]
    top = click.Context(main, info_name=NAME)
    for role, names in ROLES.items():
        lines += [f"## {role}", ""]
        for name in names:
            command = main.get_command(top, name)
            if command is not None:
                lines += verb(command, click.Context(command, info_name=name, parent=top), 3)
    return "\n".join(lines) + "\n"


def verb(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    """One verb, and below it those of its own."""
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f"{'#' * level} {context.command_path}", "", *paragraphs(command.help or ""))
    yield from ("```text", f"{context.command_path} {usage}", "```", "")
    options = [one for one in command.get_params(context) if isinstance(one, click.Option) and not one.hidden]
    if options:
        yield from ("| option | means |", "|:--|:--|", *(option(one, context) for one in options), "")
    example = re.sub(r"^Example:\s*", "", command.epilog or "").strip()
    if example:
        yield from ("```sh", example, "```", "")
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        child = command.get_command(context, name)  # type: ignore[attr-defined]
        yield from verb(child, click.Context(child, info_name=name, parent=context), level + 1)


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a help, without how a terminal breaks them."""
    for paragraph in text.replace("\b\n", "").split("\n\n"):
        yield from (" ".join(paragraph.split()).replace("<", "\\<"), "")


def option(one: click.Option, context: click.Context) -> str:
    """One row of the table of options."""
    names, words = one.get_help_record(context) or (", ".join(one.opts), "")
    return f"| {cell(f'`{names}`')} | {cell(words)} |"


def schema(heading: str, first: str, path: Path) -> str:
    """A JSON schema as tables of keys: those of the document, then those of each part that it names."""
    whole = json.loads(path.read_text(encoding="utf-8"))
    lines = [f"# {heading}", "", first, ""]
    if whole.get("description"):
        lines += [whole["description"], ""]
    written = path.name == SETTINGS
    lines += keys(whole, written=written) if whole.get("properties") else [f"It is: {kind(whole)}.", ""]
    for name, part in whole.get("$defs", {}).items():
        lines += [f"## {name}", "", *filter(None, [part.get("description", "")]), ""]
        lines += keys(part, written=written) if part.get("properties") else [kind(part), ""]
    return "\n".join(lines) + "\n"


def keys(part: dict[str, Any], *, written: bool) -> Iterator[str]:
    """The table of the keys of an object, which people write or a verb prints, without columns that say nothing."""
    needed = part.get("required", [])
    rows = [("key", "is", "means", "default" if written else "there")]
    for name, known in part["properties"].items():
        # the default of a part is that of its keys
        said = "default" in known and not isinstance(known["default"], dict)
        default = "needed" if name in needed else f"`{json.dumps(known['default'])}`" if said else ""
        last = default if written else "" if name in needed else "not always"
        rows.append((f"`{name}`", cell(kind(known)), cell(known.get("description", "")), cell(last)))
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    head, *body = zip(*columns, strict=True)
    for row in (head, [":--"] * len(head), *body):
        yield f"| {' | '.join(row)} |"
    yield ""


def kind(known: dict[str, Any]) -> str:
    """What a value is, in words, with its bounds."""
    if "$ref" in known:
        name = known["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if known["$ref"].startswith("#/$defs/") else f"`{name}`"
    if "enum" in known or "const" in known:
        return ", ".join(f"`{value}`" for value in known.get("enum", [known.get("const")]))
    for word in ("anyOf", "oneOf", "allOf"):
        if word in known:
            return " or ".join(dict.fromkeys(kind(one) for one in known[word]))
    if known.get("type") == "array":
        items = known.get("items") or {"type": "anything"}
        return f"list of {kind(items)}"
    named = [*known.get("patternProperties", {}).values(), known.get("additionalProperties")]
    if isinstance(named[0], dict):
        return f"names, each with {kind(named[0])}"
    return " ".join([str(known.get("type", "anything")), *bounds(known)])


def bounds(known: dict[str, Any]) -> Iterator[str]:
    """What a number has to keep to."""
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    yield from (f"{sign} {known[word]}" for word, sign in words.items() if word in known)


def database() -> str:
    """Every ref that is ours: what it holds and which module writes it."""
    rows = [
        f"| {cell(f'`{one.pattern}`')} | {', '.join(f'`{name}`' for name in one.written_by)} | {cell(one.holds)} |"
        for one in refs.SCHEMA
    ]
    owned = " and ".join(f"`{place}`" for place in refs.OWNED)
    first = f"Git is the only database, and this is its schema. Pushers may move none of what is below {owned}."
    head = ["# Refs", "", "Every ref that is ours, what it holds, and which module writes it.", "", first, ""]
    return "\n".join([*head, "| ref | written by | holds |", "|:--|:--|:--|", *rows]) + "\n"
