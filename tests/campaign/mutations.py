"""Valid files of annotation, and what may have become of them."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lmkit.data.sets.aflw import AFLW
from lmkit.data.sets.celeba import CelebA
from lmkit.data.sets.coco import Coco
from lmkit.data.sets.ibug import IBug
from lmkit.data.sets.mpii import MPII
from lmkit.data.sets.table import CsvTable
from lmkit.data.sets.yolo import Yolo
from lmkit.interfaces.dataset import Dataset

COUNT = 12
POINTS = np.array([(10, 12), (30, 9), (20, 30)])
SIZE = (60, 50)

ODD = [
    *("", "nan", "NaN", "inf", "-inf", "1e39", "1e300", "-1e308", "9" * 400, "9" * 5000, "1_0"),
    *("null", "None", "NA", "true", "[]", "{}", "\u0661", "\x00", "\u2028", "\ud83d\ude00"),
    *("n" * 300, "../" * 50, "/", "\\", "C:\\a\\b.png", "-1", "0", "-0", "1e-320", "'", '"', ","),
]
"""Words that stand where another was."""
VALUES = [
    *(None, True, -1, 0, 1e39, 1e300, -1e308, float("nan"), float("inf"), 10**400, 2**63),
    *("", "x", "5", "n" * 300, "\ud800", "\x00", [], {}, [[]], [1], {"id": 1}, [None] * 9),
]
"""What stands in JSON where another value was."""


def _coco(root: Path) -> Path:
    entries = []
    for number in range(COUNT):
        keypoints = [float(n) for x, y in POINTS for n in (x, y, 2)]
        entries.append(
            {"id": number, "image_id": number, "category_id": 1, "bbox": [4, 6, 30, 30],
             "keypoints": keypoints}
        )  # fmt: skip
    content = {
        "images": [
            {"id": n, "file_name": f"{n}.png", "width": SIZE[0], "height": SIZE[1]}
            for n in range(COUNT)
        ],
        "annotations": entries,
        "categories": [{"id": 1, "name": "mouse", "keypoints": ["nose", "left_eye", "right_eye"]}],
    }
    path = root / "a.json"
    path.write_text(json.dumps(content))
    return path


def _csv(root: Path) -> Path:
    rows = [
        f"{n}.png,{'abc'[n % 3]},train,{','.join(map(str, POINTS.ravel()))}" for n in range(COUNT)
    ]
    path = root / "a.csv"
    path.write_text("\n".join(["file,subject,split,a_x,a_y,b_x,b_y,c_x,c_y", *rows]))
    return path


def _deeplabcut(root: Path) -> Path:
    rows = [f"labeled-data/v/{n}.png,{','.join(map(str, POINTS.ravel()))}" for n in range(COUNT)]
    head = ["scorer" + ",me" * 6, "bodyparts,a,a,b,b,c,c", "coords" + ",x,y" * 3]
    path = root / "d.csv"
    path.write_text("\n".join([*head, *rows]))
    return path


def _celeba(root: Path) -> Path:
    rows = [f"{n}.png 1 2 3 4 5 6 7 8 9 {n}" for n in range(COUNT)]
    path = root / "list_landmarks_align_celeba.txt"
    path.write_text("\n".join([str(COUNT), "lefteye_x", *rows]))
    return path


def _kaggle(root: Path) -> Path:
    rows = [f"{n}.png,1,2,3,4,5,6,7,8,9,{n}" for n in range(COUNT)]
    path = root / "list_landmarks_align_celeba.csv"
    path.write_text("\n".join(["image_id,lefteye_x", *rows]))
    return path


def _pts(root: Path) -> Path:
    text = "".join(f"{x:.3f} {y:.3f}\n" for x, y in POINTS)
    for number in range(COUNT):
        (root / f"{number}.pts").write_text(f"version: 1\nn_points: 3\n{{\n{text}}}\n")
    return root / "3.pts"


def _mpii_json(root: Path) -> Path:
    persons = [
        {"image": f"{n}.png", "joints": [[n + 1, n + 2]] * 16, "joints_vis": [1] * 16,
         "center": [30, 25], "scale": 0.2}
        for n in range(COUNT)
    ]  # fmt: skip
    path = root / "train.json"
    path.write_text(json.dumps(persons))
    return path


def _aflw(root: Path) -> Path:
    from scipy.io import savemat

    half = COUNT // 2
    for part, numbers in (("train", range(half)), ("test", range(half, COUNT))):
        (root / f"aflw_{part}_images.txt").write_text("\n".join(f"{n}.png" for n in numbers))
        savemat(
            root / f"aflw_{part}_keypoints.mat",
            {"gt": np.ones((half, 5, 2)), "hw": np.tile([[50, 60]], (half, 1))},
        )
    return root / "aflw_train_keypoints.mat"


def _yolo(root: Path) -> Path:
    shares = " ".join(f"{x / 60:.6f} {y / 50:.6f} 2" for x, y in POINTS)
    for number in range(COUNT):
        (root / f"{number}.txt").write_text(f"0 0.5 0.5 0.6 0.6 {shares}\n")
    (root / "data.yaml").write_text("train: .\nval: .\nkpt_shape: [3, 3]\n")
    return root / "3.txt"


def _yolo_yaml(root: Path) -> Path:
    _yolo(root)
    return root / "data.yaml"


def _open(kind: type[Dataset]) -> Callable[[Path], Dataset]:
    return lambda path: kind(path=path)  # type: ignore[call-arg]


FORMATS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Dataset], str]] = {
    "coco": (_coco, _open(Coco), ""),
    "csv": (_csv, _open(CsvTable), ""),
    "deeplabcut": (_deeplabcut, _open(CsvTable), "labeled-data/v"),
    "celeba": (_celeba, lambda path: CelebA(path=path.parent), "img_align_celeba"),
    "kaggle": (_kaggle, lambda path: CelebA(path=path.parent), "img_align_celeba"),
    "300w": (_pts, lambda path: IBug(path=path.parent), ""),
    "mpii": (_mpii_json, lambda path: MPII(path=path.parent), "images"),
    "aflw": (_aflw, lambda path: AFLW(path=path.parent), "output"),
    "yolo": (_yolo, lambda path: Yolo(path=path.parent), ""),
    "yolo layout": (_yolo_yaml, lambda path: Yolo(path=path.parent), ""),
}
"""For each format what writes it and returns the file to mutate, what reads it, and where the
images are."""


def lay_out(name: str, root: Path) -> Path:
    """Write a valid data set of a format, and return its file to mutate."""
    write, _, images = FORMATS[name]
    folder = root / images
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(COUNT):
        Image.new("RGB", SIZE, (number * 20, 0, 0)).save(folder / f"{number}.png")
    return write(root)


def mutate(content: bytes, draw: random.Random) -> bytes:
    """Return a file's content with one to four things changed."""
    for _ in range(draw.choice((1, 1, 2, 4))):
        kind = draw.randrange(8)
        if kind == 0 and content:
            place = draw.randrange(len(content))
            content = content[:place] + bytes([draw.randrange(256)]) + content[place + 1 :]
        elif kind == 1:
            content = content[: draw.randrange(len(content) + 1)]
        elif kind == 2:
            start, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
            content = content[:start] + content[end:]
        elif kind == 3:
            start, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
            content += content[start:end] * draw.choice((1, 3))
        elif kind == 4:
            content = _in_json(content, draw)
        else:
            content = _word(content, draw)
    return content


def _word(content: bytes, draw: random.Random) -> bytes:
    """Put another word in the place of a number or name of a text."""
    text = content.decode("utf-8", "surrogateescape")
    signs = set(',: \n[]{}"')
    ends = [place for place, sign in enumerate(text) if sign in signs]
    if len(ends) < 2:
        return content
    at = draw.randrange(len(ends) - 1)
    word = draw.choice(ODD).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = text[: ends[at] + 1] + word + text[ends[at + 1] :]
    return text.encode("utf-8", "surrogateescape")


def _in_json(content: bytes, draw: random.Random) -> bytes:
    """Put another value in the place of one of JSON's, at any depth."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return content
    places: list[tuple[Any, Any]] = []
    waiting = [whole]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                waiting.append(node[key])
    if not places:
        return content
    node, key = draw.choice(places)
    if draw.random() < 0.2:
        del node[key]
    elif draw.random() < 0.05:
        return content.replace(json.dumps(node[key]).encode(), b"[" * 100_000, 1)
    else:
        node[key] = draw.choice(VALUES)
    try:
        return json.dumps(whole).encode("utf-8", "surrogatepass")
    except ValueError:
        return content
