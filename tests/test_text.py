"""Foreign text is harmless, and a number looks the same wherever it is shown."""

import pytest

from pushforward import text
from pushforward.text import beside, cells, clean, code, cut, figure, left, plain, right, signed


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0.0000"),
        (0.00001, "1e−05"),
        (0.00003, "3e−05"),
        (-0.00003, "−3e−05"),
        (7.6824e-07, "7.7e−07"),
        (0.00005, "0.0001"),
        (0.46417, "0.4642"),
        (-0.0003, "−0.0003"),
        (999.99994, "999.9999"),
        (2104.25, "2,104.2"),
        (-2104.25, "−2,104.2"),
        (9_999_999, "9,999,999.0"),
        (12_345_678, "1.235e+07"),
    ],
)
def test_a_number_shows_what_it_says(value, shown):
    assert figure(value) == shown
    assert signed(value) == (shown if value < 0 else f"+{shown}")


@pytest.mark.parametrize(
    "foreign",
    [
        "\x1b[31mred\x1b[0m",
        "\x9b31mred",
        "\x1b]0;title\x07red",
        "\x1b]0;title\x1b\\red",
        "\x1bPq#0\x1b\\red",
        "\x1b(Bred",
        "\x1b#8red",
        "r\u202ee\u2066d",
        "r\u200be\ufeffd",
        "re\x00\x08d",
        "red\x1b",
    ],
)
def test_nothing_moves_a_terminal(foreign):
    """Both readers, of a sentence and of a line of output, take away the same."""
    assert plain(foreign) == clean(foreign) == "red"


def test_a_line_of_output_keeps_its_indentation_and_what_was_written_last():
    assert clean("    10 %\r    99 %\r\n") == "    99 %"
    assert clean("\ta") == "    a"
    assert len(clean("x" * 5000)) == text.MAX_LINE
    assert text.clean_lines("a\r\n  b\x07") == "a\n  b"


def test_a_sentence_is_one_line_of_a_bounded_length():
    assert plain("a\n\n  b\u2028c") == "a b c"
    assert plain("x" * 200, 10) == "x" * 9 + "…"
    assert code("a`b|c") == "`aˋb¦c`"


def test_columns_of_a_terminal_count_wide_letters_twice():
    assert cells("数据é") == 5
    assert cells("e\u0301") == 1
    assert cut("数据数据", 5) == "数据…"
    assert left("数", 4) == "数  "
    assert right("数", 4) == "  数"


@pytest.mark.parametrize(
    ("letters", "width"),
    [("", 0), ("plain", 5), ("数据é", 5), ("e\u0301", 1), ("ก\u0e47", 1), ("☃\ufe0f", 1), ("Ａ１", 4), ("…−", 2)],
)
def test_a_mark_takes_no_column_of_its_own(letters, width):
    """As wcwidth counts them; those of Thai and what chooses an emoji combine, and have no combining class."""
    assert cells(letters) == width


def test_a_small_number_shows_what_it_says_with_fewer_decimals_too():
    assert [figure(value, 3) for value in (0.2671, 0.00003, 0.0004, 0.0, 12.5)] == [
        "0.267",
        "3e−05",
        "0.0004",
        "0.000",
        "12.500",
    ]


def test_bounds_are_told_as_two_differences_or_not_at_all():
    assert text.between(-0.00003, 0.0112) == "−3e−05 … +0.0112"
    assert text.between(None, 0.1) == text.between(0.1, None) == ""


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("it is so", "It is so."),
        ("params.yaml says so", "params.yaml says so."),
        ("why not?", "Why not?"),
        ("", "."),
    ],
)
def test_a_sentence_has_a_capital_and_an_end(told, shown):
    assert text.sentence(told) == shown


def test_a_table_of_markdown_has_its_numbers_at_the_right():
    assert text.table(["a", "b"], [["x", "1"]]) == "| a | b |\n| :-- | --: |\n| x | 1 |"
    assert text.table(["a", "b"], [["x", "1"]], numbers=False).splitlines()[1] == "| :-- | :-- |"


def test_a_table_stays_in_line_from_a_hundred_thousandth_to_ten_million():
    values = (0.00001, 0.00003, 0.5, 999.9, 1e6, 1e7)
    lines = text.columns([["name", "loss", "why"], *(["数" * n, figure(value), "x"] for n, value in enumerate(values))])
    assert len({cells(line[: line.rindex("x")]) for line in lines[1:]}) == 1
    assert lines[0].index("loss") == lines[1].index("1e−05") == 12
    assert text.columns([]) == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("log loss falls", "Log loss falls"),
        ("no worse, and newer", "No worse, and newer"),
        ("it is the first model", "It is the first model"),
        ("nothing is known of it", "Nothing is known of it"),
        ("a file is a link", "A file is a link"),
        ("metrics is a link; what is behind it is not read", "metrics is a link; what is behind it is not read"),
        ("distance is not that of the other flights", "distance is not that of the other flights"),
        ("there is no champion", "There is no champion"),
        ("items is a link", "items is a link"),
        ("staging holds toy@v1.0.0", "staging holds toy@v1.0.0"),
        ("params.yaml is a Git LFS pointer", "params.yaml is a Git LFS pointer"),
        ("data/holdout has no rows", "data/holdout has no rows"),
    ],
)
def test_a_sentence_begins_with_a_capital_and_a_name_keeps_its_letters(said, told):
    assert text.capital(said) == told


@pytest.mark.parametrize(
    ("noun", "many"),
    [("day", "days"), ("query", "queries"), ("patient id", "patient ids"), ("batch", "batches"), ("class", "classes")],
)
def test_the_word_of_a_cluster_has_its_plural(noun, many):
    assert text.plural(noun) == many


def test_a_difference_has_no_more_decimals_than_what_it_is_one_of():
    assert [beside(value, 0.4712) for value in (7.682e-07, -4.982e-05, 0.007, 0.0)] == [
        "+0.0000",
        "−0.0000",
        "+0.0070",
        "+0.0000",
    ]
    assert beside(7.682e-07, 3e-06) == "+7.7e−07", "where the loss itself is as small, it says something"
    assert beside(-12.5, 2104.3) == "−12.5000"
    assert beside(float("1e9"), 0.5) == signed(1e9)
