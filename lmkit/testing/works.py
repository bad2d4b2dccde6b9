"""The first promise of every component: it does what a run asks of it, once.

Everything else is asked only of what keeps it, so that one mistake is one failure.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps

import torch

from lmkit.interfaces.pairing import Pairing
from lmkit.runtime.guarded import GuardedDataset
from lmkit.runtime.returned import (
    check_auxiliary,
    check_drawn,
    check_landmarks,
    check_loss,
    check_routes,
    check_views,
)
from lmkit.testing.check import WORKS, Function, promise
from lmkit.testing.inputs import BATCH, arguments, difference, mapped, random_images, seeded
from lmkit.testing.state import global_state_kept
from lmkit.testing.story import follow, run_folder
from lmkit.testing.subject import Subject


def _apart(function: Function) -> Function:
    """Let a check leave nothing behind in this process."""

    @wraps(function)
    def check(subject: Subject) -> None:
        with global_state_kept():
            function(subject)

    return check


@contextmanager
def _left_alone(given: object) -> Iterator[None]:
    """Raise if the body writes into what it is given."""
    before = mapped(given, torch.Tensor.clone)
    yield
    names = [name for name, apart in difference(before, given).items() if apart]
    if names:
        raise ValueError(
            f"wrote into what it is given ({', '.join(names[:3])}): no x += 1, no add_(), no "
            "inplace=True as first layer"
        )


@contextmanager
def _nothing_drawn() -> Iterator[None]:
    """Raise if the body draws from torch's own random numbers, which steps do not decide."""
    before = torch.get_rng_state()
    yield
    if not torch.equal(before, torch.get_rng_state()):
        raise ValueError(
            "drew from torch's global random numbers instead of the generator that it is given: "
            "write torch.rand(..., generator=generator)"
        )


@promise(
    WORKS,
    "detector",
    remedy="Return lmkit.api.Landmarks with points (B, K, 2), (x, y) in [-1, 1], computed in "
    "float32; HeatmapDetector does that for you from score maps.",
)
@_apart
def detector_works(subject: Subject) -> None:
    """It is built, and finds K landmarks in each image."""
    detector, given = subject.build().train(), arguments(subject)
    with _left_alone(given):
        found = detector(*given)
    check_landmarks(found, BATCH, subject.landmarks, values=True)
    trains = any(parameter.requires_grad for parameter in detector.parameters())
    if trains and not found.points.requires_grad:
        raise ValueError(
            "returned points that no gradient flows from: they were detached, or found by argmax"
        )


@promise(
    WORKS,
    "generator",
    remedy="Return images of the size that came, (B, 3, H, W), with colours mapped to [0, 1] by "
    "a sigmoid or the like.",
)
@_apart
def generator_works(subject: Subject) -> None:
    """It is built, and redraws images of the size it is given, in [0, 1]."""
    generator, given = subject.build().train(), arguments(subject)
    with _left_alone(given):
        drawn = generator(*given)
    check_drawn(drawn, given[0].shape, values=True)


@promise(
    WORKS,
    "deformation",
    remedy="Return lmkit.api.Views: two views of the size that came, float32 in [0, 1], and the "
    "warps that lead to them; or derive from GeometricDeformation and return two warps.",
)
@_apart
def deformation_works(subject: Subject) -> None:
    """It is built, and makes two views of each image with their warps."""
    images = random_images(BATCH, subject.image_size)
    deformation = subject.build()
    with _left_alone(images), _nothing_drawn():
        made = deformation(images, seeded("deformation"))
    check_views(made, images, values=True)


@promise(
    WORKS,
    "pairing",
    remedy="Return a tuple of lmkit.api.Route, such as Route('original', ('auxiliary',), "
    "'deformed'), each once; leave auxiliary() to Pairing, or draw it with lmkit.api.derangement.",
)
@_apart
def pairing_works(subject: Subject) -> None:
    """It is built, and returns routes, and an auxiliary for each image where one needs it."""
    pairing: Pairing = subject.build()
    routes = check_routes(pairing.routes())
    with _nothing_drawn():
        chosen = pairing.auxiliary(BATCH, None, seeded("works"))
    check_auxiliary(chosen, BATCH, routes)


@promise(
    WORKS,
    "loss",
    remedy="Return one number, mean() or sum() of terms in float32, of what gradients flow from: "
    "neither detach() nor item() nor float().",
)
@_apart
def loss_works(subject: Subject) -> None:
    """It is built, and returns a scalar that gradients flow from."""
    loss, (given,) = subject.build().train(), arguments(subject)
    step = mapped(given, lambda tensor: tensor.clone().requires_grad_())
    check_loss(loss(replace(step, truth=given.truth)))
    with _left_alone(given), torch.no_grad():
        loss(given)


@promise(
    WORKS,
    "dataset",
    remedy="Return a text of key(), an array (H, W, 3) of uint8 of image(), and "
    "lmkit.api.Annotation of annotation().",
)
@_apart
def dataset_works(subject: Subject) -> None:
    """It is built, has images, and gives the first and the last one with what is known of it."""
    data = GuardedDataset(subject.build(), str(subject))
    if len(data) < 1:
        raise ValueError("__len__() returned 0, and there is nothing to train on")
    seen: set[str] = set()
    for index in range(len(data)):
        key = data.key(index)
        if key in seen:
            raise ValueError(f"key() returned {key!r} for two images or more")
        seen.add(key)
    for index in {0, len(data) - 1}:
        data.image(index)
        data.annotation(index)
        data.subject(index)
        data.problem(index)
    for part in ("train", "fit", "test"):
        data.indices(part)


@promise(
    WORKS,
    "writer",
    remedy="Write any of started, metrics, sheet, checkpoint and ended, with the arguments that "
    "they have in lmkit.api.Writer.",
)
@_apart
def writer_works(subject: Subject) -> None:
    """It is built, and hears a run from its start to its end."""
    with run_folder() as folder, torch.no_grad():
        follow(subject, subject.build(), folder)
