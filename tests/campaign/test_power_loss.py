"""After a power failure at any moment, what was said to be saved is there.

A model of the harshest file system that POSIX allows: of a file, what was flushed last is there; of
a folder's entries, those are there that its own flush has covered, and each later change of them
was made or was not, whatever came before or after it. A training is recorded once, and then lost at
every moment.
"""

import builtins
import io
import itertools
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

import lmkit.run.checkpoint
from lmkit.errors import LmkitError
from lmkit.interfaces.checkpoint_files import read_state, read_tensors
from lmkit.run.checkpoint import list_checkpoints
from lmkit.run.folder import RunFolder
from lmkit.runtime.callback import Callback
from lmkit.training.session import resume, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc where a file lies")

Event = tuple[str, *tuple[Any, ...]]


class Recorder(Callback):
    """Writes down what happens to a folder, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []

    def saved(self, step: int, path: Path) -> None:
        self.events.append(("saved", step))

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        opened, save = io.open, lmkit.run.checkpoint.save_file

        def open_(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            found = opened(file, mode, *rest, **options)
            if set(mode) & set("wax") and not isinstance(file, int):
                self._note("create", file)
            return found

        def save_file(tensors: Any, filename: Any, *rest: Any, **options: Any) -> None:
            save(tensors, filename, *rest, **options)
            self._note("create", filename)

        patch.setattr(io, "open", open_)
        patch.setattr(builtins, "open", open_)
        patch.setattr(lmkit.run.checkpoint, "save_file", save_file)
        for name, kind in {
            "mkdir": "mkdir", "unlink": "remove", "remove": "remove", "rmdir": "remove",
            "rename": "rename", "replace": "rename",
        }.items():  # fmt: skip
            patch.setattr(os, name, self._after(getattr(os, name), kind))
        flush = os.fsync

        def fsync(handle: int) -> None:
            flush(handle)
            path = Path(f"/proc/self/fd/{handle}").readlink()
            if path.is_dir():
                self._note("flush folder", path)
            else:
                self._note("flush", path, path.read_bytes())

        patch.setattr(os, "fsync", fsync)

    def _after(self, operation: Callable[..., Any], kind: str) -> Callable[..., Any]:
        def noting(*places: Any, dir_fd: int | None = None, **options: Any) -> Any:
            if dir_fd is not None:
                options["dir_fd"] = dir_fd
            operation(*places, **options)
            above = Path() if dir_fd is None else Path(f"/proc/self/fd/{dir_fd}").readlink()
            wanted = 2 if kind == "rename" else 1
            self._note(kind, *(above / os.fsdecode(place) for place in places[:wanted]))

        return noting

    def _note(self, kind: str, place: Any, *more: Any) -> None:
        path = Path(os.path.abspath(os.fsdecode(place)))  # noqa: PTH100
        if path.is_relative_to(self.folder):
            self.events.append((kind, path, *more))


@dataclass
class Node:
    """A file or a folder, whatever it is called."""

    is_folder: bool
    flushed: bytes | None = None
    entries: dict[str, "Node"] = field(default_factory=dict)
    kept: dict[str, "Node"] = field(default_factory=dict)
    pending: list[tuple[str, "Node | None"]] = field(default_factory=list)

    def set(self, name: str, node: "Node | None") -> None:
        if node is None:
            self.entries.pop(name, None)
        else:
            self.entries[name] = node
        self.pending.append((name, node))

    def flush(self) -> None:
        self.kept, self.pending = dict(self.entries), []


class Disk:
    """What the events so far may have left on the disk."""

    def __init__(self, top: Path) -> None:
        self._top, self._root = top, Node(is_folder=True)

    def _find(self, path: Path) -> Node:
        node = self._root
        for name in path.relative_to(self._top).parts:
            node = node.entries[name]
        return node

    def take(self, event: Event) -> None:
        kind, path = event[0], event[1]
        if kind in ("create", "mkdir"):
            parent = self._find(path.parent)
            if path.name not in parent.entries:
                parent.set(path.name, Node(is_folder=kind == "mkdir"))
        elif kind == "remove":
            self._find(path.parent).set(path.name, None)
        elif kind == "rename":
            node = self._find(path)
            # Of one folder to another, nothing here renames.
            assert event[2].parent == path.parent
            self._find(path.parent).set(path.name, None)
            self._find(path.parent).set(event[2].name, node)
        elif kind == "flush":
            self._find(path).flushed = event[2]
        elif kind == "flush folder":
            self._find(path).flush()

    def write(self, place: Path, draw: random.Random, share: float) -> None:
        """Write what survives, each pending change with a probability of ``share``."""
        self._write(self._root, place, draw, share)

    def _write(self, node: Node, place: Path, draw: random.Random, share: float) -> None:
        if not node.is_folder:
            place.write_bytes(
                draw.choice([b"", b"\0" * 64]) if node.flushed is None else node.flushed
            )
            return
        place.mkdir()
        entries: dict[str, Node | None] = dict(node.kept)
        for name, change in node.pending:
            if draw.random() < share:
                entries[name] = change
        for name, inner in entries.items():
            if inner is not None:
                self._write(inner, place / name, draw, share)


def losses(events: list[Event], top: Path, work: Path, seed: int, every: int) -> Iterator[tuple]:
    """Yield a folder for each moment of a power failure, and the newest step said to be saved."""
    draw = random.Random(seed)
    disk, saved = Disk(top), 0
    for number, event in enumerate(events):
        if event[0] == "saved":
            saved = event[1]
        else:
            disk.take(event)
        if number % every:
            continue
        for share in (0.0, 0.5, 1.0):
            place = work / "after"
            disk.write(place, draw, share)
            yield place, saved, number
            shutil.rmtree(place)


def sound(checkpoint: Path) -> bool:
    try:
        state = read_state(checkpoint)
        for name in state["files"]:
            read_tensors(checkpoint, state, name.removesuffix(".safetensors"), torch.device("cpu"))
    except LmkitError:
        return False
    return True


@pytest.mark.parametrize(
    ("seeds", "every"),
    [(1, 7), pytest.param(3, 1, marks=pytest.mark.campaign, id="every moment")],
)
def test_what_was_said_to_be_saved_survives(tiny, tmp_path, seeds, every):
    top, work = tmp_path / "top", tmp_path / "work"
    top.mkdir()
    work.mkdir()
    recorder = Recorder(top)
    with pytest.MonkeyPatch.context() as patch:
        recorder.watch(patch)
        start(
            tiny("run.steps=3", "run.checkpoint_every=1", "run.log_every=1"),
            top / "run",
            [recorder],
        )
    assert [event[1] for event in recorder.events if event[0] == "saved"] == [1, 2, 3]
    tried = 0
    for seed in range(seeds):
        for place, saved, number in losses(recorder.events, top, work, seed, every):
            tried += 1
            run = RunFolder(place / "run")
            whole = {step: sound(path) for step, path in list_checkpoints(run).items()}
            if saved:
                assert run.settings.is_file(), f"event {number}: no run.json"
                # It may be the one before whose removal was about to be written.
                assert whole.get(saved), (number, saved, whole)
    assert tried > 10


def test_what_survives_is_gone_on_with(tiny, tmp_path):
    top, work = tmp_path / "top", tmp_path / "work"
    top.mkdir()
    work.mkdir()
    recorder = Recorder(top)
    with pytest.MonkeyPatch.context() as patch:
        recorder.watch(patch)
        start(tiny("run.steps=3", "run.checkpoint_every=1"), top / "run", [recorder])
    gone_on = 0
    for place, saved, _ in itertools.islice(
        losses(recorder.events, top, work, 0, 1), 150, None, 60
    ):
        if 0 < saved < 3:
            _, outcome = resume(place / "run")
            assert outcome.step == 3
            gone_on += 1
    assert gone_on
