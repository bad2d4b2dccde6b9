"""What comes before training: settings settled, data opened and divided, everything checked.

Nothing here writes anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lmkit import config
from lmkit.data.loading import TrainingBatches
from lmkit.data.split import Split, make_split
from lmkit.data.unreadable import Unreadable, find_unreadable
from lmkit.engine.assemble import Assembly, assemble, build_dataset
from lmkit.engine.folder import RunFolder, read_json
from lmkit.interfaces.dataset import Dataset
from lmkit.registry.lookup import Registry, installed


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


def divide_as_before(folder: RunFolder, settings: config.Settings, registry: Registry) -> Prepared:
    """Open a run's own data, divided as when it started.

    Args:
        folder: The run's.
        settings: What to open the data with.
        registry: Where the data's kind is looked up.

    Raises:
        LmkitError: If the data cannot be used, or has lost pictures that the run had.
    """
    dataset = build_dataset(settings, registry)
    split = Split.from_json(read_json(folder.split), dataset)
    return Prepared(settings, dataset, split, Unreadable(settings.loading.max_unreadable))


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
        annotated=assembly.needs_truth,
    )
    return ready, assembly
