"""Detection alone, as opened runs do it: the fast way through a detector that does not learn."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from lmkit.interfaces.detector import Detector
from lmkit.runtime.device import tuned


def ready_to_detect(detector: Detector, device: torch.device) -> Detector:
    """Put a detector where it is to compute, in eval mode and the layout it is fastest in."""
    detector.to(device).to(memory_format=torch.channels_last)
    return detector.eval()


def detect(
    detector: Detector,
    images: Tensor,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    """Find the landmarks of images that are framed already.

    Args:
        detector: Made ready.
        images: (B, 3, S, S), uint8, anywhere.
        device: Where the detector is.
        autocast: Makes the context in which it runs.

    Returns:
        (B, K, 2), points in [-1, 1] of the squares, float32, on the device.
    """
    with torch.inference_mode(), tuned(device), autocast():
        pixels = images.to(device, non_blocking=True).float() / 255
        points: Tensor = detector(pixels).points
    return points.float()
