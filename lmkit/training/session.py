"""Training as a whole: a new run, or going on with one, from settings to a finished run folder.

This is lmkit from Python; the command line does the same through the same functions.
"""

import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmkit import __version__
from lmkit.data.starting import refuse_rerun
from lmkit.errors import LmkitError
from lmkit.preparation.keeping import make_cache, tell_repairs
from lmkit.preparation.of_run import divide_as_before
from lmkit.preparation.prepared import Prepared, find_partners, make_ready
from lmkit.records import load_record, write_record
from lmkit.registry.discovery import is_strict
from lmkit.registry.lookup import Registry, installed, use
from lmkit.run import checkpoint as checkpoints
from lmkit.run import provenance
from lmkit.run.fitting import assemble_to_fit
from lmkit.run.folder import NullFolder, RunFolder
from lmkit.run.owner import owned
from lmkit.run.run import Run
from lmkit.runtime.assemble import Assembly, assemble, initialise
from lmkit.runtime.blame import blame
from lmkit.runtime.callback import Callback, Callbacks
from lmkit.runtime.device import choose_device
from lmkit.runtime.signals import Stop
from lmkit.settings.changes import refuse_changes
from lmkit.settings.layers import Layer, merge, parse_data, read_recipe
from lmkit.settings.recipes import FULL_RECIPE, PHOTOS_RECIPE, QUICK_RECIPE
from lmkit.settings.settings import Settings, settle
from lmkit.training import loop
from lmkit.training.compiling import refuse_graphs
from lmkit.training.learner import divide_batch
from lmkit.training.loop import TrainingOutcome
from lmkit.training.processes import Processes, together
from lmkit.training.sheets import SheetWriter
from lmkit.training.writers import WriterCallback


def start(
    settings: Settings,
    out: Path,
    callbacks: Sequence[Callback] = (),
    registry: Registry | None = None,
) -> tuple["Run", TrainingOutcome]:
    """Start a new run and train it.

    Args:
        settings: Everything that decides it.
        out: Its folder; must not exist or be empty.
        callbacks: Hear of its progress.
        registry: Where components are looked up.

    Raises:
        LmkitError: If anything is wrong. Before training starts, nothing is left behind.
    """
    refuse_rerun()
    registry = registry or installed()
    with together() as processes, ExitStack() as held:
        _check_together(settings, processes)
        ready, assembly = make_ready(settings, registry)
        _initialise(assembly)
        # A name that is made of the time is not the same everywhere.
        out = Path(processes.exchange(str(out))[0])
        if processes.write:
            RunFolder.refuse_taken(out)
        ready = _cached(ready, registry, callbacks, processes)
        folder: RunFolder = NullFolder(out)
        if processes.write:
            folder = RunFolder.create(out)
            held.enter_context(owned(folder.path))
            write_record(folder.split, ready.split.to_json(ready.dataset))
            if ready.unreadable:
                folder.write_unreadable(ready.unreadable.report())
            # Last, since it is what makes the folder a run.
            write_record(folder.settings, _describe(settings, registry, processes))
        outcome = _train(ready, assembly, folder, callbacks, None, processes)
    return Run(folder, registry), outcome


