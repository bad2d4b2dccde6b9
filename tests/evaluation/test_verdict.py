"""The verdict never says that training worked for landmarks that beat no control."""

from itertools import product

import numpy as np
import pytest

from lmkit.evaluation.faults import Faults
from lmkit.evaluation.measures import Interval
from lmkit.evaluation.reconstruction import Reconstruction
from lmkit.evaluation.verdict import Evidence, judge


def faults(share=0.0, kind="together"):
    found = {name: np.zeros((100, 4), bool) for name in ("stuck", "together", "border")}
    found[kind][: round(100 * share)] = True
    return Faults(**found)


def evidence(**changes):
    good = {"followed": 0.8, "control": 0.02, "gain": Interval(0.7, 0.85), "faults": faults()}
    return Evidence(**{**good, "surroundings": 1.0, "spread": 6.0, **changes})


def test_landmarks_that_follow_and_beat_the_control_hold():
    verdict = judge(evidence())
    assert verdict.level == "holds"
    assert verdict.score == 0.8
    assert verdict.finding == (
        "Training worked: the landmarks follow 80 % of known movements of held-out images; the "
        "same network untrained follows 2 %."
    )


@pytest.mark.parametrize(
    ("changes", "level", "says"),
    [
        ({"followed": 0.4, "gain": Interval(0.3, 0.5)}, "partly", "more steps (--steps)"),
        ({"faults": faults(0.2)}, "partly", "at fault on 20 % of the images"),
        ({"gain": Interval(-0.1, 0.2)}, "no better than untrained", "No sign that training"),
        ({"beaten": False}, "no better than untrained", "error is no better"),
        ({"faults": faults(0.9)}, "failed", "a loss that keeps landmarks apart"),
        ({"faults": faults(0.9, "stuck")}, "failed", "a stronger deformation"),
        ({"faults": faults(0.6, "border")}, "failed", "sit at the border"),
        ({"surroundings": 8.0}, "holds", "crop closer to the object"),
        (
            {
                "followed": 0.4,
                "gain": Interval(0.3, 0.5),
                "reconstruction": Reconstruction(20.0, 12.0),
            },
            "partly",
            "no better than by leaving them",
        ),
    ],
)
def test_what_is_wrong_decides_the_level_and_what_to_change(changes, level, says):
    verdict = judge(evidence(**changes))
    assert verdict.level == level
    assert says in verdict.sentence
    assert verdict.to_dict()["level"] == level


def test_success_is_never_claimed_without_beating_the_control():
    for followed, low, beaten, share in product(
        (-0.5, 0.1, 0.7, 1.0), (-0.2, 0.0, 0.3), (None, False, True), (0.0, 0.3, 0.7)
    ):
        gain = Interval(low, low + 0.2)
        verdict = judge(evidence(followed=followed, gain=gain, beaten=beaten, faults=faults(share)))
        if low <= 0 or beaten is False:
            assert verdict.level in ("failed", "no better than untrained")
            assert "Training worked" not in verdict.sentence


def test_the_score_falls_with_the_share_of_images_at_fault():
    assert judge(evidence(faults=faults(0.25))).score == pytest.approx(0.6)


def test_without_a_control_it_says_what_it_was_held_against():
    assert "points that never move follow none" in judge(evidence(control=None)).finding
