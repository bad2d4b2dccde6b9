"""The method's loss: pixels match between two views, by descriptors of a third image."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lmkit.api import LmkitError, Loss, Step, View

_VIEWS: tuple[View, ...] = ("original", "deformed")


class Exchange(Loss):
    """How far from its place in the other view a pixel is found there, by its descriptor.

    Thewlis et al. 2019, section 3. Pixel u of x is found at v of x' with the probability

        p(v | u; Phi, x, x') = softmax over v of <Phi_u(x), Phi_v(x')>

    and the loss is the mean over u of the expected distance of v and g(u), where the known warp g
    takes the pixel. For descriptors that are the same on another subject, Phi_u(x) is exchanged for
    what it finds in an auxiliary image x_a:

        Phi-hat_u(x | x_a) = sum over w of Phi_w(x_a) p(w | u; Phi, x, x_a)

    x is the original view and x' the deformed one. The auxiliary image is the pairing's, where
    its routes ask for one, and else the original view of the next image of the batch, as in the
    authors' released code. Distances are measured in the loaded image, to which both views' warps
    lead back, and in half sides; pixels of x that show nothing of the loaded image, but its edge
    repeated, do not count.

    Works with every detector that returns ``features``, such as ``dve``.

    Args:
        scale: What descriptors, whose length is made 1, are multiplied by: inner products are at
            most its square. The authors' code has 20.
        power: Distances are raised to it; 0.5, as in the authors' code, makes a pixel found far
            away cost little more than one found at the next but one.
        exchange: Whether descriptors are exchanged; without, this is the loss of Thewlis et al.,
            NeurIPS 2017, which the paper compares itself with.

    Raises:
        LmkitError: If the scale or the power is not above 0.
    """

    needs_routes: ClassVar[bool] = False
    needs_warps: ClassVar[bool] = True

    def __init__(self, *, scale: float = 20.0, power: float = 0.5, exchange: bool = True) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("power", power)):
            if not 0 < value < float("inf"):
                raise LmkitError(
                    f"loss.dve-exchange.{name}={value} is not above 0.",
                    remedy=f"Give it a positive number, such as {20 if name == 'scale' else 0.5}.",
                )
        self.scale = scale
        self.power = power
        self.exchange = exchange

    def forward(self, step: Step) -> Tensor:
        """Find every pixel of the original view in the deformed one.

        Args:
            step: The record of one step.

        Returns:
            A float32 scalar: the mean over all pixels of the batch.

        Raises:
            LmkitError: If the detector returns no features, or no other image is at hand.
        """
        features = _features(step, "original")
        # Products of several hundreds go through a softmax: too much for half precision.
        with torch.autocast(features.device.type, enabled=False):
            described = _descriptors(step, "original")
            if self.exchange:
                others = _auxiliary(step, described)
                described = self._match(described, others) @ others
            found = self._match(described, _descriptors(step, "deformed"))
            with torch.no_grad():
                height, width = features.shape[-2:]
                places, targets = (
                    step.warps[view].sample_grid(height, width).flatten(1, 2) for view in _VIEWS
                )
                # Not by matrix products, whose rounding would put a distance where there is none.
                distances = torch.cdist(
                    places, targets, compute_mode="donot_use_mm_for_euclid_dist"
                ).pow(self.power)
                shown = (places.abs() <= 1).all(dim=2)
            expected = (found * distances).sum(dim=2)
            return (expected * shown).sum() / shown.sum().clamp_min(1)

    def _match(self, descriptors: Tensor, others: Tensor) -> Tensor:
        """Return p(v | u), (B, N, M), of descriptors (B, N, C) among others (B, M, C)."""
        return (self.scale**2 * descriptors @ others.transpose(1, 2)).softmax(dim=2)


def _features(step: Step, view: View) -> Tensor:
    features = step.landmarks[view].features
    if features is None:
        raise LmkitError(
            "The loss 'dve-exchange' compares descriptors of all pixels, and this detector returns "
            "none.",
            remedy="Choose a detector that returns features, such as dve, or leave the loss out.",
        )
    return features


def _descriptors(step: Step, view: View) -> Tensor:
    """Return the descriptors of a view's pixels, (B, h * w, C), each of length 1."""
    features = _features(step, view).flatten(2).transpose(1, 2)
    # At least float32: half precision, which a detector may hand on, is too coarse for products.
    return functional.normalize(
        features.to(torch.promote_types(features.dtype, torch.float32)), dim=2
    )


def _auxiliary(step: Step, described: Tensor) -> Tensor:
    """Return the descriptors that each image's are exchanged for."""
    if "auxiliary" in step.landmarks:
        return _descriptors(step, "auxiliary")
    if len(described) < 2:
        raise LmkitError(
            "A single image has no other one to exchange descriptors with.",
            remedy="Give --batch-size 2 or more for each process and pass, or "
            "--set loss.dve-exchange.exchange=false.",
        )
    return described.roll(-1, dims=0)
