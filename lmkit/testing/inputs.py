"""What networks are called with in checks, and what can be done to any of it alike."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from lmkit.geometry.coordinates import pixel_grid
from lmkit.geometry.soft_argmax import spatial_softmax
from lmkit.geometry.warps import AffineWarp, Warp
from lmkit.interfaces.landmarks import Extras, Landmarks
from lmkit.interfaces.live import LiveNetwork
from lmkit.interfaces.pairing import Route, View
from lmkit.interfaces.step import NO_TRUTH, Absent, Step
from lmkit.seeds import derive
from lmkit.testing.networks import stand_ins
from lmkit.testing.subject import Subject

BATCH = 4
"""Images in a batch, where a check does not say otherwise."""

Value = TypeVar("Value")


def seeded(*words: int | str) -> torch.Generator:
    """Return a generator on the CPU that is a function of these words."""
    return torch.Generator().manual_seed(derive(0, "conformance", *words))


def random_images(batch: int, height: int, width: int | None = None, *, word: str = "") -> Tensor:
    """Return random images, (batch, 3, height, width), in [0, 1]."""
    shape = (batch, 3, height, height if width is None else width)
    return torch.rand(shape, generator=seeded("images", word))


def landmarks(
    batch: int, count: int, side: int, *, word: str = "", images: Tensor | None = None
) -> Landmarks:
    """Return random landmarks with everything that a detector may find.

    Args:
        batch: The number of images.
        count: The number of landmarks K.
        side: Of the score maps, whose maxima are at the points.
        word: Another word gives others.
        images: The images that they are of, if their generator needs them.
    """
    random = seeded("landmarks", word)
    points = torch.rand(batch, count, 2, generator=random) * 1.6 - 0.8
    distance = (pixel_grid(side, side) - points[:, :, None, None]).square().sum(dim=-1)
    scores = -4 * distance
    return Landmarks(
        points=points,
        score_maps=scores,
        confidence=torch.rand(batch, count, generator=random),
        descriptors=torch.randn(batch, count, 8, generator=random),
        features=torch.randn(batch, 8, side, side, generator=random),
        probability_maps=spatial_softmax(scores),
        images=images,
    )


def step(batch: int, count: int, size: int, *, annotated: bool) -> Step:
    """Return the record of a step: two routes through an auxiliary view, and back.

    Args:
        batch: The number of images.
        count: The number of landmarks K.
        size: Side of the images, in pixels.
        annotated: Whether K points of each image are known; but for the first of the first one.
    """
    random = seeded("step")
    order = torch.arange(batch).roll(-1)
    found: dict[View, Landmarks] = {
        "original": landmarks(batch, count, size // 4, word="original"),
        "deformed": landmarks(batch, count, size // 4, word="deformed"),
    }
    found["auxiliary"] = found["original"][order]
    views: dict[View, Tensor] = {
        "original": random_images(batch, size, word="original"),
        "deformed": random_images(batch, size, word="deformed"),
    }
    views["auxiliary"] = views["original"][order]
    # A small turn for one view, and a small shift for the other.
    turn = torch.tensor([[0.99, -0.1, 0.0], [0.1, 0.99, 0.0]]).expand(batch, 2, 3)
    shift = torch.tensor([[1.0, 0.0, 0.1], [0.0, 1.0, -0.05]]).expand(batch, 2, 3)
    warps: dict[View, Warp] = {"original": AffineWarp(turn), "deformed": AffineWarp(shift)}
    routes = (
        Route("original", ("auxiliary",), "deformed"),
        Route("deformed", ("auxiliary",), "original"),
    )
    drawn = torch.rand(2, 2, batch, 3, size, size, generator=random).unbind()
    stages = tuple(tuple(hops.unbind()) for hops in drawn)
    truth: dict[View, Tensor] = Absent(NO_TRUTH)
    for view in ("original", "deformed") if annotated else ():
        truth[view] = landmarks(batch, count, 1, word=f"truth {view}").points
        truth[view][0, 0] = float("nan")
    detector, generator = map(LiveNetwork, stand_ins(count))
    return Step(
        0,
        views,
        found,
        warps,
        routes,
        stages,
        truth,
        extras=((Extras(),) * 2,) * 2,
        detector=detector,
        generator=generator,
    )


def arguments(subject: Subject, batch: int = BATCH) -> tuple[Any, ...]:
    """Return what a network of the subject's kind is called with."""
    size, count = subject.image_size, subject.landmarks
    if subject.kind == "detector":
        return (random_images(batch, size),)
    if subject.kind == "generator":
        needed = bool(getattr(subject.load(), "needs_images", False))
        images = {word: random_images(batch, size, word=word) for word in ("", "target")}
        source, target = (
            landmarks(batch, count, size // 4, word=word, images=images[of] if needed else None)
            for word, of in (("source", ""), ("target", "target"))
        )
        return images[""], source, target
    annotated = bool(getattr(subject.load(), "needs_truth", False))
    return (step(batch, count, size, annotated=annotated),)


def mapped(value: Value, function: Callable[[Tensor], Tensor]) -> Value:
    """Return a value of the same form with the function applied to every tensor in it."""
    made: Any = value
    if isinstance(value, Tensor):
        made = function(value)
    elif isinstance(value, AffineWarp):
        made = AffineWarp(function(value.matrix))
    elif isinstance(value, Mapping) and value:
        made = {key: mapped(inner, function) for key, inner in value.items()}
    elif is_dataclass(value) and not isinstance(value, type):
        made = type(value)(
            **{each.name: mapped(getattr(value, each.name), function) for each in fields(value)}
        )
    elif type(value) is tuple:
        made = tuple(mapped(inner, function) for inner in made)
    result: Value = made
    return result


def tensors(value: object, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor in a value with its name in it: ``landmarks.original.points``."""
    inner: list[tuple[str, object]] = []
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, AffineWarp):
        yield f"{name}.matrix", value.matrix
    elif isinstance(value, Mapping):
        inner = [(str(key), part) for key, part in value.items()]
    elif is_dataclass(value) and not isinstance(value, type):
        inner = [(each.name, getattr(value, each.name)) for each in fields(value)]
    elif type(value) is tuple:
        inner = [(str(number), part) for number, part in enumerate(value)]
    for key, part in inner:
        yield from tensors(part, f"{name}.{key}" if name else key)


def objective(result: object) -> Tensor:
    """Return a scalar that depends on every number of a result, each with its own weight."""
    terms = [
        (tensor.float() * torch.rand(tensor.shape, generator=seeded(name)).to(tensor.device)).sum()
        for name, tensor in tensors(result)
        if tensor.requires_grad
    ]
    return torch.stack(terms).sum() if terms else torch.zeros(())


def difference(first: object, second: object) -> dict[str, float]:
    """Return the largest difference between the tensors of two results, by name."""
    others = dict(tensors(second))
    return {
        name: _apart(tensor, others[name]).max().item()
        for name, tensor in tensors(first)
        if name in others and tensor.shape == others[name].shape and tensor.numel()
    }


def same(first: object, second: object) -> bool:
    """Whether two results are equal bit for bit."""
    one, other = dict(tensors(first)), dict(tensors(second))
    shapes = [{name: tensor.shape for name, tensor in each.items()} for each in (one, other)]
    return shapes[0] == shapes[1] and not any(difference(first, second).values())


def _apart(first: Tensor, second: Tensor) -> Tensor:
    """Return the differences of two tensors, where what is not known equals itself."""
    one, other = (tensor.detach().float().cpu() for tensor in (first, second))
    return (one - other).abs().where(~(one.isnan() & other.isnan()), 0.0)
