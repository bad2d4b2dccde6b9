"""The network that all three parts of the method are: down, and up again with skip connections."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from lmkit.api import LmkitError

_SLOPE = 0.2
"""Of the leaky ReLU below 0."""


class Hourglass(nn.Module):
    """Convolutions at several resolutions, each half as fine as the one before.

    The layers are those of the authors' released code: 3x3 convolutions with BatchNorm and leaky
    ReLU (slope 0.2); max-pooling on the way down, nearest upsampling on the way up, which mirrors
    the way down; and a chain of convolutions on every skip connection, which is added.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        levels: For each resolution, from fine to coarse, the channels of its convolutions.
        skips: Convolutions on each skip connection.
        last: The convolution that comes last; one like the others if none is given.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        levels: Sequence[Sequence[int]],
        *,
        skips: int,
        last: nn.Module | None = None,
    ) -> None:
        super().__init__()
        widths, coarser = levels[0], levels[1:]
        self.down = _chain(inputs, *widths)
        width = widths[-1]
        self.skip = _chain(width, *[width] * skips) if coarser else None
        self.inner = Hourglass(width, width, coarser, skips=skips) if coarser else None
        mirrored = widths[::-1]
        self.up = nn.Sequential(*_chain(*mirrored), last or _layer(mirrored[-1], outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, h, w)."""
        x = self.down(x)
        if self.inner is not None and self.skip is not None:
            low = self.inner(functional.max_pool2d(x, 2))
            x = self.skip(x) + functional.interpolate(low, scale_factor=2, mode="nearest")
        result: Tensor = self.up(x)
        return result


def require_at_least(section: str, least: float, **options: float) -> None:
    """Refuse options that are too small.

    Args:
        section: Where they stand in the settings (``detector``).
        least: The least that works.
        options: Their values, by name.

    Raises:
        LmkitError: If one is less.
    """
    for name, value in options.items():
        if not value >= least:
            raise LmkitError(
                f"{section}.{name}={value} is less than {least}.",
                remedy=f"Give {section}.{name} a number from {least}.",
            )


def require_multiple(
    height: int, width: int, halvings: int, *, network: str, stride: int = 1
) -> None:
    """Refuse images that a network cannot halve often enough.

    Args:
        height: Of the images, in pixels.
        width: Of the images, in pixels.
        halvings: How often they are halved.
        network: Whose option ``depth`` decides that: ``detector`` or ``generator``.
        stride: Pixels that make one cell of the finest resolution, along each side.

    Raises:
        LmkitError: If a side is not a multiple of ``stride * 2^halvings``.
    """
    unit = stride * 2**halvings
    divided = f"divided by {stride} and then " if stride > 1 else ""
    if height % unit or width % unit or not height or not width:
        raise LmkitError(
            f"Images of {width} x {height} pixels cannot be {divided}halved {halvings} times, as "
            f"the {network} 'structure' does.",
            remedy=f"Give run.image_size a multiple of {unit}, or a smaller {network}.depth.",
        )


def _chain(*widths: int) -> nn.Sequential:
    return nn.Sequential(*map(_layer, widths[:-1], widths[1:]))


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(_SLOPE),
    )
