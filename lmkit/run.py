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
import PIL.Image
import torch
from numpy.typing import NDArray

from lmkit import __version__, config
from lmkit.data.loading import TrainingBatches
from lmkit.data.pictures import Framing, frame, load_image
from lmkit.data.split import Split, make_split
from lmkit.data.unreadable import Unreadable, find_unreadable
from lmkit.engine import checkpoint as checkpoints
from lmkit.engine.assemble import Assembly, assemble, blame, build_dataset, build_detector
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

OF_DATA = ("loading.held_out", "loading.max_unreadable")
"""The settings beside ``data.*`` that may differ when a run is measured on other data."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data that is opened and divided.

    Args:
        settings: What it was opened with.
        dataset: The data.
        split: Its parts.
        unreadable: Its pictures that are known to be unreadable, and are in no part.
    """

    settings: config.Settings
    dataset: Dataset
    split: Split
    unreadable: Unreadable

    def notes(self) -> list[str]:
        """Return what the user should hear about the data, a sentence each."""
        left_out = len(self.unreadable)
        if not left_out:
            return list(self.dataset.notes)
        pictures = "picture is" if left_out == 1 else "pictures are"
        return [*self.dataset.notes, f"{left_out} unreadable {pictures} left out."]


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


def make_ready(
    settings: config.Settings, registry: Registry | None = None
) -> tuple[Prepared, Assembly]:
    """Check all that can be checked before a new run starts, and write nothing.

    Returns:
        The data, and the components with their initial weights but for files they read.

    Raises:
        LmkitError: If the run could not start.
    """
    registry = registry or installed()
    ready = prepare(settings, registry)
    assembly = assemble(settings, registry)
    # Asked for no step: it refuses a batch that the data cannot fill, as training would.
    TrainingBatches(
        ready.dataset,
        ready.split.train,
        image_size=settings.run.image_size,
        fit=settings.loading.fit,
        batch_size=settings.run.batch_size,
        seed=settings.run.seed,
        start=0,
        stop=0,
    )
    return ready, assembly


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
    ready, assembly = make_ready(settings, registry)
    _initialise(assembly)
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
    former = run.settings
    settings = settle([config.Layer(f"{path}/run.json", run.stored), *layers], registry)
    _refuse_changes(former, settings, path)
    found = checkpoints.list_checkpoints(run.folder)
    done = max(found, default=0)
    if done >= settings.run.steps:
        raise LmkitError(
            f"{path} is at step {done} already, of {settings.run.steps}.",
            remedy=f"To train it further, give more: --steps {2 * max(done, 1)}.",
        )
    ready = _divide_as_before(run, settings)
    assembly = assemble(settings, registry)
    if not found:
        _initialise(assembly)
    # Before training, so that a run that is interrupted again knows how far it was to go.
    write_json(run.folder.settings, {**run.record, "settings": settings.to_dict()})
    outcome = _train(ready, assembly, run.folder, observers, found.get(done))
    return Run(run.folder, registry), outcome


