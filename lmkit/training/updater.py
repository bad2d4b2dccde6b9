"""The optimiser, its learning rate as a function of the step, and the update that cannot poison."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from lmkit.errors import LmkitError
from lmkit.runtime.assemble import Assembly
from lmkit.settings.optimizer import OptimizerSettings, learning_rate


class Updater:
    """Updates the networks, and skips an update that would not be finite.

    The check happens on the device: the fused optimiser reads a flag and leaves weights and
    moments alone where it is set, so that no step waits for the host.

    Args:
        assembly: The networks, already where they train.
        settings: How they learn.
    """

    def __init__(self, assembly: Assembly, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.networks: dict[str, list[nn.Parameter]] = {}
        for name, network in assembly.networks():
            trainable = [p for p in network.parameters() if p.requires_grad]
            if trainable:
                self.networks[name] = trainable
        if "detector" not in self.networks:
            raise LmkitError(
                "The detector has no parameter that trains.",
                remedy="Choose detector options that leave something to learn.",
            )
        algorithm = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
        self.optimizer: torch.optim.Optimizer = algorithm(
            [{"params": parameters, "name": name} for name, parameters in self.networks.items()],
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss to what the parameters have collected."""
        loss.backward()

    def apply(self, loss: Tensor, step: int) -> tuple[dict[str, Tensor], Tensor]:
        """Take one optimiser step down the collected gradients, and forget them.

        Args:
            loss: The scalar they belong to, which must be finite as well.
            step: Its number, from 0.

        Returns:
            Each network's gradient norm before clipping, and whether the update was skipped
            (a float: 0 or 1). Both stay on the device.
        """
        limit = self.settings.clip_norm
        norms = {
            name: clip_grad_norm_(parameters, math.inf if limit is None else limit)
            for name, parameters in self.networks.items()
        }
        finite = torch.stack([loss.detach(), *norms.values()]).isfinite().all()
        skipped = (~finite).float()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, step)
        # How torch.amp.GradScaler tells a fused optimiser to leave everything as it is.
        self.optimizer.found_inf = skipped  # type: ignore[attr-defined]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norms, skipped
