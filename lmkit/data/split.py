"""Which images train, which fit the regressor and which test; and which are of one subject."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset
from lmkit.seeds import derive

_PARTS = ("train", "fit", "test")
_NAMED = 3  # how many images a message names


@dataclass(frozen=True, slots=True)
class Split:
    """The images of each part, by number. Test images are in no other part.

    Args:
        train: For unsupervised training.
        fit: For fitting the regressor that turns landmarks into annotated points; each with at
            least one point that is known.
        test: For testing.
    """

    train: list[int]
    fit: list[int]
    test: list[int]

    def to_json(self, dataset: Dataset) -> dict[str, list[str] | str]:
        """Return the keys of each part's images; a ``fit`` equal to ``train`` is written so."""
        written: dict[str, list[str] | str] = {
            part: [dataset.key(index) for index in getattr(self, part)] for part in _PARTS
        }
        if self.fit == self.train:
            written["fit"] = "train"
        return written

    @classmethod
    def from_json(cls, content: Any, dataset: Dataset) -> "Split":
        """Find the images that [to_json][lmkit.data.split.Split.to_json] wrote down.

        Args:
            content: What was written, parsed.
            dataset: The data now.

        Raises:
            LmkitError: If it is not such a record, or the data no longer has one of the images.
        """
        keys = keys_of_parts(content)
        numbers = {dataset.key(index): index for index in range(len(dataset))}
        missing = sorted({key for part in keys for key in part if key not in numbers})
        if missing:
            raise LmkitError(
                f"{_count(missing, 'image')} of the run's split "
                f"{'is' if len(missing) == 1 else 'are'} no longer in the data: {_some(missing)}.",
                remedy="Put them back where they were, or name the data they are in with --data.",
                code=ExitCode.DATA,
            )
        return cls(*([numbers[key] for key in part] for part in keys))


def trained_keys(content: Any) -> set[str]:
    """Return the images that trained, of what [to_json][lmkit.data.split.Split.to_json] wrote.

    Raises:
        LmkitError: If it is not such a record.
    """
    return set(keys_of_parts(content)[0])


def make_split(
    dataset: Dataset, *, held_out: float, seed: int, unreadable: Collection[int] = ()
) -> Split:
    """Divide the data into its parts.

    The data's own parts are used where it names any. Otherwise a share of the groups (by default
    the subjects) is held out for testing, or of the images where groups are not known, by a hash
    of the group or key: images added later move none of the others. If only some parts are named,
    training takes all that does not test, nothing tests, and fitting takes the images that train
    and have at least one point that is known.

    Args:
        dataset: The data.
        held_out: The share to hold out, in [0, 1); at least one image, unless 0.
        seed: Another seed holds out others.
        unreadable: Images to leave out of every part.

    Raises:
        LmkitError: If nothing is left to train on, or a test image is in another part.
    """
    if not 0 <= held_out < 1:
        raise LmkitError(
            f"A share of {held_out} of the images cannot be held out for testing.",
            remedy="Give a share of at least 0 and below 1.",
        )
    without = set(unreadable)
    usable = [index for index in range(len(dataset)) if index not in without]
    train, fit, test = (
        None if named is None else [index for index in named if index not in without]
        for named in (dataset.indices("train"), dataset.indices("fit"), dataset.indices("test"))
    )
    if train is None and fit is None and test is None:
        test = _hold_out(dataset, usable, held_out, seed)
    test = [] if test is None else test
    if train is None:
        testing = set(test)
        train = [index for index in usable if index not in testing]
    if fit is None:
        fit = [index for index in train if _is_annotated(dataset, index)]
    split = Split(train, fit, test)
    _check(dataset, split)
    return split


def _hold_out(dataset: Dataset, usable: Sequence[int], share: float, seed: int) -> list[int]:
    """Choose whole groups of images by their hash; some are chosen and some are left."""
    if share == 0 or len(usable) < 2:
        return []
    names = {index: dataset.group(index) for index in usable}
    groups = {
        index: f"key {dataset.key(index)}" if name is None else f"subject {name}"
        for index, name in names.items()
    }
    if len(set(groups.values())) == 1:
        # All of one group: no other is there to test on, but other images are.
        groups = {index: f"key {dataset.key(index)}" for index in usable}
    draws = {group: derive(seed, "split", group) / 2**63 for group in groups.values()}
    first, *_, last = sorted(draws, key=lambda group: (draws[group], group))
    held = {group for group, drawn in draws.items() if drawn < share}
    held = (held | {first}) - {last}
    return [index for index in usable if groups[index] in held]


def _is_annotated(dataset: Dataset, index: int) -> bool:
    points = dataset.annotation(index).points
    return points is not None and bool(np.isfinite(points).all(axis=1).any())


