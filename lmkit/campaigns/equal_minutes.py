"""Runs that train for equally long, whatever a step of each costs."""

from collections.abc import Callable, Mapping
from pathlib import Path

from lmkit.errors import ExitCode, LmkitError
from lmkit.records import load_record, write_record
from lmkit.settings.settings import Settings
from lmkit.storage import made

PLAN = "minutes.json"
"""In the folder of a sweep of equal minutes: how many steps these are for each combination."""


def equal_steps(
    combinations: Mapping[str, Settings],
    minutes: float,
    out: Path,
    seconds_a_step: Callable[[str, Settings], float],
) -> dict[str, int]:
    """Return how many steps of each combination take so many minutes on this machine.

    What was found is written down, since another measurement would find something else: the same
    sweep goes on with the same steps, on another machine as well.

    Args:
        combinations: Their settings, by name.
        minutes: Of training, each.
        out: The folder of the sweep.
        seconds_a_step: Measures a step of a combination.

    Raises:
        LmkitError: If the sweep in that folder is one of other minutes or other combinations, or
            what it wrote down is damaged.
    """
    if not 0 < minutes < float("inf"):
        raise LmkitError(
            f"--minutes {minutes:g} is no time to train for.",
            remedy="Give the minutes of each run, for example --minutes 10.",
        )
    path = out / PLAN
    if path.exists():
        return _read(path, minutes, combinations)
    seconds = {name: seconds_a_step(name, each) for name, each in combinations.items()}
    steps = {name: max(1, round(60 * minutes / each)) for name, each in seconds.items()}
    with made(out):
        write_record(path, {"minutes": minutes, "seconds_a_step": seconds, "steps": steps})
    return steps


def _read(path: Path, minutes: float, combinations: Mapping[str, Settings]) -> dict[str, int]:
    try:
        plan = load_record(path)
    except (OSError, ValueError) as error:
        raise LmkitError(
            f"{path} cannot be read: {error}.",
            remedy="Sweep into another folder with --out.",
            code=ExitCode.RUN,
        ) from error
    steps = plan.get("steps")
    if (
        plan.get("minutes") != minutes
        or not isinstance(steps, dict)
        or set(steps) != set(combinations)
        or not all(type(number) is int and number > 0 for number in steps.values())
    ):
        raise LmkitError(
            f"{path} is of another sweep: other combinations, or other minutes than {minutes:g} "
            f"({plan.get('minutes')}).",
            remedy="Ask for the same sweep again, or give another folder with --out.",
            code=ExitCode.RUN,
        )
    return steps
