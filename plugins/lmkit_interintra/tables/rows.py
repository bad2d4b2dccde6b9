"""From a table's rows to runs: each row is a few settings on top of one and the same recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmkit.api import (
    ExitCode,
    Layer,
    LmkitError,
    complete_settings,
    did_you_mean,
    recipe_layers,
)
from lmkit_interintra.tables.published import Row, Table

CHECKPOINTS = 10
"""A shortened run still saves itself this often, so that little is lost when it is killed."""


@dataclass(frozen=True, slots=True)
class Request:
    """What every row of a table has in common.

    Args:
        recipe: The recipe under the rows.
        data: The ``data`` section: what trains.
        steps: Steps of each run; the recipe's if None.
        core: Weights of a pretrained detector to start from by projection, or the folder of the
            run that trained them.
        seeds: How many seeds each row is trained with.
        assignments: ``--set`` of the user.
        device: Where to train.
    """

    recipe: str
    data: Mapping[str, Any]
    steps: int | None = None
    core: Path | None = None
    seeds: int = 1
    assignments: Layer | None = None
    device: str | None = None


def choose_rows(table: Table, names: Sequence[str] | None) -> list[Row]:
    """Return the rows that are asked for, in the table's order; all if none is named.

    Raises:
        LmkitError: If one is not in the table.
    """
    known = {row.name: row for row in table.rows}
    for name in names or ():
        if name not in known:
            raise LmkitError(
                f"{table.title.partition(':')[0]} has no row '{name}'.",
                remedy=did_you_mean(name, known, all_of_them="Its rows are"),
            )
    return [row for row in table.rows if not names or row.name in names]


def runs_of(rows: Sequence[Row], request: Request) -> dict[str, list[Layer]]:
    """Return the runs of rows, seed by seed, so that a first table is soon complete.

    Returns:
        The settings of each run by the name of its folder.

    Raises:
        LmkitError: If settings are wrong, or contradict what makes a row.
    """
    base = base_layers(request)
    losses = complete_settings(base)["loss"]
    seeds = seeds_of(request)
    found = {}
    for seed in seeds:
        for row in rows:
            own = overlay(row)
            _refuse_contradiction(row, own, request)
            _refuse_missing_losses(row, own, losses, request.recipe)
            layers = [*base, own, Layer("--seeds", {"run": {"seed": seed}})]
            found[folder_of(row, seed, seeds[0])] = layers
    return found


def seeds_of(request: Request) -> list[int]:
    """Return the seeds that each row is trained with; the first is that of the settings."""
    first = complete_settings(base_layers(request))["run"]["seed"]
    return list(range(first, first + request.seeds))


def folder_of(row: Row, seed: int, first: int) -> str:
    """Return the name of a run's folder: the row's, and for further seeds the seed's."""
    return row.name if seed == first else f"{row.name}-seed-{seed}"


def base_layers(request: Request) -> list[Layer]:
    """Return what all rows share: recipe, data, length, start, and the user's settings."""
    layers = [
        *recipe_layers(request.recipe),
        Layer("data", {"data": request.data}),
    ]
    if request.steps is not None:
        layers.append(_of_length(request.steps, layers))
    if request.core is not None:
        start = {"init": "projection", "core": _existing(request.core)}
        layers.append(Layer("--core", {"detector": start}))
    if request.device is not None:
        layers.append(Layer("--device", {"run": {"device": request.device}}))
    return layers if request.assignments is None else [*layers, request.assignments]


def overlay(row: Row) -> Layer:
    """Return the settings that make a row, whatever recipe they are put on."""
    values: dict[str, Any] = {"pairing": {"name": "inter-intra", "cycle": True}}
    losses = None
    if row.recipe is not None:
        # Its own file alone, without the recipe that it is based on.
        own = recipe_layers(row.recipe)[-1]
        values |= own.values
        losses = own.losses
    values["run"] = {"landmarks": row.landmarks}
    return Layer(f"row {row.name}", values, losses)


def _existing(core: Path) -> Path:
    # Weights are read when a run starts; here nothing has been written yet.
    if not core.exists():
        raise LmkitError(
            f"--core {core} does not exist.",
            remedy="Give a file of weights, or the folder of the run that lmkit pretrain wrote.",
            code=ExitCode.DATA,
        )
    return core


def _of_length(steps: int, layers: Sequence[Layer]) -> Layer:
    """Set the number of steps, with which the schedule is scaled, and save often enough."""
    every = complete_settings(layers)["run"]["checkpoint_every"]
    values = {"steps": steps, "checkpoint_every": min(every, max(1, steps // CHECKPOINTS))}
    return Layer("--steps", {"run": values})


def _refuse_contradiction(row: Row, own: Layer, request: Request) -> None:
    """Say so where the user sets what the row is made of, instead of silently overruling one."""
    if request.assignments is None:
        return
    wanted = _flat(request.assignments.values)
    for key, value in _flat(own.values).items():
        if key in wanted and str(wanted[key]).lower() != str(value).lower():
            raise LmkitError(
                f"--set {key}={wanted[key]} contradicts the row '{row.name}', which is made of "
                f"{key}={value}.",
                remedy="Leave it out, or train such a run with lmkit train.",
            )


def _refuse_missing_losses(row: Row, own: Layer, losses: Mapping[str, Any], recipe: str) -> None:
    """Rows that change or take away a loss say nothing on top of a recipe without it."""
    touched = {*own.values.get("loss", {}), *(own.losses or ())}
    if not touched:
        return
    missing = {"mse", "perceptual"} - losses.keys()
    if missing:
        name = sorted(missing)[0]
        raise LmkitError(
            f"The row '{row.name}' is about the losses mse and perceptual, and the recipe "
            f"'{recipe}' has no {name}.",
            remedy=f"Add it to every row with --set loss.{name}.weight=1 (perceptual downloads "
            "VGG, or reads a file: --set loss.perceptual.weights=FILE), or take --recipe paper.",
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = (
            _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
        )
        found |= inner
    return found
