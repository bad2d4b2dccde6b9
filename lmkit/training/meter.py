"""Averages of what training steps report, kept on the device."""

import time
from collections.abc import Mapping

import torch
from torch import Tensor

from lmkit.training.processes import ALONE, Processes
from lmkit.training.waiting import Waiting


class Meter:
    """Averages what a step reports, on the device; reading it is the only time the host waits.

    Args:
        device: Where the steps run.

    Attributes:
        waiting: Times the fetching of batches.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._names: list[str] = []
        self._sum: Tensor | None = None
        self._skipped = torch.zeros((), device=device)
        self._streak = torch.zeros((), device=device)
        self._steps = 0
        self.waiting = Waiting(device)
        self.restart_clock()

    def add(
        self,
        loss: Tensor,
        terms: Mapping[str, Tensor],
        norms: Mapping[str, Tensor],
        skipped: Tensor,
        landmarks: Mapping[str, Tensor],
    ) -> None:
        """Take in one step."""
        values = {"loss": loss}
        values |= {f"loss/{label}": term for label, term in terms.items()}
        values |= {f"gradient_norm/{name}": norm for name, norm in norms.items()}
        values |= {f"landmarks/{name}": value for name, value in landmarks.items()}
        self._names = list(values)
        stacked = torch.stack([value.detach().float() for value in values.values()])
        self._sum = stacked if self._sum is None else self._sum + stacked
        self._skipped = self._skipped + skipped
        self._streak = (self._streak + 1) * skipped
        self._steps += 1
        self._timed_steps += 1

    def read(self, batch_size: int, processes: Processes = ALONE) -> dict[str, float]:
        """Return the averages since the last reading over all processes, and start over.

        Args:
            batch_size: Images a step.
            processes: Those whose readings count.
        """
        assert self._sum is not None
        processes.average([self._sum])
        totals = self._sum.tolist()
        metrics = {
            name: total / self._steps for name, total in zip(self._names, totals, strict=True)
        }
        elapsed = time.perf_counter() - self._started
        metrics["images_per_second"] = self._timed_steps * batch_size / max(elapsed, 1e-9)
        metrics["data_wait"] = min(1.0, self.waiting.seconds() / max(elapsed, 1e-9))
        metrics["skipped_updates"] = self._skipped.item()
        metrics["skipped_in_a_row"] = self._streak.item()
        self._sum, self._steps = None, 0
        self._skipped = torch.zeros_like(self._skipped)
        self.restart_clock()
        return metrics

    def restart_clock(self) -> None:
        """Leave the time until now out of the speed."""
        self._started = time.perf_counter()
        self._timed_steps = 0
        self.waiting.restart()
