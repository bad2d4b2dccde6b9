"""How long a device waits for data, measured without making anything wait.

What counts is the time in which the loop was fetching a batch while the device had nothing left to
do. On the CPU, that is the time that fetching took. On CUDA, the host runs ahead of the device, and
may fetch at leisure as long as there is work queued: an event after the work of a step and one
after the fetch tell, on the device's own clock, for how long there was none. A step's wait is that
time or the time of the fetch, whichever is less, since the former also contains what else the host
did.
"""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch

Batch = TypeVar("Batch")


class Waiting:
    """Times the fetching of batches.

    Args:
        device: What waits for them.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._fetches: list[tuple[float, torch.cuda.Event | None, torch.cuda.Event | None]] = []

    def over(self, batches: Iterable[Batch]) -> Iterator[Batch]:
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
