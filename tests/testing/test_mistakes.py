"""Mistakes that authors of plugins make: each is one failure, with its place and a remedy."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent, indent

import pytest

import lmkit
from lmkit.errors import LmkitError
from lmkit.registry import local, lookup
from lmkit.testing import checks_for

TOP = """
import sys
import numpy as np
import torch
from torch import nn
from lmkit.api import *

"""
HOOK = """

@hookimpl
def lmkit_components():
    return [Component("{kind}", "probe", __name__ + ":Part", "a probe")]
"""
GOOD = {
    "detector": '''
class Part(HeatmapDetector):
    """Finds.

    Args:
        width: Channels.
    """
    def __init__(self, *, landmarks: int, width: int = 4) -> None:
        super().__init__(landmarks=landmarks)
        self.first = nn.Conv2d(3, width, 5, stride=4, padding=2)
        self.last = nn.Conv2d(width, landmarks, 1)
    def score_maps(self, images):
        return self.last(self.first(images).relu())
''',
    "generator": '''
class Part(HeatmapGenerator):
    """Draws."""
    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.first = nn.Conv2d(landmarks, 3, 1)
    def redraw(self, images, heatmaps):
        size = images.shape[-2:]
        return torch.sigmoid(images + nn.functional.interpolate(self.first(heatmaps), size))
''',
    "deformation": '''
class Part(GeometricDeformation):
    """Moves."""
    def warps(self, batch, generator):
        shift = torch.rand(batch, 2, generator=generator) / 10
        one = torch.ones(batch)
        still = AffineWarp.from_similarity(0 * one, one, 0 * shift)
        return still, AffineWarp.from_similarity(0 * one, one, shift)
''',
    "pairing": '''
class Part(Pairing):
    """Pairs."""
    def routes(self):
        return (Route("original", ("auxiliary",), "deformed"),)
''',
    "loss": '''
class Part(Loss):
    """Compares."""
    def forward(self, step):
        return (step.ends - step.targets).abs().mean()
''',
    "dataset": '''
class Part(Dataset):
    """Holds."""
    argument = None
    point_names = ("a", "b")
    def __len__(self):
        return 12
    def key(self, index):
        return str(index)
    def image(self, index):
        return np.full((32, 32, 3), index, np.uint8)
    def annotation(self, index):
        return Annotation(np.array([[4, 4], [9, 9]], np.float32))
''',
    "writer": '''
class Part(Writer):
    """Hears."""
    def metrics(self, step, metrics):
        self.last = metrics
''',
}
"""A component of each kind without mistakes."""


def forward(*lines: str) -> str:
    """Return a detector whose points these lines compute from ``maps``, (B, K, 8, 8)."""
    body = indent("\n".join(lines), "        ")
    return f'''
class Part(Detector):
    """Finds."""
    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.last = nn.Conv2d(3, landmarks, 5, stride=4, padding=2)
    def forward(self, images):
        maps = self.last(images)
        points = soft_argmax(maps)
{body}
'''


def of(kind: str, before: str, after: str) -> tuple[str, str]:
    """Return a component that is good but for one passage."""
    assert GOOD[kind].count(before) == 1, before
    return kind, GOOD[kind].replace(before, after)


def extended(kind: str, *lines: str) -> tuple[str, str]:
    """Return a good component with these lines after it."""
    return kind, GOOD[kind] + indent("\n".join(lines), "    ") + "\n"


CALL = "def __call__(self, images, generator):"
MADE = "    made = super().__call__(images, generator)"
LANDMARKS = "instead of lmkit.api.Landmarks"
MISTAKES: dict[str, tuple[tuple[str, str], str]] = {
    # What a detector returns.
    "a tensor": (
        ("detector", forward("return points")),
        f"a Tensor of shape (4, 3, 2) {LANDMARKS}",
    ),
    "a tuple": (("detector", forward("return points, maps")), f"a tuple of 2 {LANDMARKS}"),
    "a dictionary": (("detector", forward("return {'points': points}")), "returned a dict of 1"),
    "nothing": (("detector", forward("Landmarks(points)")), f"returned None {LANDMARKS}"),
    "flat points": (
        ("detector", forward("return Landmarks(points.flatten(1))")),
        "points of shape (4, 6) and type torch.float32 instead of (4, 3, 2)",
    ),
    "one point less": (
        ("detector", forward("return Landmarks(points[:, 1:])")),
        "points of shape (4, 2, 2)",
    ),
    "landmarks before images": (
        ("detector", forward("return Landmarks(points.transpose(0, 1))")),
        "points of shape (3, 4, 2)",
    ),
    "double precision": (
        ("detector", forward("return Landmarks(points.double())")),
        "torch.float64",
    ),
    "half precision": (("detector", forward("return Landmarks(points.half())")), "torch.float16"),
    "pixels": (
        ("detector", forward("return Landmarks(points * 16 + 16)")),
        "instead of within [-1, 1], where -1 and 1 are the edges of the image",
    ),
    "not a number": (
        ("detector", forward("return Landmarks(points / 0 - points / 0)")),
        "points that are not finite",
    ),
    "an array": (
        ("detector", forward("return Landmarks(points.detach().numpy())")),
        "an array of shape (4, 3, 2) instead of a Tensor as points",
    ),
    "detached points": (
        ("detector", forward("return Landmarks(points.detach())")),
        "points that no gradient flows from",
    ),
    "argmax": (
        (
            "detector",
            forward(
                "best = maps.flatten(2).argmax(2)",
                "return Landmarks(torch.stack((best % 8, best // 8), 2) / 8.0)",
            ),
        ),
        "points that no gradient flows from: they were detached, or found by argmax",
    ),
    "confidence of images": (
        ("detector", forward("return Landmarks(points, confidence=points.sum((1, 2)).sigmoid())")),
        "confidence of shape (4,), which does not begin with (4, 3)",
    ),
    "confidence in a list": (
        ("detector", forward("return Landmarks(points, confidence=[1.0] * 3)")),
        "a list of 3 instead of a Tensor or None as confidence",
    ),
    "flat score maps": (
        of(
            "detector",
            "self.last(self.first(images).relu())",
            "self.last(self.first(images)).mean((2, 3))",
        ),
        "score_maps() returned shape (4, 3) instead of a Tensor (B, K, h, w)",
    ),
    "a squeezed batch of one": (
        ("detector", forward("return Landmarks(points.squeeze(0))")),
        "shape (3, 2)",
    ),
    # How it is built.
    "no super().__init__": (
        of("detector", "super().__init__(landmarks=landmarks)", "pass"),
        "before Module.__init__() call",
    ),
    "super() without landmarks": (
        of("detector", "super().__init__(landmarks=landmarks)", "super().__init__()"),
        "missing 1 required keyword-only argument: 'landmarks'",
    ),
    "a misspelt method": (
        of("detector", "def score_maps", "def scoremaps"),
        "abstract method score_maps",
    ),
    "a misspelt method with a body": (
        of(
            "detector",
            "    def score_maps",
            "    def initialize(self):\n        pass\n    def score_maps",
        ),
        "expected 'initialise', which lmkit looks for, got 'initialize'",
    ),
    "an option without a type": (of("detector", "width: int = 4", "width=4"), "has no type"),
    "an option by position": (
        of("detector", "self, *, landmarks: int, width", "self, landmarks: int, width"),
        "can be given by position",
    ),
    "an option that cannot be typed": (
        of("detector", "width: int = 4", "width: int = 4, more: dict = {}"),
        "cannot be typed on a command line",
    ),
    "a default of another type": (
        of("detector", "width: int = 4", "width: int = None"),
        "has a default that is not of its type",
    ),
    "an option that nobody explains": (
        of("detector", "width: int = 4", "width: int = 4, depth: int = 1"),
        "expected every option in the Args section, got nothing on depth",
    ),
    "an option called name": (
        of("detector", "width: int = 4", "width: int = 4, name: str = 'a'"),
        "it says in the settings which component is meant",
    ),
    "an option called weight": (
        extended(
            "loss",
            "def __init__(self, *, weight: float = 2.0) -> None:",
            "    super().__init__()",
        ),
        "it is the weight of a loss, which belongs to the run",
    ),
    "no docstring": (of("detector", '"""Finds.', 'x = """Finds.'), "a docstring"),
    "a foreign class": (of("detector", "HeatmapDetector", "nn.Module"), "is not derived from it"),
    "an exit while it is built": (
        of("detector", "super().__init__(landmarks=landmarks)", "sys.exit(1)"),
        "could not be built: SystemExit: 1",
    ),
    "an exit while it works": (
        of("detector", "return self.last", "sys.exit(2); return self.last"),
        "SystemExit: 2",
    ),
    "a GPU that is not there": (
        of("detector", "return self.last", "raise RuntimeError('no CUDA'); return self.last"),
        "expected no exception, got RuntimeError: no CUDA",
    ),
    "printing": (
        of("detector", "return self.last", "print('here'); return self.last"),
        "expected use to print nothing, got 'here'",
    ),
    "a seed of its own": (
        of("detector", "self.first =", "torch.manual_seed(3); self.first ="),
        "expected initial weights to follow the run's seed, got a seed of its own",
    ),
    "random numbers of numpy": (
        of("detector", "return self.last", "np.random.rand(); return self.last"),
        "got the random numbers of numpy.random",
    ),
    "writing into the images": (
        of("detector", "return self.last", "images.mul_(0.9); return self.last"),
        "wrote into what it is given (0)",
    ),
    "a layer that is not used": (
        of(
            "detector",
            "        self.last",
            "        self.idle = nn.Conv2d(3, 3, 1)\n        self.last",
        ),
        "expected a gradient for every parameter, got none for idle.weight, idle.bias",
    ),
    # Generators.
    "images of another size": (
        of(
            "generator",
            "size = images.shape[-2:]",
            "size = 16\n        images = images[..., ::2, ::2]",
        ),
        "images of shape (4, 3, 16, 16) instead of (4, 3, 32, 32)",
    ),
    "grey images": (
        ("generator", GOOD["generator"].replace("size))", "size)).mean(1, keepdim=True)")),
        "images of shape (4, 1, 32, 32) instead of",
    ),
    "images and masks": (
        ("generator", GOOD["generator"].replace("size))", "size)), heatmaps")),
        "a tuple of 2 instead of images",
    ),
    "colours without end": (
        of("generator", "return torch.sigmoid(", "return 9 * ("),
        "instead of within [0, 1]",
    ),
    "no use of the target": (
        of("generator", "self.first(heatmaps)", "self.first(heatmaps.detach())"),
        "gradients for the target's landmarks, got none",
    ),
    "a detached image": (
        of("generator", "sigmoid(images +", "sigmoid(images.detach() +"),
        "gradients for the image it starts from, got none",
    ),
    # Deformations.
    "a plain tuple of views": (
        extended("deformation", CALL, "    return tuple(super().__call__(images, generator))"),
        "a tuple of 4 instead of lmkit.api.Views",
    ),
    "views of bytes": (
        extended(
            "deformation", CALL, MADE, "    return made._replace(deformed=made.deformed * 255)"
        ),
        "a view with colours from",
    ),
    "a warp for one image": (
        of("deformation", "one, shift)", "one, shift)[:1]"),
        "",
    ),
    "random numbers of torch": (
        of("deformation", "torch.rand(batch, 2, generator=generator)", "torch.rand(batch, 2)"),
        "drew from torch's global random numbers",
    ),
    "points the other way": (
        extended(
            "deformation",
            CALL,
            MADE,
            "    return made._replace(original=made.deformed, deformed=made.original)",
        ),
        "dots of the original view within",
    ),
    # Pairings.
    "routes as plain tuples": (
        of("pairing", "Route(", "("),
        "a tuple of 3 instead of a tuple of lmkit.api.Route",
    ),
    "one route alone": (
        of(
            "pairing",
            '(Route("original", ("auxiliary",), "deformed"),)',
            'Route("original", ("auxiliary",), "deformed")',
        ),
        "one lmkit.api.Route instead of a tuple of them",
    ),
    "a comma forgotten": (
        of("pairing", '("auxiliary",)', '("auxiliary")'),
        "whose via is the text 'auxiliary' instead of a tuple of views",
    ),
    "an unknown view": (
        of("pairing", '("auxiliary",)', '("other",)'),
        "'other' is none of the views",
    ),
    "a route twice": (
        of("pairing", '"deformed"),)', '"deformed"),) * 2'),
        "routes() returned original -> auxiliary -> deformed twice",
    ),
    "auxiliaries in a list": (
        extended(
            "pairing",
            "def auxiliary(self, batch, subjects, generator):",
            "    return list(range(batch))",
        ),
        "auxiliary() returned a list of 4 instead of a Tensor",
    ),
    "auxiliaries beyond the batch": (
        extended(
            "pairing",
            "def auxiliary(self, batch, subjects, generator):",
            "    return torch.arange(batch) + 1",
        ),
        "auxiliary() chose the images [1, 2, 3, 4], and there are 4, counted from 0",
    ),
    # Losses.
    "a loss for each image": (
        of("loss", ".mean()", ".flatten(1).mean(1)"),
        "shape (8,) instead of a scalar",
    ),
    "a number": (of("loss", ".mean()", ".mean().item()"), "instead of a scalar Tensor"),
    "a detached loss": (of("loss", ".mean()", ".mean().detach()"), "returned a constant instead"),
    "a count": (of("loss", ".mean()", ".gt(0).sum()"), "a scalar of type torch.int64"),
    "no loss": (of("loss", "return", "x ="), "returned None instead of a scalar Tensor"),
    "routes that it does not ask for": (
        of("loss", "    def forward", "    needs_routes = False\n    def forward"),
        "expected needs_routes = True",
    ),
    "a misspelt attribute": (
        of("loss", "    def forward", "    need_routes = True\n    def forward"),
        "expected 'needs_routes', which lmkit looks for, got 'need_routes'",
    ),
    "annotation that it does not ask for": (
        of("loss", "step.targets", "step.targets + step.truth['original'].mean()"),
        "a loss that reads it says needs_truth = True",
    ),
    "a field that steps do not have": (
        of("loss", "step.ends", "step.images"),
        "no attribute 'images'",
    ),
    # Datasets.
    "images of floats": (
        of("dataset", ", np.uint8)", ", np.float32)"),
        "float32, instead of a NumPy array",
    ),
    "channels first": (
        of("dataset", "(32, 32, 3)", "(3, 32, 32)"),
        "instead of a NumPy array (H, W, 3)",
    ),
    "keys that are numbers": (
        of("dataset", "str(index)", "index"),
        "key() returned 0 instead of text",
    ),
    "keys twice": (of("dataset", "str(index)", "'face'"), "key() returned 'face' for two images"),
    "no images": (of("dataset", "return 12", "return 0"), "__len__() returned 0"),
    "points without their record": (
        of("dataset", "Annotation(np.array([[4, 4], [9, 9]], np.float32))", "np.zeros((2, 2))"),
        "instead of lmkit.api.Annotation",
    ),
    "a point too few": (
        of("dataset", "[[4, 4], [9, 9]]", "[[4, 4]]"),
        "instead of an array of shape (2, 2), a row for each of point_names",
    ),
    "names in one text": (of("dataset", '("a", "b")', '"ab"'), "instead of a tuple of texts"),
    "an image that is not there": (
        of("dataset", "return np.full", "return {}[index]; return np.full"),
        "KeyError: 0",
    ),
    # Writers.
    "an argument too few": (
        of("writer", "(self, step, metrics)", "(self, metrics)"),
        "metrics() takes 2 positional arguments but 3 were given",
    ),
    "a misspelt event": (
        of("writer", "def metrics", "def metric"),
        "got 'metric', which it does not",
    ),
}
"""By what is wrong: kind and class, and what the one failure says of it."""

ANNOUNCED: dict[str, tuple[str, str, str]] = {
    "a misspelt hook": ("lmkit_components", "lmkit_component", "the hook 'lmkit_component'"),
    "no marker": ("@hookimpl\n", "", "It implements no hook"),
    "nothing returned": ("return [", "x = [", "returned None instead of a list of Component"),
    "no list": (
        '[Component("loss", "probe", __name__ + ":Part", "a probe")]',
        'Component("loss", "probe", __name__ + ":Part", "a probe")',
        "instead of a list of Component",
    ),
    "a kind that is not there": ('"loss", "probe"', '"los", "probe"', "component kind 'los'"),
    "a name with capitals": ('"probe"', '"Probe"', "loss name 'Probe'"),
    "no summary": ('"a probe"', '""', "needs a summary of one line"),
    "a target without a class": ('__name__ + ":Part"', "__name__", "has the target"),
    "the same twice": ('"a probe")]', '"a probe")] * 2', "returned the loss 'probe' twice"),
    "a class that is not there": (":Part", ":Prat", "has no attribute 'Prat'"),
    "a version as a number": ("@hookimpl", "LMKIT_API = 2.1\n@hookimpl", "Its LMKIT_API is 2.1"),
    "a module that is not there": ("import sys", "import a_module_of_nobody", "a_module_of_nobody"),
    "a slip of the pen": ("class Part(Loss):", "class Part(Loss)", "SyntaxError"),
    "leaving": ("import sys", "import sys; sys.exit(0)", "SystemExit: 0"),
}
"""By what is wrong with an announcement: a passage, what stands there, what is said of it."""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Forget each plugin afterwards."""
    monkeypatch.setenv(local.VARIABLE, "")
    monkeypatch.setenv("LMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    lookup.installed.cache_clear()
    yield
    sys.modules.pop("mistaken_plugin", None)
    lookup.installed.cache_clear()


def said_of(source: str, kind: str, path: Path) -> list[tuple[str, str]]:
    """Return what check-plugin says of a plugin: a problem and a remedy each."""
    path.write_text(source)
    given = {f"{kind} probe": {"landmarks": 3, "image_size": 32}}
    try:
        checks = checks_for(str(path), settings=given)
    except LmkitError as error:
        return [(error.problem, error.remedy)]
    outcomes = [check.outcome() for check in checks]
    return [(each.problem, each.remedy) for each in outcomes if each.state == "failed"]


def assert_told(told: list[tuple[str, str]], words: str, path: Path) -> None:
    """Assert that there is one failure which names the place, what is wrong and what to do."""
    assert len(told) == 1, "\n".join(problem for problem, _ in told)
    problem, remedy = told[0]
    assert words in problem
    assert remedy.strip()
    assert "Traceback" not in problem + remedy
    assert str(Path(lmkit.__file__).parent) not in problem
    # The place in the author's own file, and a line that there is.
    found = re.search(rf"\({re.escape(str(path))}, line (\d+)\)", problem)
    assert found, problem
    assert 0 < int(found[1]) <= len(path.read_text().splitlines())


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_failure(mistake: str, tmp_path: Path) -> None:
    (kind, source), words = MISTAKES[mistake]
    path = tmp_path / "mistaken_plugin.py"
    told = said_of(TOP + dedent(source) + HOOK.format(kind=kind), kind, path)
    assert_told(told, words, path)
    assert "probe" in told[0][0].replace(str(path), "")


@pytest.mark.parametrize("mistake", ANNOUNCED)
def test_a_mistake_in_announcing_is_one_line(mistake: str, tmp_path: Path) -> None:
    before, after, words = ANNOUNCED[mistake]
    source = TOP + GOOD["loss"] + HOOK.format(kind="loss")
    assert source.count(before) == 1
    path = tmp_path / "mistaken_plugin.py"
    told = said_of(source.replace(before, after), "loss", path)
    assert_told(told, words, path)


@pytest.mark.parametrize("kind", GOOD)
def test_without_a_mistake_there_is_no_failure(kind: str, tmp_path: Path) -> None:
    source = TOP + GOOD[kind] + HOOK.format(kind=kind)
    assert said_of(source, kind, tmp_path / "mistaken_plugin.py") == []
