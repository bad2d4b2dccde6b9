"""A run folder as an object: train one, open it, get its detector, predict.

This is lmkit from Python; the command line does the same through the same functions.
"""

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from lmkit import __version__, config
from lmkit.data.pictures import Framing, frame, load_image
from lmkit.data.split import Split, make_split
from lmkit.data.unreadable import Unreadable, find_unreadable
from lmkit.engine import checkpoint as checkpoints
from lmkit.engine.assemble import assemble, blame, build_dataset, build_detector
from lmkit.engine.device import autocast_for, choose_device
from lmkit.engine.folder import RunFolder, read_json, write_json
from lmkit.engine.observer import Observer, Observers
from lmkit.engine.train import Outcome
from lmkit.engine.train import train as run_training
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset
from lmkit.interfaces.detector import Detector
from lmkit.interfaces.landmarks import Landmarks
from lmkit.pictures import PictureWriter
from lmkit.registry.lookup import Registry, installed

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = str | Path | Image | NDArray[Any] | torch.Tensor

MAY_CHANGE = (
    "run.steps",
    "run.device",
    "run.checkpoint_every",
    "run.keep",
    "run.log_every",
    "run.picture_every",
    "loading.workers",
    "loading.max_unreadable",
    "data.path",
)
"""The settings that may differ when a run is resumed: they do not change what it computes."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that is ready to start: everything was checked, and nothing is written yet."""

    settings: config.Settings
    dataset: Dataset
    split: Split
    unreadable: Unreadable


def settle(layers: Sequence[config.Layer], registry: Registry | None = None) -> config.Settings:
    """Merge and check settings.

    Raises:
        LmkitError: If they are wrong.
    """
    return config.resolve(config.merge(layers), registry or installed())


def prepare(settings: config.Settings, registry: Registry | None = None) -> Prepared:
    """Open a run's data and divide it.

    Raises:
        LmkitError: If the data cannot be used.
    """
    dataset = build_dataset(settings, registry or installed())
    unreadable = Unreadable(settings.loading.max_unreadable)
    problems = find_unreadable(dataset)
    for index, reason in problems.items():
        unreadable.add(dataset.key(index), reason)
    unreadable.check(len(dataset))
    split = make_split(
        dataset,
        held_out=settings.loading.held_out,
        seed=settings.run.seed,
        unreadable=problems,
    )
    return Prepared(settings, dataset, split, unreadable)


def start(
    settings: config.Settings,
    out: Path,
    observers: Sequence[Observer] = (),
    registry: Registry | None = None,
) -> tuple["Run", Outcome]:
    """Start a new run and train it.

    Args:
        settings: Everything that decides it.
        out: Its folder; must not exist or be empty.
        observers: Hear of its progress.
        registry: Where components are looked up.

    Raises:
        LmkitError: If anything is wrong. Before training starts, nothing is left behind.
    """
    registry = registry or installed()
    choose_device(settings.run.device)
    ready = prepare(settings, registry)
    assembly = assemble(settings, registry)
    for part in ("detector", "generator"):
        network = getattr(assembly, part)
        if network is not None:
            with blame(assembly.names[part]):
                network.initialise()
    folder = RunFolder.create(out)
    write_json(folder.split, ready.split.to_json(ready.dataset))
    if ready.unreadable:
        write_json(folder.unreadable, ready.unreadable.report())
    # Last, since it is what makes the folder a run.
    write_json(folder.settings, _describe(settings, registry))
    outcome = _train(ready, assembly, folder, observers, None)
    return Run(folder, registry), outcome


