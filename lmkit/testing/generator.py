"""What generators promise."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lmkit.interfaces.generator import HeatmapGenerator, images_of
from lmkit.testing.check import expect, promise
from lmkit.testing.inputs import BATCH, arguments, mapped, objective, seeded, tensors
from lmkit.testing.network import in_half_precision
from lmkit.testing.subject import Subject

COLOURS_CLOSE = 0.05
"""How far half precision may move colours, on average."""


@promise(
    "images",
    "generator",
    remedy="Return images of the size that came, (B, 3, H, W), with colours mapped to [0, 1] by "
    "a sigmoid or the like.",
)
def generator_images(subject: Subject) -> None:
    """It returns images of the size it is given, (B, 3, H, W), in [0, 1]."""
    given = arguments(subject)
    _check(subject, subject.build().train()(*given), given[0])
    # Colours stay colours, however far from them the weights have gone.
    loud = subject.build().eval()
    with torch.no_grad():
        for parameter in loud.parameters():
            parameter.mul_(3)
        _check(subject, loud(*given), given[0])


@promise("batch of one", "generator", remedy="Do not squeeze() away a batch of one.")
def generator_batch_of_one(subject: Subject) -> None:
    """It redraws a single image."""
    given = arguments(subject, 1)
    with torch.no_grad():
        _check(subject, subject.build().eval()(*given), given[0])


@promise(
    "batch independence",
    "generator",
    remedy="In eval mode use running means, and no statistics over the batch.",
)
def generator_batch_independence(subject: Subject) -> None:
    """In eval mode an image does not depend on what is beside it in the batch."""
    generator, given = subject.build().eval(), arguments(subject)
    with torch.no_grad():
        together = images_of(generator(*given))
        # Beside itself, since a batch of one is a promise of its own.
        twice = [torch.tensor([i, i]) for i in range(BATCH)]
        alone = torch.cat(
            [images_of(generator(*(part[rows] for part in given)))[:1] for rows in twice]
        )
    apart = (together - alone).abs().max().item()
    expect(apart < 1e-3, subject, "the same image in any company", f"colours {apart:.3g} off")


@promise(
    "target trains",
    "generator",
    remedy="Draw with what the target's landmarks say: gaussian_heatmaps and score maps pass "
    "gradients on, rounding and indexing do not.",
)
def target_trains(subject: Subject) -> None:
    """Gradients reach the landmarks of the target, every one of them."""
    _, _, target = _slopes(subject)
    # These are of the whole image, and say nothing of one landmark or another.
    own = {name: slope for name, slope in target.items() if name not in ("features", "images")}
    known = {name: slope for name, slope in own.items() if slope is not None}
    expect(bool(known), subject, "gradients for the target's landmarks", "none at all")
    # A landmark may act through its point, its score map or its descriptor.
    felt = sum(
        slope.abs().reshape(*slope.shape[:2], -1).sum(dim=(0, 2)) for slope in known.values()
    )
    assert isinstance(felt, Tensor)
    mute = [str(k) for k in range(len(felt)) if not felt[k] > 0]
    expect(not mute, subject, "a gradient for each landmark", f"none for {', '.join(mute)}")
    generator = subject.build().train()
    if isinstance(generator, HeatmapGenerator):
        side = subject.image_size // generator.stride
        shape = (BATCH, subject.landmarks, side, side)
        heatmaps = torch.rand(shape, generator=seeded("heatmaps")).requires_grad_()
        objective(generator.redraw(arguments(subject)[0], heatmaps)).backward()
        passed = heatmaps.grad is not None and bool(heatmaps.grad.any())
        expect(passed, subject, "gradients for the heatmaps", "none")


@promise(
    "needs images",
    "generator",
    remedy="Set needs_images = True on a generator that reads the images that landmarks were "
    "found in, and on no other.",
)
def needs_images(subject: Subject) -> None:
    """It says with needs_images whether it looks at the images that landmarks were found in."""
    generator, (images, source, target) = subject.build().eval(), arguments(subject)
    if not generator.needs_images:
        # There are none; reading them fails where they are read.
        _check(subject, generator(images, source, target), images)
        return
    with torch.no_grad():
        drawn = [
            images_of(
                generator(images, replace(source, images=first), replace(target, images=second))
            )
            for first, second in ((source.images, target.images), (target.images, source.images))
        ]
    change = (drawn[0] - drawn[1]).abs().max().item()
    expect(change > 0, subject, "needs_images = False", "True, and no use of them")


@promise(
    "source trains",
    "generator",
    remedy="Either leave the source's landmarks alone, or use them so that gradients pass.",
)
def source_trains(subject: Subject) -> None:
    """Where the source's landmarks change the image, gradients reach them."""
    generator, (images, source, target) = subject.build().eval(), arguments(subject)
    with torch.no_grad():
        moved = mapped(source, lambda tensor: tensor.roll(1, dims=0))
        change = images_of(generator(images, source, target))
        change = change - images_of(generator(images, moved, target))
    if change.abs().max() < 1e-6:
        return
    slopes = [slope for slope in _slopes(subject)[1].values() if slope is not None]
    reached = any(bool(slope.any()) for slope in slopes)
    expect(reached, subject, "gradients for the source's landmarks, which it uses", "none")


@promise(
    "image trains",
    "generator",
    remedy="Do not detach the image: on a longer route it was drawn by the hop before.",
)
def image_trains(subject: Subject) -> None:
    """Gradients reach the image it starts from, so that longer routes train."""
    slope = _slopes(subject)[0][""]
    reached = slope is not None and bool(slope.any())
    expect(reached, subject, "gradients for the image it starts from", "none")


@promise(
    "bf16",
    "generator",
    remedy="Map colours to [0, 1] in float32, and keep sums of many terms out of half precision.",
)
def generator_bf16(subject: Subject) -> None:
    """Under bfloat16 autocast it draws the same images, nearly."""
    full, half = map(images_of, in_half_precision(subject))
    _check(subject, half, full)
    apart = (full.float() - half.float()).abs().mean().item()
    expect(
        apart <= COLOURS_CLOSE,
        subject,
        f"colours within {COLOURS_CLOSE} of float32's",
        f"{apart:.3g} off",
    )


def _slopes(subject: Subject) -> list[dict[str, Tensor | None]]:
    """Return the gradients of image, source and target, in every field."""
    generator = subject.build().train()
    given = mapped(arguments(subject), lambda tensor: tensor.clone().requires_grad_())
    total = objective(generator(*given))
    if total.requires_grad:
        total.backward()
    return [{name: tensor.grad for name, tensor in tensors(part)} for part in given]


def _check(subject: Subject, drawn: Any, images: Tensor) -> None:
    drawn = images_of(drawn)
    kind = isinstance(drawn, Tensor) and drawn.is_floating_point()
    expect(kind, subject, "a tensor of floating point", getattr(drawn, "dtype", type(drawn)))
    shape, came = tuple(images.shape), tuple(drawn.shape)
    expect(came == shape, subject, f"images of shape {shape}", f"shape {came}")
    expect(bool(drawn.isfinite().all()), subject, "finite colours", "others")
    least, most = drawn.min().item(), drawn.max().item()
    inside = least >= -1e-4 and most <= 1 + 1e-4
    expect(inside, subject, "colours in [0, 1]", f"{least:.4g} to {most:.4g}")