def train(
    *,
    data: str | None = None,
    out: str | Path | None = None,
    recipe: str | None = None,
    resume_from: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    observers: Sequence[Observer] = (),
) -> "Run":
    """Train a detector.

    Args:
        data: ``faces``, a folder of pictures, ``csv:FILE``, ``celeba:DIR``, or what a plugin adds;
            the recipe's (``faces``) if not given.
        out: The run's folder; ``runs/<time>`` if not given.
        recipe: Named settings to start from; as on the command line, ``paper`` with a GPU and
            ``quickstart`` without one if not given.
        resume_from: A run's folder to go on with, instead of a new run; its own data and recipe
            hold, and of ``settings`` those of [MAY_CHANGE][lmkit.run.MAY_CHANGE] may differ.
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
        for name, value in (("data", data), ("out", out), ("recipe", recipe)):
            if value is not None:
                raise LmkitError(
                    f"{name}={value} does not go with resume_from, which takes everything from the "
                    "run.",
                    remedy=f"Leave {name} out, or start a new run without resume_from.",
                )
        return resume(Path(resume_from), [layer], observers)[0]
    registry = installed()
    layers = config.read_recipe(recipe or default_recipe(), registry)
    if data is not None:
        layers.append(config.Layer("data", {"data": config.parse_data(data, registry)}))
    return start(settle([*layers, layer]), Path(out or default_out()), observers)[0]


def open_run(path: str | Path, *, device: str = "auto") -> "Run":
    """Open a run folder.

    Args:
        path: The folder that training wrote.
        device: Where its detector computes: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        LmkitError: If there is no run, or its plugins are not installed.
    """
    return Run(RunFolder.open(Path(path)), installed(), device=device)


def other_data(run: "Run", layers: Sequence[config.Layer]) -> Prepared:
    """Open data that a run is to be measured on, and divide it.

    Where it is the run's own data after all, the run's own split holds, so that nothing that
    trained is tested.

    Args:
        run: The run.
        layers: Settings of the data: its section, and those of
            [OF_DATA][lmkit.run.OF_DATA].

    Raises:
        LmkitError: If the data cannot be used, or other settings would differ.
    """
    before = run.settings.flat()
    settings = settle([config.Layer("run.json", run.stored), *layers], run.registry)
    for key, value in settings.flat().items():
        if not key.startswith("data.") and key not in OF_DATA and value != before.get(key):
            raise LmkitError(
                f"{key}={value} would change the run, which was trained with {before.get(key)}.",
                remedy=f"Leave it out; data.*, {' and '.join(OF_DATA)} may be set here.",
            )
    if settings.data == run.settings.data:
        return _divide_as_before(run, settings)
    return prepare(settings, run.registry)


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
        self.record: dict[str, Any] = _read_record(folder)
        self.stored: dict[str, Any] = self.record["settings"]

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

    def prepared(self) -> Prepared:
        """Open the data the run was trained on, divided as it was then."""
        return _divide_as_before(self, self.settings)

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
            the centre of its first pixel at (0, 0). A file is turned upright first, as its EXIF
            orientation says; a PIL image is taken as it is.

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


def _divide_as_before(run: "Run", settings: config.Settings) -> Prepared:
    """Open a run's own data, divided as when it started."""
    dataset = build_dataset(settings, run.registry)
    split = Split.from_json(read_json(run.folder.split), dataset)
    return Prepared(settings, dataset, split, Unreadable(settings.loading.max_unreadable))


def _initialise(assembly: Assembly) -> None:
    """Let the networks of a new run read their pretrained weights."""
    for part, network in (("detector", assembly.detector), ("generator", assembly.generator)):
        if network is not None:
            with blame(assembly.names[part]):
                network.initialise()


def _train(
    ready: Prepared,
    assembly: Assembly,
    folder: RunFolder,
    observers: Sequence[Observer],
    checkpoint: Path | None,
) -> Outcome:
    everyone = Observers(
        [*observers, PictureWriter(folder, ready.settings, ready.dataset, ready.split)]
    )
    for text in ready.notes():
        everyone.note(text)
    if ready.unreadable:
        everyone.note(f"{folder.unreadable} lists them.")
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
    return not isinstance(images, Sequence) or isinstance(images, (str, bytes))


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
    if isinstance(picture, PIL.Image.Image):
        return _on_white(picture)
    if isinstance(picture, torch.Tensor):
        array = _to_bytes(picture).detach().cpu().numpy()
        array = array.transpose(1, 2, 0) if array.ndim == 3 else array
    elif isinstance(picture, np.ndarray):
        array = picture
    else:
        raise _unusable(f"{type(picture).__name__} object")
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or array.size == 0:
        raise _unusable(f"picture of shape {tuple(picture.shape)} and type {picture.dtype}")
    return array


def _to_bytes(picture: torch.Tensor) -> torch.Tensor:
    if not picture.is_floating_point():
        return picture
    # Resampling overshoots a little. What lies further out was never in [0, 1], and would be cut
    # to a white or black picture without a word.
    if picture.numel() and not ((picture >= -0.25) & (picture <= 1.25)).all():
        low, high = picture.min().item(), picture.max().item()
        raise _unusable(f"tensor of floats from {low:.4g} to {high:.4g}")
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)


def _on_white(image: "Image") -> NDArray[np.uint8]:
    """Return RGB with transparent parts on white, as a file's are."""
    if image.has_transparency_data:
        opaque = PIL.Image.new("RGBA", image.size, "white")
        image = PIL.Image.alpha_composite(opaque, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def _unusable(what: str) -> LmkitError:
    return LmkitError(
        f"A {what} is no picture that can be used.",
        remedy="Give an array (H, W, 3) or (H, W) of uint8, a tensor (3, H, W) of uint8 or of "
        "floats in [0, 1], a PIL image, a path, or a list of such.",
        code=ExitCode.DATA,
    )
