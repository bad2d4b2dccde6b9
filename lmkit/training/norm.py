"""BatchNorm over the images of all processes."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lmkit.training.processes import Processes

_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def synchronise(network: nn.Module, processes: Processes) -> list[str]:
    """Let every BatchNorm that trains take its statistics over all processes.

    Names, parameters and buffers stay what they are: checkpoints do not show it.

    Args:
        network: In training mode; changed in place. On CUDA, torch's own layer takes the place of
            its BatchNorm; that refuses the CPU.
        processes: Whose images count.

    Returns:
        The types of layers that are derived from BatchNorm in ways of their own, and left alone.
    """
    left = set()
    for module in network.modules():
        if not isinstance(module, _BatchNorm) or not module.training:
            continue
        if type(module) not in _KINDS:
            left.add(type(module).__name__)
        elif any(own.is_cuda for own in module.state_dict().values()):
            module.__class__ = nn.SyncBatchNorm
            module.__dict__["process_group"] = None
        else:
            module.__class__ = SyncBatchNorm
            module.__dict__["processes"] = processes
    return sorted(left)


class SyncBatchNorm(_BatchNorm):
    """BatchNorm over all processes on any device, written out; made by ``synchronise``."""

    processes: Processes

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...), in float32 or wider."""
        if not self.training:
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
        count = values.numel() // values.shape[1] * self.processes.world
        mean = self.processes.sum(values.sum(dim=axes)) / count
        centred = values - mean.view(shape)
        # In two passes, since the difference of two large sums would lose digits.
        variance = self.processes.sum(centred.square().sum(dim=axes)) / count
        self._follow(mean.detach(), variance.detach() * count / max(count - 1, 1))
        normal = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(x.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or not self.track_running_stats:
            return
        share = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if share is None:
                share = 1 / float(self.num_batches_tracked)
        assert share is not None
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)

    def _check_input_dim(self, _input: Tensor) -> None:
        """Take any number of dimensions: the layer it was made of has its own."""
