"""How this process was started: alone, or by torchrun as one of several that train together."""

import os
from dataclasses import dataclass

from lmkit.errors import LmkitError


@dataclass(frozen=True, slots=True)
class Place:
    """Where this process stands among those that were started together.

    Args:
        rank: Its number, from 0.
        world: How many there are on all machines.
        local_rank: Its number among those on this machine.
        local_world: How many there are on this machine.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks for all."""
        return self.rank == 0


def place() -> Place:
    """Read the variables that torchrun sets; without them, this process is alone.

    Raises:
        LmkitError: If there are several processes and one of the variables is missing or wrong.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return Place()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    given = {name: os.environ.get(name, "") for name in names}
    wrong = [name for name, value in given.items() if not value.isdecimal()]
    wrong += [] if os.environ.get("MASTER_ADDR") else ["MASTER_ADDR"]
    if wrong:
        raise LmkitError(
            f"WORLD_SIZE is {given['WORLD_SIZE']}, but {', '.join(wrong)} of the variables that "
            "torchrun sets cannot be used.",
            remedy="Start with torchrun --nproc-per-node N -m lmkit ..., or unset WORLD_SIZE.",
        )
    rank, world, local_rank, local_world = (int(given[name]) for name in names[:4])
    return Place(rank, world, local_rank, local_world)
