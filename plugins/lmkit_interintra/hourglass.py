"""The paper's detector: a stacked hourglass network that writes one score map a landmark."""

from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from lmkit.api import ExitCode, HeatmapDetector, LmkitError, load_weights
from lmkit_interintra.blocks import Block, HourglassModule, MakeBlock, PlainBlock, conv3x3
from lmkit_interintra.checks import require
from lmkit_interintra.projection import ProjectedConv2d, plain_weights

Start = Literal["scratch", "finetune", "projection"]
Blocks = Literal["hierarchical", "plain"]

_BLOCKS: dict[Blocks, MakeBlock] = {"hierarchical": Block, "plain": PlainBlock}

_STRIDES = (1, 2, 4)
"""Sides of the image that may be one side of its score maps; the paper's is the last."""


class Hourglass(HeatmapDetector):
    """The detector of Li et al. 2020: by default one hourglass of depth 4 with 256 channels.

    6.23 M parameters and 4.1 GFLOP for an image of 128 pixels and K = 10. Score maps are a
    quarter of the image in each direction. With several stacks, only the last one's score maps
    are used and supervised.

    Images much smaller than the paper's leave few cells to such score maps. A smaller stride gives
    them more, at the cost of as much more work in the hourglass, and plain blocks are quick where
    there are few features.

    Args:
        landmarks: The number of landmarks K.
        image_size: Side of the square images in pixels, a multiple of ``stride * 2^depth``.
        stacks: How many hourglasses follow one another.
        depth: How often each hourglass halves the map.
        features: Channels of the hourglasses, a multiple of 8.
        stride: Pixels of the image for one of its score maps in each direction: 4 as in the paper,
            2 (the first layers halve the image once) or 1 (they do not).
        blocks: What the network is made of: ``hierarchical``, the paper's blocks of three 3x3
            convolutions, of which each sees the one before; ``plain``, single 3x3 convolutions as
            wide as the features, each with BatchNorm and ReLU. With few features the paper's are
            too narrow: a quarter of 32 are 8 channels.
        beta: Smoothness of the soft-argmax; the larger, the closer to the maximum.
        init: How training starts: from random weights (scratch), from those of the core
            (finetune), or with the core's 3x3 filters frozen and only a square matrix learned that
            remixes them (projection); 514,698 parameters then train at K = 10.
        core: A pretrained hourglass of the same stacks, depth, features and blocks, for finetune
            and projection: a file of weights, or the folder of a run, as lmkit pretrain writes it.
            Read once, when a run starts. Where it has another number of landmarks, its head is
            left out; where it was itself started by projection, its matrices are multiplied into
            its filters.

    Raises:
        LmkitError: If the options contradict one another.
    """

    def __init__(
        self,
        *,
        landmarks: int,
        image_size: int,
        stacks: int = 1,
        depth: int = 4,
        features: int = 256,
        stride: int = 4,
        blocks: Blocks = "hierarchical",
        beta: float = 10.0,
        init: Start = "scratch",
        core: Path | None = None,
    ) -> None:
        super().__init__(landmarks=landmarks, beta=beta)
        _check_architecture(image_size, stacks, depth, features, stride, beta)
        _check_start(init, core)
        self.core = core
        self.unit = stride * 2**depth
        conv = ProjectedConv2d if init == "projection" else conv3x3
        block = _BLOCKS[blocks]
        narrow, middle = features // 4, features // 2
        self.stem = nn.Sequential(
            nn.Conv2d(3, narrow, 7, stride=min(stride, 2), padding=3),
            nn.BatchNorm2d(narrow),
            nn.ReLU(inplace=True),
            block(narrow, middle, conv),
            nn.AvgPool2d(2) if stride == 4 else nn.Identity(),
            block(middle, middle, conv),
            block(middle, features, conv),
        )
        self.hourglasses = nn.ModuleList(
            nn.Sequential(
                HourglassModule(depth, features, conv, block),
                block(features, features, conv),
                nn.Conv2d(features, features, 1),
                nn.BatchNorm2d(features),
                nn.ReLU(inplace=True),
            )
            for _ in range(stacks)
        )
        self.heads = nn.ModuleList(nn.Conv2d(features, landmarks, 1) for _ in range(stacks))
        # What one stack hands to the next: its features and its score maps (Newell 2016).
        self.remix = nn.ModuleList(nn.Conv2d(features, features, 1) for _ in range(stacks - 1))
        self.reinject = nn.ModuleList(nn.Conv2d(landmarks, features, 1) for _ in range(stacks - 1))

    def score_maps(self, images: Tensor) -> Tensor:
        """Score every position.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].

        Returns:
            (B, K, H / stride, W / stride), any real numbers; those of the last stack.

        Raises:
            LmkitError: If a side is not a multiple of stride * 2^depth.
        """
        height, width = images.shape[-2:]
        if height % self.unit or width % self.unit:
            raise LmkitError(
                f"Images of {width} x {height} pixels do not fit this hourglass, which halves "
                f"them until {self.unit} pixels are one.",
                remedy=f"Give it images whose sides are multiples of {self.unit}.",
            )
        x: Tensor = self.stem(images)
        for hourglass, head, remix, reinject in zip(
            self.hourglasses, self.heads, self.remix, self.reinject, strict=False
        ):
            features = hourglass(x)
            x = x + remix(features) + reinject(head(features))
        scores: Tensor = self.heads[-1](self.hourglasses[-1](x))
        return scores

    def initialise(self) -> None:
        """Read the core, where one is wanted.

        Raises:
            LmkitError: If it cannot be read or is of another architecture.
        """
        if self.core is None:
            return
        given = plain_weights(load_weights(self.core, option="detector.core"))
        own = self.state_dict()
        left_out = {name for name in own if name.endswith(".projection")}
        head = f"heads.{len(self.heads) - 1}.weight"
        if head in given and given[head].shape != own[head].shape:
            left_out |= {name for name in own if name.startswith(("heads.", "reinject."))}
            # Their shape may fit all the same: the biases of reinject do not depend on K.
            given = {name: value for name, value in given.items() if name not in left_out}
        self._check_core(given, {name: own[name] for name in own if name not in left_out})
        self.load_state_dict(given, strict=False)

    def _check_core(self, given: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
        faults = {
            "missing": sorted(wanted.keys() - given.keys()),
            "unknown": sorted(given.keys() - wanted.keys()),
            "of another shape": sorted(
                name
                for name in wanted.keys() & given.keys()
                if wanted[name].shape != given[name].shape
            ),
        }
        listed = "; ".join(
            f"{len(names)} {fault}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
            for fault, names in faults.items()
            if names
        )
        if listed:
            raise LmkitError(
                f"detector.core={self.core} does not hold this hourglass's weights ({listed}).",
                remedy="Give the weights of an hourglass with the same detector.stacks, "
                "detector.depth, detector.features and detector.blocks.",
                code=ExitCode.DATA,
            )


def _check_architecture(
    image_size: int, stacks: int, depth: int, features: int, stride: int, beta: float
) -> None:
    for name, value in (("stacks", stacks), ("depth", depth)):
        require(
            value >= 1,
            f"detector.{name}",
            value,
            why="an hourglass network has at least one",
            remedy=f"Give detector.{name} a whole number from 1.",
        )
    require(
        features >= 8 and features % 8 == 0,
        "detector.features",
        features,
        why="the blocks split it into eighths",
        remedy="Give detector.features a multiple of 8, such as 32, 64, 128 or 256.",
    )
    require(
        stride in _STRIDES,
        "detector.stride",
        stride,
        why="the first layers halve images twice, once or not at all",
        remedy="Give detector.stride 1, 2 or 4; the paper's is 4.",
    )
    require(
        beta > 0,
        "detector.beta",
        beta,
        why="the soft-argmax would not look for the maximum",
        remedy="Give detector.beta a number above 0; the paper's is 10.",
    )
    unit = stride * 2**depth
    require(
        image_size >= unit and image_size % unit == 0,
        "run.image_size",
        image_size,
        why=f"an hourglass of detector.stride={stride} and detector.depth={depth} needs a multiple "
        f"of {unit}",
        remedy=f"Give run.image_size a multiple of {unit}, or a smaller detector.depth.",
    )


def _check_start(init: Start, core: Path | None) -> None:
    if init != "scratch" and core is None:
        raise LmkitError(
            f"detector.init={init} needs a pretrained hourglass, and detector.core names none.",
            remedy="Give its weights with --set detector.core=FILE, or the run that trained it, "
            "detector.core=RUN, or start with detector.init=scratch.",
        )
    if init == "scratch" and core is not None:
        raise LmkitError(
            f"detector.core={core} would not be used, because detector.init is scratch.",
            remedy="Say how to use it with --set detector.init=finetune (or projection), or leave "
            "detector.core out.",
        )
