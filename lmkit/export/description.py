"""What an exported file says of itself: JSON, in one entry of its metadata."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmkit.export.graph import OUTPUTS
from lmkit.interfaces.detector import Detector
from lmkit.interfaces.landmarks import Landmarks

KEY = "lmkit"
"""The entry of ONNX's metadata_props; with ``.json``, the extra file of a .pt2."""
FORMAT = 1
"""The version of what the entry holds."""
LARGEST = 2**24
"""The bytes of the largest description that is read."""

_KIND = "exported detector"


@dataclass(frozen=True, slots=True)
class Description:
    """What an exported file says of itself.

    Args:
        content: JSON values by key; see docs/export.md.
    """

    content: dict[str, Any]

    @property
    def outputs(self) -> list[str]:
        """The names of the graph's outputs, in order."""
        return list(self.content["outputs"])

    @property
    def landmarks(self) -> int:
        """The number of landmarks K."""
        return int(self.content["landmarks"])

    @property
    def image_size(self) -> int:
        """The side S of the images that the graph takes, in pixels."""
        return int(self.content["image_size"])

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run, without the place of its data."""
        return dict(self.content["settings"])

    def shapes(self, batch: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each output for a batch."""
        count, points = self.landmarks, len(self.content.get("points", {}).get("names", ()))
        every = {
            "points": (batch, count, 2),
            "normalised": (batch, count, 2),
            "confidence": (batch, count),
            "covariance": (batch, count, 2, 2),
            "named_points": (batch, points, 2),
        }
        return {name: every[name] for name in self.outputs}

    def text(self) -> str:
        """Return it as it is written."""
        return json.dumps({"kind": _KIND, "format": FORMAT, **self.content}, indent=1)

    @classmethod
    def parse(cls, text: str) -> "Description":
        """Read it, and check what is believed of it.

        Raises:
            ValueError: If it is none, of another version, or damaged.
        """
        if len(text) > LARGEST:
            raise ValueError(f"its description is larger than {LARGEST:,} bytes")
        try:
            content = json.loads(text)
        except RecursionError:
            raise ValueError("its description is nested too deeply") from None
        if not isinstance(content, dict) or content.pop("kind", None) != _KIND:
            raise ValueError("it does not hold what lmkit export writes")
        if (number := content.pop("format", None)) != FORMAT:
            raise ValueError(f"it is of format {number!r:.20}, not {FORMAT}")
        problem = _problem(content)
        if problem:
            raise ValueError(f"its description is damaged: {problem}")
        return cls(content)


def _problem(content: Mapping[str, Any]) -> str | None:
    for name in ("landmarks", "image_size", "step"):
        value = content.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
            return f"{name} is {value!r:.40}"
    for name in ("settings", "outputs", "run", "detector"):
        kind = str if name == "run" else dict
        if not isinstance(content.get(name), kind):
            return f"{name} is {content.get(name)!r:.40}"
    outputs = list(content["outputs"])
    if outputs[:2] != list(OUTPUTS)[:2] or not set(outputs) <= set(OUTPUTS):
        return f"its outputs are {outputs!r:.80}"
    if not isinstance(content["detector"].get("sha256"), str):
        return "it does not name the weights"
    run, loading = (content["settings"].get(name) for name in ("run", "loading"))
    if not isinstance(run, dict) or not isinstance(loading, dict):
        return "it lacks settings of the run"
    if (run.get("landmarks"), run.get("image_size")) != (
        content["landmarks"],
        content["image_size"],
    ):
        return "its settings are those of another detector"
    points = content.get("points", {})
    names = points.get("names") if isinstance(points, dict) else None
    if ("named_points" in outputs) != bool(points) or (points and not isinstance(names, list)):
        return "its named points are not named"
    return None


class GraphDetector(Detector):
    """An exported file as a detector, for prediction alone: it has no parameters here.

    Args:
        description: What the file says of itself.
        call: Takes images (B, 3, S, S), uint8, on the CPU; returns the outputs as tensors, in the
            order of the description.
    """

    def __init__(self, description: Description, call: Any) -> None:
        super().__init__(landmarks=description.landmarks)
        self.description = description
        self.call = call

    def outputs(self, images: Any) -> dict[str, Any]:
        """Return every output of the graph by its name.

        Args:
            images: (B, 3, S, S), uint8, on the CPU.

        Raises:
            ValueError: If the graph returns other shapes than the description says.
        """
        found = dict(zip(self.description.outputs, self.call(images), strict=True))
        for name, shape in self.description.shapes(len(images)).items():
            if tuple(found[name].shape) != shape:
                raise ValueError(f"{name} is of shape {tuple(found[name].shape)}, not {shape}")
        return found

    def forward(self, images: Any) -> Landmarks:
        """See [Detector][lmkit.api.Detector]; exact for images that were uint8."""
        found = self.outputs((images * 255).round().clamp(0, 255).byte())
        covariance = found.get("covariance")
        if covariance is not None:
            covariance = covariance / (self.description.image_size / 2) ** 2
        return Landmarks(
            found["normalised"], confidence=found.get("confidence"), covariance=covariance
        )
