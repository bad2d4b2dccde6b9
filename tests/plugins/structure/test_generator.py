"""The image is drawn from landmarks and descriptors alone, and descriptors are local means."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lmkit.api import Landmarks, LmkitError, from_pixels
from lmkit_structure.generator import StructureGenerator
from lmkit_structure.maps import shares


def small(**options: Any) -> StructureGenerator:
    given = {"landmarks": 3, "image_size": 16, "width": 4, "depth": 1, "descriptors": 2}
    return StructureGenerator(**(given | options))


class Repeated(nn.Module):
    """Gives each pixel of a cell what the cell has."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.pixels = pixels

    def forward(self, cells: Tensor) -> Tensor:
        return cells.repeat_interleave(self.pixels, dim=1)


def points(batch: int = 2, count: int = 3) -> Tensor:
    return torch.rand(batch, count, 2) * 1.6 - 0.8


def test_at_a_landmark_its_share_is_the_ratio_of_the_densities() -> None:
    # A landmark on the centre of pixel (4, 7) of a 16 x 16 image.
    point = from_pixels(torch.tensor([[[4.0, 7.0]]]), 16, 16)
    found = shares(point, 16, 16, sigma=0.125)
    peak = 1 / (2 * math.pi * 0.125**2)
    assert found.shape == (1, 2, 16, 16)
    assert found[0, 0, 7, 4].item() == pytest.approx(peak / (peak + 1), rel=1e-5)
    assert found[0, 1, 7, 4].item() == pytest.approx(1 / (peak + 1), rel=1e-5)
    # Two pixels away is one standard deviation.
    edge = peak * math.exp(-0.5)
    assert found[0, 0, 7, 6].item() == pytest.approx(edge / (edge + 1), rel=1e-5)
    assert found[0, 1, 15, 15] > 0.99


def test_shares_sum_to_one_and_two_landmarks_in_one_place_halve_theirs() -> None:
    where = torch.zeros(1, 1, 2)
    one, two = shares(where, 8, 12, 0.2), shares(where.expand(1, 2, 2), 8, 12, 0.2)
    assert torch.allclose(two.sum(dim=1), torch.ones(1, 8, 12))
    assert torch.equal(two[:, 0], two[:, 1])
    assert (two[:, 0] < one[:, 0]).all()


def test_descriptors_are_means_over_the_share_of_each_landmark() -> None:
    generator = small(width=2, descriptors=2)
    generator.features = nn.Identity()
    with torch.no_grad():
        generator.compress.copy_(torch.eye(2).expand(4, 2, 2))
    features, where = torch.rand(2, 2, 16, 16), points()
    found = generator.describe(features, where)
    masks = shares(where, 16, 16, 0.125)
    for k in range(4):
        mask = masks[:, k : k + 1]
        wanted = (features * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3))
        assert torch.allclose(found[:, k], wanted, atol=1e-5)


def test_each_landmark_and_the_background_has_a_matrix_of_its_own() -> None:
    generator = small()
    generator.features = nn.Conv2d(3, 4, 1)
    with torch.no_grad():
        generator.compress[1] = 0
        found = generator.describe(torch.rand(2, 3, 16, 16), points())
    assert (found[:, 1] == 0).all()
    assert (found[:, [0, 2, 3]] != 0).all()


def test_the_decoder_sees_descriptors_and_landmarks_alone() -> None:
    torch.manual_seed(0)
    generator, images = small().eval(), torch.rand(2, 3, 16, 16)
    source, target = points(), points()
    with torch.no_grad():
        whole = generator(images, Landmarks(source), Landmarks(target))
        drawn = generator.draw(generator.describe(images, source), target, 16, 16)
        # With nothing described, images differ in nothing.
        generator.compress.zero_()
        blind = generator(images, Landmarks(source), Landmarks(target[:1].expand(2, 3, 2)))
    assert torch.equal(whole, drawn)
    assert torch.allclose(blind[0], blind[1], atol=1e-6)