def resume(
    path: Path,
    layers: Sequence[Layer] = (),
    callbacks: Sequence[Callback] = (),
    registry: Registry | None = None,
) -> tuple["Run", TrainingOutcome]:
    """Go on with a run from its newest checkpoint, or from the start if it has none.

    Args:
        path: The run's folder.
        layers: Settings that differ from the run's own; only those may that
            [do not make it another run][lmkit.settings.changes.may_change_on_resume].
        callbacks: Hear of its progress.
        registry: Where components are looked up.

    Raises:
        LmkitError: If the run is damaged or finished, or the settings differ.
    """
    refuse_rerun()
    registry = registry or installed()
    with together() as processes, ExitStack() as held:
        folder = RunFolder.open(path)
        if processes.write:
            held.enter_context(owned(folder.path))
        run = Run(folder, registry)
        former = run.full_settings
        settings = settle(_with_writers(run, layers), registry)
        refuse_changes(former, settings, path)
        _check_together(settings, processes)
        if processes.write:
            checkpoints.remove_leftovers(run.folder)
        found = checkpoints.list_checkpoints(run.folder)
        done = checkpoints.newest_step(run.folder)
        if done == settings.run.steps and not _says_finished(run.folder):
            # It was killed after its last checkpoint: nothing is missing but the word for it.
            if processes.write:
                run.folder.write_status("finished", done, done, processes=processes.world)
                Callbacks(callbacks).note(f"All {done} steps were done and saved already.")
            return run, loop.TrainingOutcome(done, Stop())
        if done >= settings.run.steps:
            raise LmkitError(
                f"{path} is at step {done} already, of {settings.run.steps}.",
                remedy=f"To train it further, give more: --steps {2 * max(done, 1)}.",
            )
        ready = find_partners(divide_as_before(run.folder, settings, run.registry))
        if found:
            assembly = assemble_to_fit(found[done], settings, registry)
        else:
            assembly = assemble(settings, registry)
            _initialise(assembly)
        ready = _cached(ready, registry, callbacks, processes)
        # Before training, so that a run that is interrupted again knows how far it was to go; and
        # once all have read what it was.
        processes.exchange(None)
        if processes.write:
            record = {**run.record, "settings": settings.to_dict(), "processes": processes.world}
            now = provenance.origins(settings, registry)
            record["components"] = run.origins + [each for each in now if each["kind"] == "writer"]
            write_record(run.folder.settings, record)
            for text in run.notes():
                Callbacks(callbacks).note(text)
        folder = run.folder if processes.write else NullFolder(path)
        outcome = _train(ready, assembly, folder, callbacks, found.get(done), processes)
    return Run(folder, registry), outcome


def train(
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    recipe: str | None = None,
    resume_from: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    plugins: Sequence[str | Path] = (),
) -> "Run":
    """Train a detector.

    Args:
        data: ``faces``, a folder of images, or ``KIND:PATH`` of ``lmkit list dataset``; the
            recipe's (``faces``) if not given.
        out: The run's folder; ``runs/<time>`` if not given.
        recipe: Named settings to start from; if not given, as on the command line, ``quickstart``
            for generated faces and ``photos`` for other images, on every device.
        resume_from: A run's folder to go on with, instead of a new run; its own data and recipe
            hold, and of ``settings`` those may differ that
            [do not make it another run][lmkit.settings.changes.may_change_on_resume].
        settings: ``{"section": {"key": value}}`` on top of the recipe, for example
            ``{"run": {"steps": 500}, "detector": {"depth": 3}}``.
        callbacks: Hear of the run's progress; see [Callback][lmkit.runtime.callback.Callback].
        plugins: Plugins that are not installed: paths of Python files, or names of modules. They
            stay for this process.

    Returns:
        The finished run.

    Raises:
        LmkitError: If anything is wrong.

    Example:
        >>> if __name__ == "__main__":  # doctest: +SKIP
        ...     run = lmkit.train(data="photos/", out="runs/first")
        ...     run.predict("face.jpg")

        A script needs that line: worker processes may run it again up to there.
    """
    use(plugins)
    layer = Layer("settings", settings or {})
    if resume_from is not None:
        for name, value in (("data", data), ("out", out), ("recipe", recipe)):
            if value is not None:
                raise LmkitError(
                    f"{name}={value} does not go with resume_from, which takes everything from the "
                    "run.",
                    remedy=f"Leave {name} out, or start a new run without resume_from.",
                )
        return resume(Path(resume_from), [layer], callbacks)[0]
    registry = installed()
    own = [layer]
    if data is not None:
        own.insert(0, Layer("data", {"data": parse_data(data, registry)}))
    layers = read_recipe(recipe or usual_recipe(own), registry)
    return start(settle([*layers, *own]), Path(out or default_out()), callbacks)[0]


def default_recipe(full: str = FULL_RECIPE, quick: str = QUICK_RECIPE) -> str:
    """Return the recipe for whoever names none.

    Args:
        full: The one with a GPU.
        quick: The one without.
    """
    return quick if choose_device("auto").type == "cpu" else full


