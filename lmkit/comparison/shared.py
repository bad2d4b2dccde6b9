"""The images on which several runs can be compared: those that none of them trained on."""

from collections.abc import Sequence
from typing import Any

from lmkit.errors import ExitCode, LmkitError
from lmkit.preparation.of_run import other_data, own_data
from lmkit.preparation.prepared import Prepared
from lmkit.registry.values import as_typed
from lmkit.run.run import Run
from lmkit.settings.layers import Layer


def share_images(
    runs: Sequence[Run], names: Sequence[str], layers: Sequence[Layer]
) -> tuple[list[Prepared], list[str], list[str]]:
    """Open the data once a run, and choose the images that serve all of them.

    Args:
        runs: The runs.
        names: What to call them.
        layers: Settings of the data, if it is not the runs' own.

    Returns:
        The data as each run opens it, and the names of the images to fit on and to test with.

    Raises:
        LmkitError: If the runs were trained on different data and none is named, or they have no
            images in common.
    """
    if not layers:
        _refuse_different_data(runs, names)
        parts = [own_data(run) for run in runs]
        return parts, *common(parts, parts)
    parts = [other_data(run, layers) for run in runs]
    # To a run that never saw the data, any of its images may test.
    saw = [
        ready
        for run, ready in zip(runs, parts, strict=True)
        if ready.settings.data_source == run.settings.data_source
    ]
    return parts, *common(parts, saw or parts[:1])


def _refuse_different_data(runs: Sequence[Run], names: Sequence[str]) -> None:
    first, *others = (_data_of(run) for run in runs)
    for name, other in zip(names[1:], others, strict=True):
        for key in {**first, **other}:
            if first.get(key) != other.get(key):
                raise LmkitError(
                    f"{names[0]} and {name} were trained on different data: {key} is "
                    f"{as_typed(first.get(key))} in one and {as_typed(other.get(key))} in the "
                    "other.",
                    remedy="Name the data to measure all of them on, such as --data celeba:DIR.",
                )


def _data_of(run: Run) -> dict[str, Any]:
    return {
        key: value for key, value in run.resolve("data").flat().items() if key.startswith("data.")
    }


def common(parts: Sequence[Prepared], deciding: Sequence[Prepared]) -> tuple[list[str], list[str]]:
    """Return the names of the images that all may fit on, and of those that test in all.

    Args:
        parts: The data, as each run opens and divides it.
        deciding: Those of them whose division counts; the others only have to have the images.
    """
    everyone_has = set.intersection(*(_keys(each, "train", "fit", "test") for each in parts))
    shared = []
    for part in ("fit", "test"):
        wanted = everyone_has.intersection(*(_keys(each, part) for each in deciding))
        if not wanted and all(getattr(each.split, part) for each in deciding):
            raise LmkitError(
                f"The runs have no image to {part} {'with' if part == 'test' else 'on'} in "
                "common: each holds out others.",
                remedy="Name data that says which of its images test, with --data.",
                code=ExitCode.DATA,
            )
        first = deciding[0]
        ordered = [first.dataset.key(index) for index in getattr(first.split, part)]
        shared.append([key for key in ordered if key in wanted])
    return shared[0], shared[1]


def _keys(ready: Prepared, *parts: str) -> set[str]:
    split, key = ready.split, ready.dataset.key
    return {key(index) for part in parts for index in getattr(split, part)}
