"""What deformations promise."""

import torch
from torch import Tensor

from lmkit.geometry.coordinates import to_pixels
from lmkit.geometry.warps import Warp
from lmkit.interfaces.deformation import Views
from lmkit.testing.check import expect, promise
from lmkit.testing.inputs import BATCH, random_images, seeded
from lmkit.testing.network import cuda_device
from lmkit.testing.subject import Subject

DOTS = 64
TOLERANCE = 1.0
"""How far from where map_points says a dot may be found, in pixels."""
_SPREAD = 1.5  # standard deviation of a dot, in pixels


@promise(
    "views",
    "deformation",
    remedy="Return lmkit.api.Views: two views of the size that came, float32 in [0, 1], and the "
    "warps that lead to them.",
)
def views(subject: Subject) -> None:
    """It returns two views of each image, (B, 3, H, W), float32 in [0, 1]."""
    _check_views(subject, BATCH)


@promise("batch of one", "deformation", remedy="Do not squeeze() away a batch of one.")
def deformation_batch_of_one(subject: Subject) -> None:
    """It makes the views of a single image."""
    _check_views(subject, 1)


@promise(
    "warps",
    "deformation",
    remedy="Return one lmkit.api.Warp a view, made for the whole batch; AffineWarp and "
    "ThinPlateWarp keep these promises.",
)
def warps(subject: Subject) -> None:
    """Warps are there for every image, invertible, and let gradients pass."""
    made = _deform(subject, random_images(BATCH, subject.image_size))
    for name, warp in (("original", made.original_warp), ("deformed", made.deformed_warp)):
        kind = type(warp).__name__
        expect(isinstance(warp, Warp), subject, f"a Warp to the {name} view", f"a {kind}")
        expect(warp.batch == BATCH, subject, f"a warp for {BATCH} images", warp.batch)
        points = (torch.rand(BATCH, 20, 2, generator=seeded("warps")) - 0.5).requires_grad_()
        moved = warp.map_points(points)
        expect(
            moved.shape == points.shape and moved.dtype == torch.float32,
            subject,
            f"map_points to keep shape and type {tuple(points.shape)}, {points.dtype}",
            f"{tuple(moved.shape)}, {moved.dtype}",
        )
        passes = moved.requires_grad
        expect(passes, subject, "map_points to pass gradients on", "a constant")
        apart = (warp.sample_points(moved) - points).norm(dim=-1).max().item()
        expect(apart < 0.01, subject, "sample_points to undo map_points", f"points {apart:.3g} off")


