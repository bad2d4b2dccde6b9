"""What a table's runs did otherwise than the paper, in words, from the settings they really had.

Every setting is compared with the recipe of the paper, so that nothing is left out because nobody
thought of it. What no setting holds, such as how the authors normalised, has a sentence here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmkit.api import (
    CampaignResult,
    Layer,
    as_typed,
    complete_settings,
    is_of_the_method,
    recipe_layers,
)
from lmkit_interintra.tables.published import SPLITS, TRAINING_IMAGES, Row
from lmkit_interintra.tables.rows import overlay

TOLD_APART = (
    "run.seed",
    "run.precision",
    "loading.crop",
    "loading.crop_margin",
    "loading.crop_share",
    "loading.fit",
    "detector.init",
    "detector.core",
)
"""Settings that have sentences of their own, as the data has."""

OF_NO_COMPONENT = ("run", "optimizer", "loading")
"""The sections that are compared key by key whatever they name."""

LEAK = (
    "it is made from annotated points and so leaks the answer: compare with the mean shape's "
    "error, and never with figures of another crop"
)
"""What is to be said of a crop from annotation, after its name."""

NOT_COMPARABLE = (
    "The published figures are not comparable with ours: these runs are scaled down, or trained or "
    "measured on other data. They stand beside ours for orientation alone."
)
COMPARABLE = "The published figures are comparable with ours as far as the deviations below allow."

ALWAYS = (
    "The paper does not state the length of training, Adam's betas, the weight decay, the clipping "
    "of gradients and the ranges of the deformation. Where nothing else is said above, they are as "
    "its authors are known to have run them; the deformation's scale and shift are lmkit's choice.",
    "Detectors are measured with BatchNorm in eval mode. The authors' normalised by the batch, so "
    "that their figures depend on which test images were measured together.",
    "The paper does not say how many runs its figures are from.",
    "What the implementation does otherwise, such as passing both views through the detector in "
    "one batch, is in docs/method.md.",
)
"""What is so in every run of lmkit."""


def deviations(
    results: Mapping[Row, Sequence[CampaignResult]], missing: Sequence[str]
) -> list[str]:
    """Return every deviation, a sentence each; those that not all rows share name their rows.

    Args:
        results: The measured runs of each row, one a seed.
        missing: Data that the paper measured on and these runs were not.
    """
    said: dict[str, list[str]] = {}
    for row, runs in results.items():
        of_runs = (sentence for result in runs for sentence in _of_run(result, row))
        for sentence in [*of_runs, _seeds(runs)]:
            rows = said.setdefault(sentence, [])
            if row.name not in rows:
                rows.append(row.name)
    sentences = [
        sentence if len(rows) == len(results) else f"{sentence} (Rows: {', '.join(rows)}.)"
        for sentence, rows in said.items()
    ]
    return [*sentences, *(f"Nothing was measured on {name}." for name in missing), *ALWAYS]


def is_comparable(results: Mapping[Row, Sequence[CampaignResult]]) -> bool:
    """Return whether runs are as large as the paper's, and on its data.

    Args:
        results: The measured runs of each row.
    """
    return all(_is_full(result, row) for row, runs in results.items() for result in runs)


def _is_full(result: CampaignResult, row: Row) -> bool:
    paper, ours = _paper(row), _settings_of(result)
    return (
        not [*_data(result)]
        and all(
            name in SPLITS and report["images"]["test"] == SPLITS[name][1]
            for name, report in result.reports.items()
        )
        and _images_seen(ours) >= _images_seen(paper)
        and ours["run"]["image_size"] >= paper["run"]["image_size"]
        and paper["loss"].keys() <= ours["loss"].keys()
    )


def _images_seen(settings: Mapping[str, Any]) -> int:
    steps, batch_size = settings["run"]["steps"], settings["run"]["batch_size"]
    return int(steps) * int(batch_size)


def _paper(row: Row) -> dict[str, Any]:
    """Return a row's settings as the paper has them, but for its pretrained detector."""
    return complete_settings([*recipe_layers("paper"), overlay(row)])


def _settings_of(result: CampaignResult) -> dict[str, Any]:
    """Return a run's settings with those that a run of an earlier lmkit did not record."""
    return complete_settings([Layer("run.json", result.settings)])


def _of_run(result: CampaignResult, row: Row) -> Iterator[str]:
    yield from _data(result)
    yield from _benchmarks(result)
    yield from _settings(result, row)
    yield from _start(result.settings["detector"])
    yield from _framing(result)
    yield from _regressor(result)
    if result.settings["run"]["precision"] != "float32":
        yield (
            "The networks ran in bfloat16 where the device is CUDA, and in float32 elsewhere; "
            "geometry and losses in float32."
            if result.settings["run"]["precision"] == "auto"
            else "The networks ran in bfloat16."
        )


