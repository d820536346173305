"""The search: what a reader asks of the list of runs -> those that answer; pure. The served pages have its form."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from pushforward.views.snapshot import Run

LONGEST = 200


@dataclass(frozen=True)
class Query:
    """What is asked: a verdict, a branch, an author, and words that all stand in what a row says. "" asks nothing."""

    verdict: str = ""
    branch: str = ""
    author: str = ""
    text: str = ""
    page: int = 1

    def __bool__(self) -> bool:
        return bool(self.verdict or self.branch or self.author or self.text)

    @property
    def address(self) -> str:
        """It as the query of an address, without the page."""
        asked = {"verdict": self.verdict, "branch": self.branch, "author": self.author, "text": self.text}
        return urlencode({name: value for name, value in asked.items() if value})

    def keep(self, runs: Sequence[Run]) -> list[Run]:
        """Those runs that answer, in their order."""
        words = self.text.casefold().split()
        return [run for run in runs if self._answers(run, words)]

    def _answers(self, run: Run, words: Sequence[str]) -> bool:
        if self.verdict and run.header.verdict != self.verdict:
            return False
        if self.branch.casefold() not in run.branch.casefold():
            return False
        if self.author.casefold() not in run.about.author.casefold():
            return False
        if not words:
            return True
        number = f"#{run.pull}" if run.pull is not None else ""
        said = (run.commit, run.about.subject, run.about.author, run.branch, run.header.reason, run.version, number)
        whole = " ".join(said).casefold()
        return all(word in whole for word in words)


NOTHING = Query()


def read(query: str) -> Query:
    """The query of an address; what it does not know, and what is said twice but for the last, is passed over."""
    try:
        asked = dict(parse_qsl(query, max_num_fields=20))
    except ValueError:  # more fields than anybody asks
        return NOTHING
    told = {name: " ".join(asked.get(name, "").split())[:LONGEST] for name in ("verdict", "branch", "author", "text")}
    page = asked.get("page", "")
    return Query(**told, page=int(page) if page.isdecimal() and len(page) <= 6 and int(page) else 1)
