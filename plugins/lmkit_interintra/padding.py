"""Channels rounded up inside a network, which stays the same function of the same weights.

Tensor cores take channels by eights; 4w + K channels seldom are a multiple. The channels that are
added are zero, and so is every weight from and to them. Then their gradients are zero as well, and
no optimiser that moves weights by their gradients and by their own size moves them.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def round_up(channels: int, multiple: int) -> int:
    """Return the least multiple that is no less."""
    return -(-channels // multiple) * multiple


def pad_channels(network: nn.Module, parts: tuple[str, ...], multiple: int) -> None:
    """Round up the channels within a network, and keep them out of its state dict.

    Args:
        network: Whose state dict stays as it was.
        parts: Prefixes of the names of what is padded: convolutions without bias, and BatchNorms.
            What goes in there first has to be padded by whoever calls it; the channels that come
            out of the last convolution stay as they are.
        multiple: Of which all numbers of channels are to be.
    """
    modules = [(name, each) for name, each in network.named_modules() if name.startswith(parts)]
    last = [each for _, each in modules if isinstance(each, _CONVOLUTIONS)][-1]
    shapes: dict[str, torch.Size] = {}
    for name, module in modules:
        if isinstance(module, _CONVOLUTIONS):
            axes = (1,) if module is last else (0, 1)
        elif isinstance(module, nn.BatchNorm2d):
            axes = (0,)
            module.num_features = round_up(module.num_features, multiple)
        else:
            continue
        for own, tensor in [*module.named_parameters(recurse=False), *module.named_buffers()]:
            if tensor.dim() == 0:
                continue  # how many batches a BatchNorm has seen
            shapes[f"{name}.{own}"] = tensor.shape
            shape = [
                round_up(size, multiple) if axis in axes else size
                for axis, size in enumerate(tensor.shape)
            ]
            tensor.data = _filled(tensor.detach(), shape)

    def strip(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        for name, shape in shapes.items():
            whole = state[prefix + name]
            state[prefix + name] = whole[tuple(slice(size) for size in shape)]

    def fill(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        current: Mapping[str, Tensor] = {**dict(module.named_parameters()), **_buffers(module)}
        for name, shape in shapes.items():
            given = state.get(prefix + name)
            # Anything else is reported by load_state_dict itself.
            if given is not None and given.shape == shape:
                state[prefix + name] = _filled(given, current[name].shape)

    network.register_state_dict_post_hook(strip)
    network.register_load_state_dict_pre_hook(fill)


def pad_input(x: Tensor, channels: int) -> Tensor:
    """Return (B, C, h, w) with channels of zeros added behind its own."""
    missing = channels - x.shape[1]
    return functional.pad(x, (0, 0, 0, 0, 0, missing)) if missing else x


def _buffers(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_buffers())


def _filled(tensor: Tensor, shape: "torch.Size | list[int]") -> Tensor:
    filled = tensor.new_zeros(shape)
    filled[tuple(slice(size) for size in tensor.shape)] = tensor
    return filled
