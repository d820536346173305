"""What is told, as a message and as a mail: a pusher's words are text in both."""

import json

from pushforward.notify import news
from pushforward.notify.news import News

EVIL = "x\r\nBcc: all@example.org\n<!channel> @here <https://evil|click> \x1b[31m &amp; *b*"


def test_a_message_is_in_slacks_form():
    told = news.webhook(
        News("verdict", "flights", "Hold: a1b2c3d", "It is worse.", "pushforward report a1b2c3d", "https://x/1")
    )
    assert told["text"] == "flights: Hold: a1b2c3d\nIt is worse.\nnext: pushforward report a1b2c3d\nhttps://x/1"
    assert [block["type"] for block in told["blocks"]] == ["header", "section", "section", "section"]
    assert [block["text"]["text"] for block in told["blocks"]] == told["text"].split("\n")
    assert {block["text"]["type"] for block in told["blocks"]} == {"plain_text"}


def test_what_a_pusher_writes_mentions_nobody_links_nowhere_and_adds_no_header():
    evil = News("verdict", "flights", EVIL, EVIL * 100)
    told = news.webhook(evil)
    assert "<" not in told["text"]
    assert "@here" not in json.dumps(told, ensure_ascii=False).replace("flights: ", "").partition('"blocks"')[0]
    assert "\x1b" not in json.dumps(told)
    header, *sections = (block["text"]["text"] for block in told["blocks"])
    assert len(header) <= 150
    assert all(len(text) <= 3000 for text in sections)
    mail = news.mail(evil, "ci@example.org", ["ann@example.org"], "a1")
    assert mail.get_all("Bcc") is None
    assert "\n" not in mail["Subject"]
    assert mail["To"] == "ann@example.org"


def test_a_mail_that_is_sent_twice_is_known_for_one():
    told = News("release", "flights", "Released: toy@v1.0.0 is in use in production", "", "pushforward show")
    one, two = (news.mail(told, "ci@example.org", ["a@example.org", "b@example.org"], "abc") for _ in range(2))
    assert one["Message-ID"] == two["Message-ID"] == "<abc@example.org>"
    assert one["Auto-Submitted"] == "auto-generated"
    assert one.get_content() == "Released: toy@v1.0.0 is in use in production\n\nnext: pushforward show\n"
