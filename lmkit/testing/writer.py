"""What writers promise."""

from lmkit.interfaces.writer import Writer
from lmkit.testing.check import expect, promise
from lmkit.testing.story import follow, run_folder
from lmkit.testing.subject import Subject


@promise(
    "whole run",
    "writer",
    remedy="Expect every call: a metric that is not finite, an image at step 0, an end without "
    "sheets or checkpoints.",
)
def whole_run(subject: Subject) -> None:
    """It follows a run from start to end, one that fails at once, and one that goes on."""
    with run_folder() as folder:
        follow(subject, subject.build(), folder)
        failing: Writer = subject.build()
        failing.started(folder, subject.settings(subject.options()).to_dict(), step=0, steps=4)
        failing.ended(0, "failed")
        follow(subject, subject.build(), folder, done=2)


@promise(
    "files",
    "writer",
    remedy="Write into a folder or file of its own; copy what is wanted of the run's.",
)
def files(subject: Subject) -> None:
    """It leaves the run's own files as they are."""
    with run_folder() as folder:
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        follow(subject, subject.build(), folder)
        for path, content in before.items():
            name = path.relative_to(folder)
            kept = path.is_file() and path.read_bytes() == content
            expect(kept, subject, f"{name} to stay as it was", "another, or none")