@promise(
    "moved pixels",
    "deformation",
    remedy="Make images and points follow one map: call the warp on the images, and remember "
    "that map_points goes from the image to the view, and sample_points back.",
)
def moved_pixels(subject: Subject) -> None:
    """A dot drawn on an image is found in both views where map_points says, within a pixel."""
    size = subject.image_size
    points = torch.rand(DOTS, 1, 2, generator=seeded("dots")) * 1.2 - 0.6
    dots = _dots(to_pixels(points, size, size)[:, 0], size)
    grey = torch.full((DOTS, 3, size, size), 0.25)
    plain, dotted = _deform(subject, grey), _deform(subject, grey + dots[:, None] / 2)
    for name, before, after, warp in (
        ("original", plain.original, dotted.original, dotted.original_warp),
        ("deformed", plain.deformed, dotted.deformed, dotted.deformed_warp),
    ):
        said = to_pixels(warp.map_points(points)[:, 0], size, size)
        light = _light(after - before)
        # Only dots that lie in the view as a whole have their centre of light there.
        margin = 4 * _SPREAD
        whole = ((said > margin) & (said < size - 1 - margin)).all(dim=1)
        expect(
            bool(whole.sum() >= DOTS // 4),
            subject,
            f"at least a quarter of the {name} view to show the middle of the image",
            f"{whole.sum()} of {DOTS} dots in view",
        )
        apart = (_centres(light) - said).norm(dim=1)[whole].nan_to_num(float("inf"))
        # A deformation may also hide parts of a view, and a dot or two with them.
        worst = apart.sort().values[int(0.9 * (len(apart) - 1))].item()
        wanted = f"dots of the {name} view within {TOLERANCE} pixel of map_points"
        expect(worst <= TOLERANCE, subject, wanted, f"dots {worst:.3g} pixels off")


@promise(
    "repeatable",
    "deformation",
    remedy="Draw from the generator that is given, and keep nothing from one call to the next.",
)
def deformation_repeatable(subject: Subject) -> None:
    """The same generator gives the same views and warps, whatever was drawn before."""
    images = random_images(BATCH, subject.image_size)
    deformation = subject.build()
    first = deformation(images, seeded("repeatable"))
    deformation(images, seeded("something else"))
    second = deformation(images, seeded("repeatable"))
    points = torch.rand(BATCH, 9, 2, generator=seeded("nine")) - 0.5
    for name, one, other in (
        ("original view", first.original, second.original),
        ("deformed view", first.deformed, second.deformed),
        *(
            (
                f"{view} warp",
                getattr(first, view).map_points(points),
                getattr(second, view).map_points(points),
            )
            for view in ("original_warp", "deformed_warp")
        ),
    ):
        expect(torch.equal(one, other), subject, f"the same {name} twice", "another one")


@promise("inputs", "deformation", remedy="Do not write into the images that are given.")
def deformation_inputs(subject: Subject) -> None:
    """The images it is given stay as they were."""
    images = random_images(BATCH, subject.image_size)
    before = images.clone()
    _deform(subject, images)
    expect(torch.equal(before, images), subject, "its input to stay as it was", "changed images")


@promise(
    "cuda", "deformation", remedy="Make tensors on the generator's device, which is the images'."
)
def deformation_cuda(subject: Subject) -> None:
    """On a CUDA device views and warps are made there."""
    device = cuda_device()
    images = random_images(BATCH, subject.image_size).to(device)
    made = subject.build()(images, torch.Generator(device).manual_seed(0))
    for part in made:
        came = part.device.type
        expect(came == device.type, subject, "views and warps on the device", f"one on {came}")


def _deform(subject: Subject, images: Tensor) -> Views:
    made = subject.build()(images, seeded("deformation"))
    kind = isinstance(made, Views)
    expect(kind, subject, "lmkit.api.Views", f"a {type(made).__name__}")
    result: Views = made
    return result


def _check_views(subject: Subject, batch: int) -> None:
    for images in (
        random_images(batch, subject.image_size),
        random_images(batch, subject.image_size).round(),
    ):
        made = _deform(subject, images)
        for name, view in (("original", made.original), ("deformed", made.deformed)):
            expect(
                view.shape == images.shape and view.dtype == torch.float32,
                subject,
                f"an {name} view of {tuple(images.shape)}, torch.float32",
                f"{tuple(view.shape)}, {view.dtype}",
            )
            least, most = view.min().item(), view.max().item()
            inside = least >= -1e-4 and most <= 1 + 1e-4
            expect(inside, subject, "colours in [0, 1]", f"{least:.4g} to {most:.4g}")


def _dots(pixels: Tensor, size: int) -> Tensor:
    """Draw a dot at one place of each image, (B, size, size) in [0, 1]."""
    line = torch.arange(size, dtype=torch.float32)
    across = torch.exp(-((line - pixels[:, :1]) ** 2) / (2 * _SPREAD**2))
    down = torch.exp(-((line - pixels[:, 1:]) ** 2) / (2 * _SPREAD**2))
    return down[:, :, None] * across[:, None, :]


def _light(change: Tensor) -> Tensor:
    """Return where a dot has changed a view, (B, H, W), however colours were changed beside.

    What all of the view has in common is left out: a dot changes the mean that contrast is about.
    """
    grey = change.mean(dim=1)
    apart = (grey - grey.flatten(1).median(dim=1).values[:, None, None]).abs()
    strongest = apart.flatten(1).max(dim=1).values[:, None, None]
    return (apart - 0.1 * strongest).clamp_min(0)


def _centres(light: Tensor) -> Tensor:
    """Return the centre of light of each image, (B, 2), (x, y) in pixels; NaN in darkness."""
    line = torch.arange(light.shape[-1], dtype=light.dtype)
    total = light.sum(dim=(1, 2))
    x, y = (light.sum(dim=1) * line).sum(dim=1), (light.sum(dim=2) * line).sum(dim=1)
    return torch.stack((x, y), dim=1) / total[:, None]
