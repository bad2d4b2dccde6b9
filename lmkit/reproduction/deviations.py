"""What a table's runs did otherwise than the paper, in words, from the settings they really had.

Every setting is compared with the recipe of the paper, so that nothing is left out because nobody
thought of it. What no setting holds, such as how the authors normalised, has a sentence here.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmkit.campaigns.campaign import Result
from lmkit.data.crops import LEAK
from lmkit.registry.lookup import Registry
from lmkit.registry.values import as_typed
from lmkit.reproduction.published import SPLITS, TRAINING_IMAGES, Row
from lmkit.reproduction.rows import overlay
from lmkit.settings.changes import is_of_the_method
from lmkit.settings.layers import CORE_SECTIONS, merge, read_recipe
from lmkit.settings.settings import Settings, resolve
from lmkit.storage import read_json

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
    results: Mapping[Row, Sequence[Result]], missing: Sequence[str], registry: Registry
) -> list[str]:
    """Return every deviation, a sentence each; those that not all rows share name their rows.

    Args:
        results: The measured runs of each row, one a seed.
        missing: Data that the paper measured on and these runs were not.
        registry: Where components are looked up.
    """
    said: dict[str, list[str]] = {}
    for row, runs in results.items():
        of_runs = (sentence for result in runs for sentence in _of_run(result, row, registry))
        for sentence in [*of_runs, _seeds(runs)]:
            rows = said.setdefault(sentence, [])
            if row.name not in rows:
                rows.append(row.name)
    sentences = [
        sentence if len(rows) == len(results) else f"{sentence} (Rows: {', '.join(rows)}.)"
        for sentence, rows in said.items()
    ]
    return [*sentences, *(f"Nothing was measured on {name}." for name in missing), *ALWAYS]


def is_comparable(results: Mapping[Row, Sequence[Result]], registry: Registry) -> bool:
    """Return whether runs are as large as the paper's, and on its data.

    Args:
        results: The measured runs of each row.
        registry: Where components are looked up.
    """
    return all(_is_full(result, row, registry) for row, runs in results.items() for result in runs)


def _is_full(result: Result, row: Row, registry: Registry) -> bool:
    paper = _paper(row, registry)
    ours = resolve(result.settings, registry)
    return (
        not [*_data(result)]
        and all(
            name in SPLITS and report["images"]["test"] == SPLITS[name][1]
            for name, report in result.reports.items()
        )
        and ours.run.steps * ours.run.batch_size >= paper.run.steps * paper.run.batch_size
        and ours.run.image_size >= paper.run.image_size
        and paper.loss.keys() <= ours.loss.keys()
    )


def _paper(row: Row, registry: Registry) -> Settings:
    """Return a row's settings as the paper has them, but for its pretrained detector."""
    layers = [*read_recipe("paper", registry), overlay(row, registry)]
    return resolve(merge(layers), registry)


def _of_run(result: Result, row: Row, registry: Registry) -> Iterator[str]:
    yield from _data(result)
    yield from _benchmarks(result)
    yield from _settings(result, row, registry)
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


def _data(result: Result) -> Iterator[str]:
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


def _benchmarks(result: Result) -> Iterator[str]:
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


def _settings(result: Result, row: Row, registry: Registry) -> Iterator[str]:
    """Compare section by section with the paper's recipe under the same row."""
    paper = _sections(_paper(row, registry))
    actual = _sections(resolve(result.settings, registry))
    for section in [*actual, *(section for section in paper if section not in actual)]:
        ours, theirs = actual.get(section), paper.get(section)
        if ours is None:
            yield f"`{section}`: left out."
        elif theirs is None:
            yield f"`{section}`: added ({_listed(ours)})."
        elif ours.get("name") != theirs.get("name") and section not in CORE_SECTIONS:
            yield f"`{section}`: {ours['name']} ({_listed(ours)}) instead of {theirs['name']}."
        else:
            for key, value in ours.items():
                name = f"{section}.{key}"
                said = name in TOLD_APART or not is_of_the_method(name)
                if not said and value != theirs[key]:
                    yield f"`{name}`: {as_typed(value)} instead of {as_typed(theirs[key])}."


def _sections(settings: Settings) -> dict[str, dict[str, Any]]:
    plain = settings.to_dict()
    losses = {f"loss.{label}": options for label, options in plain.pop("loss").items()}
    # The data has sentences of its own, and writers only listen.
    del plain["data"], plain["writer"]
    return {**plain, **losses}


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
    record = Path(core) / "run.json"
    if not record.is_file():
        return "whose training is not known here"
    settings = read_json(record)["settings"]
    points = settings["run"]["landmarks"]
    return f"which was trained on {describe_data(settings['data'])} to detect {points} landmarks"


def _framing(result: Result) -> Iterator[str]:
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


def _regressor(result: Result) -> Iterator[str]:
    for name in {report["forward"]["convention"] for report in result.reports.values()}:
        if name != "li2020":
            yield (
                f"The regressor is that of the convention '{name}'; the paper's, also with bias, "
                "has a ridge of another strength, and for N labelled images it took N + 1 in a "
                "single draw."
            )


def _seeds(runs: Sequence[Result]) -> str:
    seeds = sorted(run.settings["run"]["seed"] for run in runs)
    if len(seeds) == 1:
        return f"One seed: {seeds[0]}."
    return f"The mean of {len(seeds)} seeds: {', '.join(map(str, seeds))}."
