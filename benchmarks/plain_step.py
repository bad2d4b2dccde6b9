"""Measures lmkit's training step, or its detection, beside the same written plainly.

Both take their turns in one process, on the same images, with the same weights and random draws::

    python benchmarks/plain_step.py --recipe reconstruction-quick --rounds 9
    python benchmarks/plain_step.py --recipe paper --predict --device cuda --json

The last line, and ``ratio`` in the JSON, say how many times as fast lmkit's way is: the median over
the rounds. How far both agree is measured with normalisations in eval mode: in training mode
BatchNorm makes the images of one call depend on one another, and the ways differ in which images
share a call; nothing else depends on that.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from statistics import median
from typing import Any

import torch
from plain_stepper import PlainStepper
from torch import Tensor

from lmkit.bench.inference import DetectionReport, read_batch
from lmkit.bench.stepper import Stepper
from lmkit.bench.stopwatch import in_turn, matrix_precision, matrix_rate
from lmkit.bench.training import (
    StepReport,
    count_step,
    in_eval_mode,
    measure_steps,
    read_batches,
    refuse_truth,
)
from lmkit.data.loading import Batch
from lmkit.errors import LmkitError
from lmkit.prediction.stream import detect, ready_to_detect
from lmkit.preparation.prepared import find_partners, prepare
from lmkit.registry.lookup import Registry, installed
from lmkit.runtime.assemble import build_detector
from lmkit.runtime.device import autocast_for, choose_device, describe_device, dtype_for
from lmkit.runtime.operations import count_detection
from lmkit.settings.layers import Layer, read_assignments, read_recipe
from lmkit.settings.settings import Settings, settle

TOLERANCES = {
    "float32": {"loss": 1e-5, "gradient": 1e-3, "distance": 1e-2},
    "tf32": {"loss": 1e-3, "gradient": 5e-2, "distance": 0.5},
    "bfloat16": {"loss": 5e-2, "gradient": 0.5, "distance": 2.0},
}
"""How far the two ways may differ, by what convolutions compute in: losses and gradients relative
to the plain way, points in pixels. Tests hold float32 on the CPU to its row. The others follow from
the bits that are kept (10 and 7 in place of 23), and were not measured."""


def compare_steps(
    settings: Settings, registry: Registry, *, rounds: int = 10, warm_up: int = 2
) -> dict[str, Any]:
    """Time the training step beside the plain one, in turn, in this process.

    Args:
        settings: Of the run that would train.
        registry: Where components are looked up.
        rounds: How often each way is timed.
        warm_up: How often each runs before.

    Returns:
        What each way costs, as ``lmkit bench --json`` has it, under "plain" and "fast"; "ratio",
        and "agreement" with "loss" and "gradient", relative to the plain way.

    Raises:
        LmkitError: If the run could not start, or a component breaks.
    """
    device = choose_device(settings.run.device)
    batches, _ = read_batches(find_partners(prepare(settings, registry)), device)
    steppers: dict[str, Stepper] = {
        "plain": PlainStepper(settings, registry, device),
        "fast": Stepper(settings, registry, device),
    }
    refuse_truth(steppers["fast"])
    operations = {name: count_step(each, batches[0]) for name, each in steppers.items()}
    for each in steppers.values():
        each.compile()
    # Before steps in training mode, which move the statistics of normalisations.
    agreement = _agreement(steppers, batches[0])
    rate = matrix_rate(device, dtype_for(device, settings.run.precision))
    reports, times = measure_steps(
        steppers, batches, operations, rate, rounds=rounds, warm_up=warm_up
    )
    return _found(settings, device, rate, reports, times) | {"agreement": agreement}


def compare_detection(
    settings: Settings, registry: Registry, *, rounds: int = 5, warm_up: int = 1
) -> dict[str, Any]:
    """Time detection beside its plain way: float32, channels first.

    Args:
        settings: Of the run whose detector it is; its weights do not matter.
        registry: Where components are looked up.
        rounds: How often each way is timed.
        warm_up: How often each runs before.

    Returns:
        As [compare_steps][], with "distance" in place of "agreement": how far a point of the fast
        way is from the plain one's, at most, in pixels.

    Raises:
        LmkitError: If the data cannot be used, or the detector breaks.
    """
    device = choose_device(settings.run.device)
    images = read_batch(prepare(settings, registry))
    plain = build_detector(settings, registry).to(device).eval()
    fast = ready_to_detect(build_detector(settings, registry), device)
    autocast = autocast_for(device, settings.run.precision)

    def detect_plainly() -> Tensor:
        with torch.no_grad():
            points: Tensor = plain(images.to(device).float() / 255).points
        return points

    def detect_fast() -> Tensor:
        return detect(fast, images, device, autocast).points

    operations = count_detection(plain, settings.run.image_size)
    distance = (detect_fast() - detect_plainly()).abs().max().item() * settings.run.image_size / 2
    works: dict[str, Callable[[], object]] = {"plain": detect_plainly, "fast": detect_fast}
    times = in_turn(works, device, rounds=rounds, warm_up=warm_up)
    rate = matrix_rate(device, dtype_for(device, settings.run.precision))
    reports = {
        name: DetectionReport.of(seconds, len(images), operations, rate)
        for name, seconds in times.items()
    }
    return _found(settings, device, rate, reports, times) | {"distance": distance}


def _found(
    settings: Settings,
    device: torch.device,
    rate: float,
    reports: Mapping[str, StepReport | DetectionReport],
    times: Mapping[str, list[float]],
) -> dict[str, Any]:
    dtype = dtype_for(device, settings.run.precision)
    return {
        "torch": torch.__version__,
        "device": describe_device(device),
        "precision": str(dtype).removeprefix("torch."),
        "settings": settings.flat(),
        **{name: asdict(report) for name, report in reports.items()},
        "ratio": median(a / b for a, b in zip(times["plain"], times["fast"], strict=True)),
        "matrix_tflops": rate / 1e12,
        "matrix_precision": matrix_precision(device, dtype),
    }


def _agreement(steppers: Mapping[str, Stepper], batch: Batch) -> dict[str, float]:
    losses, gradients = {}, {}
    for name, stepper in steppers.items():
        with in_eval_mode(stepper):
            loss = stepper.forward(batch, 0)
            stepper.updater.backward(loss)
            losses[name] = loss.item()
            gradients[name] = torch.cat(
                [
                    p.grad.cpu().double().flatten()  # MPS has no float64
                    for _, network in stepper.assembly.networks()
                    for p in network.parameters()
                    if p.grad is not None
                ]
            )
    difference = (gradients["fast"] - gradients["plain"]).norm() / gradients["plain"].norm()
    return {
        "loss": abs(losses["fast"] - losses["plain"]) / max(abs(losses["plain"]), 1e-12),
        "gradient": difference.item(),
    }


def within(found: Mapping[str, Any]) -> dict[str, bool]:
    """Return whether the ways agree, by what was compared, to the tolerance of their precision."""
    # The fast way may round where the plain one does not, and TF32 rounds in both.
    kind = found["matrix_precision"]
    agreement = found["agreement"] if "agreement" in found else {"distance": found["distance"]}
    return {name: value <= TOLERANCES[kind][name] for name, value in agreement.items()}


def describe(found: Mapping[str, Any]) -> str:
    """Return what was found as lines of text."""
    ways = (found["plain"], found["fast"])
    lines = [f"{found['device']}, {found['precision']}", f"{'':28}{'plain':>12}{'fast':>12}"]

    def line(name: str, *values: str) -> None:
        lines.append(f"{name:28}" + "".join(f"{value:>12}" for value in values))

    line("seconds", *(f"{way['seconds']['median']:.4g}" for way in ways))
    line("images/s", *(f"{way['images_per_second']:.1f}" for way in ways))
    line("GFLOP an image", *(f"{way['gflop_per_image']:.4g}" for way in ways))
    line("share of a matrix product's", *(f"{way['share_of_matrix_rate']:.0%}" for way in ways))
    if "agreement" in found:
        memory = [way["peak_memory"] for way in ways]
        line("peak memory, MiB", *("-" if m is None else f"{m / 2**20:.0f}" for m in memory))
        for name in ways[0]["parts"]:
            line(f"{name}, ms", *(f"{1000 * way['parts'][name]:.1f}" for way in ways))
        agreement = found["agreement"]
        lines.append(
            f"With normalisations in eval mode, the losses differ by {agreement['loss']:.1e} and "
            f"the gradients by {agreement['gradient']:.1e}, relative to the plain way: "
            f"{_judged(found)}."
        )
    else:
        lines.append(f"Points differ by {found['distance']:.2g} pixels at most: {_judged(found)}.")
    return "\n".join([*lines, f"fast is {found['ratio']:.2f} times plain"])


def _judged(found: Mapping[str, Any]) -> str:
    kind, good = found["matrix_precision"], within(found)
    limits = ", ".join(f"{TOLERANCES[kind][name]:g} of {name}" for name in good)
    return f"{'within' if all(good.values()) else 'BEYOND'} what {kind} may ({limits})"


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="reconstruction-quick", metavar="NAME")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images a step")
    parser.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="how often each is timed"
    )
    parser.add_argument(
        "--warm-up", type=int, default=1, metavar="N", help="how often each runs before"
    )
    parser.add_argument("--predict", action="store_true", help="measure the detector alone")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    asked = parser.parse_args()
    registry = installed()
    run = {"batch_size": asked.batch_size, "device": asked.device}
    flags = Layer("flags", {"run": {key: value for key, value in run.items() if value}})
    try:
        layers = [*read_recipe(asked.recipe, registry), flags, read_assignments(asked.set)]
        settings = settle(layers, registry)
        compare = compare_detection if asked.predict else compare_steps
        found = compare(settings, registry, rounds=asked.rounds, warm_up=asked.warm_up)
    except LmkitError as error:
        parser.exit(int(error.code), f"{error.problem}\n  {error.remedy}\n")
    print(json.dumps(found, indent=2) if asked.json else describe(found))


if __name__ == "__main__":
    main()
