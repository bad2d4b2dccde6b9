"""Everything that ships with lmkit keeps what its kind promises; a new component joins by itself.

What components need to be small, or to be built at all, is in one table.
"""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit.registry.lookup import installed
from lmkit.testing import Check, Skipped, checks_for

DATA = Path(tempfile.gettempdir()) / f"lmkit-conformance-{os.getpid()}"
"""Where the datasets find their files, once the first test asks for them."""

NAMES = [f"{number:06d}.png" for number in range(1, 7)]

SETTINGS = {
    "detector hourglass": {"features": 16, "depth": 2},
    "detector timm": {"backbone": "resnet10t", "width": 16, "image_size": 32},
    "generator residual": {"width": 8, "blocks": 2},
    "loss perceptual": {"weights": "random", "layers": ["relu1_1"], "image_size": 16},
    "dataset faces": {"count": 40},
    "dataset folder": {"path": DATA / "img_align_celeba"},
    "dataset csv": {"path": DATA / "list.csv"},
    "dataset celeba": {"path": DATA},
}
"""Beside options also the run's landmarks and image_size. What is not here is built as it is."""

EXPECTED_FAILURES: dict[str, str] = {}
"""Why a check fails that is known to: by its name, as pytest shows it."""


def checks() -> list[Check]:
    """Return the checks of every plugin that ships with lmkit."""
    found = []
    for plugin in installed().plugins:
        if plugin.built_in:
            own = {f"{part.kind} {part.name}" for part in plugin.components}
            found += checks_for(
                plugin.name,
                settings={key: SETTINGS[key] for key in own & SETTINGS.keys()},
                expected_failures={
                    key: reason
                    for key, reason in EXPECTED_FAILURES.items()
                    if key.partition(":")[0] in own
                },
            )
    return found


@pytest.fixture(scope="module", autouse=True)
def _data():
    """Lay out pictures as a folder, as a CSV, and as CelebA has them."""
    pictures = DATA / "img_align_celeba"
    pictures.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(NAMES):
        noise = np.random.default_rng(number).integers(0, 256, (24, 20, 3), np.uint8)
        Image.fromarray(noise).save(pictures / name)
    points = "4 5 15 5 10 12 6 18 14 18"
    rows = "".join(f"{name} {points}\n" for name in NAMES)
    lists = {
        "list.csv": "file,subject,x0,y0,x1,y1\n"
        + "".join(f"img_align_celeba/{name},{name[5]},4,5,15.5,5\n" for name in NAMES),
        "list_landmarks_align_celeba.txt": f"{len(NAMES)}\nlefteye_x and so on\n{rows}",
        "list_eval_partition.txt": "".join(
            f"{name} {part}\n" for name, part in zip(NAMES, "000012", strict=True)
        ),
    }
    for name, text in lists.items():
        (DATA / name).write_text(text)
    yield
    shutil.rmtree(DATA)


@pytest.mark.parametrize("check", checks(), ids=str)
def test_it_keeps_its_promises(check: Check) -> None:
    try:
        check()
    except Skipped as skipped:
        if " needs " in str(skipped):
            pytest.fail(f"{skipped}; here, that is an entry in SETTINGS")
        raise


def test_the_table_names_nothing_that_is_gone() -> None:
    found = [str(check) for check in checks()]
    assert set(SETTINGS) <= {name.partition(":")[0] for name in found}
    assert set(EXPECTED_FAILURES) <= set(found)
