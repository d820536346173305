"""docs/refusals.md tells every refusal that is in the source, and nothing else."""

import re

import pytest
from tests import refusals

pytestmark = pytest.mark.whole


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


def test_every_rule_of_the_server_is_told_once():
    known = refusals.rules()
    for module in sorted({site.module for site in known}):
        wanted = {refusals.cell(site.text) for site in known if site.module == module}
        assert wanted == _rows(module), f"{module}: make refusals"


def _of_server() -> list[refusals.Site]:
    """The rules of the hook, and of signatures, which commands have too."""
    return refusals.rules() + [site for site in refusals.sites() if site.module == refusals.SHARED]


def test_each_rule_of_the_policy_is_pinned():
    """In the table of its cases, or by its words in a test."""
    files = [
        *(refusals.ROOT / "tests" / "policy").glob("*.py"),
        refusals.ROOT / "tests" / "git" / "test_whereabouts.py",
    ]
    seen = [*(why for why, _ in refusals.pushed()), *(path.read_text() for path in files)]
    known = {
        site.text: re.compile(".*".join(map(re.escape, re.split(refusals.FILLED, site.text)))) for site in _of_server()
    }
    assert {text for text, rule in known.items() if not any(rule.search(why) for why in seen)} == set()


def test_every_refusal_that_a_pusher_saw_is_of_one_of_the_rules():
    said = refusals.pushed()
    seen = refusals.examples(_of_server(), said)
    assert len(seen) < len(said) / 2, "several cases of one rule are one row"
    unasked = "the policy could not be checked: "  # and what has failed, in its own words
    assert [why for module, why in seen if not module and not why.startswith(unasked)] == []


def test_the_rule_with_the_most_words_of_its_own_is_the_one_that_was_seen():
    rules = [refusals.Site("a", 1, 1, text, "", "") for text in ("‹path› is a ‹kind›", "‹path› is a link")]
    seen = refusals.examples(rules, [("x refused: lib is a link", "rm"), ("x refused: l is a link", "rm")])
    assert seen == {("a", "‹path› is a link"): ("x refused: l is a link", "rm")}


def test_a_text_that_is_put_together_before_it_is_raised_is_found():
    texts = {site.text for site in refusals.sites() if site.module == "release.chain"}
    assert "the lock commit ‹named› changes more than ‹LOCK›, ‹METRICS›/ and what git keeps of the run" in texts


def test_what_is_filled_in_is_named():
    texts = [site.text for site in refusals.sites()]
    assert "‹commit› has no ‹path› (environment)" in texts


def test_a_kind_of_refusal_brings_its_own_exit_code_and_next_command():
    told = {(site.module, site.text): site for site in refusals.sites()}
    assert told["release.chain", "‹commit› is not on the default branch"].exit_code == "POLICY"
    assert told["release.stored", "‹file› cannot be read: ‹strerror›"].exit_code == "TOOL"
