"""Operations of networks, counted as PyTorch's counter does.

Convolutions, matrix products and attention count, and nothing else; a multiplication and the
addition that follows are two.
"""

from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lmkit.interfaces.detector import Detector


def count_operations(work: Callable[[], object]) -> int:
    """Return how many operations some work takes; it is done once."""
    # The counter does not know the CPU's fused attention; taken apart, it is matrix products.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    total: int = counter.get_total_flops()
    return total


def count_detection(detector: Detector, image_size: int) -> int:
    """Return how many operations a detector takes for one image.

    Args:
        detector: In eval mode.
        image_size: Side of the image, in pixels.
    """
    device = next(detector.parameters()).device
    image = torch.zeros(1, 3, image_size, image_size, device=device)
    with torch.no_grad():
        return count_operations(lambda: detector(image))
