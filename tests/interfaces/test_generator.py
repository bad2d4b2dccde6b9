import pytest
import torch

from lmkit.geometry.heatmaps import gaussian_heatmaps
from lmkit.interfaces.generator import Generator, HeatmapGenerator
from lmkit.interfaces.landmarks import Landmarks


class Painter(HeatmapGenerator):
    """Paints the target's heatmaps over the image, and keeps what it was given."""

    def redraw(self, images, heatmaps):
        self.seen = heatmaps
        painted = heatmaps.sum(dim=1, keepdim=True).repeat_interleave(self.stride, 2)
        return (images + painted.repeat_interleave(self.stride, 3)).clamp(0, 1)


def test_an_interface_cannot_be_used_by_itself():
    for abstract in (Generator, HeatmapGenerator):
        with pytest.raises(TypeError, match="abstract"):
            abstract(landmarks=3)


@pytest.mark.parametrize(("stride", "shape"), [(4, (4, 6)), (8, (2, 3))])
def test_heatmaps_are_those_of_the_target_at_the_stated_stride(stride, shape):
    painter = Painter(landmarks=3, sigma=0.7, stride=stride)
    source, target = (Landmarks(torch.rand(2, 3, 2) * 2 - 1) for _ in range(2))
    images = torch.rand(2, 3, 16, 24)
    assert painter(images, source, target).shape == images.shape
    assert painter.seen.shape == (2, 3, *shape)
    assert torch.equal(painter.seen, gaussian_heatmaps(target.points, *shape, 0.7))


def test_heatmaps_are_float32_under_autocast():
    painter = Painter(landmarks=3)
    target = Landmarks(torch.rand(2, 3, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        painter(torch.rand(2, 3, 16, 16), target, target)
    assert painter.seen.dtype is torch.float32
    assert torch.equal(painter.seen, gaussian_heatmaps(target.points, 4, 4, 0.5))


def test_gradients_reach_the_targets_points():
    points = torch.zeros(1, 3, 2, requires_grad=True)
    target = Landmarks(points + 0.1)
    Painter(landmarks=3)(torch.zeros(1, 3, 16, 16), target, target).square().sum().backward()
    assert points.grad.abs().sum() > 0
