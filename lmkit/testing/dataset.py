"""What datasets promise."""

import pickle
from typing import get_args

import numpy as np

from lmkit.data.split import make_split
from lmkit.interfaces.dataset import Annotation, Dataset, Part
from lmkit.registry.options import options_of
from lmkit.testing.check import expect, promise
from lmkit.testing.subject import Subject

LOOKED_AT = 12
"""How many images are read, spread over all."""


@promise("keys", "dataset", remedy="Name an image by its file, or by its number.")
def keys(subject: Subject) -> None:
    """Keys are texts, unique, and the same whenever the data is opened."""
    data: Dataset = subject.build()
    expect(len(data) > 0, subject, "at least one image", "none")
    named = [data.key(index) for index in range(len(data))]
    odd = [key for key in named if not isinstance(key, str) or not key]
    expect(not odd, subject, "a text for every key", repr(odd[:1]))
    again: Dataset = subject.build()
    twice = len(named) - len(set(named))
    expect(not twice, subject, "a key of its own for every image", f"{twice} of them shared")
    stable = [again.key(index) for index in range(len(again))] == named
    expect(stable, subject, "the same keys when opened again", "others, or in another order")


@promise("images", "dataset", remedy="Return images as uint8 arrays (H, W, 3), RGB.")
def dataset_images(subject: Subject) -> None:
    """Images are (H, W, 3), uint8, and nothing is said to be wrong with them."""
    data: Dataset = subject.build()
    for index in _some(data):
        image = data.image(index)
        kind = isinstance(image, np.ndarray) and image.dtype == np.uint8
        came = getattr(image, "dtype", type(image))
        expect(kind, subject, "an array of uint8", came)
        expect(
            image.ndim == 3 and image.shape[2] == 3 and min(image.shape) > 0,
            subject,
            "an image (H, W, 3)",
            image.shape,
        )
        problem = data.problem(index)
        expect(problem is None, subject, "no problem with an image that can be read", problem)


@promise(
    "annotation",
    "dataset",
    remedy="Return points in pixels, (P, 2), (x, y) as point_names has them, (NaN, NaN) for a "
    "point that is not known, and none where no point is.",
)
def annotation(subject: Subject) -> None:
    """Annotated points are (P, 2), float32, named, and within their image or not known."""
    data: Dataset = subject.build()
    names = len(data.point_names)
    if names:
        first, second = data.normalising_pair
        fits = first != second and {first, second} <= {*range(names)}
        expect(fits, subject, f"normalising_pair among {names} points", data.normalising_pair)
    for index in _some(data):
        found = data.annotation(index)
        expect(isinstance(found, Annotation), subject, "an Annotation", repr(found))
        expect(
            found.subject is None or isinstance(found.subject, str),
            subject,
            "a subject that is a text or none",
            repr(found.subject),
        )
        same = data.subject(index) == found.subject
        expect(same, subject, f"subject() to say {found.subject!r} as well", data.subject(index))
        if found.points is None:
            continue
        shape, came = (names, 2), np.shape(found.points)
        expect(came == shape, subject, f"points {shape}, as many as point_names", came)
        dtype = found.points.dtype
        expect(dtype == np.float32, subject, "points in float32", dtype)
        unknown = np.isnan(found.points)
        expect(
            bool((unknown[:, 0] == unknown[:, 1]).all()) and not unknown.all(),
            subject,
            "points known in x and y or in neither, and no points where none is known",
            found.points.tolist(),
        )
        height, width = data.image(index).shape[:2]
        # The outer edges of the image, half a pixel from the outermost centres, and as much more.
        inside = unknown | (found.points >= -1) & (found.points <= (width, height))
        expect(
            bool(inside.all()),
            subject,
            f"points within the {width} x {height} pixels of {data.key(index)}",
            found.points[~inside.all(axis=1)].tolist(),
        )


@promise(
    "parts",
    "dataset",
    remedy="Return image numbers, each once; test images must neither train nor fit.",
)
def parts(subject: Subject) -> None:
    """Parts hold numbers of images, each once, and no test image is in another part."""
    data: Dataset = subject.build()
    for part in get_args(Part):
        chosen = data.indices(part)
        if chosen is None:
            continue
        outside = [index for index in chosen if not 0 <= index < len(data)]
        expect(not outside, subject, f"{part} from 0 to {len(data) - 1}", outside[:3])
        repeated = len(chosen) - len(set(chosen))
        expect(not repeated, subject, f"each image of {part} once", f"{repeated} repeated")
    make_split(data, held_out=0.2, seed=0)


@promise(
    "pickle",
    "dataset",
    remedy="Keep open files, locks and lambdas out of the object; open files where they are read.",
)
def pickled(subject: Subject) -> None:
    """It can be handed to worker processes, where it reads the same."""
    data: Dataset = subject.build()
    data.image(0)
    twin: Dataset = pickle.loads(pickle.dumps(data))
    for index in _some(data):
        expect(
            twin.key(index) == data.key(index)
            and np.array_equal(twin.image(index), data.image(index)),
            subject,
            f"image {data.key(index)} from a copy",
            f"another one, {twin.key(index)}",
        )


@promise(
    "any order",
    "dataset",
    remedy="Make an image a function of its number alone: no iterators, no chance, no writing "
    "into arrays that are kept.",
)
def any_order(subject: Subject) -> None:
    """Reading an image does not depend on which were read before."""
    forwards: Dataset = subject.build()
    backwards: Dataset = subject.build()
    chosen = _some(forwards)
    first = {index: forwards.image(index).copy() for index in chosen}
    for index in reversed(chosen):
        equal = np.array_equal(backwards.image(index), first[index])
        equal &= np.array_equal(forwards.image(index), first[index])
        key = forwards.key(index)
        expect(equal, subject, f"image {key} to be the same whenever it is read", "another one")


@promise(
    "argument",
    "dataset",
    remedy="Name the option that --data NAME:VALUE fills in the class attribute argument, or set "
    "it to None.",
)
def argument(subject: Subject) -> None:
    """What follows the colon of --data NAME:VALUE is one of its options."""
    cls = subject.load()
    names = {option.name for option in options_of(cls)}
    named = getattr(cls, "argument", None)
    wanted = f"argument = None or one of {', '.join(sorted(names)) or 'no option'}"
    expect(named is None or named in names, subject, wanted, repr(named))


def _some(data: Dataset) -> list[int]:
    """Return image numbers spread over the data, the first and the last among them."""
    return sorted({int(index) for index in np.linspace(0, len(data) - 1, LOOKED_AT)})
