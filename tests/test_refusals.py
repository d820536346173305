"""docs/refusals.md tells every refusal that is in the source, and nothing else."""

from tests import refusals


def _rows(module: str) -> set[str]:
    page = refusals.PAGE.read_text()
    part = page.partition(f"### {module}\n")[2].partition("\n### ")[0]
    return {line.split(" | ")[0].removeprefix("| ") for line in part.splitlines() if line.startswith("| ")} - {
        "refusal"
    }


def test_every_refusal_of_the_source_is_told():
    known = refusals.sites()
    for module in sorted({site.module for site in known}):
        wanted = {refusals.cell(site.text) for site in known if site.module == module}
        assert wanted == _rows(module), f"{module}: make refusals"


def test_every_refusal_of_the_server_is_told():
    page = refusals.PAGE.read_text()
    for path in refusals.GOLDEN.glob("*.txt"):
        for what, then in refusals.refused(path.read_text()):
            assert f"| {refusals.cell(what)} | {refusals.cell(then, code=True)} |" in page, (
                f"{path.name}: make refusals"
            )


def test_what_is_filled_in_is_named():
    texts = [site.text for site in refusals.sites()]
    assert "‹commit› has no ‹path› (model.requirements)" in texts
