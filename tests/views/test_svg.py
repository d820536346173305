"""pictures: what draws is a picture, what could do more is none."""

import pytest

from pushforward.report.vega import DARK
from pushforward.views.svg import MOST_BYTES, Picture, read

HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="360" height="300.5px">'
)


def picture(inside):
    return read(f"{HEAD}{inside}</svg>".encode())


def test_a_picture_says_its_size_and_its_words():
    words = "<title>ROC &lt;curve&gt;</title><desc>AUC 0.77 &amp; more</desc><g><title>not this</title></g>"
    assert picture(words) == Picture("ROC <curve>", "AUC 0.77 & more", 360, 300)
    assert read(b"<svg/>") is None, "no blank after its name: not what we write"
    assert read(b'<?xml version="1.0"?>\n<svg width="a"></svg>') == Picture("", "", 0, 0)


@pytest.mark.parametrize(
    "inside",
    [
        '<path d="M0,0h1"/><text>onload=alert(1)</text>',
        '<use href="#a"/><rect fill="url(#b)"/>',
        '<g aria-label="a > b" class="one=1"/>',
    ],
)
def test_what_only_draws_is_a_picture(inside):
    assert picture(inside) is not None


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        "<SCRIPT>alert(1)</SCRIPT>",
        '<g onclick="alert(1)"/>',
        "<g OnLoad='alert(1)'/>",
        '<g aria-label=">" onload="alert(1)"/>',
        '<a href="https://evil.example/">x</a>',
        '<use href="https://evil.example/#a"/>',
        '<use xlink:href="data:image/svg+xml,x"/>',
        '<image href="https://evil.example/p.png"/>',
        '<rect fill="url(https://evil.example/)"/>',
        "<rect fill=\"URL( 'x')\"/>",
        '<rect style="background: red"/>',
        "<style>@import 'x'</style>",
        "<foreignObject/>",
        "<animate/>",
        '<set attributeName="href" to="javascript:x"/>',
        "<?xml-stylesheet href='x'?>",
        "<g>",
        "&unknown;",
    ],
)
def test_what_could_do_more_is_none(inside):
    assert picture(inside) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html></html>",
        b"<html><svg></svg></html>",
        b'<!DOCTYPE svg [<!ENTITY a "b">]><svg >&a;</svg>',
        b'<?xml-stylesheet href="x"?><svg ></svg>',
        HEAD.encode() + b"\xff\xfe</svg>",
        '<svg xmlns="http://www.w3.org/2000/svg"></svg>'.encode("utf-16"),
        b"\x89PNG",
    ],
)
def test_what_is_not_svg_is_none(content):
    assert read(content) is None


def test_of_styles_a_picture_may_have_that_of_our_own_plots_and_no_other():
    assert picture(f"<style>{DARK}</style>") is not None
    for style in (
        f"<style>{DARK} </style>",
        f"<style>{DARK}</style><style>{DARK}</style>",
        f'<style media="x">{DARK}</style>',
    ):
        assert picture(style) is None


def test_a_picture_has_a_size():
    assert read(f"{HEAD}{' ' * MOST_BYTES}</svg>".encode()) is None
