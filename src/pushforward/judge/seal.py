"""What may be told of a holdout in use: the verdict, no number; the numbers are sealed until it retires."""

import base64
import contextlib
import hashlib
import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pushforward import percent
from pushforward.gate.verdict import DATA_TITLE
from pushforward.text import sample

if TYPE_CHECKING:
    from pushforward.gate.verdict import Outcome, Verdict
    from pushforward.judge.looks import Look

VARIABLE = "PUSHFORWARD_SEAL"
BARE = "pass"  # of gate.reveal: that it passed, or not
# What a first model is asked to beat, by the name of its guard: all of it, and one of it.
FLOORS = {"constant": ("every constant prediction", "a constant prediction"), "floor": ("the floor", "the floor")}


def _against_floors(verdict: "Verdict") -> str:
    """How a first model did against what it has to beat, as the end of a sentence."""
    asked = {guard.name: guard.outcome for guard in verdict.guards if guard.name in FLOORS}
    if not asked:
        return "and nothing that it would have to beat"
    for outcome, words in (("fail", "{} beats it"), ("undecided", "it is not shown to beat {}")):
        if met := [FLOORS[name][1] for name, found in asked.items() if found == outcome]:
            return f"so floors only: {words.format(' and '.join(met))}"
    return f"so floors only: it beats {' and '.join(FLOORS[name][0] for name in asked)}"


def word(verdict: "Verdict") -> "Outcome":
    """The word that may be told while the holdout is in use: where only a pass may be, all else is `unknown`."""
    closed = verdict.rules.get("reveal") == BARE and verdict.verdict in {"hold", "calibration-only"}
    return "unknown" if closed else verdict.verdict


def public(verdict: "Verdict", look: "Look | None") -> "Verdict":
    """What may be told of a verdict while the holdout is in use: the word and what it means, no number of the labels.

    Thirty-odd exact answers are enough to fit a holdout of a month, rounded ones nearly so. A first model, and one that
    predicts what the champion predicts, took no look; what the labels say of them stays closed too.
    """
    only_pass = look is not None and verdict.rules.get("reveal") == BARE and verdict.verdict != "promote"
    doubted = any(guard.name == "plausible" and guard.outcome != "pass" for guard in verdict.guards)
    sure = f"at {percent.confidence(look.asked)} confidence" if look else ""
    if verdict.verdict in {"invalid", "identical"} or any(guard.name == DATA_TITLE for guard in verdict.guards):
        reason = verdict.reason  # no number of the labels is in it
    elif only_pass:
        reason = "not promoted; which of the reasons it was is told when the holdout retires"
    elif doubted:
        reason = "a gain too good to be true is more often a leak; a person must look at the features"
    elif look is None:
        reason = f"there is no champion, {_against_floors(verdict)}"
    else:
        newer = verdict.mode == "refresh"
        better = "same recipe, newer data: it costs no more than is allowed" if newer else "better than the champion"
        reason = {
            "promote": f"{better} {sure}, and no guard objects",
            "hold": "not shown to gain what is asked, or shown to do harm",
            "calibration-only": "it gains by its overall level only; a season can turn that round",
        }.get(verdict.verdict, f"neither shown to gain what is asked nor shown not to, {sure}")
    size = sample(verdict.rows, verdict.clusters, verdict.cluster)
    if look:
        size += f"; look {look.number} of {look.of}"
    if verdict.verdict not in {"invalid", "identical"}:
        reason = f"{reason} ({size})"
    return replace(
        verdict,
        verdict=word(verdict) if look else verdict.verdict,
        reason=reason,
        sealed=verdict.verdict != "invalid",
        numbers=(),
        guards=(),
        slices=(),
        calibration=None,
        positives=None,
        clusters_better=None,
        minimum_detectable=None,
        days_to_settle=None,
    )


def opened(told: str, numbers: str) -> "Verdict":
    """The verdict `told`, with the numbers that were kept back; both are the JSON of verdicts."""
    from pushforward.gate.verdict import Verdict

    known, whole = Verdict.from_json(told), Verdict.from_json(numbers)
    names = ("verdict", "reason", "numbers", "guards", "slices", "calibration", "positives", "clusters_better")
    found = {name: getattr(whole, name) for name in (*names, "minimum_detectable", "days_to_settle")}
    return replace(known, sealed=False, **found)


def close(key: bytes, numbers: str) -> bytes:
    """Encrypt and authenticate a text (Fernet)."""
    # Takes long to import, and most commands seal nothing.
    from cryptography.fernet import Fernet

    return Fernet(key).encrypt(numbers.encode())


def open(key: bytes, box: bytes) -> str | None:  # noqa: A001
    """The text inside a box, or None where it was closed with another key or is damaged."""
    from cryptography.fernet import Fernet, InvalidToken

    try:
        return Fernet(key).decrypt(box).decode()
    except InvalidToken:
        return None


def key(bare: Path | None) -> bytes:
    """The key of this place: the job's secret, else the server's own file, made at first use; b"" without either."""
    if given := os.environ.get(VARIABLE, ""):
        return base64.urlsafe_b64encode(hashlib.sha256(given.encode()).digest())
    if bare is None or not (bare / "HEAD").is_file() or not (bare / "pushforward").is_dir():
        return b""
    folder = bare / "pushforward"
    path = folder / "seal"
    if not path.exists():
        fresh = folder / f"seal.{secrets.token_hex(8)}"
        fresh.touch(mode=0o600)
        fresh.write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32)))
        # A link, not a rename: of two that come at once the first one's key must stay.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
        fresh.unlink()
    return path.read_bytes()
