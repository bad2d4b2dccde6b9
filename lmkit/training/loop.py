"""The training loop, to be read from top to bottom."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from lmkit.data.framing import build_framer
from lmkit.data.loading import TrainingBatches
from lmkit.data.split import Split
from lmkit.data.subjects import Partners
from lmkit.data.unreadable import Unreadable
from lmkit.data.workers import workers_for
from lmkit.errors import ExitCode, LmkitError
from lmkit.geometry.collapse import summary
from lmkit.interfaces.dataset import Dataset
from lmkit.preparation.keeping import keep_on_device
from lmkit.run.checkpoint import load_checkpoint, remove_leftovers, save_checkpoint
from lmkit.run.folder import RunFolder
from lmkit.runtime.assemble import Assembly
from lmkit.runtime.device import autocast_for, choose_device, describe_device, tuned
from lmkit.runtime.observer import Observer
from lmkit.runtime.signals import Stop, stop_on_signals
from lmkit.seeds import derive
from lmkit.settings.optimizer import for_batch, learning_rate
from lmkit.settings.settings import Settings
from lmkit.training.collapse import CollapseWatch
from lmkit.training.compiling import compile_networks, forgiving
from lmkit.training.learner import Learner, Objective
from lmkit.training.meter import Meter
from lmkit.training.norm import synchronise
from lmkit.training.processes import ALONE, Processes
from lmkit.training.updater import Updater

PATIENCE = 10
"""How many updates in a row may be skipped, because they would not be finite, before a run ends."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How training ended: at which step, and what stopped it."""

    step: int
    stop: Stop


