"""What was found in a data set, in a form that can be printed and written as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lmkit.data.fingerprints import NEAR
from lmkit.data.split import Split
from lmkit.interfaces.dataset import Dataset
from lmkit.settings.settings import Settings

_NAMED = 3  # how many images a line names


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the data that the user should know.

    Args:
        kind: What it is, in one word that does not change: ``duplicate``, ``unreadable``, ....
        text: What it is, in a sentence.
        images: The images it is about, by key, and what there is to say about each; all of
            them.
        problem: Whether training would refuse the data because of it.
    """

    kind: str
    text: str
    images: Sequence[str] = ()
    problem: bool = False

    def __str__(self) -> str:
        """Return it as one line, with the first few of its images."""
        if not self.images:
            return self.text
        more = len(self.images) - _NAMED
        named = "; ".join(self.images[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
        return f"{self.text.removesuffix('.')}: {named}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "kind": self.kind,
            "problem": self.problem,
            "text": self.text,
            "count": len(self.images),
            "images": list(self.images),
        }


class Range(NamedTuple):
    """Some lengths in pixels."""

    least: int
    median: float
    greatest: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the images are that could be read.

    Args:
        width: In pixels.
        height: In pixels.
        smaller: How many show less than the run's image size in a direction, so that they are
            enlarged.
        image_size: The run's.
    """

    width: Range
    height: Range
    smaller: int
    image_size: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "width": self.width._asdict(),
            "height": self.height._asdict(),
            "smaller_than_image_size": self.smaller,
            "image_size": self.image_size,
        }


class Alike(NamedTuple):
    """An image to train on and one to test with that are the same, or nearly."""

    training: int
    testing: int
    distance: int
    """How many of 256 bits of their difference hashes differ; -1 where every pixel is equal."""


@dataclass(slots=True)
class DataReport:
    """What was found.

    Args:
        settings: What the data was opened with.
        dataset: The data.
        split: Its parts as training would use them; None if training would refuse.
        label: What the data is called.
        annotated: Images all of whose points are known.
        partly_annotated: Images some of whose points are known.
        subjects: How many there are, where known.
        left_out: Images that are in no part because they are unreadable, or cannot be cropped.
        copies: Images that equal an earlier one of the same part, pixel by pixel.
        sizes: Of the images; None where they were not read.
        alike: Images that are in training and in testing, more or less; the likest first.
        findings: What the user should know.
        quick: Whether images were not read.
    """

    settings: Settings
    dataset: Dataset
    split: Split | None
    label: str
    annotated: int = 0
    partly_annotated: int = 0
    subjects: int = 0
    left_out: int = 0
    copies: int = 0
    sizes: Sizes | None = None
    alike: list[Alike] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    quick: bool = False

    @property
    def usable(self) -> bool:
        """Whether training would take the data."""
        return not any(finding.problem for finding in self.findings)

    def counts(self) -> dict[str, int]:
        """Return what was counted, by name."""
        parts = (
            {"train": self.split.train, "fit": self.split.fit, "test": self.split.test}
            if (self.split is not None)
            else {}
        )
        return {
            "images": len(self.dataset),
            "annotated": self.annotated,
            "partly_annotated": self.partly_annotated,
            "points": len(self.dataset.point_names),
            "subjects": self.subjects,
            **{part: len(indices) for part, indices in parts.items()},
            "left_out": self.left_out,
            "copies_within_a_part": self.copies,
        }

    def normalised_by(self) -> list[str]:
        """Return the names of the two points whose distance normalises errors; none without."""
        names, pair = self.dataset.point_names, self.dataset.normalising_pair
        return [names[number] for number in pair] if max(pair) < len(names) else []

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "data": self.label,
            "usable": self.usable,
            "quick": self.quick,
            "counts": self.counts(),
            "point_names": list(self.dataset.point_names),
            "normalised_by": self.normalised_by(),
            "sizes": None if self.sizes is None else self.sizes.to_dict(),
            "findings": [finding.to_dict() for finding in self.findings],
            "near_duplicates_differ_in_at_most": f"{NEAR} of 256 bits of their difference hashes",
        }