def test_what_is_spread_is_the_sum_of_shares_times_projected_descriptors() -> None:
    generator = small(scales=2).eval()
    generator.decoder = nn.Identity()
    descriptors, where = torch.rand(1, 4, 2), points(1)
    with torch.no_grad():
        drawn = generator.draw(descriptors, where, 16, 16)
        wide = shares(where, 16, 16, 0.125 * 2**0.5)
        local = torch.stack([descriptors[0, k] @ generator.expand[k] for k in range(4)])
        spread = (wide[0, :, None] * local[:, :, None, None]).sum(dim=0)
    # Shares at both scales, then what is spread at both.
    assert torch.allclose(drawn[0, 4:8], wide[0].sigmoid(), atol=1e-5)
    assert torch.allclose(drawn[0, 12:], spread.sigmoid(), atol=1e-5)


def test_landmarks_of_source_and_target_learn() -> None:
    torch.manual_seed(0)
    generator = small()
    source, target = points().requires_grad_(), points().requires_grad_()
    generator(
        torch.rand(2, 3, 16, 16), Landmarks(source), Landmarks(target)
    ).square().mean().backward()
    for where in (source, target):
        assert where.grad is not None
        assert (where.grad.abs().amax(dim=2) > 0).all()
    assert all(p.grad is not None and p.grad.any() for p in generator.parameters())


def test_with_a_stride_images_keep_their_size_and_landmarks_their_place() -> None:
    torch.manual_seed(0)
    plain, coarse = small(scales=1).eval(), small(scales=1, stride=2).eval()
    descriptors, where = torch.zeros(1, 4, 2), points(1)
    with torch.no_grad():
        images = coarse(torch.rand(1, 3, 24, 16), Landmarks(where), Landmarks(where))
        plain.decoder, coarse.decoder = nn.Identity(), Repeated(4)
        fine = plain.draw(descriptors, where, 16, 16)
        blurred = coarse.draw(descriptors, where, 16, 16)
    assert images.shape == (1, 3, 24, 16)
    assert blurred.shape == fine.shape
    # What the decoder is shown of a cell is the mean of what the plain one is shown of its pixels.
    pooled = [nn.functional.avg_pool2d(drawn[:, :8], 2) for drawn in (blurred, fine)]
    assert torch.allclose(*pooled, atol=0.02)


def test_with_a_stride_no_pixel_is_lost() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, 16, 16, requires_grad=True)
    generator = small(stride=2, skips=1).eval()
    generator.describe(images, points(1)).square().sum().backward()
    assert images.grad is not None
    assert (images.grad != 0).all()


def test_it_has_the_authors_widths() -> None:
    with torch.device("meta"):
        generator = StructureGenerator(landmarks=10, image_size=80)
    described, drawn = (
        sum(p.numel() for p in network.parameters())
        for network in (generator.features, generator.decoder)
    )
    assert described == pytest.approx(4.7e6, rel=0.005)
    assert drawn == pytest.approx(14.4e6, rel=0.005)
    assert generator.compress.shape == (11, 64, 8)
    assert generator.sigmas == pytest.approx([0.125, 0.1768, 0.25, 0.3536, 0.5], abs=1e-4)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"width": 1}, r"generator\.width=1"),
        ({"depth": 0}, r"generator\.depth=0"),
        ({"descriptors": 0}, r"generator\.descriptors=0"),
        ({"scales": 0}, r"generator\.scales=0"),
        ({"sigma": 0.0}, r"generator\.sigma=0\.0"),
        ({"sigma": math.nan}, r"generator\.sigma=nan"),
        ({"stride": 0}, r"generator\.stride=0"),
        ({"skips": 0}, r"generator\.skips=0"),
        ({"image_size": 20, "stride": 2}, r"cannot be divided by 2 and then halved 2 times"),
        ({"image_size": 18}, r"18 x 18 pixels cannot be halved 2 times"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(LmkitError, match=problem):
        small(**options)
