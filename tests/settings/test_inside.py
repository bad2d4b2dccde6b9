"""A component inside another: given by name or table, complete, and of whatever it is made of."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import lmkit
from lmkit.api import Component, Detector, Landmarks, Loss, hookimpl
from lmkit.errors import LmkitError
from lmkit.registry.discovery import examine
from lmkit.registry.lookup import Registry, installed
from lmkit.registry.options import options_of, parts_of
from lmkit.run.provenance import as_before, origins
from lmkit.run.record import _problem
from lmkit.runtime.assemble import assemble, initialise
from lmkit.settings.layers import Layer, merge, read_assignments, read_recipe
from lmkit.settings.settings import Settings, resolve

SMALL = {"name": "hourglass", "features": 8, "depth": 1}


class Both(Detector):
    """Two.

    Args:
        first: One.
        second: Perhaps another.
    """

    def __init__(self, *, landmarks: int, first: Detector, second: Detector | None = None) -> None:
        super().__init__(landmarks=landmarks)
        self.first, self.second = first, second
        self.own = nn.Parameter(torch.zeros(()))
        self.read: list[str] = []

    def forward(self, images: torch.Tensor) -> Landmarks:
        found = self.first(images).points
        if self.second is not None:
            found = (found + self.second(images).points) / 2
        return Landmarks(found + self.own)

    def initialise(self) -> None:
        self.read.append("own")


class Like(Loss):
    """Near to a teacher.

    Args:
        teacher: It.
    """

    needs_routes = False

    def __init__(self, *, teacher: Detector) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, step: Any) -> torch.Tensor:
        found = self.teacher(step.views["original"]).points
        return (step.landmarks["original"].points - found).square().mean()


class Defaulting(Detector):
    def __init__(self, *, landmarks: int, first: Detector = None) -> None:  # type: ignore[assignment]
        super().__init__(landmarks=landmarks)


class Hooks:
    @hookimpl
    def lmkit_components(self) -> list[Component]:
        return [
            Component("detector", "both", f"{__name__}:Both", "two"),
            Component("loss", "like", f"{__name__}:Like", "like a teacher"),
        ]


@pytest.fixture
def known() -> Registry:
    return Registry([*installed().plugins, examine(Hooks())])


def settled(known: Registry, *words: str, **sections: Any) -> Settings:
    run = {"steps": 2, "batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"}
    layers = [
        *read_recipe("reconstruction-quick", known),
        Layer("small", {"run": run, "generator": {"width": 4}}),
        Layer("file", sections),
        read_assignments(words),
    ]
    return resolve(merge(layers), known)


def test_it_is_an_option_typed_by_its_interface() -> None:
    assert parts_of(Both) == {"first": "detector", "second": "detector"}
    first, second = options_of(Both)
    assert (first.type_name, second.type_name) == ("detector", "detector or none")
    with pytest.raises(LmkitError, match="is a component and has a default") as caught:
        options_of(Defaulting)
    assert "first: Detector | None = None" in caught.value.remedy


@pytest.mark.parametrize(
    ("words", "sections"),
    [
        (("detector.first=hourglass", "detector.first.depth=2"), {}),
        (("detector.first.depth=2", "detector.first=hourglass"), {}),
        (("detector.first.name=hourglass", "detector.first.depth=2"), {}),
        ((), {"first": {"name": "hourglass", "depth": 2}}),
        (("detector.first.depth=2",), {"first": "hourglass"}),
        (("detector.first.depth=2",), {"first": {"name": "hourglass", "depth": 4}}),
        (("detector.first=hourglass",), {"first": {"name": "hourglass", "depth": 2}}),
    ],
)
def test_it_is_given_by_name_or_table_and_filled_in(
    known: Registry, words: tuple[str, ...], sections: dict[str, Any]
) -> None:
    settings = settled(known, *words, detector={"name": "both", **sections})
    first = settings.detector["first"]
    assert (first["name"], first["depth"], first["stacks"]) == ("hourglass", 2, 1)
    assert settings.detector["second"] is None
    # As run.json holds it, and reads it again.
    stored = json.loads(json.dumps(settings.to_dict()))
    assert resolve(stored, known).to_dict() == stored
    assert settings.flat()["detector.first.depth"] == 2


def test_another_name_drops_the_options_of_the_former(known: Registry) -> None:
    former = {"name": "both", "first": {"name": "hourglass", "depth": 2, "features": 9}}
    settings = settled(known, "detector.first=imm", detector=former)
    assert settings.detector["first"]["name"] == "imm"
    assert "depth" not in settings.detector["first"]


@pytest.mark.parametrize(
    ("first", "problem", "remedy"),
    [
        ("hourglas", "There is no detector 'hourglas'", "'hourglass'"),
        ({"depth": 2}, "No detector is chosen", "lmkit list detector"),
        ({**SMALL, "dept": 2}, "detector.first.dept: Hourglass has no option", "'depth'"),
        ({**SMALL, "depth": "x"}, "detector.first.depth='x' is not a whole number", "--set"),
        (3, "detector.first=3 is no detector", "--set detector.first=NAME"),
        ("run:nowhere", "detector.first=run:nowhere names no run", "run:FOLDER"),
        (None, "detector.first=None is no detector", "lmkit list detector"),
    ],
)
def test_what_is_no_component_is_refused_at_its_place(
    known: Registry, first: Any, problem: str, remedy: str
) -> None:
    with pytest.raises(LmkitError) as caught:
        settled(known, detector={"name": "both", "first": first})
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_one_that_is_needed_is_asked_for(known: Registry) -> None:
    with pytest.raises(LmkitError, match=r"detector\.first is needed: One") as caught:
        settled(known, detector={"name": "both"})
    assert "lmkit list detector shows them" in caught.value.remedy


def test_it_is_built_with_weights_of_its_own_and_told_where_it_comes_from(known: Registry) -> None:
    both = {"name": "both", "first": SMALL, "second": {"name": "both", "first": SMALL}}
    settings = settled(known, detector=both)
    assembly = assemble(settings, known)
    detector = assembly.detector
    assert isinstance(detector, Both)
    assert isinstance(detector.second, Both)
    again = assemble(settings, known).detector.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in detector.state_dict().items())
    ours, theirs = (
        dict(each.named_parameters()) for each in (detector.first, detector.second.first)
    )
    assert not all(torch.equal(value, theirs[name]) for name, value in ours.items())
    initialise(detector, "detector")
    assert detector.read == detector.second.read == ["own"]
    found = origins(settings, known)
    sections = [each["section"] for each in found if each["section"].startswith("detector")]
    assert sections == ["detector", "detector.first", "detector.second", "detector.second.first"]
    record = {"settings": settings.to_dict(), "components": found}
    assert _problem(record) is None
    record["components"] = [{**found[-1], "section": "detector.third"}]
    assert "for which there are no settings" in str(_problem(record))
    assert as_before(settings.to_dict(), found, known) == settings.to_dict()


def test_the_detector_of_a_run_is_frozen_and_saved_with_the_run(
    known: Registry, trained: Path
) -> None:
    settings = settled(known, f"loss.like.teacher=run:{trained}", loss={"like": {}})
    teacher = settings.loss["like"]["teacher"]
    assert teacher["from_run"] == {"path": str(trained), "landmarks": 3, "image_size": 32}
    assert teacher["name"] == "hourglass"
    assembly = assemble(settings, known)
    loss = assembly.losses["like"]
    assert not list(loss.parameters())
    assert "losses" not in assembly.trainable()
    assert any(name.startswith("teacher.") for name in loss.state_dict())
    initialise(loss, "loss.like")
    wanted = lmkit.open_run(trained, device="cpu").detector
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        found = loss.train().teacher(images).points
        assert torch.allclose(found, wanted(images).points, atol=1e-5)
    # Nothing but the settings is needed to build it again.
    moved = settings.to_dict()
    moved["loss"]["like"]["teacher"]["from_run"]["path"] = "/nowhere"
    again = assemble(resolve(moved, known), known)
    again.losses["like"].load_state_dict(loss.state_dict())
    with pytest.raises(LmkitError, match="there is no such file"):
        initialise(again.losses["like"], "loss.like")
