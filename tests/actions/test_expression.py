"""Expressions: values against GitHub's document, and against the cases of its own expression library."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushforward.actions import expression
from pushforward.actions.expression import ExpressionError, evaluate

CONTEXTS = {
    "github": {
        "ref": "refs/heads/main",
        "event": {"labels": [{"name": "a"}, {"name": "B"}, {}], "n": 3.0, "no": False},
    },
    "inputs": {},
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("GITHUB.REF", "refs/heads/main"),
        ("github['ref']", "refs/heads/main"),
        ("github.event.labels[1].name", "B"),
        ("github.event.labels[1.9].name", "B"),
        ("github.event.labels[7].name", None),
        ("github.event.labels[-1]", None),
        ("join(github.event.labels.*.name)", "a,B"),
        ("join(github.event.labels.*.name, '')", "aB"),
        ("contains(github.event.labels.*.name, 'b')", True),
        ("contains(github.event.labels.*.name, 'c')", False),
        ("join(github.event.*)", "Array,3,false"),
        ("github.nothing.at.all", None),
        ("inputs.deploy || 'no'", "no"),
        ("contains('Hello world', 'LLO')", True),
        ("contains('abc', '')", True),
        ("startsWith('Hello', 'he') && endsWith('Hello', 'LO')", True),
        ("startsWith(fromJSON('[]'), '')", False),
        ("format('{0} {1} {{2}} {0}', 'a', 2)", "a 2 {2} a"),
        ("format('{0}', null)", ""),
        ('fromJSON(\'{"a": {"b": [1, 2.5, true, null]}}\').a.b[1]', 2.5),
        ("fromJSON('true') && fromJSON('3') > 2", True),
        ("toJSON(fromJSON('{\"a\":[1,2.5]}'))", '{\n  "a": [\n    1,\n    2.5\n  ]\n}'),
        ("case(false, 1, 'x' == 'X', 'two', 'three')", "two"),
        ("case(false, 1, 'three')", "three"),
        ("1 < 2 && 2 <= 2 && 3 > 2 && 2 >= 3", False),
        ("'b' > 'A'", True),
        ("null == 0 && null == '' && false == 0", True),
        ("'0x10' == 16", True),
        ("'' == 0", True),
        ("'abc' == 0", False),
        ("NaN == NaN", False),
        ("0xff + '' == ''", ExpressionError),
        ("-1.5e2", -150.0),
        (".5", 0.5),
        ("+3", 3.0),
        ("!'' && !0 && !null && !NaN", True),
        ("!fromJSON('{}')", False),
        ("github.event == github.event", True),
        ("fromJSON('[1]') == fromJSON('[1]')", False),
        ("true && 'a' || 'b'", "a"),
        ("!(true && false) == true", True),
        ("1 == 1 == true", True),
        ("'it''s'", "it's"),
        ("github.event.no == false", True),
        ("fromJSON('')", ExpressionError),
        ("fromJSON('{')", ExpressionError),
        ("format('{1}', 'a')", ExpressionError),
        ("format('{', 'a')", ExpressionError),
        ("format('}', 'a')", ExpressionError),
        ("nope.x", ExpressionError),
        ("nope()", ExpressionError),
        ("hashFiles('x')", ExpressionError),
        ("contains('a')", ExpressionError),
        ("case(true, 1)", ExpressionError),
        ("case(true, 1, 2, 3)", ExpressionError),
        ('"a"', ExpressionError),
        ("1 +", ExpressionError),
        ("a.", ExpressionError),
        ("a[1", ExpressionError),
        ("f(1,", ExpressionError),
        ("a b", ExpressionError),
        ("1 = 1", ExpressionError),
        ("", ExpressionError),
    ],
)
def test_an_expression_has_the_value_that_github_documents(source: str, value: object) -> None:
    if value is ExpressionError:
        with pytest.raises(ExpressionError, match="cannot evaluate"):
            evaluate(f"${{{{ {source} }}}}", CONTEXTS)
    else:
        found = evaluate(f"${{{{ {source} }}}}", CONTEXTS)
        assert found == value
        assert isinstance(found, bool) == isinstance(value, bool)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (1e3, "1000"),
        (2.50, "2.5"),
        (1 / 3, "0.333333333333333"),
        (1e15, "1E+15"),
        (-0.5, "-0.5"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (True, "true"),
        (None, ""),
        ([], "Array"),
        ({}, "Object"),
    ],
)
def test_a_value_reads_as_github_writes_it(value: object, told: str) -> None:
    assert expression.text(value) == told


def test_braces_in_quotes_end_no_expression() -> None:
    assert evaluate("a${{ '}}' }}b${{ 'it''s }}' }}", {}) == "a}}bit's }}"
    with pytest.raises(ExpressionError, match="it has no }}"):
        evaluate("${{ '}}", {})


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(source: str) -> None:
    try:
        list(expression.walk(expression.parse(source)))
    except ExpressionError:
        return


@given(st.recursive(st.sampled_from(["a", "1", "'x'", "f(1)"]), lambda inner: st.tuples(inner, inner).map(" && ".join)))
def test_a_chain_of_any_length_is_read(source: str) -> None:
    assert expression.parse(source) is not None