def train(
    settings: Settings,
    assembly: Assembly,
    dataset: Dataset,
    split: Split,
    folder: RunFolder,
    observer: Observer,
    *,
    unreadable: Unreadable,
    checkpoint: Path | None = None,
    partners: Partners | None = None,
    processes: Processes = ALONE,
) -> Outcome:
    """Train until ``settings.run.steps``, from the start or from a checkpoint.

    Args:
        settings: Everything that decides the run.
        assembly: Its components, on the CPU.
        dataset: Its images.
        split: Which of them train.
        folder: Where the run is written.
        observer: Hears of progress.
        unreadable: Collects the images that cannot be read.
        checkpoint: Where to go on; from the start if not given.
        partners: Whose other images the deformed views are made of; of each image itself if
            not given.
        processes: Those that train together, of which the first one writes.

    Raises:
        LmkitError: If a component breaks, values stop being finite, or a file cannot be written.
            What was saved stays.
    """
    run = settings.run
    device = choose_device(run.device)
    device_name = describe_device(device, processes.world)
    autocast = autocast_for(device, run.precision)
    assembly.to(device)
    optimizer = for_batch(settings.optimizer, run.batch_size)
    updater = Updater(assembly, optimizer)
    done = 0
    if checkpoint is not None:
        done = load_checkpoint(checkpoint, assembly, updater.optimizer, device=device)
    folder.cut_metrics(done)
    if processes.write:
        remove_leftovers(folder)
    assembly.train()
    objective = Objective(assembly, run.seed, autocast)
    learner = Learner(
        objective, updater, processes, batch_size=run.batch_size, accumulate=run.accumulate
    )
    if run.sync_batch_norm and processes.world > 1:
        for kind in synchronise(objective, processes):
            observer.note(f"{kind} is no plain BatchNorm, and not synchronised between processes.")
    images = keep_on_device(dataset, split.train, settings, device, observer)
    for text in compile_networks(assembly, run.compile, device):
        observer.note(text)
    meter = Meter(device)
    watch = CollapseWatch(run.batch_size)
    saved = done if checkpoint is not None else -1
    batches = TrainingBatches(
        images,
        split.train,
        framer=build_framer(settings),
        batch_size=run.batch_size // processes.world,
        seed=run.seed,
        start=done,
        stop=run.steps,
        rank=processes.rank,
        world=processes.world,
        workers=workers_for(settings.loading.workers, device, processes.place.local_world),
        annotated=assembly.needs_truth,
        partners=partners,
        pin_memory=device.type == "cuda",
    )

    state = "failed"
    folder.write_status("running", done, run.steps, processes=processes.world)
    forked = [device] if device.type == "cuda" else []
    try:
        observer.started(step=done, steps=run.steps)
        if objection := observer.objection():
            raise objection
        with (
            stop_on_signals(sent_on=processes.world > 1) as stop,
            torch.random.fork_rng(devices=forked),
            tuned(device),
            forgiving(run.compile),
        ):
            for batch in meter.waiting.over(batches):
                # Dropout and the like draw from the global generator: tie it to the step as well.
                torch.manual_seed(derive(run.seed, done, processes.rank, "network"))
                whole = learner.take_in(batch, dataset, device)
                loss, terms, points = learner.learn(whole, done)
                norms, skipped = updater.apply(loss, done)
                meter.add(loss, terms, norms, skipped, summary(points))
                done += 1
                observer.progressed(done)

                objection = observer.objection()
                news = processes.tell(stop.signal, objection is not None, batch.unreadable)
                # A signal from here on is for the next step: all have to take the same one.
                ending = news.signal is not None or news.objection
                last = done == run.steps or ending
                if news.unreadable:
                    for index, reason in news.unreadable.items():
                        unreadable.add(dataset.key(index), reason)
                    folder.write_unreadable(unreadable.report())
                    unreadable.check(len(split.train))
                if last or done % run.log_every == 0:
                    metrics = meter.read(run.batch_size, processes)
                    metrics["learning_rate"] = learning_rate(optimizer, done - 1)
                    folder.append_metrics({"step": done, "device": device_name, **metrics})
                    observer.logged(done, metrics)
                    if advice := watch.hear(done, metrics):
                        observer.note(advice)
                    _check_finite(metrics, done, folder)
                if last or done % run.checkpoint_every == 0:
                    learner.settle()
                    if processes.write:
                        path = save_checkpoint(
                            folder, done, assembly, updater.optimizer, keep=run.keep
                        )
                        observer.saved(done, path)
                    folder.write_status("running", done, run.steps, processes=processes.world)
                    saved = done
                if last or (run.sheet_every and done % run.sheet_every == 0):
                    learner.settle()
                    observer.sheets(done, assembly)
                    assembly.train()
                    meter.restart_clock()
                if objection is not None:
                    raise objection
                if ending:
                    stop.signal = news.signal or stop.signal
                    break
        state = "stopped" if stop and done < run.steps else "finished"
    except Exception as error:
        note = error.problem if isinstance(error, LmkitError) else repr(error)
        _try_write_status(folder, max(saved, 0), run.steps, note, processes.world)
        raise
    finally:
        observer.ended(done, state)
    folder.write_status(state, done, run.steps, processes=processes.world)
    if objection := observer.objection():
        raise objection
    return Outcome(done, stop)


def _check_finite(metrics: Mapping[str, float], step: int, folder: RunFolder) -> None:
    if metrics["skipped_in_a_row"] < PATIENCE:
        return
    bad = [name for name, value in metrics.items() if not abs(value) < float("inf")]
    raise LmkitError(
        f"The last {metrics['skipped_in_a_row']:.0f} updates up to step {step} were skipped: "
        f"{', '.join(bad)} not finite.",
        remedy="Lower optimizer.learning_rate, or train with --set run.precision=float32; "
        f"--resume {folder.path} goes on from the last checkpoint, which is sound.",
        code=ExitCode.DIVERGED,
    )


def _try_write_status(folder: RunFolder, step: int, steps: int, note: str, processes: int) -> None:
    try:
        folder.write_status("failed", step, steps, note, processes=processes)
    except LmkitError:
        # The disk may be what failed; the error being raised is the one that matters.
        return
