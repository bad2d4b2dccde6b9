"""How images and the weights of convolutions lie in memory."""

import torch


def layout_for(device: torch.device) -> torch.memory_format:
    """Return the memory layout in which networks compute on a device.

    Channels-last is what convolutions are fastest in on CUDA and CPUs. On MPS, gradients of
    BatchNorm are wrong in it (torch 2.9 to 2.12), so that images lie there as torch makes them.

    Args:
        device: Where the networks are.
    """
    return torch.channels_last if device.type in ("cuda", "cpu") else torch.contiguous_format