def resume(
    path: Path,
    layers: Sequence[config.Layer] = (),
    observers: Sequence[Observer] = (),
    registry: Registry | None = None,
) -> tuple["Run", Outcome]:
    """Go on with a run from its newest checkpoint, or from the start if it has none.

    Args:
        path: The run's folder.
        layers: Settings that differ from the run's own; only those of
            [MAY_CHANGE][lmkit.run.MAY_CHANGE] may.
        observers: Hear of its progress.
        registry: Where components are looked up.

    Raises:
        LmkitError: If the run is damaged or finished, or the settings differ.
    """
    registry = registry or installed()
    run = Run(RunFolder.open(path), registry)
    own = config.Layer(f"{path}/run.json", run.stored)
    settings = settle([own, *layers], registry)
    _refuse_changes(run.settings, settings, path)
    found = checkpoints.list_checkpoints(run.folder)
    done = max(found, default=0)
    if done >= settings.run.steps:
        raise LmkitError(
            f"{path} is at step {done} already, of {settings.run.steps}.",
            remedy=f"To train it further, give more: --steps {2 * max(done, 1)}.",
        )
    dataset = build_dataset(settings, registry)
    split = Split.from_json(read_json(run.folder.split), dataset)
    ready = Prepared(settings, dataset, split, Unreadable(settings.loading.max_unreadable))
    assembly = assemble(settings, registry)
    if not found:
        for network in (assembly.detector, assembly.generator):
            if network is not None:
                network.initialise()
    outcome = _train(ready, assembly, run.folder, observers, found.get(done))
    write_json(run.folder.settings, {**run.record, "settings": settings.to_dict()})
    return Run(run.folder, registry), outcome


def train(
    *,
    data: str = "faces",
    out: str | Path | None = None,
    recipe: str | None = None,
    resume_from: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    observers: Sequence[Observer] = (),
) -> "Run":
    """Train a detector.

    Args:
        data: ``faces``, a folder of pictures, ``csv:FILE``, ``celeba:DIR``, or what a plugin adds.
        out: The run's folder; ``runs/<time>`` if not given.
        recipe: Named settings to start from; as on the command line, ``paper`` with a GPU and
            ``quickstart`` without one if not given.
        resume_from: A run's folder to go on with, instead of a new run; then only ``settings`` is
            read.
        settings: ``{"section": {"key": value}}`` on top of the recipe, for example
            ``{"run": {"steps": 500}, "detector": {"depth": 3}}``.
        observers: Hear of the run's progress; see [Observer][lmkit.engine.observer.Observer].

    Returns:
        The finished run.

    Raises:
        LmkitError: If anything is wrong.

    Example:
        >>> run = lmkit.train(data="photos/", out="runs/first")  # doctest: +SKIP
        >>> run.predict("face.jpg")  # doctest: +SKIP
    """
    layer = config.Layer("settings", settings or {})
    if resume_from is not None:
        return resume(Path(resume_from), [layer], observers)[0]
    registry = installed()
    layers = config.read_recipe(recipe or default_recipe(), registry)
    chosen = config.Layer("data", {"data": config.parse_data(data, registry)})
    return start(settle([*layers, chosen, layer]), Path(out or default_out()), observers)[0]


def open_run(path: str | Path, *, device: str = "auto") -> "Run":
    """Open a run folder.

    Args:
        path: The folder that training wrote.
        device: Where its detector computes: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        LmkitError: If there is no run, or its plugins are not installed.
    """
    return Run(RunFolder.open(Path(path)), installed(), device=device)


def other_data(run: "Run", layers: Sequence[config.Layer]) -> tuple[Dataset, Split]:
    """Open data that a run is to be measured on, and divide it.

    Where it is the run's own data after all, the run's own split holds, so that nothing that
    trained is tested.

    Args:
        run: The run.
        layers: Settings with a ``data`` section.

    Raises:
        LmkitError: If the data cannot be used.
    """
    settings = settle([config.Layer("run.json", run.stored), *layers], run.registry)
    if settings.data == run.settings.data:
        dataset = run.dataset()
        return dataset, run.split(dataset)
    ready = prepare(settings, run.registry)
    return ready.dataset, ready.split


def default_recipe() -> str:
    """Return the recipe for whoever names none: ``paper`` with a GPU, else ``quickstart``."""
    return "quickstart" if choose_device("auto").type == "cpu" else "paper"


