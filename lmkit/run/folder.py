"""The run folder: where everything a run produces is, written so that nothing is lost.

Files that are replaced are written aside, flushed to the disk and renamed; a reader or a crash sees
the old file or the new one, never half of one.
"""

import json
import time
from pathlib import Path
from typing import Any

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.checkpoint_files import FOLDER as CHECKPOINTS
from lmkit.records import write_record
from lmkit.storage import flush_folder, open_text, storage, write_json, write_text


class RunFolder:
    """The paths of a run, and the writing of its small files.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.settings = self.path / "run.json"
        self.split = self.path / "split.json"
        self.status = self.path / "status.json"
        self.metrics = self.path / "metrics.jsonl"
        self.unreadable = self.path / "unreadable.json"
        self.sheets = self.path / "sheets"
        self.checkpoints = self.path / CHECKPOINTS

    @classmethod
    def create(cls, path: Path) -> "RunFolder":
        """Make a new run folder.

        Raises:
            LmkitError: If there is something there already, or it cannot be written.
        """
        cls.refuse_taken(path)
        folder = cls(path)
        with storage(path):
            made = [each for each in (folder.path, *folder.path.parents) if not each.exists()]
            folder.path.mkdir(parents=True, exist_ok=True)
            folder.checkpoints.mkdir()
            folder.sheets.mkdir()
            for each in (folder.path, *(each.parent for each in made)):
                flush_folder(each)
        return folder

    @classmethod
    def refuse_taken(cls, path: Path) -> None:
        """Refuse to begin a run in a folder that holds anything.

        Raises:
            LmkitError: If it does, or is not a folder.
        """
        folder = cls(path)
        if folder.settings.exists():
            raise LmkitError(
                f"--out {path} holds a run already.",
                remedy=f"Go on with it by --resume {path}, or give another folder.",
                code=ExitCode.RUN,
            )
        with storage(path):
            if folder.path.exists() and any(folder.path.iterdir()):
                raise LmkitError(
                    f"--out {path} is not empty and holds no run.",
                    remedy="Give a folder that is empty or does not exist.",
                    code=ExitCode.RUN,
                )

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Open an existing run folder.

        Raises:
            LmkitError: If there is no run.
        """
        folder = cls(path)
        if not folder.settings.is_file():
            what = "holds no run (run.json is missing)" if path.is_dir() else "is not a folder"
            raise LmkitError(
                f"{path} {what}.",
                remedy="Give the folder that lmkit train wrote (--out).",
                code=ExitCode.RUN,
            )
        return folder

    def write_status(
        self, state: str, step: int, steps: int, note: str = "", *, processes: int = 1
    ) -> None:
        """Say how the run stands: ``running``, ``finished``, ``stopped`` or ``failed``."""
        status = {"state": state, "step": step, "steps": steps, "note": note}
        status["processes"] = processes
        write_record(self.status, {**status, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")})

    def write_unreadable(self, report: list[dict[str, str]]) -> None:
        """List the images that could not be read, and why."""
        write_json(self.unreadable, report)

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add one line to ``metrics.jsonl``."""
        with storage(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """Return the lines of ``metrics.jsonl`` that can be read; it decides nothing.

        The last line of a killed run may be cut short, and any may be damaged.
        """
        try:
            with open_text(self.metrics, errors="replace") as file:
                text = file.read()
        except OSError:
            return []
        found = []
        for each in text.splitlines():
            try:
                line = json.loads(each)
            except (ValueError, RecursionError):
                continue
            step = line.get("step") if isinstance(line, dict) else None
            if isinstance(step, int):
                found.append(line)
        return found

    def cut_metrics(self, step: int, *, partial: bool = False) -> None:
        """Drop the lines of what a resumed run measures again.

        Args:
            step: Lines after it are of steps that are taken again.
            partial: Whether the line at ``step`` is dropped as well: it was written early, when
                the run was stopped, and what it averages becomes part of the next line.
        """
        if self.metrics.exists():
            last = step - 1 if partial else step
            kept = [line for line in self.read_metrics() if line["step"] <= last]
            write_text(self.metrics, "".join(json.dumps(line) + "\n" for line in kept))


class NullFolder(RunFolder):
    """The folder of a run as a process has it that trains with another one, which writes."""

    def write_status(
        self, state: str, step: int, steps: int, note: str = "", *, processes: int = 1
    ) -> None:
        """Write nothing."""

    def write_unreadable(self, report: list[dict[str, str]]) -> None:
        """Write nothing."""

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Write nothing."""

    def cut_metrics(self, step: int, *, partial: bool = False) -> None:
        """Write nothing."""
