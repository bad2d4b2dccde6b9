"""The detector: a timm backbone, and a decoder that writes score maps."""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lmkit.api import DEFAULT_BETA, HeatmapDetector, LmkitError
from lmkit_timm.backbones import (
    build,
    cannot_be_used,
    data_configuration,
    pretrained_weights,
    stage_names,
    stage_parameters,
)
from lmkit_timm.decoder import Decoder

_STRIDE = 4  # side of the image divided by that of the score maps, as everywhere in the method


class TimmDetector(HeatmapDetector):
    """Any backbone that timm can take feature maps from: convolutional or transformer.

    Its feature maps, from a quarter of the image's side downwards, are added from coarse to fine
    by a light decoder that writes the score maps. Images are normalised as timm's data
    configuration of the backbone says. Where a transformer's patches do not divide the side of the
    image, images are enlarged to the next multiple first.

    Args:
        landmarks: The number of landmarks K.
        image_size: Side of the square images in pixels, a multiple of 4; most backbones want one
            of 32.
        backbone: As timm calls it, with or without a tag of weights: resnet18, resnet50.a1_in1k,
            convnext_tiny, vit_small_patch16_224. All: lmkit list backbone.
        pretrained: Whether it starts from pretrained weights: true has timm download them once,
            false starts from random ones, and a path names a file of them, as timm publishes it.
            Read once, when a run starts.
        frozen: How many of its first stages keep their weights. A stage ends where timm takes a
            feature map: of a ResNet there are five, of a ViT with twelve blocks three, which end
            with its tenth, eleventh and twelfth. ``all`` freezes the whole backbone, so that only
            the decoder trains.
        width: Channels of the decoder.
        beta: Smoothness of the soft-argmax; the larger, the closer to the maximum.

    Raises:
        LmkitError: If timm has no such backbone, or it cannot be used so.
    """

    argument = "backbone"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        landmarks: int,
        image_size: int,
        backbone: str = "resnet18",
        pretrained: bool | Path = False,
        frozen: int | Literal["all"] = 0,
        width: int = 64,
        beta: float = DEFAULT_BETA,
    ) -> None:
        super().__init__(landmarks=landmarks, beta=beta)
        _check(image_size, width, beta)
        self.name, self.pretrained = backbone, pretrained
        self.backbone = build(backbone, image_size)
        reductions = self.backbone.feature_info.reduction()  # type: ignore[union-attr,operator]
        self.side = _fitting_side(image_size, reductions)
        if self.side != image_size:
            self.backbone = build(backbone, self.side)
        channels = self.backbone.feature_info.channels()  # type: ignore[union-attr,operator]
        self.used = [n for n, reduction in enumerate(reductions) if reduction >= _STRIDE]
        self.last_channels = getattr(self.backbone, "output_fmt", "NCHW") == "NHWC"
        self.decoder = Decoder(
            [channels[n] for n in self.used],
            [reductions[n] for n in self.used],
            width=width,
            landmarks=landmarks,
            stride=_STRIDE,
        )
        self.image_size = image_size
        self._frozen = self._freeze(frozen)
        given = data_configuration(backbone)
        mean, std = (torch.tensor(each).view(3, 1, 1) for each in (given.mean, given.std))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def score_maps(self, images: Tensor) -> Tensor:
        """Score every position.

        Args:
            images: (B, 3, S, S), RGB in [0, 1], S the ``image_size``.

        Returns:
            (B, K, S / 4, S / 4), any real numbers.

        Raises:
            LmkitError: If they are of another size.
        """
        if images.shape[-2:] != (self.image_size, self.image_size):
            height, width = images.shape[-2:]
            raise LmkitError(
                f"{self.name} was built for images of {self.image_size} x {self.image_size} "
                f"pixels, and got {height} x {width}.",
                remedy="Give images of that size, or build the detector for another.",
            )
        size = (self.image_size // _STRIDE, self.image_size // _STRIDE)
        if self.side != self.image_size:
            side = (self.side, self.side)
            images = functional.interpolate(images, side, mode="bilinear", align_corners=False)
        features = self.backbone((images - self.mean) / self.std)
        chosen = [features[n] for n in self.used]
        if self.last_channels:
            chosen = [feature.permute(0, 3, 1, 2) for feature in chosen]
        scores: Tensor = self.decoder(chosen, size)
        return scores

    def initialise(self) -> None:
        """Try the backbone at this size of images, and read its pretrained weights if wanted.

        Raises:
            LmkitError: If it does not work, or the weights cannot be had or do not fit.
        """
        self.eval()
        try:
            with torch.inference_mode():
                self(torch.zeros(1, 3, self.image_size, self.image_size))
        except Exception as error:
            raise cannot_be_used(self.name, self.image_size, error) from error
        finally:
            self.train()
        if self.pretrained is not False:
            source = None if self.pretrained is True else self.pretrained
            self.backbone.load_state_dict(pretrained_weights(self.name, self.side, source))

    def train(self, mode: bool = True) -> "TimmDetector":
        """Switch to training, but for what is frozen: its statistics stay as well."""
        super().train(mode)
        for module in self._frozen:
            module.training = False
        return self

    def _freeze(self, frozen: int | Literal["all"]) -> list[nn.Module]:
        """Keep the weights of the first stages out of training; return their modules."""
        stages = len(stage_names(self.backbone))
        if frozen == "all":
            modules = list(self.backbone.modules())
        elif not 0 <= frozen <= stages:
            raise LmkitError(
                f"detector.frozen={frozen} is refused: {self.name} has {stages} stages.",
                remedy=f"Give a number from 0 to {stages}, or all.",
            )
        else:
            modules = list(stage_parameters(self.backbone, frozen)) if frozen else []
        for module in modules:
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
        return modules


def _fitting_side(image_size: int, reductions: list[int]) -> int:
    """Return the side that a transformer's patches divide; any other backbone takes what comes."""
    patch = reductions[0]
    if len(set(reductions)) > 1:
        return image_size
    return -(-image_size // patch) * patch


def _check(image_size: int, width: int, beta: float) -> None:
    for option, holds, why in (
        (f"run.image_size={image_size}", image_size % _STRIDE == 0, "it is no multiple of 4"),
        (f"detector.width={width}", width >= 1, "a decoder has at least one channel"),
        (f"detector.beta={beta}", beta > 0, "the soft-argmax would not look for the maximum"),
    ):
        if not holds:
            raise LmkitError(
                f"{option} is refused: {why}.",
                remedy="Give run.image_size a multiple of 32, detector.width a whole number from 1 "
                "(such as 64), and detector.beta a number above 0 (the paper's is 10).",
            )