def default_out() -> Path:
    """Return a folder for whoever names none."""
    return Path("runs") / time.strftime("%Y%m%d-%H%M%S")


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
        self.record: dict[str, Any] = read_json(folder.settings)
        self.stored: dict[str, Any] = self.record.get("settings", {})

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @cached_property
    def settings(self) -> config.Settings:
        """Everything that decided the run."""
        self._check_plugins()
        return config.resolve(self.stored, self.registry)

    @cached_property
    def step(self) -> int:
        """The step of the newest checkpoint."""
        return max(checkpoints.list_checkpoints(self.folder), default=0)

    @cached_property
    def detector(self) -> Detector:
        """The trained detector, in eval mode on the run's device.

        Raises:
            LmkitError: If there is no sound checkpoint.
        """
        path = checkpoints.latest_checkpoint(self.folder)
        detector = build_detector(self.settings, self.registry)
        checkpoints.load_detector(path, detector, device=torch.device("cpu"))
        return detector.to(self.device).eval()

    def dataset(self) -> Dataset:
        """Open the data the run was trained on."""
        return build_dataset(self.settings, self.registry)

    def split(self, dataset: Dataset) -> Split:
        """Return which pictures of the run's own data trained, and which did not."""
        return Split.from_json(read_json(self.folder.split), dataset)

    @torch.inference_mode()
    def detect(self, images: torch.Tensor) -> Landmarks:
        """Find the landmarks of pictures that are framed already.

        Args:
            images: (B, 3, S, S), uint8, S the run's ``image_size``.

        Returns:
            Points in [-1, 1] of the square picture, on the CPU.
        """
        autocast = autocast_for(self.device, self.settings.run.precision)
        with autocast(), blame(f"detector '{self.settings.detector['name']}'"):
            found = self.detector(images.to(self.device, non_blocking=True).float() / 255)
        return Landmarks(points=found.points.float().cpu())

    def predict(self, images: "Picture | Sequence[Picture]") -> NDArray[np.float32]:
        """Find the landmarks of pictures of any size.

        Args:
            images: One picture or several: a path, a PIL image, an array (H, W, 3) or (H, W) of
                uint8, or a tensor (3, H, W) of uint8, or of floats in [0, 1].

        Returns:
            (K, 2) for one picture, (N, K, 2) for several: (x, y) in pixels of the picture given,
            the centre of its first pixel at (0, 0).

        Raises:
            LmkitError: If a picture cannot be read or is not of such a form.
        """
        single = _is_single(images)
        pictures: list[Picture] = [images] if single else list(images)  # type: ignore[list-item,arg-type]
        found = [points for _, points in self.predict_each(map(_to_array, pictures))]
        if not found:
            return np.empty((0, self.settings.run.landmarks, 2), np.float32)
        return found[0] if single else np.stack(found)

    def predict_each(
        self, images: Iterator[NDArray[np.uint8]], batch_size: int = 32
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        """Yield each picture with its landmarks, reading no more than a batch ahead.

        Args:
            images: Arrays (H, W, 3), uint8.
            batch_size: Pictures at a time.

        Yields:
            The picture, and (K, 2) points in its pixels.
        """
        size, fit = self.settings.run.image_size, self.settings.loading.fit
        waiting: list[tuple[NDArray[np.uint8], NDArray[np.uint8], Framing]] = []
        for image in images:
            waiting.append((image, *frame(image, size, fit)))
            if len(waiting) == batch_size:
                yield from self._predict_batch(waiting)
                waiting = []
        if waiting:
            yield from self._predict_batch(waiting)

    def _predict_batch(
        self, waiting: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8], Framing]]
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        stacked = np.stack([framed.transpose(2, 0, 1) for _, framed, _ in waiting])
        points = self.detect(torch.from_numpy(stacked)).points.numpy()
        for (image, _, framing), own in zip(waiting, points, strict=True):
            yield image, framing.to_pixels(own).astype(np.float32)

    def _check_plugins(self) -> None:
        """Name the package to install if a component of the run is not here."""
        for entry in self.record.get("components", ()):
            present = [e.component.name for e in self.registry.components(entry["kind"])]
            if entry["name"].rpartition("/")[2] not in present:
                raise LmkitError(
                    f"{self.path} needs the {entry['kind']} '{entry['name']}', which is not here.",
                    remedy=f"Install {entry['package']} {entry['version']}, which brings it.",
                    code=ExitCode.PLUGIN,
                )


