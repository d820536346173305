"""docs/refusals.md tells every refusal that is in the source, and nothing else."""

import re
from collections.abc import Iterator

from tests import policy_server, refusals


def _rows(module: str) -> set[str]:
    page = refusals.PAGE.read_text()
    part = page.partition(f"### {module}\n")[2].partition("\n### ")[0]
    return {line.split(" | ")[0].removeprefix("| ") for line in part.splitlines() if line.startswith("| ")} - {
        "refusal"
    }


def test_every_refusal_of_the_source_is_told():
    known = refusals.sites()
    for module in sorted({site.module for site in known if not site.module.startswith("policy.")}):
        wanted = {refusals.cell(site.text) for site in known if site.module == module}
        assert wanted == _rows(module), f"{module}: make refusals"


def test_every_rule_of_the_server_is_told_once():
    page = refusals.PAGE.read_text().partition("## By the server")[2].partition("\n## ")[0]
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert rows[1:] == refusals.server_rows(refusals.sites()), "make refusals"


def pinned() -> Iterator[tuple[str, str]]:
    """(case, why) of every refusal that the tests of the policy pin."""
    for case, told in policy_server.goldens().items():
        for what, _ in refusals.refused(told):
            yield case, what.partition(" refused: ")[2] or what


def rules() -> dict[str, re.Pattern[str]]:
    """Each rule of the server, and what its words look like once they are filled in."""
    texts = {site.text for site in refusals.of_server(refusals.sites())}
    return {text: re.compile(".*".join(map(re.escape, re.split("‹[^›]*›", text)))) for text in texts}


def test_what_the_tests_of_the_policy_pin_are_its_rules():
    known = rules().values()
    unasked = "the policy could not be checked: "
    strange = {case: why for case, why in pinned() if not any(rule.search(why) for rule in known)}
    strange = {case: why for case, why in strange.items() if not why.startswith(unasked)}
    assert strange == {}


def test_each_rule_of_the_policy_is_pinned():
    """In the table, or by its words in a test."""
    files = [
        *(refusals.ROOT / "tests" / "policy").glob("*.py"),
        refusals.ROOT / "tests" / "git" / "test_whereabouts.py",
    ]
    seen = [*(why for _, why in pinned()), *(path.read_text() for path in files)]
    assert {text for text, rule in rules().items() if not any(rule.search(why) for why in seen)} == set()


def test_no_rule_fits_any_words():
    assert [text for text in rules() if len(re.sub("‹[^›]*›|[^a-z]", "", text)) < 4] == []


def test_what_is_filled_in_is_named():
    texts = [site.text for site in refusals.sites()]
    assert "‹commit› has no ‹path› (model.requirements)" in texts
