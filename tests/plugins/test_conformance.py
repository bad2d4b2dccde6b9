"""Everything that ships with lmkit keeps what its kind promises; a new component joins by itself.

What components need to be small, or to be built at all, is in one table.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from lmkit.registry.lookup import installed
from lmkit.testing import Check, Skipped, checks_for

DATA = Path(tempfile.gettempdir()) / f"lmkit-conformance-{os.getpid()}"
"""Where the datasets find their files, once the first test asks for them."""

NAMES = [f"{number:06d}.png" for number in range(1, 7)]

SETTINGS = {
    "detector dve": {"descriptor": 8, "width": 8, "depth": 1, "blocks": 1},
    "detector hourglass": {"features": 16, "depth": 2},
    "detector structure": {"width": 4, "depth": 1, "image_size": 32},
    "detector timm": {"backbone": "resnet10t", "width": 16, "image_size": 32},
    "generator residual": {"width": 8, "blocks": 2},
    "detector imm": {"width": 8},
    "generator imm": {"width": 4},
    "generator structure": {"width": 4, "depth": 1, "image_size": 32},
    "generator transporter": {"width": 16},
    "loss perceptual": {"weights": "random", "layers": ["relu1_1"], "image_size": 16},
    "dataset faces": {"count": 40},
    "dataset folder": {"path": DATA / "folder"},
    "dataset csv": {"path": DATA / "list.csv"},
    "dataset 300w": {"path": DATA / "folder"},
    "dataset coco": {"path": DATA / "folder" / "coco.json"},
    "dataset celeba": {"path": DATA / "celeba"},
    "dataset aflw": {"path": DATA / "aflw"},
    "dataset mpii": {"path": DATA / "mpii"},
    "dataset yolo": {"path": DATA / "yolo"},
}
"""Beside options also the run's landmarks and image_size. What is not here is built as it is."""

EXPECTED_FAILURES: dict[str, str] = {
    "generator transporter: source trains": "the method stops gradients there (stop_source)"
}
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


def write(name: str, content: object) -> None:
    """Write a text, or a value as JSON."""
    path = DATA / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def draw(*names: str) -> None:
    """Write an image of noise under each name."""
    for number, name in enumerate(names):
        path = DATA / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (24, 20, 3), np.uint8)
        Image.fromarray(noise).save(path)


def lay_out_lists() -> None:
    """Images in a folder, in a CSV, with .pts files beside them, and in COCO's JSON."""
    draw(*(f"folder/{name}" for name in NAMES))
    rows = "".join(f"folder/{name},{name[5]},4,5,15.5,5\n" for name in NAMES)
    write("list.csv", f"file,subject,x0,y0,x1,y1\n{rows}")
    for name in NAMES:
        write(f"folder/{Path(name).stem}.pts", "version: 1\nn_points: 2\n{\n4 5\n15.5 5\n}\n")
    keypoints = {"category_id": 1, "bbox": [3, 4, 13, 6], "keypoints": [4, 5, 2, 15, 5, 2]}
    content = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(NAMES)],
        "categories": [{"id": 1, "name": "face", "keypoints": ["left", "right"]}],
        "annotations": [keypoints | {"id": n, "image_id": n} for n in range(len(NAMES))],
    }
    write("folder/coco.json", content)


def lay_out_downloads() -> None:
    """CelebA, AFLW and MPII as they are downloaded."""
    draw(*(f"celeba/img_align_celeba/{name}" for name in NAMES))
    rows = "".join(f"{name} 4 5 15 5 10 12 6 18 14 18\n" for name in NAMES)
    write("celeba/list_landmarks_align_celeba.txt", f"{len(NAMES)}\nlefteye_x and so on\n{rows}")
    parts = "".join(f"{name} {part}\n" for name, part in zip(NAMES, "000012", strict=True))
    write("celeba/list_eval_partition.txt", parts)
    points = np.array([[5, 4], [5, 15], [12, 10], [18, 6], [18, 14]], np.uint16)
    for part, names in (("train", NAMES[:4]), ("test", NAMES[4:])):
        draw(*(f"aflw/output/{name}" for name in names))
        write(f"aflw/aflw_{part}_images.txt", "".join(f"{name}\n" for name in names))
        content = {"gt": np.stack([points] * len(names)), "hw": [[24, 20]] * len(names)}
        savemat(DATA / "aflw" / f"aflw_{part}_keypoints.mat", content)
    draw(*(f"mpii/images/{name}" for name in NAMES))
    person = {"center": [10, 12], "scale": 0.1, "joints_vis": [1] * 16}
    person["joints"] = [[3 + n % 4, 4 + n] for n in range(16)]
    for part, names in (("train", NAMES[:4]), ("valid", NAMES[4:])):
        write(f"mpii/annot/{part}.json", [person | {"image": name} for name in names])
    described = "kpt_shape: [2, 3]\ntrain: images/train\nval: images/valid\nnames: [face]\n"
    write("yolo/data.yaml", described)
    for part, names in (("train", NAMES[:4]), ("valid", NAMES[4:])):
        draw(*(f"yolo/images/{part}/{name}" for name in names))
        for name in names:
            label = "0 0.5 0.5 0.7 0.4 0.2 0.4 2 0.8 0.4 2\n"
            write(f"yolo/labels/{part}/{Path(name).stem}.txt", label)


@pytest.fixture(scope="module", autouse=True)
def _data():
    lay_out_lists()
    lay_out_downloads()
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