def usual_recipe(layers: Sequence[Layer]) -> str:
    """Return the recipe for whoever names none: the same on every device, and one that is quick.

    The full method takes many hours and downloads weights, which nobody should get by surprise.
    What suits generated faces within minutes learns next to nothing on photographs, and the other
    way round takes longer.

    Args:
        layers: What is asked for on top of a recipe, which says of what data.
    """
    data = merge(layers).get("data", {}).get("name", "faces")
    generated = str(data).partition(":")[0].rpartition("/")[2] == "faces"
    return QUICK_RECIPE if generated else PHOTOS_RECIPE


def default_out() -> Path:
    """Return a folder for whoever names none."""
    return Path("runs") / time.strftime("%Y%m%d-%H%M%S")


def _check_together(settings: Settings, processes: Processes) -> None:
    """Refuse what each setting allows, and all of them here do not.

    Raises:
        LmkitError: If there is no such device, the batch cannot be divided, or graphs would be
            written over.
    """
    run = settings.run
    divide_batch(run.batch_size, run.accumulate, processes)
    refuse_graphs(run.compile, run.accumulate, choose_device(run.device))


def _says_finished(folder: RunFolder) -> bool:
    """Return whether a run's status says that it ended as it should."""
    try:
        return load_record(folder.status).get("state") == "finished"
    except (OSError, ValueError):
        return False


def _initialise(assembly: Assembly) -> None:
    """Let the networks of a new run read their pretrained weights."""
    networks: list[tuple[str, object]] = [("detector", assembly.detector)]
    if assembly.generator is not None:
        networks.append(("generator", assembly.generator))
    networks += [(f"loss.{label}", loss) for label, loss in assembly.losses.items()]
    for part, network in networks:
        with blame(assembly.names[part], network):
            initialise(network, part)


def _cached(
    ready: Prepared, registry: Registry, callbacks: Sequence[Callback], processes: Processes
) -> Prepared:
    """Return data that is read from a cache, which one process builds while the others wait."""
    ready = make_cache(ready, registry, Callbacks(callbacks if processes.write else ()))
    processes.wait_for_all("cache")
    return ready


def _train(
    ready: Prepared,
    assembly: Assembly,
    folder: RunFolder,
    callbacks: Sequence[Callback],
    checkpoint: Path | None,
    processes: Processes,
) -> TrainingOutcome:
    everyone = Callback()
    if processes.write:
        everyone = _audience(ready, assembly, folder, callbacks)
    try:
        return loop.run(ready, assembly, folder, everyone, processes, checkpoint)
    finally:
        tell_repairs(ready, everyone)


def _audience(
    ready: Prepared, assembly: Assembly, folder: RunFolder, callbacks: Sequence[Callback]
) -> Callback:
    """Return all who hear of a run, after they have heard of its data."""
    listening = Callbacks(callbacks)
    writers = [
        WriterCallback(
            writer,
            assembly.names[f"writer.{label}"],
            folder.path,
            ready.settings.to_dict(),
            note=listening.note,
            strict=is_strict(),
        )
        for label, writer in assembly.writers.items()
    ]
    listening.callbacks = [*callbacks, *writers]
    for text in ready.notes():
        listening.note(text)
    if ready.unreadable:
        listening.note(f"{folder.unreadable} lists them.")
    return Callbacks(
        [listening, SheetWriter(folder, ready.settings, ready.dataset, ready.split, listening)]
    )


def _with_writers(run: Run, layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers of a run that goes on: what it was, its writers included, and what differs.

    Raises:
        LmkitError: If a writer of the run that is to go on is not here.
    """
    writers = run.record["settings"].get("writer", {})
    values = {**run.stored, "writer": writers}
    stored = Layer(f"{run.path}/run.json", values, source="run")
    kept = merge([stored, *layers]).get("writer", {})
    former = [
        origin
        for origin in run.record.get("components", ())
        if origin["kind"] == "writer"
        and str(kept.get(origin["section"].partition(".")[2], {}).get("name")) == origin["name"]
    ]
    provenance.check_present(former, run.registry, run.path)
    return [stored, *layers]


def _describe(settings: Settings, registry: Registry, processes: Processes) -> dict[str, Any]:
    """Return what ``run.json`` holds."""
    versions = {"lmkit": __version__, "python": platform.python_version()}
    versions |= {"torch": torch.__version__, "numpy": np.__version__}
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": versions,
        "processes": processes.world,
        "components": provenance.origins(settings, registry),
        "settings": settings.to_dict(),
    }
