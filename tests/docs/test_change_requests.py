"""One change, one file: each is made in a copy of the tree, in the file that the docs name.

A test here takes the fixture ``tree``, changes or adds one file of the copy, runs the copy as a
user would, and ends with ``assert tree.changed() == [file_for("what the docs call it")]``.
"""

import csv
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmkit.settings.layers import merge, read_assignments, read_recipe
from lmkit.settings.settings import resolve

ROOT = Path(__file__).parents[2]
PARTS = ("lmkit", "plugins")
"""What is copied, beside the pyproject.toml that names the plugins: all that a run imports."""

SMALL = [
    *("--recipe", "quickstart", "--device", "cpu", "--image-size", "32", "--batch-size", "4"),
    *("--set", "data.count=24", "--set", "run.log_every=1", "--set", "run.sheet_every=0"),
    *("--set", "detector.features=8", "--set", "detector.depth=1", "--set", "generator.width=4"),
]
"""``lmkit train`` so that a step takes a moment."""

LANDMARKS = 4
"""Of the run that is shared: number 3 is then the last that is drawn, and nothing covers it."""


def file_for(change: str) -> str:
    """Return the file that docs/architecture.md names for a change."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## One change, one file\n")[2].partition("\n## ")[0]
    files: dict[str, str] = dict(re.findall(r"^\| (.+?) \| `([^`]+)`", table, re.M))
    return files[change]


@dataclass(frozen=True)
class Tree:
    """A copy of the code, to be changed and run."""

    root: Path

    def replace(self, file: str, before: str, after: str) -> None:
        """Exchange a passage that stands in a file exactly once."""
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{file} has {text.count(before)} times: {before}"
        path.write_text(text.replace(before, after), encoding="utf-8")

    def add(self, file: str, text: str) -> None:
        """Write a file that is not there yet."""
        path = self.root / file
        assert not path.exists(), f"{file} is there"
        path.write_text(text, encoding="utf-8")

    def changed(self) -> list[str]:
        """Return the files that are not as they were, or that were not there."""
        files = [file for part in PARTS for file in (self.root / part).rglob("*") if file.is_file()]
        files += [file for file in self.root.iterdir() if file.is_file()]
        names = [file.relative_to(self.root) for file in files if "__pycache__" not in file.parts]
        _, differing, missing = filecmp.cmpfiles(ROOT, self.root, names, shallow=False)
        return sorted(Path(name).as_posix() for name in (*differing, *missing))

    def plugin(self, file: str, text: str) -> str:
        """Add a plugin of one module, and beside it what pip writes where it installs one.

        Returns:
            The file.
        """
        self.add(file, text)
        module = Path(file).stem
        info = self.root / f"{module}-1.0.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        entry = f"[lmkit]\n{module} = {module}\n"
        (info / "entry_points.txt").write_text(entry, encoding="utf-8")
        return file

    def python(self, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run Python with the copy's lmkit, in a process of its own.

        Args:
            arguments: Of Python: ``-c`` and a program, ``-m lmkit`` and a command.
            code: The exit status that is expected.
        """
        path = os.pathsep.join(str(self.root / part) for part in ("", "plugins"))
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def lmkit(self, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command of the copy's lmkit."""
        return self.python("-m", "lmkit", *arguments, code=code)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Copy the code, without what Python left beside it."""
    root = tmp_path / "tree"
    for part in PARTS:
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return Tree(root)


@pytest.fixture(scope="module")
def run(registry, tmp_path_factory) -> Path:
    """Train a run with the code as it is; to be read, not changed."""
    from lmkit.training.session import start

    assignments = [word for word in SMALL if "=" in word]
    assignments += ["run.device=cpu", "run.image_size=32", "run.batch_size=4", "run.steps=2"]
    assignments += [f"run.landmarks={LANDMARKS}"]
    layers = [*read_recipe("quickstart", registry), read_assignments(assignments)]
    out: Path = tmp_path_factory.mktemp("runs") / "run"
    start(resolve(merge(layers), registry), out)
    return out


@pytest.fixture
def photo(tmp_path) -> Path:
    """Make an image file of 48 x 48 pixels."""
    path = tmp_path / "photo.png"
    noise = np.random.default_rng(0).integers(256, size=(48, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


EVALUATE = ("--json", "--no-files", "--stability", "0", "--labelled", "1", "--draws", "1")
"""``lmkit evaluate`` without what takes time."""


def predicted(tree: Tree, run: Path, out: Path, *data: str | Path) -> list[dict[str, str]]:
    """Return the rows of the table that ``lmkit predict`` writes."""
    tree.lmkit("predict", run, *data, "--out", out, "--workers", "0", "--device", "cpu")
    with (out / "landmarks.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def metrics_of(run: Path) -> list[dict[str, float]]:
    """Return what a run wrote of its steps."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_copy_is_what_runs_and_is_unchanged(tree):
    where = "import lmkit, lmkit_interintra; print(lmkit.__file__, lmkit_interintra.__file__)"
    files = tree.python("-c", where).stdout.split()
    assert all(Path(file).is_relative_to(tree.root) for file in files)
    assert tree.changed() == []


def test_a_schedule_is_an_entry_of_one_table(tree, tmp_path):
    file = file_for("a learning-rate schedule")
    tree.replace(
        file,
        '    "cosine": Schedule(',
        '    "inverse": Schedule("divided by the number of the step", lambda n, _: 1 / (n + 1)),\n'
        '    "cosine": Schedule(',
    )
    run = tmp_path / "run"
    chosen = ("--set", "optimizer.schedule=inverse", "--set", "optimizer.learning_rate=0.01")
    tree.lmkit("train", *SMALL, "--steps", "2", *chosen, "--out", run)
    rates = [line["learning_rate"] for line in metrics_of(run)]
    assert rates == pytest.approx([0.01, 0.005])
    refused = tree.lmkit("train", *SMALL, "--set", "optimizer.schedule=invers", code=2)
    assert "Did you mean 'inverse'?" in refused.stderr
    assert tree.changed() == [file]


LOSS = '''
from typing import ClassVar

from torch import Tensor

from lmkit.api import Component, Loss, Step, hookimpl


class Centred(Loss):
    """Draws the mean landmark to the centre.

    Args:
        pull: How strongly.
    """

    needs_routes: ClassVar[bool] = False

    def __init__(self, *, pull: float = 1.0) -> None:
        super().__init__()
        self.pull = pull

    def forward(self, step: Step) -> Tensor:
        """Return the mean squared distance of an image's mean landmark from the centre."""
        return self.pull * step.landmarks["original"].points.mean(dim=1).square().mean()


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the loss."""
    return [Component("loss", "centred", f"{__name__}:Centred", "mean landmark at the centre")]
'''


def test_a_loss_is_one_module(tree, tmp_path):
    file = tree.plugin(file_for("a loss"), LOSS)
    weighted = ("--set", "loss.centred.weight=1.0", "--set", "loss.centred.pull=2.0")
    run = tmp_path / "run"
    tree.lmkit("train", *SMALL, "--steps", "1", "--loss", "centred", *weighted, "--out", run)
    assert metrics_of(run)[0]["loss/centred"] >= 0
    assert tree.changed() == [file]


WRITER = '''
from pathlib import Path

from lmkit.api import Component, Writer, hookimpl


class Lines(Writer):
    """Writes the total loss as lines of text.

    Args:
        file: Where to.
    """

    argument = "file"

    def __init__(self, *, file: Path) -> None:
        self.file = file

    def metrics(self, step, values) -> None:
        """Add a line."""
        with self.file.open("a", encoding="utf-8") as file:
            print(step, values["loss"], file=file)


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the writer."""
    return [Component("writer", "lines", f"{__name__}:Lines", "the loss as lines of text")]
'''


def test_logging_elsewhere_is_one_module(tree, tmp_path):
    file = tree.plugin(file_for("logging elsewhere"), WRITER)
    run, lines = tmp_path / "run", tmp_path / "lines.txt"
    tree.lmkit("train", *SMALL, "--steps", "2", "--writer", f"lines:{lines}", "--out", run)
    heard = [float(line.split()[1]) for line in lines.read_text(encoding="utf-8").splitlines()]
    assert heard == pytest.approx([line["loss"] for line in metrics_of(run)])
    assert tree.changed() == [file]


VIDEO = '''
from pathlib import Path

import numpy as np
from PIL import Image

from lmkit.api import Component, Dataset, hookimpl


class Clip(Dataset):
    """The frames of a clip.

    Args:
        path: The file.
    """

    def __init__(self, *, path: Path) -> None:
        self.path = path
        with Image.open(path) as clip:
            self.frames = clip.n_frames

    def __len__(self) -> int:
        return self.frames

    def key(self, index: int) -> str:
        """Return the name of a frame."""
        return f"frame{index:04d}"

    def image(self, index: int):
        """Read a frame."""
        with Image.open(self.path) as clip:
            clip.seek(index)
            return np.asarray(clip.convert("RGB"))


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the dataset."""
    return [Component("dataset", "clip", f"{__name__}:Clip", "the frames of a clip")]
'''


def test_videos_are_read_by_one_module(tree, run, tmp_path):
    file = tree.plugin(file_for("videos"), VIDEO)
    noise = np.random.default_rng(0).integers(256, size=(5, 40, 48, 3), dtype=np.uint8)
    first, *others = map(Image.fromarray, noise)
    clip = tmp_path / "clip.gif"
    first.save(clip, save_all=True, append_images=others)
    rows = predicted(tree, run, tmp_path / "out", f"clip:{clip}")
    assert [row["file"] for row in rows] == [f"frame{number:04d}" for number in range(5)]
    assert {(row["width"], row["height"]) for row in rows} == {("48", "40")}
    assert tree.changed() == [file]


SOURCE = '''

class Frames(Source):
    """The frames of a clip, of which only their end tells how many they are."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[int]:
        from PIL import Image

        with Image.open(self._path) as clip:
            yield from range(clip.n_frames)

    def name(self, item: int) -> str:
        return f"frame {item}"

    def image(self, item: int) -> NDArray[np.uint8]:
        from PIL import Image

        with Image.open(self._path) as clip:
            clip.seek(item)
            return np.asarray(clip.convert("RGB"))


def as_source('''


def test_another_source_of_images_to_predict_is_a_class(tree, run, tmp_path):
    file = file_for("another source of images for `predict_each`")
    tree.replace(file, "\n\ndef as_source(", SOURCE)
    clip = tmp_path / "clip.gif"
    frames = [Image.new("RGB", (40, 40), (60 * number, 0, 0)) for number in range(3)]
    frames[0].save(clip, save_all=True, append_images=frames[1:])
    program = (
        "import sys, lmkit\n"
        "from lmkit.prediction.sources import Frames\n"
        "run = lmkit.open_run(sys.argv[1], device='cpu')\n"
        "print([found.name for found in run.predict_each(Frames(sys.argv[2]))])"
    )
    assert tree.python("-c", program, run, clip).stdout.strip() == str(
        ["frame 0", "frame 1", "frame 2"]
    )
    assert tree.changed() == [file]


def test_a_column_of_the_landmarks_is_written_by_one_file(tree, run, photo, tmp_path):
    file = file_for("a column in landmarks.csv")
    tree.replace(file, "FIELDS: tuple[str, ...] = ()", 'FIELDS = ("probability_maps",)')
    tree.replace(
        file,
        '    table.writerow(["file", "width", "height", *axes, *sure, *spread])',
        '    peaks = [f"peak{k}" for k in range(count)]\n'
        '    table.writerow(["file", "width", "height", *axes, *sure, *spread, *peaks])',
    )
    tree.replace(
        file,
        "        table.writerow([image.name, *size, *cells])",
        "        maps = found.probability_maps\n"
        "        peaks = maps.flatten(2).amax(dim=2).flatten().tolist()\n"
        "        table.writerow([image.name, *size, *cells, *peaks])",
    )
    (row,) = predicted(tree, run, tmp_path / "out", photo)
    assert list(row)[-LANDMARKS:] == [f"peak{k}" for k in range(LANDMARKS)]
    assert all(0 < float(row[f"peak{k}"]) <= 1 for k in range(LANDMARKS))
    assert tree.changed() == [file]


def test_a_metric_is_an_entry_of_one_table(tree, run):
    file = file_for("a metric")
    tree.replace(
        file,
        "MEASURES: dict[str, Measure] = {\n",
        "MEASURES: dict[str, Measure] = {\n"
        '    "worst": Measure("worst image", lambda errors: float(errors.max())),\n',
    )
    report = tree.lmkit("evaluate", run, *EVALUATE).stdout
    assert '"worst"' in report
    assert "worst image" in tree.lmkit("evaluate", run, "--no-files", *EVALUATE[2:]).stdout
    assert tree.changed() == [file]


def test_256_pixels_are_a_line_of_the_recipe(tree, tmp_path):
    file = file_for("the image size of a recipe, such as 256 pixels")
    tree.replace(file, "image_size = 40", "image_size = 256")
    at = SMALL.index("--image-size")
    run = tmp_path / "run"
    tree.lmkit("train", *SMALL[:at], *SMALL[at + 2 :], "--steps", "1", "--out", run)
    size = "import sys, lmkit; print(lmkit.open_run(sys.argv[1]).settings.run.image_size)"
    assert tree.python("-c", size, run).stdout.strip() == "256"
    assert len(metrics_of(run)) == 1
    assert tree.changed() == [file]


def test_a_threshold_of_collapse_is_one_number(tree, run):
    file = file_for("a threshold of collapse")
    watch = (
        "from lmkit.training.collapse import IN_A_ROW, WARM_UP, CollapseWatch\n"
        "names = ('spread', 'pinned', 'coincident', 'border')\n"
        "metrics = {'landmarks/' + name: 20.0 * (name == 'spread') for name in names}\n"
        "watch = CollapseWatch(4)\n"
        "steps = range(WARM_UP + 1, WARM_UP + 1 + IN_A_ROW)\n"
        "print([watch.hear(step, metrics) for step in steps][-1])"
    )
    assert tree.python("-c", watch).stdout.strip() == "None"
    tree.replace(file, "STILL = 1.0", "STILL = 0.0")
    calm = tree.lmkit("evaluate", run, *EVALUATE).stdout
    tree.replace(file, "STILL = 0.0", "STILL = 99.0")
    assert "look collapsed" in tree.python("-c", watch).stdout
    report = tree.lmkit("evaluate", run, *EVALUATE).stdout
    assert '"still": true' not in calm
    assert report.count('"still": true') == LANDMARKS
    assert tree.changed() == [file]


def test_the_colour_of_a_landmark_is_one_line(tree, run, photo, tmp_path):
    file = file_for("a landmark's colour")
    tree.replace(
        file,
        "def _colour(number: int) -> Colour:\n",
        "def _colour(number: int) -> Colour:\n    if number == 3:\n        return 1, 2, 3\n",
    )
    (row,) = predicted(tree, run, tmp_path / "out", photo)
    drawn = Image.open(tmp_path / "out" / "overlays" / "photo.png.png")
    assert drawn.getpixel((round(float(row["x3"])), round(float(row["y3"])))) == (1, 2, 3)
    assert tree.changed() == [file]


def test_the_default_of_beta_is_one_number(tree):
    file = file_for("the default beta of a detector that has none of its own")
    tree.replace(file, "DEFAULT_BETA = 10.0", "DEFAULT_BETA = 7.0")
    program = (
        "import lmkit.api as api\n"
        "class Own(api.HeatmapDetector):\n"
        "    def score_maps(self, images): return images\n"
        "print(Own(landmarks=3).beta)"
    )
    assert tree.python("-c", program).stdout.strip() == "7.0"
    shown = tree.lmkit("show", "detector", "timm").stdout
    assert re.search(r"^\W*beta\b.*\b7\.0\b", shown, re.M)
    assert tree.changed() == [file]


def test_the_beta_of_a_recipe_is_one_line(tree, tmp_path):
    file = file_for("the beta of a recipe")
    tree.replace(file, "beta = 3.0", "beta = 4.0")
    run = tmp_path / "run"
    tree.lmkit("train", *SMALL, "--steps", "1", "--out", run)
    beta = "import sys, lmkit; print(lmkit.open_run(sys.argv[1]).detector.beta)"
    assert tree.python("-c", beta, run).stdout.strip() == "4.0"
    assert tree.changed() == [file]