def _data(result: CampaignResult) -> Iterator[str]:
    data, images = result.settings["data"], f"{result.train_images:,} images"
    if data["name"].rpartition("/")[2] != "celeba":
        yield (
            f"Trained on {images} of {describe_data(data)}, not on CelebA "
            f"(over {TRAINING_IMAGES:,})."
        )
    elif result.train_images < TRAINING_IMAGES:
        yield (f"Trained on {images} in the layout of CelebA, which has over {TRAINING_IMAGES:,}.")


def describe_data(data: Mapping[str, Any]) -> str:
    """Return data in words: its kind, its folder or file, and its other options."""
    options = {key: value for key, value in data.items() if key not in ("name", "path")}
    place = f":{data['path']}" if data.get("path") else ""
    listed = ", ".join(f"{key}={as_typed(value)}" for key, value in options.items())
    return f"{data['name']}{place}" + (f" ({listed})" if listed else "")


def _benchmarks(result: CampaignResult) -> Iterator[str]:
    for name, report in result.reports.items():
        fitted, tested = report["images"]["fit"], report["images"]["test"]
        measured = f"fitted on {fitted:,} and tested on {tested:,} images"
        if name not in SPLITS:
            yield f"{name}: {measured} of the same data, held out, not of MAFL or AFLW."
        elif (fitted, tested) != SPLITS[name]:
            wanted_fit, wanted_test = SPLITS[name]
            yield f"{name}: {measured}; in the paper {wanted_fit:,} and {wanted_test:,}."
        if report["unreadable"]:
            yield f"{name}: {report['unreadable']:,} unreadable images are left out."
        yield from (f"{name}: {note}" for note in report["notes"])


def _settings(result: CampaignResult, row: Row) -> Iterator[str]:
    """Compare section by section with the paper's recipe under the same row."""
    paper, actual = _sections(_paper(row)), _sections(_settings_of(result))
    for section in [*actual, *(section for section in paper if section not in actual)]:
        ours, theirs = actual.get(section), paper.get(section)
        if ours is None:
            yield f"`{section}`: left out."
        elif theirs is None:
            yield f"`{section}`: added ({_listed(ours)})."
        elif ours.get("name") != theirs.get("name") and section not in OF_NO_COMPONENT:
            yield f"`{section}`: {ours['name']} ({_listed(ours)}) instead of {theirs['name']}."
        else:
            for key, value in ours.items():
                name = f"{section}.{key}"
                said = name in TOLD_APART or not is_of_the_method(name)
                if not said and value != theirs[key]:
                    yield f"`{name}`: {as_typed(value)} instead of {as_typed(theirs[key])}."


def _sections(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    # The data has sentences of its own, and writers only listen.
    apart = ("data", "loss", "writer")
    sections = {name: options for name, options in settings.items() if name not in apart}
    losses = {f"loss.{label}": options for label, options in settings["loss"].items()}
    return {**sections, **losses}


def _listed(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={as_typed(value)}" for key, value in options.items() if key != "name")


def _start(detector: Mapping[str, Any]) -> Iterator[str]:
    paper = (
        "the paper's starts from one trained on human pose (MPII, 19 landmarks) whose filters it "
        "remixes (projection)"
    )
    if detector.get("init", "scratch") == "scratch":
        yield f"The detector starts from random weights; {paper}."
    else:
        core = detector["core"]
        yield f"The detector starts from {core} by {detector['init']}, {_past(core)}; {paper}."


def _past(core: str) -> str:
    """Say what a core was trained on, where it is a run that tells."""
    try:
        settings = json.loads((Path(core) / "run.json").read_text(encoding="utf-8"))["settings"]
        data, points = describe_data(settings["data"]), settings["run"]["landmarks"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "whose training is not known here"
    return f"which was trained on {data} to detect {points} landmarks"


def _framing(result: CampaignResult) -> Iterator[str]:
    report = next(iter(result.reports.values()))
    shown = {
        "crop": "Images are reduced to their central square",
        "pad": "Images are padded to a square",
        "stretch": "Images are stretched to a square",
    }[report["fit"]]
    if report["crop"]:
        leaks = f"; {LEAK}" if report["crop_from_annotation"] else ""
        shown += f", after the crop {report['crop']}{leaks}"
    yield (
        f"{shown}. The paper does not state its crops; errors of different crops are not "
        "comparable, and the mean shape's error tells how much a crop gives away."
    )


def _regressor(result: CampaignResult) -> Iterator[str]:
    for name in {report["forward"]["convention"] for report in result.reports.values()}:
        if name != "li2020":
            yield (
                f"The regressor is that of the convention '{name}'; the paper's, also with bias, "
                "has a ridge of another strength, and for N labelled images it took N + 1 in a "
                "single draw."
            )


def _seeds(runs: Sequence[CampaignResult]) -> str:
    seeds = sorted(run.settings["run"]["seed"] for run in runs)
    if len(seeds) == 1:
        return f"One seed: {seeds[0]}."
    return f"The mean of {len(seeds)} seeds: {', '.join(map(str, seeds))}."
