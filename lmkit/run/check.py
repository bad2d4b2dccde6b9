"""A run folder looked over, file by file, and what of it can still be used."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from lmkit.data.split import keys_of_parts
from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.checkpoint_files import METRICS, MISSING, STATE, find_damage, tensor_file
from lmkit.records import load_record
from lmkit.registry.lookup import Registry
from lmkit.run.checkpoint import list_checkpoints, load_checkpoint, load_moments
from lmkit.run.fitting import assemble_to_fit
from lmkit.run.folder import RunFolder
from lmkit.run.record import read_split
from lmkit.run.run import Run
from lmkit.storage import load_json

START = "the start"
"""Where a run goes on from that has no checkpoint to go on from."""


@dataclass(frozen=True, slots=True)
class FileCheck:
    """A file of a run.

    Args:
        file: Its path in the folder.
        state: Whether it is what was written; ``absent`` files may be absent, as in a copy that
            only predicts.
        problem: What is wrong with it.
        decides: Whether anything depends on it; what was measured is only shown.
    """

    file: str
    state: Literal["sound", "damaged", "absent"]
    problem: str = ""
    decides: bool = True


@dataclass(slots=True)
class RunCheck:
    """What a run's folder holds, and what of it can be used.

    Args:
        path: The folder.
        files: Its files, as far as they are a run's.
        predict: The checkpoint that landmarks can be found with; None if there is none.
        resume: The checkpoint that training can go on from, or ``the start``; None if neither.
        notes: What to do first, and what could not be looked at here; a sentence each.
    """

    path: Path
    files: list[FileCheck] = field(default_factory=list)
    predict: str | None = None
    resume: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether no file that decides anything is damaged."""
        return not any(each.state == "damaged" and each.decides for each in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "run": str(self.path),
            "sound": self.sound,
            "predict": self.predict,
            "resume": self.resume,
            "files": [asdict(each) for each in self.files],
            "notes": self.notes,
        }


def check_run(path: Path, registry: Registry) -> RunCheck:
    """Look a run folder over: every byte of it is read, and nothing is written.

    Args:
        path: The folder.
        registry: Where components are looked up; what is not here is not compared.

    Raises:
        LmkitError: If it is no run's folder.
    """
    folder = RunFolder(path)
    if not list_checkpoints(folder):
        folder = RunFolder.open(path)
    return _Looking(folder, registry).look()


