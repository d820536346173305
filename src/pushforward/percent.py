"""Shares and confidences as text: what is neither nothing nor all is never shown as if it were."""

import re

FORM = re.compile(r"\.(?P<digits>\d)(?P<kind>[fg])")


def share(value: float, form: str = ".1f") -> str:
    """A share in percent, as `form` (`.1f`, `.4g`) has it: "< 0.1 %" and "> 99.9 %" before "0.0 %" and "100.0 %"."""
    return _shown(value, form, some=value > 0, short=value < 1)


def confidence(alpha: float, form: str = ".5g") -> str:
    """The confidence 1 - `alpha` in percent; never all, however small `alpha` is."""
    return _shown(1 - alpha, form, some=alpha < 1, short=alpha > 0)


def _shown(value: float, form: str, *, some: bool, short: bool) -> str:
    text, found = format(100 * value, form), FORM.fullmatch(form)
    if found is None:
        raise ValueError(f"{form} is no form of a share")
    digits = int(found["digits"]) - (2 if found["kind"] == "g" else 0)
    if short and float(text) >= 100:
        return f"> {100 - 10.0**-digits:.{digits}f} %"
    if some and float(text) <= 0:
        return f"< {10.0**-digits:.{digits}f} %"
    return f"{text} %"
