"""What training steps report, averaged on the device, and how long it waits for data.

What counts as waiting is the time in which the loop was fetching a batch while the device had
nothing left to do, measured without making anything wait. On the CPU, that is the time that
fetching took. On CUDA, the host runs ahead of the device, and may fetch at leisure as long as there
is work queued: an event after the work of a step and one after the fetch tell, on the device's own
clock, for how long there was none. A step's wait is that time or the time of the fetch, whichever
is less, since the former also contains what else the host did.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from lmkit.training.processes import ALONE, Processes

Fetched = TypeVar("Fetched")


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
        self._restored: dict[str, Tensor] = {}
        self._logged: dict[str, tuple[Tensor, int]] = {}
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
        logged: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Take in one step; ``logged`` need not be the same names in every step."""
        values = {"loss": loss}
        values |= {f"loss/{label}": term for label, term in terms.items()}
        values |= {f"gradient_norm/{name}": norm for name, norm in norms.items()}
        values |= {f"landmarks/{name}": value for name, value in landmarks.items()}
        self._names = list(values)
        stacked = torch.stack([value.detach().float() for value in values.values()])
        if self._restored:
            nothing = torch.zeros((), device=self._device)
            before = [self._restored.get(name, nothing) for name in self._names]
            self._sum, self._restored = torch.stack(before), {}
        self._sum = stacked if self._sum is None else self._sum + stacked
        for name, value in (logged or {}).items():
            total, count = self._logged.get(name, (torch.zeros((), device=self._device), 0))
            self._logged[name] = (total + value, count + 1)
        self._skipped = self._skipped + skipped
        self._streak = (self._streak + 1) * skipped
        self._steps += 1
        self._timed_steps += 1

    def read(
        self, batch_size: int, processes: Processes = ALONE, *, keep: bool = False
    ) -> dict[str, float]:
        """Return the averages since the last reading over all processes, and start over.

        Args:
            batch_size: Images a step.
            processes: Those whose readings count.
            keep: Not to start over: for a reading before its time, when a run is stopped, so that
                the next one is the average that it would have been.
        """
        assert self._sum is not None
        processes.average([self._sum])
        totals = self._sum.tolist()
        metrics = {
            name: total / self._steps for name, total in zip(self._names, totals, strict=True)
        }
        metrics |= self._read_logged(processes)
        elapsed = time.perf_counter() - self._started
        metrics["images_per_second"] = self._timed_steps * batch_size / max(elapsed, 1e-9)
        metrics["data_wait"] = min(1.0, self.waiting.seconds() / max(elapsed, 1e-9))
        metrics["skipped_updates"] = self._skipped.item()
        metrics["skipped_in_a_row"] = self._streak.item()
        if not keep:
            self._sum, self._steps = None, 0
            self._logged = {}
            self._skipped = torch.zeros_like(self._skipped)
        self.restart_clock()
        return metrics

    def _read_logged(self, processes: Processes) -> dict[str, float]:
        """Return the average of each value over the steps in which it was logged."""
        self._agree_on_logged(processes)
        if not self._logged:
            return {}
        totals = torch.stack([total for total, _ in self._logged.values()]).tolist()
        counts = [count for _, count in self._logged.values()]
        return {
            f"log/{name}": total / count
            for name, total, count in zip(self._logged, totals, counts, strict=True)
        }

    def _agree_on_logged(self, processes: Processes) -> None:
        """Let all processes have the mean of what all have logged; their losses log the same."""
        if self._logged:
            names = sorted(self._logged)
            stacked = torch.stack([self._logged[name][0] for name in names])
            processes.average([stacked])
            counts = [self._logged[name][1] for name in names]
            self._logged = dict(zip(names, zip(stacked.unbind(), counts, strict=True), strict=True))

    def state(self, processes: Processes = ALONE) -> dict[str, Tensor]:
        """Return what was taken in since the last reading, for a checkpoint.

        Args:
            processes: Those whose readings count; each has to call this.

        Returns:
            Scalars by name: ``steps``, ``skipped``, ``streak``, ``sum/NAME`` of each value, and of
            each that was logged ``logged/NAME`` and ``times/NAME``, in how many steps.
        """
        if self._sum is not None:
            processes.average([self._sum])
        state = {
            "steps": torch.tensor(self._steps),
            "skipped": self._skipped,
            "streak": self._streak,
        }
        if self._sum is not None:
            state |= {
                f"sum/{name}": value
                for name, value in zip(self._names, self._sum.unbind(), strict=True)
            }
        self._agree_on_logged(processes)
        for name, (total, count) in self._logged.items():
            state |= {f"logged/{name}": total, f"times/{name}": torch.tensor(count)}
        return state

    def restore(self, state: Mapping[str, Tensor]) -> bool:
        """Go on from what [state][lmkit.training.meter.Meter.state] returned.

        Args:
            state: As there; empty for a checkpoint that has none.

        Returns:
            Whether it holds steps: whether the checkpoint was saved between two readings.
        """
        self._steps = int(state.get("steps", torch.zeros(())))
        self._skipped = state.get("skipped", self._skipped).to(self._device)
        self._streak = state.get("streak", self._streak).to(self._device)
        self._restored = {
            name.removeprefix("sum/"): value.to(self._device)
            for name, value in state.items()
            if name.startswith("sum/")
        }
        self._logged = {
            name.removeprefix("logged/"): (
                value.to(self._device),
                int(state[f"times/{name.removeprefix('logged/')}"]),
            )
            for name, value in state.items()
            if name.startswith("logged/")
        }
        return self._steps > 0

    def restart_clock(self) -> None:
        """Leave the time until now out of the speed."""
        self._started = time.perf_counter()
        self._timed_steps = 0
        self.waiting.restart()


class Waiting:
    """Times the fetching of batches.

    Args:
        device: What waits for them.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._fetches: list[tuple[float, torch.cuda.Event | None, torch.cuda.Event | None]] = []

    def over(self, batches: Iterable[Fetched]) -> Iterator[Fetched]:
        """Yield batches, and time how long each was waited for."""
        results = iter(batches)
        while True:
            before = self._mark()
            began = time.perf_counter()
            try:
                batch = next(results)
            except StopIteration:
                return
            waited = time.perf_counter() - began
            self._fetches.append((waited, before, self._mark()))
            yield batch

    def seconds(self) -> float:
        """Return how long the device has waited since this was last asked, in seconds.

        The device must have done all work that was queued before the latest fetch.
        """
        total = 0.0
        for waited, before, after in self._fetches:
            if before is not None and after is not None:
                waited = min(waited, before.elapsed_time(after) / 1000)
            total += waited
        self.restart()
        return total

    def restart(self) -> None:
        """Leave out what was waited until now."""
        self._fetches = []

    def _mark(self) -> torch.cuda.Event | None:
        """Queue an event that keeps the time when the device comes to it."""
        if self._device.type != "cuda":
            return None
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event