def _train(
    ready: Prepared,
    assembly: Any,
    folder: RunFolder,
    observers: Sequence[Observer],
    checkpoint: Path | None,
) -> Outcome:
    everyone = Observers(
        [*observers, PictureWriter(folder, ready.settings, ready.dataset, ready.split)]
    )
    for text in ready.dataset.notes:
        everyone.note(text)
    if ready.unreadable:
        everyone.note(
            f"{len(ready.unreadable)} unreadable pictures are left out; {folder.unreadable} "
            "lists them."
        )
    return run_training(
        ready.settings,
        assembly,
        ready.dataset,
        ready.split,
        folder,
        everyone,
        unreadable=ready.unreadable,
        checkpoint=checkpoint,
    )


def _describe(settings: config.Settings, registry: Registry) -> dict[str, Any]:
    """Return what ``run.json`` holds."""
    sections = {**config.COMPONENT_SECTIONS, **{f"loss.{label}": "loss" for label in settings.loss}}
    components = []
    for section, kind in sections.items():
        label = section.partition(".")[2]
        options = settings.loss[label] if label else getattr(settings, section)
        if options["name"] == "none":
            continue
        entry = registry.find(kind, options["name"])
        components.append(
            {
                "section": section,
                "kind": kind,
                "name": options["name"],
                "target": entry.component.target,
                "package": entry.plugin.package,
                "version": entry.plugin.version,
            }
        )
    versions = {"lmkit": __version__, "python": platform.python_version()}
    versions |= {"torch": torch.__version__, "numpy": np.__version__}
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": versions,
        "components": components,
        "settings": settings.to_dict(),
    }


def _refuse_changes(former: config.Settings, wanted: config.Settings, path: Path) -> None:
    before, after = former.flat(), wanted.flat()
    changed = [
        f"{key} was {before.get(key)} and is to be {after.get(key)}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key) and key not in MAY_CHANGE
    ]
    if changed:
        raise LmkitError(
            f"{path} was trained with other settings: {'; '.join(changed)}.",
            remedy="Resume without them, or start a new run with another --out.",
            code=ExitCode.RUN,
        )


def _is_single(images: Any) -> bool:
    if isinstance(images, (np.ndarray, torch.Tensor)):
        return images.ndim < 4
    return not isinstance(images, Sequence) or isinstance(images, str)


def _to_array(picture: Any) -> NDArray[np.uint8]:
    """Return a picture of any accepted form as (H, W, 3), uint8."""
    if isinstance(picture, (str, Path)):
        try:
            return load_image(Path(picture))
        except OSError as error:
            raise LmkitError(
                f"{picture} cannot be read: {error}.",
                remedy="Give a picture file.",
                code=ExitCode.DATA,
            ) from None
    if isinstance(picture, torch.Tensor):
        if picture.ndim == 3 and picture.is_floating_point():
            picture = (picture.detach().clamp(0, 1) * 255).round().to(torch.uint8)
        picture = picture.detach().cpu().numpy()
        picture = picture.transpose(1, 2, 0) if picture.ndim == 3 else picture
    elif not isinstance(picture, np.ndarray):
        picture = np.asarray(picture.convert("RGB"))
    if picture.ndim == 2:
        picture = np.repeat(picture[:, :, None], 3, axis=2)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise LmkitError(
            f"A picture of shape {picture.shape} and type {picture.dtype} cannot be used.",
            remedy="Give an array (H, W, 3) or (H, W) of uint8, a tensor (3, H, W) of uint8 or of "
            "floats in [0, 1], a PIL image, or a path.",
            code=ExitCode.DATA,
        )
    pixels: NDArray[np.uint8] = picture
    return pixels
