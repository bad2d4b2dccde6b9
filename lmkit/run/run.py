"""A run folder as an object: open it, get its detector, predict."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lmkit.data.conversion import ImageLike, is_single, to_array
from lmkit.data.framing import Framer, Framing, build_framer
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.detector import Detector
from lmkit.interfaces.landmarks import Landmarks
from lmkit.registry.lookup import Registry, installed
from lmkit.run import checkpoint as checkpoints
from lmkit.run import provenance
from lmkit.run.folder import RunFolder
from lmkit.runtime.assemble import blame, build_detector
from lmkit.runtime.detection import detect, ready_to_detect
from lmkit.runtime.device import autocast_for, choose_device
from lmkit.settings.renamed import with_new_names
from lmkit.settings.settings import Settings, resolve
from lmkit.storage import read_json


class Run:
    """A run folder, opened.

    Args:
        folder: Where it is.
        registry: Where its components are looked up.
        device: Where its detector computes.
    """

    def __init__(self, folder: RunFolder, registry: Registry, device: str = "auto") -> None:
        self.folder = folder
        self.registry = registry
        self.device = choose_device(device)
        self.record: dict[str, Any] = _read_record(folder)
        # Whoever opens a run needs no writer, which need not be installed here.
        self.origins: list[provenance.Origin] = [
            origin for origin in self.record.get("components", ()) if origin["kind"] != "writer"
        ]
        stored = {**with_new_names(self.record["settings"]), "writer": {}}
        self.stored = provenance.as_before(stored, self.origins, registry)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @cached_property
    def settings(self) -> Settings:
        """Everything that decided the run, and no writer."""
        provenance.check_present(self.origins, self.registry, self.path)
        return resolve(self.stored, self.registry)

    def notes(self) -> list[str]:
        """Return what the user should hear: a sentence for each plugin of another version."""
        return list(provenance.differences(self.origins, self.registry))

    @cached_property
    def step(self) -> int:
        """The step of the newest checkpoint."""
        return max(checkpoints.list_checkpoints(self.folder), default=0)

    @cached_property
    def detector(self) -> Detector:
        """The trained detector, in eval mode on the run's device.

        Its convolutions are laid out channels-last, as in training, which they are fastest in.

        Raises:
            LmkitError: If there is no sound checkpoint.
        """
        path = checkpoints.latest_checkpoint(self.folder)
        # Whoever asks first may be in inference mode, whose tensors serve nowhere else.
        with torch.inference_mode(mode=False):
            detector = build_detector(self.settings, self.registry)
            checkpoints.load_detector(path, detector, device=torch.device("cpu"))
            return ready_to_detect(detector, self.device)

    @cached_property
    def framer(self) -> Framer:
        """How images become the squares that the detector sees."""
        return build_framer(self.settings)

    def detect(self, images: torch.Tensor) -> Landmarks:
        """Find the landmarks of images that are framed already.

        Args:
            images: (B, 3, S, S), uint8, S the run's ``image_size``.

        Returns:
            Points in [-1, 1] of the square image, on the CPU.
        """
        autocast = autocast_for(self.device, self.settings.run.precision)
        with blame(f"detector '{self.settings.detector['name']}'"):
            points = detect(self.detector, images, self.device, autocast)
        return Landmarks(points=points.cpu())

    def predict(self, images: "ImageLike | Sequence[ImageLike]") -> NDArray[np.float32]:
        """Find the landmarks of images of any size.

        Args:
            images: One image or several: a path, a PIL image, an array (H, W, 3) or (H, W) of
                uint8, or a tensor (3, H, W) of uint8, or of floats in [0, 1].

        Returns:
            (K, 2) for one image, (N, K, 2) for several: (x, y) in pixels of the image given,
            the centre of its first pixel at (0, 0). A file is turned upright first, as its EXIF
            orientation says; a PIL image is taken as it is.

        Raises:
            LmkitError: If an image cannot be read, is not of such a form, or cannot be cropped as
                the run's were.
        """
        single = is_single(images)
        every: list[ImageLike] = [images] if single else list(images)  # type: ignore[list-item,arg-type]
        found = [points for _, points in self.predict_each(map(to_array, every))]
        if not found:
            return np.empty((0, self.settings.run.landmarks, 2), np.float32)
        return found[0] if single else np.stack(found)

    def predict_each(
        self, images: Iterator[NDArray[np.uint8]], batch_size: int = 32
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        """Yield each image with its landmarks, reading no more than a batch ahead.

        Nothing is annotated here, so that images are taken whole where the run's own were cropped
        by their annotation.

        Args:
            images: Arrays (H, W, 3), uint8.
            batch_size: Images at a time.

        Yields:
            The image, and (K, 2) points in its pixels.

        Raises:
            LmkitError: If an image cannot be cropped as the run's were.
        """
        framer = self.framer.without_annotation()
        waiting: list[tuple[NDArray[np.uint8], NDArray[np.uint8], Framing]] = []
        for image in images:
            try:
                waiting.append((image, *framer(image)))
            except OSError as error:
                raise LmkitError(
                    f"An image cannot be cropped as those of {self.path} were: {error}.",
                    remedy="Give images like those it was trained on.",
                    code=ExitCode.DATA,
                ) from None
            if len(waiting) == batch_size:
                yield from self._predict_batch(waiting)
                waiting = []
        if waiting:
            yield from self._predict_batch(waiting)

    def prediction_notes(self) -> list[str]:
        """Return what whoever predicts with this run should hear, a sentence each."""
        crop = self.framer.crop
        if crop is None or not crop.from_annotation:
            return []
        return [
            f"The run was trained on crops made from annotation: {crop}. Images are taken whole "
            "here; give ones that show as much as those crops do."
        ]

    def _predict_batch(
        self, waiting: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8], Framing]]
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        stacked = np.stack([framed.transpose(2, 0, 1) for _, framed, _ in waiting])
        points = self.detect(torch.from_numpy(stacked)).points.numpy()
        for (image, _, framing), own in zip(waiting, points, strict=True):
            yield image, framing.to_pixels(own).astype(np.float32)


def open_run(path: str | Path, *, device: str = "auto") -> "Run":
    """Open a run folder.

    Args:
        path: The folder that training wrote.
        device: Where its detector computes: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        LmkitError: If there is no run, or its plugins are not installed.
    """
    return Run(RunFolder.open(Path(path)), installed(), device=device)


def _read_record(folder: RunFolder) -> dict[str, Any]:
    """Read ``run.json``."""
    record = read_json(folder.settings)
    if isinstance(record, dict) and isinstance(record.get("settings"), dict):
        return record
    raise LmkitError(
        f"{folder.settings} does not hold a run's settings.",
        remedy="The run folder is damaged there; restore the file, or train anew.",
        code=ExitCode.RUN,
    )
