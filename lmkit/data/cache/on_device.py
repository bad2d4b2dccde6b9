"""Images that lie as squares on the device that trains: no batch has to be carried there."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from lmkit.data.cache.cached import CachedDataset
from lmkit.data.framing import Framer, Framing
from lmkit.data.loading import read_images
from lmkit.data.unreadable import Unreadable
from lmkit.interfaces.dataset import Dataset

_TOGETHER = 64  # images that are read at a time


class DeviceCachedDataset(CachedDataset):
    """Data some of whose images lie on a device; batches of them are gathered there.

    Args:
        source: The data.
        indices: The images that are to lie there.
        framer: How they become squares.
        device: Where they are to lie.
        workers: The number of processes that read them.
        progress: Called with the number of images read, and of all.

    Raises:
        torch.OutOfMemoryError: If they do not fit.
    """

    def __init__(
        self,
        source: Dataset,
        indices: Sequence[int],
        *,
        framer: Framer,
        device: torch.device,
        workers: int = 0,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        super().__init__(source)
        # No process that reads ahead could hand an image on sooner than it is gathered.
        self.in_memory = True
        self.framer = framer
        shape = (len(indices), 3, framer.size, framer.size)
        self._squares = torch.empty(shape, dtype=torch.uint8, device=device)
        self._framings = np.empty((len(indices), 4))
        self._rows = {index: row for row, index in enumerate(indices)}
        unreadable = Unreadable(1.0)
        batches = read_images(
            source,
            indices,
            framer=framer,
            batch_size=_TOGETHER,
            workers=workers,
            unreadable=unreadable,
        )
        read: set[int] = set()
        done = 0
        for batch in batches:
            rows = [self._rows[index] for index in batch.indices]
            # In the order of the indices, with a gap where an image cannot be read.
            self._squares[torch.tensor(rows, device=device)] = batch.images.to(device)
            self._framings[rows] = [(*each.scale, *each.offset) for each in batch.framings]
            read.update(batch.indices)
            done = rows[-1] + 1
            progress(done, len(indices))
        if done < len(indices):
            # The last ones cannot be read, and are in no batch.
            progress(len(indices), len(indices))
        reasons = {each["image"]: each["reason"] for each in unreadable.report()}
        missing = (index for index in indices if index not in read)
        self._problems = {index: reasons[source.key(index)] for index in missing}

    def framed(self, index: int, framer: Framer) -> tuple[Tensor, Framing] | None:
        """See [CachedDataset][lmkit.data.cache.cached.CachedDataset]."""
        row = self._rows.get(index)
        if row is None or framer != self.framer:
            return super().framed(index, framer)
        if index in self._problems:
            raise OSError(self._problems[index])
        across, down, left, top = self._framings[row].tolist()
        return self._squares[row], Framing(framer.size, (across, down), (left, top))
