"""What losses promise."""

import dataclasses

import torch
from torch import Tensor

from lmkit.interfaces.loss import Loss
from lmkit.interfaces.step import NO_WARPS, Absent, Step
from lmkit.testing.check import expect, promise
from lmkit.testing.inputs import BATCH, arguments, mapped, tensors
from lmkit.testing.network import in_half_precision
from lmkit.testing.subject import Subject

LATER = (0, 1, 10, 100, 1000, 10_000, 100_000, 10**6)
"""The steps at which a loss may first have gradients: its author may let it wait."""
LOSS_CLOSE = 0.1
"""How far half precision may move a loss, as a share of it."""


@promise("scalar", "loss", remedy="Return one number: mean() or sum() of the terms, in float32.")
def scalar(subject: Subject) -> None:
    """It returns a float32 scalar that is finite, for a batch and for a single image."""
    for batch in (BATCH, 1):
        _check(subject, subject.build().train()(*arguments(subject, batch)))


@promise(
    "gradients arrive",
    "loss",
    remedy="Compare step.ends, or use step.landmarks, without detaching them.",
)
def gradients_arrive(subject: Subject) -> None:
    """At some step, gradients reach the ends of routes or the landmarks, and are finite."""
    (step,) = arguments(subject)
    for number in LATER:
        # It may come into force later on.
        slopes = _slopes(subject, dataclasses.replace(step, number=number))
        arrived = [name for name, slope in slopes.items() if bool(slope.any())]
        if arrived:
            break
    wanted = "gradients for the ends of routes or for landmarks"
    expect(bool(arrived), subject, wanted, "none")
    wild = [name for name, slope in slopes.items() if not slope.isfinite().all()]
    expect(not wild, subject, "finite gradients", f"others for {', '.join(wild)}")


@promise(
    "needs routes",
    "loss",
    remedy="Set needs_routes = False on a loss that reads landmarks, views and warps alone, and "
    "leave it True on one that reads step.stages, step.ends or step.targets.",
)
def needs_routes(subject: Subject) -> None:
    """It says with needs_routes whether it reads what was redrawn."""
    loss: Loss = subject.build().train()
    (step,) = arguments(subject)
    if loss.needs_routes:
        late = dataclasses.replace(step, number=LATER[-1])
        read = [name for name in _slopes(subject, late) if name.startswith("stages.")]
        expect(bool(read), subject, "needs_routes = False", "True, and nothing redrawn is read")
        return
    bare = dataclasses.replace(step, routes=(), stages=())
    try:
        _check(subject, loss(bare))
    except AssertionError:
        raise
    except Exception as error:
        came = f"{type(error).__name__}: {error} where there is no route"
        raise AssertionError(f"{subject}: expected needs_routes = True, got {came}.") from error


@promise(
    "needs warps",
    "loss",
    remedy="Set needs_warps = True on a loss that reads step.warps, and on no other: it cannot "
    "train on pairs of two images.",
)
def needs_warps(subject: Subject) -> None:
    """It says with needs_warps whether it reads how the views were warped."""
    loss: Loss = subject.build().eval()
    (step,) = arguments(subject)
    if not loss.needs_warps:
        # As where the views are of two images; reading warps fails where they are read.
        _check(subject, loss(dataclasses.replace(step, warps=Absent(NO_WARPS))))
        return
    exchanged = {"original": step.warps["deformed"], "deformed": step.warps["original"]}
    with torch.no_grad():
        before, after = loss(step), loss(dataclasses.replace(step, warps=exchanged))
    expect(not torch.equal(before, after), subject, "needs_warps = False", "True, and no use of it")


@promise(
    "needs truth",
    "loss",
    remedy="Set needs_truth = True on a loss that reads step.truth, and on no other: such a run is "
    "no longer unsupervised.",
)
def needs_truth(subject: Subject) -> None:
    """It says with needs_truth whether it reads annotated points; not all need be known."""
    loss: Loss = subject.build().eval()
    (step,) = arguments(subject)
    if not loss.needs_truth:
        # The step has none; reading them fails where it is read.
        _check(subject, loss(step))
        return
    moved = {view: points + 0.1 for view, points in step.truth.items()}
    unknown = {view: points * float("nan") for view, points in step.truth.items()}
    with torch.no_grad():
        before, after = loss(step), loss(dataclasses.replace(step, truth=moved))
        _check(subject, loss(dataclasses.replace(step, truth=unknown)))
    expect(not torch.equal(before, after), subject, "needs_truth = False", "True, and no use of it")


@promise("bf16", "loss", remedy="Compute differences and sums in float32: call float() on tensors.")
def loss_bf16(subject: Subject) -> None:
    """Under bfloat16 autocast it is nearly the same, and float32."""
    full, half = in_half_precision(subject)
    _check(subject, half)
    apart = (full - half).abs().item()
    limit = LOSS_CLOSE * max(abs(full.item()), 1e-3)
    expect(apart <= limit, subject, f"{full.item():.4g}, to a tenth", f"{half.item():.4g}")


def _check(subject: Subject, value: object) -> None:
    kind = isinstance(value, Tensor) and value.shape == () and value.dtype == torch.float32
    came = f"{tuple(value.shape)}, {value.dtype}" if isinstance(value, Tensor) else type(value)
    expect(kind, subject, "a scalar of torch.float32", came)
    assert isinstance(value, Tensor)
    expect(bool(value.isfinite()), subject, "a finite number", value.item())


def _slopes(subject: Subject, step: Step) -> dict[str, Tensor]:
    """Return the gradients of what was redrawn and of landmarks, where there are any."""
    step = mapped(step, lambda tensor: tensor.clone().requires_grad_())
    value = subject.build().train()(step)
    if value.requires_grad:
        value.backward()
    return {
        name: tensor.grad
        for name, tensor in tensors(step)
        if tensor.grad is not None and name.startswith(("stages.", "landmarks."))
    }
