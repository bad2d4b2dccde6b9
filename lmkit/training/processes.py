"""Several processes that train one model: the group they form, and what they tell one another.

torchrun starts them; each computes a part of every batch. Tensors on the CPU travel by gloo, those
on GPUs by NCCL. Where one process fails, it says why and the others end without a word; where one
is gone without having said anything, one of the others says so.
"""

import json
import os
import re
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, Store, rendezvous  # type: ignore[attr-defined]

from lmkit.errors import ExitCode, LmkitError, ToldElsewhereError
from lmkit.runtime.launch import Place, place

RENDEZVOUS_TIME = timedelta(minutes=10)
"""How long a process waits for another that is there but does not come forward: longer than the
first process takes to write a checkpoint and to draw."""

_EVER = timedelta(days=7)

_FAILURE = "lmkit/failure"
"""Where in the common store the first process that fails says so."""


class News(NamedTuple):
    """What happened during a step, to any of the processes."""

    signal: signal.Signals | None
    """By which they are to stop; none to go on."""
    objection: bool
    """Whether a callback wants the run to end."""
    unreadable: Mapping[int, str]
    """The images that could not be read, and why."""


class Processes:
    """The processes that train together; by default, this one alone.

    Args:
        place: Where this process stands among them.
        store: What all of them can read and write; None for a process alone.
    """

    def __init__(self, place: Place | None = None, store: Store | None = None) -> None:
        self.place = place or Place()
        self._store = store

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        return self.place.rank

    @property
    def world(self) -> int:
        """The number of processes."""
        return self.place.world

    @property
    def write(self) -> bool:
        """Whether this process writes the run folder, prints and draws; one of all does."""
        return self.place.is_first

    def gather(self, tensor: Tensor) -> Tensor:
        """Join everybody's (b, ...) to (world * b, ...), in the order of the processes."""
        if self.world == 1:
            return tensor
        tensor = tensor.contiguous()
        parts = [torch.empty_like(tensor) for _ in range(self.world)]
        with self.watching():
            dist.all_gather(parts, tensor)
        return torch.cat(parts)

    def join(self, tensor: Tensor) -> Tensor:
        """Do as ``gather``, so that gradients flow back to where the parts came from.

        A process's gradient is that of the sum of everybody's loss, as it has to be where the
        gradients of parameters are then averaged.
        """
        joined: Tensor = _Join.apply(tensor, self)
        return joined

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up everybody's tensors of one shape; gradients flow as in ``join``."""
        added: Tensor = _Sum.apply(tensor, self)
        return added

    def sum_in_place(self, tensor: Tensor) -> Tensor:
        """Replace a tensor by the sum of everybody's, and return it; without gradients."""
        if self.world > 1:
            with self.watching():
                dist.all_reduce(tensor)
        return tensor

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each floating-point tensor by the mean of everybody's, in place."""
        found = [tensor for tensor in tensors if tensor.is_floating_point()]
        if self.world == 1 or not found:
            return
        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in found])
        self.sum_in_place(flat).div_(self.world)
        with torch.no_grad():
            sizes = [tensor.numel() for tensor in found]
            for tensor, mean in zip(found, flat.split(sizes), strict=True):
                tensor.copy_(mean.view_as(tensor))

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by that of the first process, in place."""
        if self.world == 1:
            return
        with self.watching(), torch.no_grad():
            for tensor in tensors:
                content = tensor.detach().contiguous()
                dist.broadcast(content, src=0)
                tensor.copy_(content)

    def exchange(self, words: Any) -> list[Any]:
        """Return everybody's words, which are anything that JSON can hold; on the host alone."""
        if self.world == 1:
            return [words]
        content = torch.frombuffer(bytearray(json.dumps(words).encode()), dtype=torch.uint8)
        sizes = self.gather(torch.tensor([len(content)])).tolist()
        padded = torch.zeros(max(sizes), dtype=torch.uint8)
        padded[: len(content)] = content
        rows = self.gather(padded).view(self.world, -1)
        return [
            json.loads(bytes(row[:size].tolist())) for row, size in zip(rows, sizes, strict=True)
        ]

    def tell(
        self, stop: signal.Signals | None, objection: bool, unreadable: Mapping[int, str]
    ) -> News:
        """Tell the others what happened to this process during a step, and hear of them.

        Args:
            stop: The signal it was asked to stop by, if it was.
            objection: Whether one of its callbacks wants the run to end.
            unreadable: The images that it could not read, and why.

        Returns:
            The same of all processes, and the same for all processes.
        """
        if self.world == 1:
            return News(stop, objection, unreadable)
        own = torch.tensor([[stop or 0, objection, len(unreadable)]])
        signals, objections, counts = self.gather(own).unbind(dim=1)
        found: dict[int, str] = {}
        if counts.any():
            for each in self.exchange([*unreadable.items()]):
                found |= dict(each)
        number = int(signals.max())
        return News(signal.Signals(number) if number else None, bool(objections.any()), found)

    def wait_for_all(self, place: str) -> None:
        """Wait until everybody is here, however long it takes.

        Args:
            place: What to call it; used once.
        """
        if self._store is None:
            return
        with self.watching():
            if self._store.add(f"{place}/here", 1) == self.world:
                self._store.set(f"{place}/all", "")
            self._store.wait([f"{place}/all"], _EVER)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Say what it means when the others cannot be reached any more.

        Raises:
            LmkitError: If the body fails because another process is gone.
        """
        try:
            yield
        except RuntimeError as error:
            text = str(error)
            if self.world == 1 or not (
                isinstance(error, dist.DistError) or "gloo" in text or "NCCL" in text
            ):
                raise
            raise self._lost(text) from error

    def announce(self, error: BaseException) -> ToldElsewhereError | None:
        """Tell the others of a failure of this process.

        Returns:
            What to end with instead, where another process was first to fail.
        """
        if isinstance(error, LmkitError):
            words = {"problem": error.problem, "remedy": error.remedy, "code": error.code}
        else:
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
            words = {"problem": problem, "remedy": "", "code": ExitCode.INTERNAL}
        mine = json.dumps({"rank": self.rank, **words})
        first = mine
        # Where the store is gone too, nobody is left to be told.
        with suppress(RuntimeError):
            if self._store is not None:
                first = self._store.compare_set(_FAILURE, "", mine).decode()
        if first == mine:
            return None
        told = json.loads(first)
        return ToldElsewhereError(
            f"Process {told['rank']} of {self.world} failed: {told['problem']}",
            remedy=told["remedy"],
            code=ExitCode(told["code"]),
        )

    def _lost(self, text: str) -> LmkitError:
        # What gloo says after its own file's name, up to its advice.
        reason = re.sub(r"^\[[^]]*\]\s*", "", " ".join(text.split())).split(". ")[0][:200]
        error = LmkitError(
            f"Process {self.rank} of {self.world} has lost another one, which was killed or cut "
            f"off: {reason}.",
            remedy="The scheduler's and the system's logs may say why (often out of memory). What "
            "was saved is sound: go on with --resume, with as many processes as there are.",
            code=ExitCode.LOST,
        )
        return self.announce(error) or error


ALONE = Processes()
"""One process that trains by itself."""

_group: Processes | None = None
"""Those that this process has joined, where it was started with others."""


@contextmanager
def together() -> Iterator[Processes]:
    """Join the processes that torchrun has started, and leave them at the end.

    Where it started none, and inside another call, there is nothing to do. What the body raises is
    told to the others, of which the first to fail is the one to report it.

    Raises:
        ToldElsewhereError: In the place of what the body raises, where another process was first.
        LmkitError: If they cannot reach one another.
    """
    global _group
    here = place()
    if here.world == 1 or _group is not None:
        yield _group or ALONE
        return
    on_gpus = torch.cuda.is_available()
    _group = Processes(here, PrefixStore("lmkit", _meet(on_gpus)))
    try:
        if on_gpus and here.local_rank < torch.cuda.device_count():
            torch.cuda.set_device(here.local_rank)
        yield _group
    except BaseException as error:
        told = _group.announce(error)
        if told is not None and not isinstance(error, ToldElsewhereError):
            raise told from error
        raise
    else:
        dist.destroy_process_group()
    finally:
        _group = None


def _meet(on_gpus: bool) -> Store:
    """Join the others where torchrun says, and return what all can read and write."""
    store: Store
    try:
        store, rank, world = next(rendezvous("env://", timeout=RENDEZVOUS_TIME))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpus else "gloo",
            store=store,
            rank=rank,
            world_size=world,
            timeout=RENDEZVOUS_TIME,
        )
    except dist.DistError as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise LmkitError(
            f"The processes that are to train together could not meet at {address}: "
            f"{' '.join(str(error).split())[:200]}.",
            remedy="Start all of them, and let torchrun choose the port with --standalone or, on "
            "several machines, --rdzv-backend c10d --rdzv-endpoint HOST:PORT.",
            code=ExitCode.LOST,
        ) from error
    return store


class _Join(torch.autograd.Function):
    """Gathers; backwards, everybody's gradients are added up and each takes its own part."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, processes: Processes) -> Tensor:
        ctx.processes, ctx.count = processes, len(tensor)
        return processes.gather(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        total = ctx.processes.sum_in_place(gradients[0].contiguous().clone())
        start = ctx.processes.rank * ctx.count
        return total[start : start + ctx.count], None


class _Sum(torch.autograd.Function):
    """Adds up; backwards, everybody's gradients are added up too."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.sum_in_place(tensor.clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return ctx.processes.sum_in_place(gradients[0].contiguous().clone()), None
