"""The model cards of versions, from what the registry holds and their tags bind. The version pages show them."""

from collections.abc import Sequence
from dataclasses import dataclass

from pushforward import params, schema, settings
from pushforward.errors import PushforwardError
from pushforward.gate.verdict import Verdict
from pushforward.git.refs import REGISTRY
from pushforward.pipeline.revision import sha256
from pushforward.registry.tags import Registered
from pushforward.release import card, provenance
from pushforward.release import entry as registered
from pushforward.release.card import Card
from pushforward.views.history import History
from pushforward.views.snapshot import Snapshot, Tag


@dataclass(frozen=True)
class Told:
    """The card of a version, or why there is none to show."""

    card: Card | None = None
    problem: str = ""


@dataclass(frozen=True)
class Entry:
    """What the registry holds of a version, and the settings at its commit; None where that is not there."""

    verdict: bytes | None
    provenance: bytes | None
    rules: settings.Settings | None
    problem: str = ""

    @staticmethod
    def read(model: str, *found: tuple[str, bytes] | None) -> "Entry":
        """From the files as git has them."""
        verdict, made, text = (one[1] if one and one[0] == "blob" else None for one in found)
        try:
            return Entry(verdict, made, settings.parse(text).of(model) if text is not None else None)
        except PushforwardError as broken:
            return Entry(verdict, made, None, broken.message)

    @property
    def about(self) -> str:
        """The file whose text begins the card."""
        return (self.rules.model.card or "") if self.rules else ""

    @property
    def lists(self) -> str:
        """The file that lists the batches."""
        return (self.rules.batches[0] if self.rules else "") or params.FILE

    def told(
        self, version: Registered, tag: Tag, about: tuple[str, bytes] | None, listed: tuple[str, bytes] | None
    ) -> Told:
        """The card, where verdict and provenance are those that the tag names."""
        if self.verdict is None or self.provenance is None or self.rules is None:
            return Told(problem=self.problem)
        digests = {"verdict": sha256(self.verdict), "provenance": sha256(self.provenance)}
        wrong = [name for name, digest in digests.items() if tag.record.get(name) != digest]
        if wrong:
            return Told(problem=f"The {wrong[0]} in the registry is not the one that the tag names.")
        try:
            verdict, made = Verdict.from_json(self.verdict), provenance.read(self.provenance)
            batches = self.rules.arrived(lambda _: listed[1] if listed and listed[0] == "blob" else None)
        except PushforwardError as broken:
            return Told(problem=broken.message)
        text = about[1].decode("utf-8", "replace") if about and about[0] == "blob" else None
        previous, digest = str(tag.record.get("previous") or ""), digests["provenance"]
        told = card.build(
            version.name, verdict, self.rules, made, batches=batches, digest=digest, previous=previous, about=text
        )
        return Told(told)


def cards(history: History, snapshot: Snapshot, versions: Sequence[Registered]) -> "list[Told]":
    """The model cards of versions, from what the registry holds and their tags bind, for all of them at once."""
    folders = [f"{REGISTRY}:{registered.folder(version.name)}" for version in versions]
    rules = [f"{version.commit}:{schema.FILE}" for version in versions]
    files = [f"{folder}/{name}" for folder in folders for name in (registered.VERDICT, registered.PROVENANCE)]
    found = history.objects([*files, *rules])
    entries = [
        Entry.read(
            snapshot.model,
            *(found[f"{folder}/{name}"] for name in (registered.VERDICT, registered.PROVENANCE)),
            found[text],
        )
        for folder, text in zip(folders, rules, strict=True)
    ]
    abouts = [
        f"{version.commit}:{entry.about}" if entry.about else ""
        for version, entry in zip(versions, entries, strict=True)
    ]
    lists = [f"{version.commit}:{entry.lists}" for version, entry in zip(versions, entries, strict=True)]
    texts = history.objects([*filter(None, abouts), *lists])
    return [
        entry.told(version, snapshot.tags[version.tag], texts.get(about), texts[listed])
        for version, entry, about, listed in zip(versions, entries, abouts, lists, strict=True)
    ]
