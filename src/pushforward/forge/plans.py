"""The plans of GitHub: what a repository can have by its owner's plan, and by whether it is private.

As GitHub's pages say it: environments, rulesets, code owners, Pages. `docs/github.md` has the table of this file.
"""

from dataclasses import dataclass

from pushforward.errors import PushforwardError

PLANS = ("free", "pro", "team", "enterprise")
# what the API calls a plan -> what people call it
CALLED = {"medium": "team", "business": "enterprise", "business_plus": "enterprise"}
ENVIRONMENTS, REVIEWERS, RULESETS, OWNERS = "environments", "reviewers", "rulesets", "owners"
PAGES = "pages"
# feature -> the plans whose private repositories have it; a public one has all of them, whatever its plan
PRIVATE = {
    ENVIRONMENTS: ("pro", "team", "enterprise"),
    REVIEWERS: ("enterprise",),
    RULESETS: ("pro", "team", "enterprise"),
    OWNERS: ("pro", "team", "enterprise"),
    PAGES: ("pro", "team", "enterprise"),
}
SAID = {
    ENVIRONMENTS: "environments, their secrets, and which branches reach them",
    REVIEWERS: "people who are asked before an environment is used",
    RULESETS: "rulesets of branches and tags",
    OWNERS: "code owners",
    PAGES: "a site by GitHub Pages",
}


@dataclass(frozen=True)
class Allowance:
    """What a repository can have; `who` is its kind in words."""

    plan: str
    private: bool

    @property
    def who(self) -> str:
        """Whose it is: private on Free."""
        return f"{'private' if self.private else 'public'} on {self.plan.capitalize()}"

    def has(self, feature: str) -> bool:
        """Whether GitHub gives it this."""
        return not self.private or self.plan in PRIVATE[feature]


def named(plan: str) -> str:
    """A plan by any of its names; "" where nobody says it, an error where it is none."""
    known = CALLED.get(plan.lower(), plan.lower())
    if known and known not in PLANS:
        raise PushforwardError(f"{plan} is no plan of GitHub that is known here", next=f"--plan {' or '.join(PLANS)}")
    return known


def table() -> str:
    """The table of the page."""
    lines = ["| a private repository on | Free | Pro | Team | Enterprise |", "|:--|:--|:--|:--|:--|"]
    for feature, plans in PRIVATE.items():
        lines.append(f"| {SAID[feature]} | {' | '.join('yes' if one in plans else 'no' for one in PLANS)} |")
    return "\n".join(lines)
