"""What comes before training: settings settled, data opened and divided, everything checked.

Nothing here writes anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lmkit.data.crops import LEAK
from lmkit.data.framing import Framer, build_framer
from lmkit.data.loading import TrainingBatches
from lmkit.data.split import Partners, Split, make_split
from lmkit.data.unreadable import Unreadable, find_unreadable
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset
from lmkit.registry.lookup import Registry, installed
from lmkit.runtime.assemble import Assembly, assemble, build_dataset
from lmkit.settings.layers import Layer
from lmkit.settings.settings import Settings, settle


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data that is opened and divided.

    Args:
        settings: What it was opened with.
        dataset: The data.
        split: Its parts.
        framer: How its images become squares.
        unreadable: Its images that are known to be unreadable, and are in no part.
        without_points: How many more are in no part, because they have no annotated points that
            they could be cropped by.
        trained: How many would test, but are left out because the run at hand trained on them.
        partners: The other images of each training image's subject, where training pairs them.
    """

    settings: Settings
    dataset: Dataset
    split: Split
    framer: Framer
    unreadable: Unreadable
    without_points: int = 0
    trained: int = 0
    partners: Partners | None = None

    def notes(self) -> list[str]:
        """Return what the user should hear about the data, a sentence each."""
        notes = list(self.dataset.notes)
        left_out = len(self.unreadable)
        if left_out:
            images = "image is" if left_out == 1 else "images are"
            notes.append(f"{left_out} unreadable {images} left out.")
        crop = self.framer.crop
        if crop is not None and crop.from_annotation:
            notes.append(f"The crop is {crop}: {LEAK}.")
        if self.without_points:
            images = "image" if self.without_points == 1 else "images"
            notes.append(
                f"Left out, without annotated points to be cropped by: {self.without_points} "
                f"{images}."
            )
        if self.trained:
            images = "image" if self.trained == 1 else "images"
            notes.append(
                f"Left out of testing, because the run trained on them: {self.trained} {images}."
            )
        if self.partners is not None and self.partners.alone:
            notes.append(
                f"Paired with themselves, as the only ones of their subjects: "
                f"{self.partners.alone} of {len(self.split.train)} images."
            )
        return notes

    def batches(
        self,
        start: int,
        stop: int,
        *,
        annotated: bool,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> TrainingBatches:
        """Return the batches of a stretch of steps.

        Args:
            start: The first step, counted from 0.
            stop: The step before which to stop.
            annotated: Whether batches carry annotated points.
            rank: This process among those that train together.
            world: How many train together.
            workers: The number of processes that read for this one.
            pin_memory: Whether to put images where the GPU fetches them from.

        Raises:
            LmkitError: If the data cannot fill a batch, or has no points to carry.
        """
        run = self.settings.run
        return TrainingBatches(
            self.dataset,
            self.split.train,
            framer=self.framer,
            batch_size=run.batch_size // world,
            seed=run.seed,
            start=start,
            stop=stop,
            rank=rank,
            world=world,
            workers=workers,
            annotated=annotated,
            partners=self.partners,
            pin_memory=pin_memory,
        )


def settle_on_points(
    base: Sequence[Layer],
    layers: Sequence[Layer],
    registry: Registry | None = None,
) -> Settings:
    """Merge and check settings of a run that learns the data's annotated points, one a landmark.

    Args:
        base: The recipe's layers; the number of landmarks in them gives way to that of the points.
        layers: What was asked for on top.
        registry: Where components are looked up.

    Raises:
        LmkitError: If they are wrong, ask for another number of landmarks or learn from no
            annotation, or the data has none.
    """
    registry = registry or installed()
    settings = settle([*base, *layers], registry)
    losses = [registry.find("loss", options["name"]).load() for options in settings.loss.values()]
    if not any(loss.needs_truth for loss in losses):
        raise LmkitError(
            f"No loss learns from annotated points ({', '.join(settings.loss)}).",
            remedy="Give --recipe pretrain, or --loss heatmap or points.",
        )
    count = len(build_dataset(settings, registry).point_names)
    if not count:
        raise LmkitError(
            f"The data '{settings.data['name']}' has no annotated points to learn from.",
            remedy="Give data with points, such as --data faces or csv:FILE; "
            "lmkit train needs none.",
            code=ExitCode.DATA,
        )
    own = Layer("the annotated points", {"run": {"landmarks": count}})
    settings = settle([*base, own, *layers], registry)
    if settings.run.landmarks != count:
        raise LmkitError(
            f"run.landmarks={settings.run.landmarks} does not fit the data: each landmark is to "
            f"learn one of {count} annotated points.",
            remedy=f"Leave it out, or give {count}. A run that starts from this one may have any "
            "number.",
        )
    return settings


def prepare(settings: Settings, registry: Registry | None = None) -> Prepared:
    """Open a run's data and divide it.

    Raises:
        LmkitError: If the data cannot be used.
    """
    dataset = build_dataset(settings, registry or installed())
    return divide_data(dataset, settings, find_unreadable(dataset))


def divide_data(dataset: Dataset, settings: Settings, problems: Mapping[int, str]) -> Prepared:
    """Divide a new run's data.

    Args:
        dataset: The data.
        settings: The run's.
        problems: The images that are known to be unreadable, and why.

    Raises:
        LmkitError: If too many are unreadable, nothing is left to train on, or the crop is for
            images of another kind.
    """
    unreadable = Unreadable(settings.loading.max_unreadable)
    for index, reason in problems.items():
        unreadable.add(dataset.key(index), reason)
    unreadable.check(len(dataset), all_read=False)
    framer = build_framer(settings)
    without_points = _without_points(dataset, framer, settings) - problems.keys()
    split = make_split(
        dataset,
        held_out=settings.loading.held_out,
        seed=settings.loading.split_seed,
        unreadable=problems.keys() | without_points,
    )
    _check_crop(dataset, framer, split.train[0])
    return Prepared(settings, dataset, split, framer, unreadable, len(without_points))


def _check_crop(dataset: Dataset, framer: Framer, index: int) -> None:
    """Refuse a crop that is for images of another kind, going by one that trains."""
    if framer.crop is None or framer.crop.from_annotation:
        return
    try:
        image = dataset.image(index)
    except OSError:
        return  # Training leaves it out, and stops if there are too many.
    try:
        framer(image)
    except OSError as error:
        raise LmkitError(
            f"{dataset.key(index)} cannot be cropped by {framer.crop}: {error}.",
            remedy="Choose another: none, centre or jakab2018 serve images of any size.",
            code=ExitCode.DATA,
        ) from None


def _without_points(dataset: Dataset, framer: Framer, settings: Settings) -> set[int]:
    """Return the images without the annotated points that the crop is made from."""
    if framer.crop is None or not framer.crop.from_annotation:
        return set()
    found = {i for i in range(len(dataset)) if not framer.accepts(dataset.annotation(i))}
    if len(found) == len(dataset):
        raise LmkitError(
            f"loading.crop={settings.loading.crop} is made from annotated points, and none of the "
            f"{len(dataset)} images has any.",
            remedy="Choose another: none, centre, jakab2018 or dve2019.",
            code=ExitCode.DATA,
        )
    return found


def find_partners(ready: Prepared) -> Prepared:
    """Find the other images of each training image's subject, where training pairs them.

    Raises:
        LmkitError: If the data does not say who is on its images, or each shows another subject.
    """
    if ready.settings.loading.partner == "none":
        return ready
    return replace(ready, partners=Partners(ready.dataset, ready.split.train))


def make_ready(settings: Settings, registry: Registry | None = None) -> tuple[Prepared, Assembly]:
    """Check all that can be checked before a new run starts, and write nothing.

    Returns:
        The data, and the components with their initial weights but for files they read.

    Raises:
        LmkitError: If the run could not start.
    """
    registry = registry or installed()
    ready = prepare(settings, registry)
    assembly = assemble(settings, registry)
    ready = find_partners(ready)
    # Asked for no step: it refuses a batch that the data cannot fill, as training would.
    ready.batches(0, 0, annotated=assembly.needs_truth)
    return ready, assembly
