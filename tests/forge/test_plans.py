"""The plans of GitHub, and the page that says the same."""

import os
import re
from pathlib import Path

import pytest

from pushforward.errors import PushforwardError
from pushforward.forge import plans
from pushforward.forge.plans import Allowance

PAGE = Path(__file__).parent.parent.parent / "docs" / "github.md"


def test_the_page_has_the_table():
    text = PAGE.read_text()
    mark = re.compile(r"(<!-- plans: [^\n]*-->\n).*?(<!-- /plans -->)", re.DOTALL)
    made = mark.sub(lambda found: f"{found[1]}{plans.table()}\n{found[2]}", text)
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(made)
    assert made == text, "UPDATE_GOLDEN=1 writes it"


def test_a_public_repository_has_everything_on_every_plan():
    assert all(Allowance(plan, False).has(feature) for plan in plans.PLANS for feature in plans.PRIVATE)


@pytest.mark.parametrize(
    ("name", "plan"), [("", ""), ("Free", "free"), ("business_plus", "enterprise"), ("medium", "team")]
)
def test_a_plan_has_many_names(name, plan):
    assert plans.named(name) == plan


def test_a_plan_that_nobody_knows_is_told():
    with pytest.raises(PushforwardError, match="gold is no plan of GitHub"):
        plans.named("gold")
