"""How a model was fitted, as its manifest says: with what means, and whether the same bytes come of them again.

`fitted` is the project's own word. The judge holds it against the champion's, the provenance has it, and `verify` asks
what it needs before a version is made again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pushforward import untrusted
from pushforward.errors import DATA, PushforwardError

CPU, CUDA = "cpu", "cuda"
MOST = 40
DEVICES = Path("/dev")
NVIDIA = ("nvidia[0-9]*", "dxg")  # of Linux, and of Linux in Windows


class _Form(BaseModel):
    """What is read of it; what else is there is the project's, and part of the recipe all the same."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", allow_inf_nan=False)

    device: Annotated[str, Field(max_length=40)] = CPU
    reproducible: bool = True
    within: Annotated[float, Field(gt=0, le=0.1)] = 0.01


@dataclass(frozen=True)
class Fitted:
    """`means` as the manifest has them, {} where it has none; a metric of a fit that is not `reproducible` to the byte
    comes again `within` that much, of a number above one within that share of it.
    """

    means: Mapping[str, Any]
    device: str = CPU
    reproducible: bool = True
    within: float = 0.01

    @property
    def elsewhere(self) -> bool:
        """Whether it was fitted on something else than a processor."""
        return self.device != CPU

    @property
    def lacking(self) -> str:
        """What this machine lacks to fit it again, or ""."""
        if self.device.partition(":")[0] != CUDA or any(any(DEVICES.glob(name)) for name in NVIDIA):
            return ""
        return f"it was fitted on {self.device}, and there is no such device"

    def near(self, told: float, found: float) -> bool:
        """Whether a metric that came again is the one that was told."""
        return abs(found - told) <= self.within * max(1.0, abs(told))


def of(manifest: Mapping[str, Any]) -> Fitted:
    """What a manifest says under `fitted`; raises `PushforwardError` where that is not of its form."""
    means = manifest.get("fitted", {})
    try:
        form = _Form.model_validate(means)
    except ValidationError as wrong:
        raise PushforwardError(f"the model's manifest: fitted: {untrusted.where(wrong)}", exit_code=DATA) from None
    values = means.values()
    if len(means) > MOST or any(
        type(value) not in (str, int, float, bool) or len(str(value)) > 200 for value in values
    ):
        what = f"fitted holds up to {MOST} names of texts, numbers, true and false"
        raise PushforwardError(f"the model's manifest: {what}", exit_code=DATA)
    return Fitted(means, form.device, form.reproducible, form.within)
