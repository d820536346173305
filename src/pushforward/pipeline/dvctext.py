"""What DVC says went wrong, in one sentence of what, where and what to do. Pure."""

import re
from collections.abc import Callable

from pushforward.cause import Cause

LIMIT = 400
_POINTS = re.compile(
    r"(See|Visit|For more info[^<\n]*)? ?<?https://(error\.|man\.)?dvc\.org\S*"
    r"|Is your cache up to date\?|Use `dvc [^`]+`[^\n]*"
)
_STAGE = re.compile(r"failed to reproduce '(?P<stage>[^']+)': ?")
_Told = Callable[[re.Match[str]], Cause]


def _listed(text: str) -> str:
    return ", ".join(sorted(word.strip(" \t-'") for word in re.split(r"[\n,]", text) if word.strip(" \t-'")))


def _pairs(text: str) -> str:
    return ", ".join(f"{out} (of {stage})" for out, stage in re.findall(r"'([^']+)'\('([^']+)'\)", text))


def _needed(found: re.Match[str]) -> Cause:
    path = found["path"]
    return Cause(
        f"it needs {path}, which is neither in the commit nor made by a stage",
        f"git add {path}, or dvc add {path} && dvc push",
    )


_MARK = re.compile(r'\s*in "<unicode string>", line \d+, column \d+:?(?:.*?\^ \(line: \d+\))?', re.DOTALL)


def _not_yaml(found: re.Match[str]) -> Cause:
    why = _MARK.sub(",", found["why"])
    marks = re.findall(r"line (\d+), column (\d+)", found["why"])
    at = f":{marks[-1][0]}:{marks[-1][1]}" if marks else ""
    return Cause(f"{found['file']}{at}: {why.strip(' ,') or 'it is no YAML'}", f"edit {found['file']}")


_EDIT = "edit dvc.yaml"
_KNOWN: tuple[tuple[re.Pattern[str], _Told], ...] = (
    (
        re.compile(
            r"unable to read: '(?:\./)?(?P<file>[^']+)', YAML file structure is corrupted:? ?(?P<why>.*)", re.DOTALL
        ),
        _not_yaml,
    ),
    (re.compile(r"\[Errno 2\] No such file or directory: '(?P<path>[^']+)'"), _needed),
    (re.compile(r"missing data 'source': (?P<path>[^\s,]+)"), _needed),
    (re.compile(r"Checkout failed for following targets:\s*(?P<path>\S+)"), _needed),
    (re.compile(r"dependency '(?P<path>[^']+)' does not exist"), _needed),
    (
        re.compile(r"output '(?P<path>[^']+)' does not exist"),
        lambda found: Cause(f"it ended well, but made no {found['path']}, which dvc.yaml says it makes", _EDIT),
    ),
    (
        re.compile(r"Same item\(s\) are defined as both a dependency and an output in stage: (?P<stage>.+?)\.?$"),
        lambda found: Cause(f"stage {found['stage']} depends on what it makes itself", _EDIT),
    ),
    (
        re.compile(r"Same item\(s\) are defined as both a dependency and an output in stages: (?P<stages>.+?)\.?$"),
        lambda found: Cause(f"stages {found['stages']} depend on each other in a circle", _EDIT),
    ),
    (
        re.compile(r"Pipeline has a cycle involving: (?P<stages>.+?)\.?$"),
        lambda found: Cause(f"stages {found['stages']} depend on each other in a circle", _EDIT),
    ),
    (
        re.compile(
            r"output '(?P<out>[^']+)' is (?:already )?specified in(?: stages?)?:?\s(?P<who>.+?)(?:Use `|$)", re.DOTALL
        ),
        lambda found: Cause(f"{found['out']} is an out of more than one stage: {_listed(found['who'])}", _EDIT),
    ),
    (
        re.compile(r"The output paths:\n(?P<outs>.+?)\noverlap", re.DOTALL),
        lambda found: Cause(f"the outs {_pairs(found['outs'])} lie in one another", _EDIT),
    ),
    (
        re.compile(r"'(?:\./)?(?P<file>[^']+)' validation failed[^:]*(?:: \d+ errors?)?: ?(?P<why>.+)", re.DOTALL),
        lambda found: Cause(f"{found['file']}: {found['why']}", f"edit {found['file']}"),
    ),
    (
        re.compile(r"Parameters? '(?P<keys>.+)' (?:are|is) missing from '(?P<file>[^']+)'"),
        lambda found: Cause(
            f"{found['file']} has no {found['keys']}, which it names under params:", f"edit {found['file']}"
        ),
    ),
    (
        re.compile(r"failed to parse '(?P<where>[^']+)' in '(?P<file>[^']+)': (?P<why>.+)", re.DOTALL),
        lambda found: Cause(f"{found['where']} in {found['file']}: {found['why']}", f"edit {found['file']}"),
    ),
)


def sentence(text: str, *, root: str = "") -> Cause:
    """One sentence for what DVC says in `text`; its paths are told from `root`, and no name of a stage is repeated."""
    told = _STAGE.sub("", text.replace(f"{root}/", "") if root else text).strip()
    for pattern, write in _KNOWN:
        if found := pattern.search(told):
            cause = write(found)
            return Cause(_one_line(cause.text), _one_line(cause.next))
    plain = _one_line(_POINTS.sub(" ", told))  # an address says nothing of this project, nor does advice to a person
    return Cause(plain or "DVC gives no reason")


def after(text: str, *, root: str = "") -> Cause:
    """The same of what DVC says of a stage whose command has ended well."""
    if gone := re.search(r"dependency '(?P<path>[^']+)' does not exist", text):
        path = gone["path"].removeprefix(f"{root}/")
        return Cause(f"it ended well, but left no {path}, which it depends on", "let its command keep what it reads")
    return sentence(text, root=root)


def of_stage(stage: str, why: Cause) -> Cause:
    """The cause for which a stage, whose command has not begun, cannot be brought up to date."""
    if stage.endswith(".dvc"):
        return Cause(_one_line(f"{stage}: {why.text}"), why.next)
    told = f"stage {stage} needs {why.text.removeprefix('it needs ')}" if why.text.startswith("it needs ") else ""
    return Cause(_one_line(told or f"stage {stage}: {why.text}"), why.next)


def stage_of(text: str) -> str:
    """The stage that DVC says it could not bring up to date; "" where it names none."""
    found = _STAGE.search(text)
    return found["stage"] if found else ""


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LIMIT else f"{line[: LIMIT - 1]}…"
