"""What a step changes: its gradient, however its batch is divided, and the update made of it.

A batch is divided among processes, into passes, both or neither; the gradient is the same.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from inspect import signature
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from lmkit.data.loading import Batch
from lmkit.data.split import number_subjects
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset
from lmkit.interfaces.step import Step
from lmkit.runtime.assemble import Assembly
from lmkit.runtime.updates import heeds_flag, step_unless
from lmkit.settings.optimizer import OptimizerSettings, learning_rate, weight_decay
from lmkit.training.parts import BatchPart
from lmkit.training.processes import Processes
from lmkit.training.step import run_step, weigh


class Updater:
    """Updates the networks, and skips an update that would not be finite.

    The check happens on the device: the fused optimiser reads a flag and leaves weights and
    moments alone where it is set, or they are put back, so that no step waits for the host.

    Args:
        assembly: The networks, already where they train.
        settings: How they learn.
    """

    def __init__(self, assembly: Assembly, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.networks = assembly.trainable()
        if "detector" not in self.networks:
            raise LmkitError(
                "The detector has no parameter that trains.",
                remedy="Choose detector options that leave something to learn.",
            )
        algorithm = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
        self.optimizer: torch.optim.Optimizer = algorithm(
            [
                {
                    "params": parameters,
                    "name": name,
                    "weight_decay": weight_decay(settings, name),
                }
                for name, parameters in self.networks.items()
            ],
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss to what the parameters have collected."""
        loss.backward()

    def apply(self, loss: Tensor, step: int) -> tuple[dict[str, Tensor], Tensor]:
        """Take one optimiser step down the collected gradients, and forget them.

        Args:
            loss: The scalar they belong to, which must be finite as well.
            step: Its number, from 0.

        Returns:
            Each network's gradient norm before clipping, and whether the update was skipped
            (a float: 0 or 1). Both stay on the device.
        """
        limit = self.settings.clip_norm
        norms = {
            name: clip_grad_norm_(parameters, math.inf if limit is None else limit)
            for name, parameters in self.networks.items()
        }
        finite = torch.stack([loss.detach(), *norms.values()]).isfinite().all()
        skipped = (~finite).float()
        for group in self.optimizer.param_groups:
            # A rate of 0 leaves a network as it is, and its moments follow all the same.
            group["lr"] = learning_rate(self.settings, step, group["name"])
        step_unless(self.optimizer, skipped, heeds=heeds_flag(skipped.device))
        self.optimizer.zero_grad(set_to_none=True)
        return norms, skipped


_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in signature(DistributedDataParallel).parameters
)
"""The option, renamed in torch 2.14, by which buffers are left alone. Frozen networks are buffers
and never change; running means are averaged here."""


class Learned(NamedTuple):
    """What a step came to, of the whole batch; nothing of it waits for the device."""

    loss: Tensor
    """The weighted sum of the losses, over all processes and passes."""
    terms: dict[str, Tensor]
    """Each loss before its weight, over the passes of this process."""
    points: Tensor
    """(B, K, 2), the landmarks of the original views."""
    logged: dict[str, Tensor]
    """What losses logged, over the passes of this process."""


