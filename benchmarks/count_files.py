"""Counts the files of lmkit that a reader has to walk through to follow one thing that it does.

Three walks are taken, each by the command line in a process of its own:

``loop``
    ``lmkit train ...``, up to the first line of the first step of the training loop. The first
    batch has been read by then.
``evaluate``
    ``lmkit evaluate RUN``, all of it.
``predict``
    ``lmkit predict RUN FOLDER``, from the opening of an image file (``PIL.Image.open``, whose
    caller counts) to the writing of its row of the CSV (``csv``'s ``writerow``).

A file counts once a function of it is called on the walk, at import too (a decorator, say). That a
module or the body of a class is executed does not count, nor do methods that ``dataclass`` writes,
which are in no file. Only what lies in the package ``lmkit`` counts: the plugins beside it do not,
nor does anything else.

Settings are tiny, the images are generated faces, and nothing reads ahead in other processes, where
the hook (``sys.setprofile``) would not see it. It runs on whichever lmkit Python finds first::

    python benchmarks/count_files.py --list
    PYTHONPATH=OTHER:OTHER/plugins python benchmarks/count_files.py
"""

import argparse
import ast
import inspect
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import redirect_stderr, redirect_stdout, suppress
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

WALKS = {
    "loop": "command line to training loop",
    "evaluate": "lmkit evaluate",
    "predict": "image to row of the CSV",
}
"""The walks, and what they are called."""

LOOPS = ("training/loop.py", "engine/train.py")
"""Where the training loop may lie: its file now, and before."""

TINY = (
    *("--recipe=quickstart", "--device=cpu", "--batch-size=4", "--landmarks=3", "--image-size=32"),
    *("--detector=hourglass", "--set=detector.features=8", "--set=detector.depth=1"),
    *("--generator=residual", "--set=generator.width=4", "--set=generator.blocks=1"),
    *("--data=faces", "--set=data.count=24", "--steps=1"),
)
"""Settings of a run that trains in a second."""

RUN, IMAGES = "run", "images"
"""Folders of what the walks need, within the folder that they are taken in."""


class Span(NamedTuple):
    """Lines of a file, from the first to the last."""

    file: str
    first: int
    last: int


def package() -> Path:
    """Return the folder of lmkit, without importing it."""
    found = find_spec("lmkit")
    if found is None or found.origin is None:
        sys.exit("lmkit is not here. Install it, or name its checkout in PYTHONPATH.")
    return Path(found.origin).parent


def steps_of_the_loop(root: Path) -> Span:
    """Return the lines that are one step of the training loop: the body of ``for batch in ...``."""
    for name in LOOPS:
        file = root / name
        if not file.is_file():
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.For) and ast.unparse(node.target) == "batch":
                return Span(str(file), node.body[0].lineno, node.body[-1].end_lineno or 0)
    sys.exit(f"No file of {', '.join(LOOPS)} has a loop over batches; say where it lies in LOOPS.")


class Walk:
    """Notes the files that are entered, in order; its method ``hook`` is for ``sys.setprofile``.

    Args:
        root: The folder of the package whose files count.
        name: One of [WALKS][], which says where it starts and ends.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._prefix = f"{root}{os.sep}"
        self._name = name
        self._step = steps_of_the_loop(root) if name == "loop" else None
        self._loop: FrameType | None = None
        self._on = name != "predict"
        self._ended = False
        self._files: dict[str, None] = {}
        self._until = 0

    def files(self) -> list[str]:
        """Return the files within the package, in the order in which they were entered.

        A walk that did not come to its end ends the process: there is nothing to count.
        """
        if self._name == "predict":
            self._ended = self._until > 0
        if self._name != "evaluate" and not self._ended:
            sys.exit(f"The walk {self._name!r} did not come to its end.")
        entered = list(self._files)
        return entered[: self._until] if self._name == "predict" else entered

    def hook(self, frame: FrameType, event: str, argument: Any) -> None:
        """Note what is called."""
        if self._ended:
            return
        if self._step is not None and self._has_begun(frame, self._step):
            self._ended = True
            self._loop = None
        elif event == "call":
            self._enter(frame.f_code)
            if self._name == "predict" and _opens_an_image(frame.f_code):
                self._on = True
                # Whoever reads the image has been entered already.
                if frame.f_back is not None:
                    self._enter(frame.f_back.f_code)
        elif self._on and event == "c_call" and argument.__name__ == "writerow":
            # There is one image: the row that is written last is its row.
            self._until = len(self._files)

    def _enter(self, code: CodeType) -> None:
        # The code of a module or of the body of a class keeps its names in no fast variables.
        is_function = code.co_flags & inspect.CO_OPTIMIZED
        if self._on and is_function and code.co_filename.startswith(self._prefix):
            self._files[code.co_filename.removeprefix(self._prefix)] = None

    def _has_begun(self, frame: FrameType, step: Span) -> bool:
        """Whether the loop, in whose function or below it this is called, is in its first step."""
        if self._loop is None:
            code = frame.f_code
            if code.co_filename != step.file or not code.co_flags & inspect.CO_OPTIMIZED:
                return False
            if not any(start == step.first for _, _, start in code.co_lines()):
                return False
            self._loop = frame
        return step.first <= (self._loop.f_lineno or 0) <= step.last


def _opens_an_image(code: CodeType) -> bool:
    return code.co_name == "open" and Path(code.co_filename).parts[-2:] == ("PIL", "Image.py")


def arguments_of(name: str) -> list[str]:
    """Return the command line of a walk."""
    if name == "loop":
        return ["train", *TINY, "--out", "walked"]
    if name == "evaluate":
        return ["evaluate", RUN, "--device", "cpu"]
    return ["predict", RUN, IMAGES, "--no-overlays", "--workers=0", "--device=cpu", "--out=found"]


def take(name: str) -> None:
    """Take a walk in this process, which has yet to import lmkit, and print its files as JSON."""
    walk = Walk(package(), name)
    said = io.StringIO()
    threading.setprofile(walk.hook)
    sys.setprofile(walk.hook)
    try:
        with redirect_stdout(said), redirect_stderr(said):
            from lmkit.cli.main import main as lmkit

            lmkit(arguments_of(name))
    except SystemExit as ended:
        if ended.code:
            sys.setprofile(None)
            sys.exit(said.getvalue())
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    print(json.dumps(walk.files()))


def start(folder: Path, command: list[str]) -> str:
    """Start Python in a folder and return what it prints; a failure ends this process too."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "LMKIT_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def count(folder: Path) -> dict[str, list[str]]:
    """Return the files of each walk.

    Args:
        folder: An empty folder, for what they need and write.
    """
    from PIL import Image

    start(folder, ["-m", "lmkit", "train", *TINY, "--out", RUN])
    (folder / IMAGES).mkdir()
    Image.linear_gradient("L").resize((48, 40)).save(folder / IMAGES / "gradient.png")
    script = str(Path(__file__).resolve())
    return {name: json.loads(start(folder, [script, "--walk", name])) for name in WALKS}


def main() -> None:
    """Count, and print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name the files, in order of entry")
    parser.add_argument("--json", action="store_true", help="print the files of each walk as JSON")
    parser.add_argument("--walk", choices=WALKS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.walk:
        take(asked.walk)
        return
    with tempfile.TemporaryDirectory() as folder:
        walks = count(Path(folder))
    if asked.json:
        print(json.dumps(walks, indent=2))
        return
    for name, title in WALKS.items():
        print(f"{len(walks[name]):3}  {title}")
        if asked.list:
            print(*(f"       {file}" for file in walks[name]), sep="\n")


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main()
