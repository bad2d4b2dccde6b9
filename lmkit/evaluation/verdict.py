"""One sentence on whether training worked, and what to change; needs no annotation.

It never says that training worked for landmarks that do not beat the untrained network: neither in
following known movements nor, where annotation is there, in the error.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from lmkit.evaluation.faults import TELLING, Faults
from lmkit.evaluation.measures import Interval
from lmkit.evaluation.reconstruction import Reconstruction
from lmkit.geometry.collapse import TOO_MANY

HOLDS = 0.7
"""From this share of known movements on that landmarks follow, they are said to hold. On
photographs of faces, runs that followed less had more than two thirds of the error of their
untrained networks."""
SURROUNDINGS = 3.0
"""From this movement on, in percent of the side, landmarks are said to depend on the surroundings:
as far as the thickness of a mark on a sheet, and more than they miss known movements by where they
hold."""

Level = Literal["failed", "no better than untrained", "partly", "holds"]
"""From the worst to the best."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict is made from.

    Args:
        followed: The share of known movements that the landmarks follow.
        control: The same of the untrained network; None if it is not known.
        gain: Confidence interval of the former, less the latter if that is known.
        faults: Which landmarks are at fault on which image.
        surroundings: How far landmarks move when what surrounds the object is exchanged, in percent
            of the side; None if not known.
        spread: How far landmarks move over the images, in percent of the side.
        beaten: Whether the error on annotated images beats the untrained network's; None if it is
            not known.
        reconstruction: How well images are redrawn; None without a generator.
    """

    followed: float
    control: float | None
    gain: Interval
    faults: Faults
    surroundings: float | None = None
    spread: float = 0.0
    beaten: bool | None = None
    reconstruction: Reconstruction | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run's landmarks come to.

    Args:
        level: In one word or a few.
        score: The share of known movements that landmarks follow, on images that are not at fault;
            the number that runs are ranked by.
        finding: What was found, a sentence.
        advice: What to change, a sentence.
    """

    level: Level
    score: float
    finding: str
    advice: str

    @property
    def sentence(self) -> str:
        """Both, for people."""
        return f"{self.finding} {self.advice}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def judge(evidence: Evidence) -> Verdict:
    """Return what the evidence comes to."""
    level = _level(evidence)
    score = evidence.followed * (1 - evidence.faults.share)
    return Verdict(level, score, f"{_finding(level, evidence)}.", _advice(level, evidence))


def _level(evidence: Evidence) -> Level:
    if evidence.faults.share >= TOO_MANY:
        return "failed"
    if evidence.gain.low <= 0 or evidence.beaten is False:
        return "no better than untrained"
    if evidence.followed < HOLDS or evidence.faults.share >= TELLING:
        return "partly"
    return "holds"


def _finding(level: Level, evidence: Evidence) -> str:
    control = (
        "; points that never move follow none"
        if evidence.control is None
        else f"; the same network untrained follows {_share(evidence.control)}"
    )
    followed = f"follow {_share(evidence.followed)} of known movements of held-out images{control}"
    at_fault = f"{_share(evidence.faults.share)} of the images"
    if level == "failed":
        return f"Training failed: most landmarks are at fault on {at_fault}"
    if level == "no better than untrained":
        if evidence.beaten is False and evidence.gain.low > 0:
            return (
                "No sign that training helped: the landmarks' error is no better than that of the "
                f"same network untrained, although they {followed}"
            )
        return f"No sign that training helped: the landmarks {followed}"
    if level == "partly":
        faults = f", and are at fault on {at_fault}" if evidence.faults.share >= TELLING else ""
        return f"Training worked in part: the landmarks {followed}{faults}"
    return f"Training worked: the landmarks {followed}"


def _advice(level: Level, evidence: Evidence) -> str:
    """Return what to change, by what is most at fault."""
    faults = evidence.faults
    shares = {kind: faults.of_kind(kind).mean() for kind in ("stuck", "together", "border")}
    worst = max(shares, key=lambda kind: shares[kind])
    if level != "holds" and shares[worst] >= TOO_MANY / 2:
        return _AGAINST[worst]
    if evidence.surroundings is not None and evidence.surroundings > SURROUNDINGS:
        return (
            f"They move by {evidence.surroundings:.1f} % of the side when only the surroundings "
            "change: crop closer to the object (loading.crop), or give images with more "
            "surroundings that differ."
        )
    if level == "holds":
        return "Look at the sheet; more steps or larger images make landmarks finer."
    drawn = evidence.reconstruction
    if drawn is not None and drawn.error >= drawn.undrawn:
        return (
            "The generator redraws held-out images no better than by leaving them as they are: "
            "train longer (--steps), or take a lower optimizer.learning_rate."
        )
    return (
        "What may help: more steps (--steps), a loss that makes landmarks move as the image does "
        "or keeps them apart (lmkit list loss), larger images (--image-size), another --seed."
    )


def _share(value: float) -> str:
    return f"{round(100 * value)} %"


_AGAINST = {
    "stuck": "Most stay in one place whatever the image shows: take another --seed, a smaller "
    "detector.beta, a lower optimizer.learning_rate or a stronger deformation.",
    "together": "Many lie on one another: add a loss that keeps landmarks apart (lmkit list loss), "
    "or take fewer --landmarks or another --seed.",
    "border": "Many sit at the border: take a weaker shift in the deformation, a crop closer to "
    "the object (loading.crop) or another --seed.",
}
