"""GitHub's filters: patterns, and the events that a workflow answers to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.actions.samples import JUDGE, PULL, PUSH, TAG, load

from pushforward.actions import filters
from pushforward.actions.event import Event
from pushforward.actions.workflow import WorkflowError


# The examples of GitHub's documentation, "Workflow syntax", filter pattern cheat sheet.
@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("feature/*", "feature/my-branch feature/your-branch", "feature/a/b feature"),
        ("feature/**", "feature/beta-a/my-branch feature/your-branch feature/mona/the/octocat", "features/x"),
        ("main", "main", "main2 xmain"),
        ("*", "main releases", "all/the/branches"),
        ("**", "all/the/branches every/tag main", ""),
        ("*feature", "mona-feature feature ver-10-feature", "a/feature feature-1"),
        ("v2*", "v2 v2.0 v2.9", "v1"),
        ("v[12].[0-9]+.[0-9]+", "v1.10.1 v2.0.0", "v3.1.1 v1..1 v1.1"),
        ("*.jsx?", "page.js page.jsx", "page.jsxx a/page.js"),
        ("*.js", "app.js index.js", "js/app.js"),
        ("**.js", "index.js js/index.js src/js/app.js", "index.jsx"),
        ("docs/*", "docs/README.md docs/file.txt", "docs/a/b docs"),
        ("docs/**", "docs/README.md docs/mona/octocat.txt", "mydocs/a"),
        ("docs/**/*.md", "docs/README.md docs/mona/hello-world.md docs/a/markdown/file.md", "docs/a.txt"),
        ("**/docs/**", "docs/hello.md dir/docs/my-file.txt space/docs/plan/space.doc", "mydocs/hello.md"),
        ("**/README.md", "README.md js/README.md", "xREADME.md"),
        ("**/*src/**", "a/src/app.js my-src/code/js/app.js", "a/srcs/app.js"),
        ("**/*-post.md", "my-post.md path/their-post.md", "post.md"),
        ("**/migrate-*.sql", "migrate-10909.sql db/migrate-v1.0.sql db/sept/migrate-v1.sql", "migrate.sql"),
        (r"a\*b", "a*b", "axb"),
        ("[CB]at", "Cat Bat", "cat CBat"),
        ("x+", "x xx xxx", "y"),
    ],
)
def test_a_pattern_matches_what_github_documents(pattern: str, yes: str, no: str) -> None:
    for name in yes.split():
        assert filters.matches_pattern(pattern, name), name
    for name in no.split():
        assert not filters.matches_pattern(pattern, name), name


@given(st.text(alphabet="ab/.-", max_size=12))
def test_plain_text_matches_itself_and_two_stars_match_all(name: str) -> None:
    assert filters.matches_pattern(name, name)
    assert filters.matches_pattern("**", name)
    assert filters.matches_pattern("*", name) == ("/" not in name)


def test_no_pattern_is_slow() -> None:
    assert not filters.matches_pattern("**a" * 300, "a" * 299 + "b")


@pytest.mark.parametrize("pattern", ["[ab", "?", "*+", "[]", "[z-a]"])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(WorkflowError, match=r"branches|pattern"):
        filters.matches(load(f"{{push: {{branches: ['{pattern}']}}}}"), PUSH)


@pytest.mark.parametrize(
    ("on", "event", "expected"),
    [
        ("push", PUSH, True),
        ("[push, pull_request]", PULL, True),
        ("pull_request", PUSH, False),
        ("push", TAG, True),
        ("{push: }", TAG, True),
        ("{push: {branches: [main]}}", PUSH, True),
        ("{push: {branches: main}}", PUSH, True),
        ("{push: {branches: [main]}}", TAG, False),
        ("{push: {branches-ignore: [dev]}}", TAG, False),
        ("{push: {tags: ['v*']}}", TAG, True),
        ("{push: {tags: ['v*']}}", PUSH, False),
        ("{push: {tags-ignore: ['v*']}}", TAG, False),
        ("{push: {tags-ignore: ['v*']}}", PUSH, False),
        ("{push: {branches: [main], tags: ['v*']}}", TAG, True),
        ("{push: {branches: [main], tags: ['w*']}}", TAG, False),
        ("{push: {branches-ignore: ['m*']}}", PUSH, False),
        ("{push: {branches: ['**', '!m*']}}", PUSH, False),
        ("{push: {branches: ['**', '!m*', 'main']}}", PUSH, True),
        ("{push: {paths: ['src/**']}}", replace(PUSH, paths=("README.md",)), False),
        ("{push: {paths: ['src/**']}}", replace(PUSH, paths=("README.md", "src/a.py")), True),
        ("{push: {paths: ['src/**', '!src/docs/**']}}", replace(PUSH, paths=("src/docs/a",)), False),
        ("{push: {paths: ['src/**']}}", PUSH, True),
        ("{push: {paths: ['src/**']}}", replace(TAG, paths=("README.md",)), True),
        ("{push: {paths-ignore: ['*.md']}}", replace(PUSH, paths=("README.md",)), False),
        ("{push: {paths-ignore: ['*.md']}}", replace(PUSH, paths=("README.md", "a.py")), True),
        ("{push: {branches: [main], paths: ['a']}}", replace(PUSH, paths=("a",), ref="refs/heads/x"), False),
        ("pull_request", replace(PULL, action="closed"), False),
        ("{pull_request: {types: [closed]}}", replace(PULL, action="closed"), True),
        ("{pull_request: {branches: [main]}}", PULL, True),
        ("{pull_request: {branches: ['topic/*']}}", PULL, False),
        ("{pull_request: {paths: ['a']}}", replace(PULL, paths=("b",)), False),
        ("{workflow_run: {workflows: [train], types: [completed]}}", JUDGE, True),
        ("{workflow_run: {workflows: [check]}}", JUDGE, False),
        ("{workflow_run: {workflows: [train], types: [requested]}}", JUDGE, False),
        ("{workflow_run: {workflows: [train], branches: [main]}}", JUDGE, False),
        ("{workflow_run: {workflows: [train], branches-ignore: [main]}}", JUDGE, True),
        (
            "{schedule: [{cron: '0 5 * * *'}]}",
            Event("schedule", "a" * 40, "refs/heads/main", schedule="0 5 * * *"),
            True,
        ),
        (
            "{schedule: [{cron: '0 5 * * *'}]}",
            Event("schedule", "a" * 40, "refs/heads/main", schedule="0 6 * * *"),
            False,
        ),
    ],
)
def test_a_workflow_answers_to_the_events_that_github_documents(on: str, event: Event, expected: bool) -> None:
    assert filters.matches(load(on), event) is expected
