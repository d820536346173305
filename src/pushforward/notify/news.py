"""What there is to tell, as a message for a webhook and as a mail. Pure. `targets` sends it.

Branches, reasons and names are a pusher's words: they become plain text, which neither mentions anybody nor links.
"""

import re
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from pushforward.text import plain

LONGEST_TITLE, LONGEST_TEXT = 150, 2900  # of a header and of a section of Slack's, 150 and 3000
_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True)
class News:
    """Something that has happened in `project`: an event of the settings, a title, a sentence, and what leads on."""

    event: str
    project: str
    title: str
    text: str = ""
    then: str = ""
    link: str = ""

    @property
    def heading(self) -> str:
        """The title with the project before it."""
        return plain(f"{self.project}: {self.title}", LONGEST_TITLE)

    @property
    def lines(self) -> list[str]:
        """What is below the title."""
        said = (self.text, f"next: {self.then}" if self.then else "", self.link)
        return [plain(line, LONGEST_TEXT) for line in said if line]


def webhook(news: News) -> dict[str, Any]:
    """The message in Slack's form, which others read too: `text`, and `blocks` for whoever draws them."""
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(news.heading)}]
    blocks += [{"type": "section", "text": _plain(_quiet(line))} for line in news.lines]
    text = "\n".join([news.heading, *news.lines])
    return {"text": _quiet(text).translate(_MARKUP), "blocks": blocks}


def mail(news: News, sender: str, to: list[str], identity: str) -> EmailMessage:
    """The message as a mail; its `identity` stays the same, so that one that is sent twice is known for one."""
    message = EmailMessage()
    message["Subject"] = news.heading
    message["From"], message["To"] = sender, ", ".join(to)
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{identity}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n".join([news.title, *news.lines]) + "\n")
    return message


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _quiet(text: str) -> str:
    """A text in which nobody is mentioned: some that take Slack's form look for names in plain text too."""
    return re.sub(r"@(?=\w)", "@\N{ZERO WIDTH SPACE}", text)