def _check(dataset: Dataset, split: Split) -> None:
    testing = set(split.test)
    for part, word in ((split.train, "training"), (split.fit, "fitting")):
        both = [dataset.key(index) for index in part if index in testing]
        if both:
            raise LmkitError(
                f"{_count(both, 'image')} would be used for {word} and for testing: {_some(both)}.",
                remedy="Correct the lists of the data, so that test images are in no other.",
                code=ExitCode.DATA,
            )
    if not split.train:
        raise LmkitError(
            f"No image is left to train on: {len(dataset)} in all, {len(split.test)} that test.",
            remedy="Add images, or hold out fewer for testing.",
            code=ExitCode.DATA,
        )


def keys_of_parts(content: Any) -> list[list[str]]:
    """Return the keys of the images that train, fit and test, of what ``to_json`` wrote.

    Args:
        content: What was written, parsed.

    Raises:
        LmkitError: If it is not such a record, or an image tests and is in another part.
    """
    parts = dict(content) if isinstance(content, Mapping) else {}
    if parts.get("fit") == "train":
        parts["fit"] = parts.get("train")
    keys: list[Any] = [parts.get(part) for part in _PARTS]
    problem = "does not hold lists of images named train, fit and test"
    if all(isinstance(part, list) and all(isinstance(key, str) for key in part) for part in keys):
        train, fit, test = keys
        if not train:
            problem = "names no image that trained"
        elif both := sorted(set(test).intersection([*train, *fit])):
            problem = f"names {_count(both, 'image')} for training and for testing: {_some(both)}"
        else:
            return keys
    raise LmkitError(
        f"The run's record of its split {problem}.",
        remedy="Restore the file split.json of the run folder.",
        code=ExitCode.RUN,
    )


def _count(things: Sequence[str], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _some(keys: Sequence[str]) -> str:
    more = len(keys) - _NAMED
    return ", ".join(keys[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def number_subjects(dataset: Dataset, indices: Sequence[int]) -> NDArray[np.int64] | None:
    """Number the subjects by a hash, which needs no list of all of them.

    Args:
        dataset: The data.
        indices: N of its images.

    Returns:
        (N,), from 0, equal where the subject is; None if no subject is known. An image whose
        subject is not known is taken for a subject of its own.
    """
    numbers = np.empty(len(indices), np.int64)
    known = False
    for place, index in enumerate(indices):
        name = dataset.subject(index)
        known = known or name is not None
        word = f"key {dataset.key(index)}" if name is None else f"subject {name}"
        digest = blake2b(word.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        numbers[place] = int.from_bytes(digest, "big") >> 1
    return numbers if known else None


class Partners:
    """The other images of each image's subject; a few numbers an image, whatever the data.

    Args:
        dataset: The data.
        indices: The images that are each other's partners.

    Raises:
        LmkitError: If no subject is known, or none has two images.
    """

    alone: int
    """How many images have no partner."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        numbers = number_subjects(dataset, indices)
        if numbers is None:
            raise _refusal(
                "the data does not say who is on its images",
                "Give data that does, such as csv:FILE with a column subject, or a folder with "
                "--set data.subjects=folder",
            )
        order = numbers.argsort(kind="stable")
        _, starts, group, counts = np.unique(
            numbers[order], return_index=True, return_inverse=True, return_counts=True
        )
        self.alone = int((counts == 1).sum())
        if self.alone == len(indices):
            raise _refusal(
                f"each of the {len(indices)} images to train on shows another",
                "Give data with several images of a subject",
            )
        # Side by side, the images of a subject, and for each where its subject's begin and how
        # many they are.
        self._images = np.asarray(indices, np.int64)[order]
        self._starts, self._counts = starts[group], counts[group]
        self._places = np.empty(int(self._images.max()) + 1, np.int64)
        self._places[self._images] = np.arange(len(self._images))

    def of(self, image: int, drawn: int) -> Iterator[int]:
        """Yield the other images of an image's subject, each once.

        Args:
            image: Its number.
            drawn: Any number from 0; which of them comes first.
        """
        place = int(self._places[image])
        start, count = int(self._starts[place]), int(self._counts[place])
        for turn in range(count - 1):
            further = 1 + (drawn + turn) % (count - 1)
            yield int(self._images[start + (place - start + further) % count])


def _refusal(why: str, remedy: str) -> LmkitError:
    return LmkitError(
        f"loading.partner=subject makes pairs of two images of one subject, and {why}.",
        remedy=f"{remedy}; or make pairs of one image: --set loading.partner=none.",
        code=ExitCode.DATA,
    )
