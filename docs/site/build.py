"""The documentation site: `make site`, or `python docs/site/build.py OUT [--repository URL]`.

A copy of docs/ gets the generated reference, its navigation (the lists of docs/index.md) and its diagrams, and Sphinx
makes a site of it that asks no other host for anything. A broken link, or a page that no list names, is a failure.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import diagram
import reference
from sphinx.cmd.build import main as sphinx

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\n]*)\]\((?!https?://|#)(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
# What Sphinx and its theme leave out: a keyboard's way to what scrolls, the level of a heading, names of landmarks.
REACHABLE = {
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    ' role="heading">': ' role="heading" aria-level="2">',
    '<aside class="sidebar-drawer': '<aside aria-label="All pages" class="sidebar-drawer',
    '<aside class="toc-drawer': '<aside aria-label="This page" class="toc-drawer',
}
# Where in docs/index.md the list begins that the generated pages belong to.
REFERENCE = "\n## Reference\n\n"


def main() -> None:
    """Write the site into a folder; exit 1 where Sphinx warns of anything."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("out", type=Path, help="the folder, made anew")
    asked.add_argument(
        "--repository", default="", metavar="URL", help="where files lie: https://HOST/OWNER/NAME/blob/COMMIT"
    )
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "docs"
        try:
            stage(source, options.repository.rstrip("/"))
        except ValueError as wrong:
            sys.exit(f"site: {wrong}")
        shutil.rmtree(options.out, ignore_errors=True)
        here = str(Path(__file__).parent)
        settled = ["-W", "--keep-going", "-q", "-b", "html", "-c", here, "-d", str(Path(scratch) / "doctrees")]
        failed = sphinx([*settled, str(source), str(options.out)])
    if failed:
        sys.exit("site: what is named above is wrong")
    for left in (".buildinfo", "objects.inv"):
        (options.out / left).unlink(missing_ok=True)
    for page in options.out.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for found, better in REACHABLE.items():
            text = text.replace(found, better)
        page.write_text(text, encoding="utf-8")


def stage(source: Path, repository: str) -> None:
    """A copy of the pages of docs/, as Sphinx wants them. Raises ValueError for a link to nothing."""
    made = reference.pages(DOCS)
    for path in sorted(DOCS.rglob("*.md")):
        place = path.relative_to(DOCS)
        text = outside_code(
            path.read_text(encoding="utf-8"), lambda text, path=path: linked(text, path, made, repository)
        )
        text = titled(FENCE.sub(draw, text), place)
        if place == Path("index.md"):
            text = text.replace(REFERENCE, REFERENCE + listed(made, text))
        (source / place).parent.mkdir(parents=True, exist_ok=True)
        (source / place).write_text(text + navigation(place, text), encoding="utf-8")
    for picture in DOCS.glob("pictures/*"):
        (source / "pictures").mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, source / "pictures")
    for name, text in made.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text + navigation(Path(name), text), encoding="utf-8")


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """A page, changed outside of its blocks of code."""
    parts, last = [], 0
    for fence in FENCE.finditer(text):
        parts += [change(text[last : fence.start()]), fence[0]]
        last = fence.end()
    return "".join([*parts, change(text[last:])])


def linked(text: str, page: Path, made: dict[str, str], repository: str) -> str:
    """The links of a page: a schema's to its generated page, a file's of the repository to where that can be seen."""

    def link(found: re.Match[str]) -> str:
        target = (page.parent / found["target"]).resolve()
        if not target.exists():
            raise ValueError(f"{page.relative_to(ROOT)}: there is no {found['target']}")
        if target.is_relative_to(DOCS) and target.suffix == ".md":
            return found[0]
        if (schema := reference.place(target)) in made:
            return f"[{found['text']}]({'../' * (len(page.relative_to(DOCS).parts) - 1)}{schema})"
        if repository:
            return f"[{found['text']}]({repository}/{target.relative_to(ROOT)}{found['anchor'] or ''})"
        return found["text"]

    return LINK.sub(link, text)


def titled(text: str, place: Path) -> str:
    """A page of several titles, below one: what docs/index.md calls it."""
    titles = [line for line in FENCE.sub("", text).splitlines() if line.startswith("# ")]
    if len(titles) == 1:
        return text
    named = re.search(rf"\[([^\]]+)\]\({re.escape(str(place))}\)", (DOCS / "index.md").read_text(encoding="utf-8"))
    lower = outside_code(text, lambda text: re.sub(r"^#", "##", text, flags=re.MULTILINE))
    return f"# {named[1] if named else place.stem}\n\n{lower}"


def listed(made: dict[str, str], text: str) -> str:
    """The generated pages that an index does not name yet, as lines of its list: title, and what they begin with."""
    lines = []
    for name, page in made.items():
        if name.count("/") > 1:
            continue  # its folder's page lists it
        title, first = [line for line in page.splitlines() if line][:2]
        if not re.search(rf"^- \[[^\]]*\]\({re.escape(name)}\)", text, re.MULTILINE):
            lines.append(f"- [{title.removeprefix('# ')}]({name}): {first[0].lower()}{first[1:].removesuffix('.')}\n")
    return "".join(lines)


def draw(fence: re.Match[str]) -> str:
    """A block of code as it is, but a flowchart drawn; any other diagram is its own words."""
    if fence["kind"] != "mermaid":
        return fence[0]
    try:
        return f"```{{raw}} html\n{diagram.drawn(fence['text'])}\n```"
    except ValueError:
        return f"```text\n{fence['text']}```"  # it is readable as it is written


def navigation(place: Path, text: str) -> str:
    """What the lists of a page name, as Sphinx's navigation: of docs/index.md by section, of a README.md its folder."""
    sections = {"": text} if place.name in ("README.md", "schemas.md") else {}
    if place == Path("index.md"):
        sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    trees = []
    for caption, listed in sections.items():
        names = [found[1] for found in re.finditer(r"^(?:- |\| )\[[^\]]*\]\(([^)#]+\.md)\)", listed, re.MULTILINE)]
        options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
        trees.append("\n".join(["", "```{toctree}", *options, "", *dict.fromkeys(names), "```", ""]))
    return "".join(trees)


if __name__ == "__main__":
    main()
