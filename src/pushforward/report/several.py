"""The report of a push of several models: the word on the commit, then what was said of each. Pure.

`report` renders it beside the verdicts, the server where it tells what became of them.
"""

from collections.abc import Mapping

from pushforward.gate.verdict import Verdict
from pushforward.report.markdown import BUDGET, markdown
from pushforward.report.note import Context
from pushforward.report.terminal import terminal

Parts = Mapping[str, tuple[Verdict, Context]]


def markdown_of(verdict: Verdict, context: Context, parts: Parts) -> str:
    """The report as markdown; that of each of several models is folded below."""
    if not parts:
        return markdown(verdict, context)
    budget = BUDGET // (len(parts) + 1)
    whole = [markdown(verdict, context, budget=budget)]
    for name, (one, told) in parts.items():
        body = markdown(one, told, budget=budget - 200)
        whole.append(f"<details><summary>{name}: {one.verdict}</summary>\n\n{body.strip()}\n\n</details>\n")
    return "\n".join(whole)


def terminal_of(verdict: Verdict, context: Context, parts: Parts, *, width: int = 80) -> str:
    """The same as cards for a terminal: of each model one, and the word on the commit last, where a pusher looks."""
    if not parts:
        return terminal(verdict, context, width=width)
    cards = [f"{name}\n{terminal(one, told, width=width)}" for name, (one, told) in parts.items()]
    return "\n\n".join([*cards, terminal(verdict, context, width=width)])
