"""Draws a run's sheets as it goes: landmarks on held-out images, and its routes' stages."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import lmkit.drawing as drawing
from lmkit.data.framing import build_framer
from lmkit.data.loading import Batch, read_images
from lmkit.data.split import Partners, Split
from lmkit.data.unreadable import Unreadable
from lmkit.errors import LmkitError
from lmkit.geometry.coordinates import to_pixels
from lmkit.interfaces.dataset import Dataset
from lmkit.prediction.stream import detect
from lmkit.run.folder import RunFolder
from lmkit.runtime.assemble import Assembly
from lmkit.runtime.callback import Callback
from lmkit.runtime.device import autocast_for
from lmkit.settings.settings import Settings
from lmkit.storage import storage
from lmkit.training.step import run_step

LANDMARK_IMAGES, COLUMNS = 32, 8
"""How many images the sheet of landmarks shows, and how many in a row."""
ROUTE_IMAGES = 4
"""How many images the sheet of routes shows, a row each."""


class SheetWriter(Callback):
    """Writes ``sheets/landmarks-N.png`` and ``sheets/routes-N.png``.

    Always of the same images, taken evenly from the held-out part (from the training part where
    nothing is held out), so that one can watch the landmarks settle.

    Args:
        folder: The run's.
        settings: The run's.
        dataset: The run's.
        split: The run's.
        tell: Hears of every image.
    """

    def __init__(
        self,
        folder: RunFolder,
        settings: Settings,
        dataset: Dataset,
        split: Split,
        tell: Callback | None = None,
    ) -> None:
        self._tell = tell or Callback()
        self._folder = folder
        self._settings = settings
        self._dataset = dataset
        self._pool = pool = split.test or split.train
        count = min(len(pool), LANDMARK_IMAGES)
        self._chosen = [pool[number * len(pool) // count] for number in range(count)]
        self._images: Tensor | None = None
        self._others: Tensor | None = None

    def sheets(self, step: int, assembly: Assembly) -> None:
        """Draw both sheets with the networks in eval mode."""
        images = self._read()
        if len(images) == 0:
            return
        device = next(assembly.detector.parameters()).device
        for _, network in assembly.networks():
            network.eval()
        with torch.inference_mode():
            self._draw_landmarks(step, assembly, images.to(device))
            if assembly.routes and len(images) >= 2:
                self._draw_routes(step, assembly, images.to(device))

    def _read(self) -> Tensor:
        if self._images is None:
            found = self._read_images(self._chosen)
            self._images = torch.stack([*found.values()]) if found else torch.empty(0)
            if self._settings.loading.partner != "none":
                self._others = self._paired(dict([*found.items()][:ROUTE_IMAGES]))
        return self._images

    def _paired(self, shown: dict[int, Tensor]) -> Tensor | None:
        """Return another image of each one's subject, of those it is shown among."""
        try:
            partners = Partners(self._dataset, self._pool)
        except LmkitError:
            return None  # Training has pairs, and these images have none.
        others = {index: next(partners.of(index, 0), index) for index in shown}
        found = self._read_images([*others.values()]) | shown
        return torch.stack([found.get(others[index], own) for index, own in shown.items()])

    def _read_images(self, indices: list[int]) -> dict[int, Tensor]:
        """Return those that can be read, (3, S, S), uint8, by number."""
        batches = read_images(
            self._dataset,
            indices,
            framer=build_framer(self._settings),
            batch_size=LANDMARK_IMAGES,
            unreadable=Unreadable(1.0),
        )
        return {
            index: image
            for batch in batches
            for index, image in zip(batch.indices, batch.images, strict=True)
        }

    def _draw_landmarks(self, step: int, assembly: Assembly, images: Tensor) -> None:
        autocast = autocast_for(images.device, self._settings.run.precision)
        points = detect(assembly.detector, images, images.device, autocast).points
        pixels = to_pixels(points, *images.shape[-2:]).cpu().numpy()
        self._save(step, "landmarks", mark_all(to_arrays(images), pixels), COLUMNS)

    def _draw_routes(self, step: int, assembly: Assembly, images: Tensor) -> None:
        """One row an image: for each route its source, every stage, and the target."""
        others = self._others
        record = run_step(
            assembly,
            Batch(
                images[:ROUTE_IMAGES], partners=None if others is None else others.to(images.device)
            ),
            number=0,
            seed=self._settings.run.seed,
            autocast=autocast_for(images.device, self._settings.run.precision),
        )
        columns: list[Tensor] = []
        for route, stages in zip(record.routes, record.stages, strict=True):
            guides = [record.views[view] for view in route.via]
            columns += [record.views[route.source], *guides, *stages, record.views[route.target]]
        scale = drawing.enlarge_for_viewing(images.shape[-1], 96)
        cells = []
        for row in range(len(columns[0])):
            for column in columns:
                bytes_ = (column[row].float().clamp(0, 1) * 255).round().to(torch.uint8)
                cell = to_arrays(bytes_[None])[0]
                cells.append(np.kron(cell, np.ones((scale, scale, 1), np.uint8)))
        self._save(step, "routes", cells, len(columns))

    def _save(self, step: int, name: str, cells: list[NDArray[np.uint8]], columns: int) -> None:
        path = self._folder.sheets / f"{name}-{step:06d}.png"
        with storage(path):
            self._folder.sheets.mkdir(exist_ok=True)
            drawing.sheet(cells, columns).save(path)
        self._tell.drawn(step, name, path)


def to_arrays(images: Tensor) -> NDArray[np.uint8]:
    """Return (B, 3, H, W) uint8 as (B, H, W, 3) on the CPU."""
    arrays: NDArray[np.uint8] = images.permute(0, 2, 3, 1).cpu().numpy()
    return arrays


def mark_all(images: NDArray[np.uint8], points: NDArray[np.floating]) -> list[NDArray[np.uint8]]:
    """Mark the points of each image, enlarged so that they are easily seen.

    Args:
        images: (B, H, W, 3).
        points: (B, K, 2), pixels.
    """
    scale = drawing.enlarge_for_viewing(images.shape[1])
    return [
        drawing.draw_points(image, own, scale=scale)
        for image, own in zip(images, points, strict=True)
    ]
