"""Legs of a matrix, against the examples of GitHub's document."""

from pushforward.actions.matrix import legs


def test_all_combinations_in_order() -> None:
    assert legs({"v": [1, 2], "os": ["a", "b"]}) == [
        {"v": 1, "os": "a"},
        {"v": 1, "os": "b"},
        {"v": 2, "os": "a"},
        {"v": 2, "os": "b"},
    ]


def test_the_example_of_include() -> None:
    found = legs(
        {
            "fruit": ["apple", "pear"],
            "animal": ["cat", "dog"],
            "include": [
                {"color": "green"},
                {"color": "pink", "animal": "cat"},
                {"fruit": "apple", "shape": "circle"},
                {"fruit": "banana"},
                {"fruit": "banana", "animal": "cat"},
            ],
        }
    )
    assert found == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_exclude_by_a_part_and_include_alone() -> None:
    found = {"os": ["a", "b"], "v": [1, 2], "exclude": [{"os": "a", "v": 1}, {"os": "b"}]}
    assert legs(found) == [{"os": "a", "v": 2}]
    assert legs({"include": [{"v": 1}, {"v": 2}]}) == [{"v": 1}, {"v": 2}]
    assert legs({"v": [1], "exclude": [{"v": 1}]}) == []


def test_what_is_computed_or_too_much_is_not_counted_out() -> None:
    assert legs("${{ fromJSON('{}') }}") is None
    assert legs({"v": ["${{ github.ref }}"]}) is None
    assert legs({"v": [1], "include": ["x"]}) is None
    assert legs({name: list(range(30)) for name in "abc"}) is None
