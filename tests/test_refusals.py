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


def test_every_rule_of_the_server_is_told_once():
    known = refusals.rules()
    for module in sorted({site.module for site in known}):
        wanted = {refusals.cell(site.text) for site in known if site.module == module}
        assert wanted == _rows(module), f"{module}: make refusals"


def test_every_refusal_that_a_pusher_saw_is_of_one_of_the_rules():
    said = {text for path in refusals.GOLDEN.glob("*.txt") for text in refusals.refused(path.read_text())}
    seen = refusals.examples(refusals.rules(), said)
    assert len(seen) < len(said) / 2, "several cases of one rule are one row"
    assert [why for module, why in seen if not module] == []


def test_the_rule_with_the_most_words_of_its_own_is_the_one_that_was_seen():
    rules = [refusals.Site("a", 1, 1, text, "", "") for text in ("‹path› is a ‹kind›", "‹path› is a link")]
    seen = refusals.examples(rules, [("x refused: lib is a link", "rm"), ("x refused: l is a link", "rm")])
    assert seen == {("a", "‹path› is a link"): ("x refused: l is a link", "rm")}


def test_a_text_that_is_put_together_before_it_is_raised_is_found():
    texts = {site.text for site in refusals.sites() if site.module == "release.chain"}
    assert "the lock commit ‹named› changes more than ‹LOCK› and ‹METRICS›/" in texts


def test_what_is_filled_in_is_named():
    texts = [site.text for site in refusals.sites()]
    assert "‹commit› has no ‹path› (model.requirements)" in texts


def test_a_kind_of_refusal_brings_its_own_exit_code_and_next_command():
    told = {(site.module, site.text): site for site in refusals.sites()}
    assert told["release.chain", "‹commit› is not on the default branch"].exit_code == "POLICY"
    assert told["release.stored", "‹file› cannot be read: ‹strerror›"].exit_code == "TOOL"
