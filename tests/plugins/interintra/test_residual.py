"""The generator has the paper's size, and lets the detector learn through its heatmaps."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lmkit.api import Landmarks, LmkitError, Step
from lmkit_interintra.hourglass import Hourglass
from lmkit_interintra.losses import MeanSquaredError
from lmkit_interintra.pairings import InterIntra
from lmkit_interintra.residual import ResidualGenerator


def small(**options: Any) -> ResidualGenerator:
    given = {"landmarks": 4, "image_size": 32, "width": 8, "blocks": 2}
    return ResidualGenerator(**(given | options))


@pytest.mark.parametrize(
    ("width", "parameters", "flops"), [(64, 9.0e6, 20.7e9), (32, 2.4e6, 5.7e9)]
)
def test_both_widths_have_their_published_size(width: int, parameters: float, flops: float) -> None:
    with torch.device("meta"):
        generator = ResidualGenerator(landmarks=10, image_size=128, width=width).eval()
        with FlopCounterMode(display=False) as counter:
            generator.redraw(torch.rand(1, 3, 128, 128), torch.rand(1, 10, 32, 32))
    counted = sum(p.numel() for p in generator.parameters())
    assert counted == pytest.approx(parameters, rel=0.015)
    assert counter.get_total_flops() == pytest.approx(flops, rel=0.005)
    assert not any(
        name.endswith("bias") and not isinstance(module, torch.nn.BatchNorm2d)
        for module in generator.modules()
        for name, _ in module.named_parameters(recurse=False)
    )


@pytest.mark.parametrize(("size", "width"), [(64, 8), (64, 16), (128, 8)])
def test_it_draws_images_of_any_size_in_range(size: int, width: int) -> None:
    generator = small(image_size=size, width=width)
    with torch.no_grad():
        # However strong the last layer, colours stay colours.
        generator.decoder[-1].weight *= 100
        points = Landmarks(torch.rand(2, 4, 2) * 2 - 1)
        drawn = generator(torch.rand(2, 3, size, size), points, points)
    assert drawn.shape == (2, 3, size, size)
    assert 0 <= drawn.min() < 0.1
    assert 0.9 < drawn.max() <= 1


@pytest.mark.parametrize(
    ("options", "side"),
    [
        ({}, 8),
        ({"halvings": 1}, 16),
        ({"halvings": 0}, 32),
        ({"shrink": 2, "halvings": 1}, 8),
        ({"shrink": 4, "halvings": 0}, 8),
        ({"shrink": 2, "halvings": 1, "pad": 8}, 8),
    ],
)
def test_the_heatmaps_resolution_goes_by_halvings_and_shrink(
    options: dict[str, Any], side: int
) -> None:
    generator = small(**options)
    assert 32 // generator.stride == side
    points = Landmarks((torch.rand(2, 4, 2) * 2 - 1).requires_grad_())
    drawn = generator(torch.rand(2, 3, 32, 32), points, points)
    assert drawn.shape == (2, 3, 32, 32)
    assert 0 <= drawn.min() <= drawn.max() <= 1
    drawn.square().sum().backward()
    assert points.points.grad is not None
    assert (points.points.grad.abs().amax(dim=-1) > 0).all()


def test_a_generator_that_shrinks_images_works_with_the_average_of_their_pixels() -> None:
    torch.manual_seed(0)
    generator, fine = small(shrink=2, halvings=1).eval(), torch.rand(1, 3, 32, 32)
    coarse = torch.nn.functional.avg_pool2d(fine, 2)
    blocks = torch.nn.functional.interpolate(coarse, scale_factor=2)
    points = Landmarks(torch.zeros(1, 4, 2))
    torch.testing.assert_close(generator(fine, points, points), generator(blocks, points, points))
    whole = small(halvings=1).eval()
    whole.load_state_dict(generator.state_dict())
    assert not torch.allclose(whole(fine, points, points), whole(blocks, points, points))


def test_images_are_float32_under_autocast() -> None:
    generator = small()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        drawn = generator.redraw(torch.rand(2, 3, 32, 32), torch.rand(2, 4, 8, 8))
    assert drawn.dtype == torch.float32


def test_narrower_heatmaps_are_an_option() -> None:
    torch.manual_seed(0)
    wide, narrow = small(sigma=2.0).eval(), small(sigma=0.5).eval()
    narrow.load_state_dict(wide.state_dict())
    images, points = torch.rand(1, 3, 32, 32), Landmarks(torch.zeros(1, 4, 2))
    assert not torch.allclose(wide(images, points, points), narrow(images, points, points))


def test_the_detector_learns_through_every_view_of_a_step() -> None:
    torch.manual_seed(0)
    detector = Hourglass(landmarks=4, image_size=32, depth=2, features=16)
    generator = small()
    original, deformed = torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32)
    found = {"original": detector(original), "deformed": detector(deformed)}
    found["auxiliary"] = found["original"][torch.tensor([1, 2, 0])]
    for landmarks in found.values():
        landmarks.points.retain_grad()
    routes = InterIntra().routes()
    stages = []
    for route in routes:
        image, hops = original if route.source == "original" else deformed, []
        for here, there in zip(route.stops[:-1], route.stops[1:], strict=True):
            image = generator(image, found[here], found[there])
            hops.append(image)
        stages.append(tuple(hops))
    views = {"original": original, "deformed": deformed}
    step = Step(0, views, found, {}, routes, tuple(stages))
    MeanSquaredError()(step).backward()

    for view, landmarks in found.items():
        grad = landmarks.points.grad
        assert grad is not None
        assert (grad.abs().amax(dim=-1) > 0).all(), view
    assert all(p.grad is not None for p in (*detector.parameters(), *generator.parameters()))
    assert detector.stem[0].weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"width": 0}, r"generator\.width=0"),
        ({"blocks": -1}, r"generator\.blocks=-1"),
        ({"sigma": 0.0}, r"generator\.sigma=0\.0"),
        ({"image_size": 30}, r"run\.image_size=30"),
        ({"halvings": -1}, r"generator\.halvings=-1"),
        ({"shrink": 0}, r"generator\.shrink=0"),
        ({"image_size": 36, "shrink": 2}, r"run\.image_size=36"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(LmkitError, match=problem):
        small(**options)
