"""A plugin's component that breaks its contract is named, with its file and what was expected."""

import sys

import pytest

from lmkit.errors import ExitCode

TRAIN = (
    *("train", "--recipe=reconstruction-quick", "--device=cpu", "--steps=1", "--batch-size=4"),
    *("--landmarks=3", "--image-size=32"),
)
HOOK = """
from lmkit.api import Component, hookimpl

@hookimpl
def lmkit_components():
    return [Component(kind, "probe", f"faulty_parts:{kind.title()}", "is faulty") for kind in
            ("dataset", "deformation", "detector", "generator", "loss", "pairing")]
"""
PARTS = """
import sys
import numpy as np
import torch
from lmkit import api
from lmkit.api import Annotation, Landmarks, Route

class Dataset(api.Dataset):
    argument = None
    point_names = ("a", "b")
    def __len__(self): return 24
    def key(self, index): return str(index)
    def image(self, index): return np.full((32, 32, 3), 9 * index, np.uint8)
    def annotation(self, index): return Annotation(np.zeros((2, 2), np.float32))

class Deformation(api.GeometricDeformation):
    def warps(self, batch, generator): return None

class Detector(api.Detector):
    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.layer = torch.nn.Conv2d(3, 1, 1)
    def forward(self, images):
        return self.layer(images)

class Generator(api.Generator):
    def forward(self, images, before, after): return None

class Loss(api.Loss):
    def forward(self, step): return 0.5

class Pairing(api.Pairing):
    def routes(self): return None

"""
INSTEAD = "failed: TypeError: returned "
WRONG = {
    "detector returns a tensor": (
        "detector", "",
        INSTEAD + "a Tensor of shape (8, 1, 32, 32) instead of lmkit.api.Landmarks",
    ),
    "detector returns none": (
        "detector", "Detector.forward = lambda self, images: None",
        INSTEAD + "None instead of lmkit.api.Landmarks",
    ),
    "detector leaves": ("detector", "Detector.forward = lambda *_: sys.exit(0)", "SystemExit: 0"),
    "detector interrupts": (
        "detector", "def stop(*_): raise KeyboardInterrupt\nDetector.forward = stop",
        "failed: KeyboardInterrupt",
    ),
    "detector leaves while it is built": (
        "detector", "Detector.__init__ = lambda self, *, landmarks: sys.exit(3)",
        "could not be built: SystemExit: 3",
    ),
    "generator returns none": ("generator", "", INSTEAD + "None instead of images, a Tensor of"),
    "loss returns a number": ("loss", "", INSTEAD + "0.5 instead of a scalar Tensor"),
    "deformation returns none": ("deformation", "", "warps() returned None instead of two Warps"),
    "routes returns none": ("pairing", "", "routes() returned None instead of lmkit.api.Routes"),
    "routes raises": (
        "pairing", "def no(self): raise KeyError('eyes')\nPairing.routes = no",
        "failed: KeyError: 'eyes'",
    ),
    "routes leaves": ("pairing", "Pairing.routes = lambda self: sys.exit(1)", "SystemExit: 1"),
    "routes of other things": (
        "pairing", "Pairing.routes = lambda self: [('original', (), 'deformed')]",
        "routes() returned a tuple of 3 instead of a tuple of lmkit.api.Route",
    ),
    "routes of unknown views": (
        "pairing", "Pairing.routes = lambda self: (Route('original', ('left',), 'deformed'),)",
        "'left' is none of the views original, deformed, auxiliary",
    ),
    "auxiliary returns a list": (
        "pairing",
        "Pairing.routes = lambda self: (Route('original', ('auxiliary',), 'deformed'),)\n"
        "Pairing.auxiliary = lambda self, batch, subjects, generator: [0] * batch",
        "auxiliary() returned a list of 4 instead of a Tensor of the numbers of images, or None",
    ),
    "dataset's length is text": ("dataset", "Dataset.__len__ = lambda s: 'many'", "TypeError: "),
    "dataset's key is a number": (
        "dataset", "Dataset.key = lambda self, index: index", "key() returned 0 instead of text",
    ),
    "dataset's image is of floats": (
        "dataset", "Dataset.image = lambda self, index: np.zeros((32, 32, 3))",
        "image() returned an array of shape (32, 32, 3), float64, instead of a NumPy array",
    ),
    "dataset's image is a tensor": (
        "dataset", "Dataset.image = lambda self, index: torch.zeros(3, 32, 32)",
        "image() returned a Tensor of shape (3, 32, 32) instead of a NumPy array (H, W, 3) of",
    ),
    "dataset's image raises": (
        "dataset", "def no(self, index): raise KeyError(index)\nDataset.image = no",
        "failed: KeyError: ",
    ),
    "dataset's image leaves": (
        "dataset", "Dataset.image = lambda self, index: sys.exit()", "failed: SystemExit",
    ),
    "dataset's annotation is a dict": (
        "dataset", "Dataset.annotation = lambda self, index: {}",
        "annotation() returned a dict of 0 instead of lmkit.api.Annotation",
    ),
    "dataset's points are a list": (
        "dataset", "Dataset.annotation = lambda self, index: Annotation([[1, 2], [3, 4]])",
        "returned points as a list of 2 instead of an array of shape (2, 2)",
    ),
    "dataset's parts are beyond it": (
        "dataset", "Dataset.indices = lambda self, part: [99]",
        "returned image 99, and there are 24, counted from 0",
    ),
    "dataset's point names are one text": (
        "dataset", "Dataset.point_names = 'ab'", "point_names is the text 'ab' instead of a tuple",
    ),
    "dataset's problem is true": (
        "dataset", "Dataset.problem = lambda self, index: True",
        "problem() returned True instead of text or None",
    ),
    "dataset's subject raises": (
        "dataset", "Dataset.group = lambda self, index: 1 / 0", "failed: ZeroDivisionError",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_it_is_named_with_its_file_and_what_was_expected(
    install, lmkit, tmp_path, monkeypatch, case
):
    kind, source, says = WRONG[case]
    monkeypatch.delitem(sys.modules, "faulty_parts", raising=False)
    file = tmp_path / "site" / "faulty_parts.py"
    file.write_text(f"{PARTS}\n{source}\n")
    install("faulty", HOOK)
    word = f"--{'data' if kind == 'dataset' else kind}=probe"
    small = ["--set=data.count=24"] if kind != "dataset" else []
    if kind != "detector":
        small += ["--set=detector.features=8", "--set=detector.depth=1"]
    if kind != "generator":
        small += ["--set=generator.width=4", "--set=generator.blocks=1"]
    code, stdout, stderr = lmkit(*TRAIN, word, *small, "--out", tmp_path / "run")
    assert (code, stdout) == (ExitCode.PLUGIN, ""), stderr
    assert "Traceback" not in stderr
    error = stderr[stderr.index("Error: ") :]
    assert f"{kind} 'probe' of package faulty" in error
    assert says in error
    assert f"({file}, line " in error
    assert len(error.splitlines()) == 2
