"""A run as an object: open its folder or exported file, get its detector, predict."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from lmkit.data.conversion import ImageLike, is_single
from lmkit.data.framing import Framer, build_framer
from lmkit.errors import ExitCode, LmkitError
from lmkit.export.files import is_exported
from lmkit.interfaces.checkpoint_files import read_state, recorded_sha256
from lmkit.interfaces.dataset import Dataset
from lmkit.interfaces.detector import Detector
from lmkit.interfaces.landmarks import Landmarks
from lmkit.points.map import FittedWith, NamedPoints, PointsMap
from lmkit.points.report import Fit, fit_points
from lmkit.prediction.labelled import find_labelled
from lmkit.prediction.named import name_points, stack_points
from lmkit.prediction.sources import Source, as_source
from lmkit.prediction.stream import Detection, Predictor, Refuse, ready_to_detect, stream
from lmkit.registry.lookup import Registry, installed, use, use_as_before
from lmkit.run import checkpoint as checkpoints
from lmkit.run import fitting, provenance
from lmkit.run.exported import Exported, ExportedFile, export_run, on_cpu, refuse_exported
from lmkit.run.folder import RunFolder
from lmkit.run.provenance import with_new_names
from lmkit.run.record import read_run
from lmkit.runtime.assemble import build_dataset, build_detector
from lmkit.runtime.device import choose_device
from lmkit.settings.layers import COMPONENT_SECTIONS, Layer, merge, parse_data
from lmkit.settings.settings import Settings, resolve
from lmkit.storage import as_name, made


class Run:
    """A run folder, opened, or a file that was exported from one, which only predicts.

    Args:
        folder: Where it is.
        registry: Where its components are looked up.
        device: Where its detector computes.
        record: What its ``run.json`` holds, where that has been read.
    """

    def __init__(
        self,
        folder: RunFolder,
        registry: Registry,
        device: str = "auto",
        record: dict[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.registry = registry
        self.exported = folder if isinstance(folder, ExportedFile) else None
        if self.exported is None:
            self.device = choose_device(device)
            self.record: dict[str, Any] = read_run(folder) if record is None else record
        else:
            self.device = on_cpu(device, folder.path)
            self.record = self.exported.record
        # Whoever opens a run needs no writer, which need not be installed here.
        self.origins: list[provenance.Origin] = [
            origin for origin in self.record.get("components", ()) if origin["kind"] != "writer"
        ]
        use_as_before(self.record.get("components", ()), registry)
        stored = {**with_new_names(self.record["settings"]), "writer": {}}
        self.stored = provenance.as_before(stored, self.origins, registry)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @cached_property
    def settings(self) -> Settings:
        """What decided the run, and no writer.

        The detector's section is checked, which opening a run needs. Those of other components are
        as ``run.json`` holds them, and what they name need not be here.
        """
        return self.resolve(*self.needed)

    @property
    def needed(self) -> tuple[str, ...]:
        """The sections of components that have to be here: an exported file brings its graph."""
        return () if self.exported else ("detector",)

    def need_folder(self) -> None:
        """Refuse an exported file.

        Raises:
            LmkitError: If this is one.
        """
        if self.exported:
            raise refuse_exported(self.path)

    @cached_property
    def full_settings(self) -> Settings:
        """The same with every component checked, as going on with a run needs.

        Raises:
            LmkitError: If the plugin of any is missing.
        """
        return self.resolve(*COMPONENT_SECTIONS, "loss")

    def resolve(self, *sections: str) -> Settings:
        """Return the run's settings with some sections of components checked.

        Args:
            sections: Which: ``detector``, ``data``, ``generator``, ``loss`` ...

        Raises:
            LmkitError: If the plugin of a component in them is missing.
        """
        provenance.check_present(self._of(sections), self.registry, self.path)
        return resolve(self.stored, self.registry, sections)

    def missing(self, *sections: str) -> bool:
        """Return whether a plugin is missing that some sections of components need."""
        return bool(provenance.missing(self._of(sections), self.registry))

    def _of(self, sections: Collection[str]) -> list[provenance.Origin]:
        return [each for each in self.origins if each["section"].partition(".")[0] in sections]

    def notes(self) -> list[str]:
        """Return what the user should hear: a sentence for each plugin of another version."""
        return list(provenance.differences(self.origins, self.registry))

    @cached_property
    def step(self) -> int:
        """The step of the newest checkpoint; 0 without one.

        Raises:
            LmkitError: If that is damaged.
        """
        if self.exported:
            return self.exported.fitted_with.step
        return checkpoints.newest_step(self.folder)

    @cached_property
    def detector(self) -> Detector:
        """The trained detector, in eval mode on the run's device.

        Its convolutions are laid out channels-last, as in training, which they are fastest in.

        Raises:
            LmkitError: If there is no sound checkpoint.
        """
        if self.exported:
            return self.exported.detector
        path = checkpoints.latest_checkpoint(self.folder)
        # Whoever asks first may be in inference mode, whose tensors serve nowhere else.
        with torch.inference_mode(mode=False):
            detector = self._fitting(path)
            checkpoints.load_detector(path, detector, device=torch.device("cpu"))
            return ready_to_detect(detector, self.device)

    def check_detector(self, path: Path) -> None:
        """Load the detector's weights of a checkpoint, to see whether they are all right.

        Raises:
            LmkitError: If they are not, or the detector cannot be built here.
        """
        checkpoints.load_detector(path, self._fitting(path), device=torch.device("cpu"))

    def _fitting(self, path: Path) -> Detector:
        """Build the detector, if the weights of a checkpoint are of it."""

        def build() -> Detector:
            return build_detector(self.settings, self.registry)

        return fitting.build_to_fit(path, "detector", build)

    @cached_property
    def framer(self) -> Framer:
        """How images become the squares that the detector sees."""
        return build_framer(self.settings)

    @cached_property
    def predictor(self) -> Predictor:
        """The detector, and what it takes to use it."""
        settings = self.settings
        return Predictor(
            self.detector,
            self.framer,
            self.device,
            precision=settings.run.precision,
            name=f"detector '{settings.detector['name']}'",
            workers=settings.loading.workers,
        )

    def detect(self, images: torch.Tensor) -> Landmarks:
        """Find the landmarks of images that are framed already.

        Args:
            images: (B, 3, S, S), uint8, S the run's ``image_size``.

        Returns:
            All that the detector returns, on the CPU; points in [-1, 1] of the square image.
        """
        return self.predictor.detect(images)

    @overload
    def predict(
        self, images: "ImageLike | Sequence[ImageLike]", *, points: None = None
    ) -> NDArray[np.float32]: ...

    @overload
    def predict(
        self, images: "ImageLike | Sequence[ImageLike]", *, points: PointsMap | str | Path
    ) -> NamedPoints: ...

    def predict(
        self,
        images: "ImageLike | Sequence[ImageLike]",
        *,
        points: PointsMap | str | Path | None = None,
    ) -> NDArray[np.float32] | NamedPoints:
        """Find the landmarks of images of any size, or named points.

        Args:
            images: One image or several: a path, a PIL image, an array (H, W, 3) or (H, W) of
                uint8, or a tensor (3, H, W) of uint8, or of floats in [0, 1].
            points: What ``fit`` returned as its ``map``, or the folder that it wrote.

        Returns:
            (K, 2) for one image, (N, K, 2) for several: (x, y) in pixels of the image given,
            the centre of its first pixel at (0, 0). A file is turned upright first, as its EXIF
            orientation says; a PIL image is taken as it is. With ``points``, named points in the
            same pixels, with their standard error.

        Raises:
            LmkitError: If an image cannot be read, is not of such a form, or cannot be cropped as
                the run's were; or if ``points`` were fitted with another detector.
        """
        single = is_single(images)
        every: list[ImageLike] = [images] if single else list(images)  # type: ignore[list-item,arg-type]
        if points is not None:
            known = self.points_map(points)
            named = [name_points(known, each) for each in self.predict_each(every, only=())]
            return named[0] if single else stack_points(known, named)
        found = [each.landmarks.points[0].numpy() for each in self.predict_each(every, only=())]
        if not found:
            return np.empty((0, self.settings.run.landmarks, 2), np.float32)
        return found[0] if single else np.stack(found)

    def predict_each(
        self,
        images: "Source | Dataset | Iterable[ImageLike]",
        *,
        batch_size: int = 32,
        workers: int | None = None,
        only: Collection[str] | None = None,
        unreadable: Refuse | None = None,
    ) -> Iterator[Detection]:
        """Yield what is found on each image, in order, reading no more than a batch ahead.

        Nothing is annotated here, so that images are taken whole where the run's own were cropped
        by their annotation.

        Args:
            images: A dataset, images of the forms that ``predict`` takes, or a
                [Source][lmkit.prediction.sources.Source].
            batch_size: Images at a time.
            workers: The number of processes that read files and datasets; as in training if not
                given.
            only: The fields of landmarks that are wanted beside the points, such as
                ``("confidence",)``; all if not given.
            unreadable: Told the name of each image of a dataset or source that cannot be read or
                cropped, and why; it is left out. If not given, such an image is an error.

        Yields:
            Name, size, and [Landmarks][lmkit.api.Landmarks] in pixels of the image.

        Raises:
            LmkitError: If an image cannot be read, or cannot be cropped as the run's were.
        """
        return stream(
            self.predictor,
            as_source(images),
            unreadable=unreadable or self._refuse,
            batch_size=batch_size,
            workers=workers,
            only=only,
        )

    @property
    def fitted_with(self) -> FittedWith:
        """What names this run's detector in maps to named points.

        Raises:
            LmkitError: If there is no checkpoint, or it is damaged.
        """
        if self.exported:
            return self.exported.fitted_with
        path = checkpoints.latest_checkpoint(self.folder)
        digest = recorded_sha256(path, read_state(path), "detector")
        return FittedWith(digest, as_name(self.path), self.step)

    def points_map(self, points: PointsMap | str | Path) -> PointsMap:
        """Return a map to named points of this run's landmarks.

        Args:
            points: The map, its file, or the folder that ``fit`` wrote.

        Raises:
            LmkitError: If it is missing or damaged, or was fitted with another detector.
        """
        read = points if isinstance(points, PointsMap) else PointsMap.read(Path(points))
        path = Path("The map") if isinstance(points, PointsMap) else Path(points)
        read.refuse_others(path, self.fitted_with, self.settings.run.landmarks)
        return read

    def fit(
        self,
        data: Dataset | str | Path,
        out: str | Path | None = None,
        *,
        seed: int = 0,
        batch_size: int = 32,
        workers: int | None = None,
        unreadable: Refuse | None = None,
        progress: Callable[[int, int | None], None] = lambda done, total: None,
    ) -> Fit:
        """Fit a map from this run's landmarks to named points, to images where they are labelled.

        Images are framed as ``predict`` frames them. Those that the data holds out for testing are
        left out.

        Args:
            data: A dataset, or ``KIND:PATH`` of ``lmkit list dataset`` such as
                ``csv:labelled.csv``.
            out: A folder to write the map to, which ``predict`` takes as ``points``; nothing is
                written if not given.
            seed: Decides folds and draws.
            batch_size: Images at a time.
            workers: The number of processes that read; as in training if not given.
            unreadable: Told the name of each image that cannot be read, and why; it is left out.
                If not given, such an image is an error.
            progress: Called with the number of images done, and of all.

        Returns:
            The map, its errors, how they fall with the number of labelled images, and outliers.

        Raises:
            LmkitError: If fewer than two images are labelled, or ``out`` cannot be written.

        Example:
            >>> fit = run.fit("csv:labelled.csv", "points/")  # doctest: +SKIP
            >>> run.predict("face.jpg", points="points/")["left_eye"]  # doctest: +SKIP
        """
        dataset = data if isinstance(data, Dataset) else self._dataset(data)
        with nullcontext() if out is None else made(Path(out)):
            labelled = find_labelled(
                self.predictor,
                dataset,
                unreadable=unreadable or self._refuse,
                batch_size=batch_size,
                workers=workers,
                progress=progress,
            )
            fit = fit_points(labelled, dataset.point_names, self.fitted_with, seed=seed)
            if out is not None:
                fit.write(Path(out))
        return fit

    def export(
        self,
        out: str | Path | None = None,
        *,
        form: str = "onnx",
        points: PointsMap | str | Path | None = None,
    ) -> Exported:
        """Write the detector as one graph in one file; see ``lmkit export``.

        Args:
            out: The file; ``detector.onnx`` or ``detector.pt2`` in the run's folder if not given.
            form: ``onnx`` or ``pt2``.
            points: What ``fit`` returned as its ``map``, or its folder: named points as well.

        Raises:
            LmkitError: If it cannot be exported or written.
        """
        self.need_folder()
        known = None if points is None else self.points_map(points)
        return export_run(self, None if out is None else Path(out), form=form, points=known)

    def _dataset(self, data: str | Path) -> Dataset:
        layers = [
            Layer("run.json", self.stored, source="run"),
            Layer("data", {"data": parse_data(data, self.registry)}),
        ]
        settings = resolve(merge(layers), self.registry, (*self.needed, "data"))
        return build_dataset(settings, self.registry)

    def prediction_notes(self) -> list[str]:
        """Return what whoever predicts with this run should hear, a sentence each."""
        crop = self.framer.crop
        if crop is None or not crop.from_annotation:
            return []
        return [
            f"The run was trained on crops made from annotation: {crop}. Images are taken whole "
            "here; give ones that show as much as those crops do."
        ]

    def _refuse(self, name: str, reason: str) -> None:
        raise LmkitError(
            f"Image {name} cannot be read, or not be cropped as those of {self.path} were: "
            f"{reason}.",
            remedy="Give images like those it was trained on.",
            code=ExitCode.DATA,
        )


def open_run(
    path: str | Path, *, device: str = "auto", plugins: Sequence[str | Path] = ()
) -> "Run":
    """Open a run folder, or a file that ``lmkit export`` wrote, for prediction.

    Args:
        path: The folder that training wrote; or a file with the suffix .onnx or .pt2.
        device: Where its detector computes: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        plugins: Files and modules of plugins that are not installed, as after ``--plugin``.

    Raises:
        LmkitError: If there is no run, or it is damaged, or a plugin is. Asking for its detector
            refuses a run whose detector's plugin is not installed.
    """
    use(plugins)
    path = Path(path)
    folder = ExportedFile(path) if is_exported(path) else RunFolder.open(path)
    return Run(folder, installed(), device=device)