class _Looking:
    """Looks a folder over; the parts of its report are found one after the other."""

    def __init__(self, folder: RunFolder, registry: Registry) -> None:
        self._folder, self._registry = folder, registry
        self._report = RunCheck(folder.path)
        self._checkpoints = dict(reversed(list_checkpoints(folder).items()))
        self._run: Run | None = None

    def look(self) -> RunCheck:
        run = self._look_at(self._folder.settings, self._open, needed=True)
        split = self._look_at(self._folder.split, self._read_split)
        self._look_at(self._folder.status, self._read_status, decides=False)
        self._look_at(self._folder.metrics, self._read_metrics, decides=False)
        self._look_at(self._folder.unreadable, self._read_unreadable, decides=False)
        damage = {path: self._damage(path) for path in self._checkpoints.values()}
        if run == "sound":
            self._find_uses(damage, split)
        return self._report

    def _find_uses(self, damage: dict[Path, dict[str, str]], split: str) -> None:
        report = self._report
        unusable: list[str] = []
        for path, problems in damage.items():
            detector = tensor_file(path, "detector").name
            able = not {STATE, detector} & problems.keys() and self._predicts(path)
            whole = able and not problems.keys() - {tensor_file(path, METRICS).name}
            if able and report.predict is None:
                report.predict = path.name
                self._tell_to_move(unusable, f"predict with {path.name}")
            if whole and split == "sound" and self._goes_on(path):
                report.resume = path.name
                self._tell_to_move(unusable, f"go on from {path.name}")
                break
            unusable.append(path.name)
        if report.resume is None and split == "sound" and not self._slim(damage):
            report.resume = START
            self._tell_to_move(unusable, "begin again")
        if split == "absent":
            report.notes.append("It has no split.json: it is a copy that only predicts.")

    def _slim(self, damage: dict[Path, dict[str, str]]) -> bool:
        return any(MISSING in problems.values() for problems in damage.values())

    def _tell_to_move(self, names: list[str], what: str) -> None:
        if names:
            self._report.notes.append(f"To {what}, move {', '.join(names)} away first.")

    def _look_at(self, file: Path, read: Any, *, needed: bool = False, decides: bool = True) -> str:
        """Note how a file is, and return it in a word."""
        state: Literal["sound", "damaged", "absent"] = "sound"
        problem = ""
        if not file.exists() and not file.is_symlink():
            state, problem = ("damaged", MISSING) if needed else ("absent", "")
        else:
            try:
                if not file.is_file():
                    raise OSError("it is not a file")
                read()
            except LmkitError as error:
                state, problem = "damaged", error.problem
            except (OSError, ValueError) as error:
                state, problem = "damaged", str(getattr(error, "strerror", None) or error)
        if state != "absent" or decides:
            self._note(file, state, problem, decides)
        return state

    def _note(
        self,
        file: Path,
        state: Literal["sound", "damaged", "absent"],
        problem: str = "",
        decides: bool = True,
    ) -> None:
        name = file.relative_to(self._folder.path).as_posix()
        self._report.files.append(FileCheck(name, state, problem, decides))

    def _open(self) -> None:
        self._run = Run(self._folder, self._registry, device="cpu")

    def _read_split(self) -> None:
        keys_of_parts(read_split(self._folder))

    def _read_status(self) -> None:
        load_record(self._folder.status)

    def _read_metrics(self) -> None:
        with self._folder.metrics.open("rb") as lines:
            written = sum(1 for _ in lines)
        if unread := written - len(self._folder.read_metrics()):
            raise ValueError(f"{unread} of its {written} lines cannot be read")

    def _read_unreadable(self) -> None:
        if not isinstance(load_json(self._folder.unreadable), list):
            raise ValueError("it holds no list")

    def _damage(self, checkpoint: Path) -> dict[str, str]:
        """Note how each file of a checkpoint is, and return what is wrong with any."""
        problems = find_damage(checkpoint)
        for name in _files_of(checkpoint, problems):
            problem = problems.get(name, "")
            # What only training needs may have been left behind.
            left = problem == MISSING and name != tensor_file(checkpoint, "detector").name
            state: Literal["sound", "damaged", "absent"] = "damaged" if problem else "sound"
            decides = name != tensor_file(checkpoint, METRICS).name
            self._note(checkpoint / name, "absent" if left else state, problem, decides)
        return problems

    def _predicts(self, checkpoint: Path) -> bool:
        """Return whether the detector can be loaded, as far as can be told here."""
        assert self._run is not None
        try:
            self._run.check_detector(checkpoint)
        except LmkitError as error:
            return self._cannot(checkpoint, error)
        return True

    def _goes_on(self, checkpoint: Path) -> bool:
        """Return whether training can go on from a checkpoint, as far as can be told here."""
        assert self._run is not None
        device = torch.device("cpu")
        try:
            settings = self._run.full_settings
            assembly = assemble_to_fit(checkpoint, settings, self._registry)
            load_checkpoint(checkpoint, assembly, None, device=device)
            parameters = [each for own in assembly.trainable().values() for each in own]
            load_moments(checkpoint, parameters, device=device)
        except LmkitError as error:
            return self._cannot(checkpoint, error)
        return True

    def _cannot(self, checkpoint: Path, error: LmkitError) -> bool:
        """Note why something failed; return whether that says nothing about the folder."""
        text = f"{error.problem} {error.remedy}"
        if error.code == ExitCode.PLUGIN:
            note = f"Not compared with the networks: {text}"
            if note not in self._report.notes:
                self._report.notes.append(note)
            return True
        place = checkpoint.relative_to(self._folder.path).as_posix()
        if not any(
            each.state == "damaged" and each.file.startswith(f"{place}/")
            for each in self._report.files
        ):
            self._report.files.append(FileCheck(place, "damaged", error.problem))
        return False


def _files_of(checkpoint: Path, problems: dict[str, str]) -> Iterator[str]:
    """Yield the names of what belongs to a checkpoint, its record first."""
    yield STATE
    if STATE not in problems:
        yield from load_record(checkpoint / STATE)["files"]
