"""What is said where a device's memory runs out in a step: what would fit, as tried out at once."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from lmkit.data.loading import Batch
from lmkit.errors import LmkitError
from lmkit.runtime.blame import is_out_of_memory
from lmkit.settings.sections import RunSettings
from lmkit.training.compiling import GRAPHS
from lmkit.training.learner import Objective, Updater
from lmkit.training.parts import BatchPart

_MOST_TRIED = 5
"""How many sizes of a pass are tried, each about half of the one before."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What fits.

    Args:
        accumulate: The passes a process takes.
        images: How many are in a pass.
        peak: The most bytes in use, with the optimiser's moments; None where nobody counts them.
    """

    accumulate: int
    images: int
    peak: int | None


def what_fits(
    objective: Objective,
    updater: Updater,
    batch: Batch,
    number: int,
    *,
    run: RunSettings,
    share: int,
) -> Fit | None:
    """Take smaller and smaller passes, forward and backward, until the memory is enough.

    Nothing is updated, but running statistics move: it is for a run that ends.

    Args:
        objective: The step.
        updater: Whose gradients are collected, and forgotten again.
        batch: The whole batch, on the device.
        number: The step.
        run: As it was asked for.
        share: Images a step of this process.

    Returns:
        The fewest passes of those tried that fit; None if none does.
    """
    device = batch.images.device
    for accumulate in _more_passes(run.accumulate, share):
        images = share // accumulate
        _forget(updater, device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        try:
            with torch.compiler.set_stance("force_eager"):
                # The second has the first one's gradients beside it, as all later ones.
                for _ in range(2):
                    loss, _, step = objective(batch, number, BatchPart(slice(0, images)))
                    updater.backward(loss)
                    del loss, step
        except Exception as error:
            if place_of_memory(error) is None:
                raise
            continue
        peak, room = _peak_and_room(updater, device)
        if peak is None or room is None or peak <= room:
            _forget(updater, device)
            return Fit(accumulate, images, peak)
    _forget(updater, device)
    return None


def out_of_memory(
    where: str, step: int, device: torch.device, run: RunSettings, share: int, fit: Fit | None
) -> LmkitError:
    """Return what to tell whoever asked for a step that does not fit.

    Args:
        where: Where it ran out, such as "the backward pass".
        step: The number of the step, from 1.
        device: Whose memory it is.
        run: As it was asked for.
        share: Images a step of this process.
        fit: What would fit; None if nothing does.
    """
    problem = (
        f"The memory of {device} ran out in {where} of step {step}, with "
        f"{share // run.accumulate} images in a pass: --batch-size {run.batch_size}, "
        f"run.accumulate={run.accumulate}, run.compile={run.compile}."
    )
    advice = []
    if fit is None:
        advice.append(
            "No smaller pass that was tried fits: give smaller networks (--set generator.width=, "
            "detector.features=), or a smaller --image-size."
        )
    else:
        peak = "" if fit.peak is None else f" and takes {fit.peak / 2**30:.2f} GiB"
        one = "image" if fit.images == 1 else "images"
        batch = run.batch_size * fit.images // share
        advice.append(
            f"A pass of {fit.images} {one} fits, as tried just now{peak}: start a run with --set "
            f"run.accumulate={fit.accumulate}, which keeps the batch, or with --batch-size {batch}."
        )
    if run.compile != "none":
        more = " and keeps memory for its graphs" if run.compile in GRAPHS else ""
        advice.append(f"That was without run.compile={run.compile}, which may take more{more}.")
    return LmkitError(problem, remedy=" ".join(advice))


def untried(where: str, step: int, device: torch.device, run: RunSettings) -> LmkitError:
    """Return the same where several processes train, which would have to try it together."""
    return LmkitError(
        f"The memory of {device} ran out in {where} of step {step}: --batch-size {run.batch_size}, "
        f"run.accumulate={run.accumulate}, run.compile={run.compile}.",
        remedy=f"Start a run with --set run.accumulate={2 * run.accumulate}, which keeps the batch,"
        " a smaller --batch-size, or more processes. What fits was not tried out.",
    )


def place_of_memory(error: BaseException) -> str | None:
    """Return where memory ran out, by the error that says so; None for any other error."""
    if is_out_of_memory(error):
        return "the backward pass or the update"
    cause = error.__cause__ if isinstance(error, LmkitError) else None
    return "the forward pass" if cause is not None and is_out_of_memory(cause) else None


def _more_passes(accumulate: int, share: int) -> Iterator[int]:
    """Yield numbers of passes that divide a share, each at least twice the one before."""
    tried, last = 0, accumulate
    for passes in range(2 * accumulate, share + 1):
        if share % passes == 0 and passes >= 2 * last and tried < _MOST_TRIED:
            yield passes
            tried, last = tried + 1, passes


def _forget(updater: Updater, device: torch.device) -> None:
    """Let go of gradients, and of what a failed pass has left."""
    updater.optimizer.zero_grad(set_to_none=True)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _peak_and_room(updater: Updater, device: torch.device) -> tuple[int | None, int | None]:
    """Return the most bytes that were in use, moments that are still to come included, and all."""
    if device.type != "cuda":
        return None, None
    parameters = [each for own in updater.networks.values() for each in own]
    missing = [each for each in parameters if each not in updater.optimizer.state]
    moments = 2 * sum(each.numel() * each.element_size() for each in missing)
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    return torch.cuda.max_memory_allocated(device) + moments, free