class Objective(nn.Module):
    """A part of a step up to its loss, as one module: what DistributedDataParallel wraps.

    Args:
        assembly: The components; their networks stay what they are.
        seed: The run's seed.
        autocast: Makes the context in which the networks run.
    """

    def __init__(
        self,
        assembly: Assembly,
        seed: int,
        autocast: Callable[[], AbstractContextManager[object]],
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(dict(assembly.networks()))
        self._assembly = assembly
        self._seed = seed
        self._autocast = autocast

    def forward(
        self, batch: Batch, number: int, part: BatchPart | None
    ) -> tuple[Tensor, dict[str, Tensor], Step]:
        """Return the loss of a part, its terms, and the record they were read from."""
        step = run_step(
            self._assembly,
            batch,
            number=number,
            seed=self._seed,
            autocast=self._autocast,
            part=part,
        )
        loss, terms = weigh(self._assembly, step, self._autocast)
        return loss, terms, step


class Learner:
    """Collects the gradient of a whole batch in the parameters.

    Each process computes its share of the batch, in one pass or several, and
    DistributedDataParallel averages the gradients. It wraps the networks after the first step,
    which shows whether each parameter has a gradient; before, they are averaged by hand.

    Args:
        objective: The step.
        updater: Whose parameters learn.
        processes: Who computes it.
        batch_size: Images a step B, of all processes together.
        accumulate: Passes in which a process computes its share.

    Raises:
        LmkitError: If the batch cannot be divided evenly.
    """

    def __init__(
        self,
        objective: Objective,
        updater: Updater,
        processes: Processes,
        *,
        batch_size: int,
        accumulate: int,
    ) -> None:
        self._objective = objective
        self._updater = updater
        self._processes = processes
        self._parts = divide_batch(batch_size, accumulate, processes)
        self._replica: DistributedDataParallel | None = None
        self._may_be_unused = False
        self._before: list[tuple[list[_Owner], Tensor]] = []
        # The same already, but for rounding where the machines are not alike.
        processes.copy_from_first(objective.state_dict().values())

    def take_in(self, batch: Batch, dataset: Dataset, device: torch.device) -> Batch:
        """Return the whole batch, on the device, from what each process has read of it."""
        batch = batch.to(device)
        if self._processes.world == 1:
            return batch
        indices = self._processes.gather(torch.tensor(batch.indices)).tolist()
        numbers = number_subjects(dataset, indices)
        subjects = None if numbers is None else torch.from_numpy(numbers)
        whole = batch.each(self._processes.gather)
        return replace(whole, subjects=subjects, indices=indices)

    def learn(self, batch: Batch, number: int) -> Learned:
        """Collect the gradient of a step's loss: its mean over processes and passes."""
        self._before = _copy_states(self._objective)
        losses, terms, points, logged = [], [], [], []
        module = self._replica or self._objective
        for place, part in enumerate(self._parts):
            last = place == len(self._parts) - 1
            with nullcontext() if last or self._replica is None else self._replica.no_sync():
                loss, found, step = module(batch, number, part)
                with self._processes.watching():
                    self._updater.backward(
                        loss / len(self._parts) if len(self._parts) > 1 else loss
                    )
            losses.append(loss.detach())
            terms.append({label: term.detach() for label, term in found.items()})
            logged.append(dict(step.logged))
            # A copy, since the next pass writes where a recorded graph's output lies.
            points.append(step.landmarks["original"].points.detach().clone())
            # A record keeps its graph, which the next pass needs the memory of.
            del loss, found, step
        if self._processes.world > 1:
            self._agree(number)
        mean = {label: _mean([each[label] for each in terms]) for label in terms[0]}
        told = {
            name: _mean([each[name] for each in logged])
            for name in logged[0]
            if all(name in each for each in logged)
        }
        return self._of_all(_mean(losses), mean, torch.cat(points), told)

    def undo(self, skipped: Tensor) -> None:
        """Put running statistics back to where they were before the step, if it was skipped.

        One value that is not finite in a forward pass would otherwise stay in BatchNorm's running
        mean for good. Nothing waits for the device.

        Args:
            skipped: A scalar on the device, 0 or 1.
        """
        for owners, flat in self._before:
            tensors = [module.get_buffer(name) for module, name in owners]
            after = torch.cat([each.flatten() for each in tensors])
            if len(after) != len(flat):
                continue  # A plugin has put another buffer in the place of its own.
            right = torch.where(skipped.bool().to(flat.device), flat, after)
            parts = right.split([each.numel() for each in tensors])
            shaped = [part.view(each.shape) for part, each in zip(parts, tensors, strict=True)]
            with torch.no_grad():
                torch._foreach_copy_(tensors, shaped)
        self._before = []

    def settle(self) -> None:
        """Let the processes agree on running means, as before they are saved or drawn with.

        Where BatchNorm is not synchronised, each process has kept those of its own images.
        """
        self._average_buffers(self._objective)

    def _of_all(
        self, loss: Tensor, terms: dict[str, Tensor], points: Tensor, logged: dict[str, Tensor]
    ) -> Learned:
        if self._processes.world > 1:
            # One message for both: a row a process.
            own = torch.cat((loss.reshape(1), points.flatten()))
            rows = self._processes.gather(own[None])
            loss = rows[:, 0].mean()
            points = rows[:, 1:].reshape(-1, *points.shape[1:])
        return Learned(loss, terms, points, logged)

    def _agree(self, number: int) -> None:
        """Make sure that everybody has the mean of everybody's gradients."""
        if self._replica is None:
            self._average_first()
        elif not self._may_be_unused:
            lacking = [
                p for each in self._updater.networks.values() for p in each if p.grad is None
            ]
            if lacking:
                raise LmkitError(
                    f"{len(lacking)} parameters that learned at first have no gradient at step "
                    f"{number}, which several processes cannot agree on.",
                    remedy="Train with one process, or report it to the author of the detector, "
                    "generator or loss whose parameters come and go.",
                    code=ExitCode.PLUGIN,
                )
        # What losses keep between steps enters their gradients at the next one.
        self._average_buffers(self._objective.networks["losses"])

    def _average_first(self) -> None:
        parameters = [p for each in self._updater.networks.values() for p in each]
        used = torch.tensor([p.grad is not None for p in parameters])
        by = self._processes.gather(used[None]).sum(dim=0).tolist()
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._processes.average(p.grad for p in parameters if p.grad is not None)
        for parameter, count in zip(parameters, by, strict=True):
            if count == 0:
                parameter.grad = None
        self._may_be_unused = min(by) < self._processes.world
        options: dict[str, Any] = {_BUFFERS: False, "init_sync": False}
        options["find_unused_parameters"] = self._may_be_unused
        self._replica = DistributedDataParallel(self._objective, **options)

    def _average_buffers(self, module: nn.Module) -> None:
        # By name: what a network saves of a parameter may be a part of it, and no Parameter.
        learned = dict(module.named_parameters(remove_duplicate=False))
        saved = module.state_dict().items()
        self._processes.average(each for name, each in saved if name not in learned)


def divide_batch(batch_size: int, accumulate: int, processes: Processes) -> list[BatchPart | None]:
    """Return what this process computes of a batch, one pass after the other.

    Raises:
        LmkitError: If the batch cannot be divided evenly.
    """
    count = processes.world * accumulate
    if batch_size % count:
        among = [f"{processes.world} processes"] if processes.world > 1 else []
        among += [f"{accumulate} passes each" if among else f"{accumulate} passes"] * (
            accumulate > 1
        )
        near = f"Give --batch-size {max(batch_size // count, 1) * count}"
        raise LmkitError(
            f"A batch of {batch_size} cannot be divided evenly among {' of '.join(among)}.",
            remedy=f"{near} or another run.accumulate."
            if processes.world == 1
            else f"{near}, which is that of all processes together, or start another number of "
            "them.",
        )
    if count == 1:
        return [None]
    size = batch_size // count
    join = processes.join if accumulate == 1 else None
    first = processes.rank * accumulate * size
    starts = range(first, first + accumulate * size, size)
    return [BatchPart(slice(start, start + size), join) for start in starts]


_Owner = tuple[nn.Module, str]
"""A module and the name of a buffer of its own."""


def _copy_states(module: nn.Module) -> list[tuple[list[_Owner], Tensor]]:
    """Copy what changes in a step beside what learns: buffers that are saved, no frozen network's.

    Returns:
        For those that are alike in type and device, where they are, and their flat values.
    """
    kinds: dict[tuple[torch.dtype, torch.device], list[_Owner]] = {}
    for each in module.modules():
        for name, buffer in each.named_buffers(recurse=False):
            if name not in each._non_persistent_buffers_set:
                kinds.setdefault((buffer.dtype, buffer.device), []).append((each, name))
    return [
        (owners, torch.cat([owner.get_buffer(name).flatten() for owner, name in owners]))
        for owners in kinds.values()
    ]


def _mean(values: Sequence[Tensor]) -> Tensor:
    return values[0] if len(values) == 1 else torch.stack(list(values)).mean()
