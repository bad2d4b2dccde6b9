"""The training loop, to be read from top to bottom."""

from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lmkit.data.loading import Batch, TrainingBatches
from lmkit.data.workers import workers_for
from lmkit.errors import ExitCode, LmkitError
from lmkit.geometry.collapse import summary
from lmkit.preparation.keeping import keep_on_device
from lmkit.preparation.prepared import Prepared
from lmkit.run.checkpoint import load_checkpoint, load_metrics, save_checkpoint
from lmkit.run.folder import RunFolder
from lmkit.runtime.assemble import Assembly
from lmkit.runtime.callback import Callback
from lmkit.runtime.device import autocast_for, choose_device, describe_device, tuned
from lmkit.runtime.signals import Stop, stop_on_signals
from lmkit.seeds import derive
from lmkit.settings.optimizer import for_batch, rates
from lmkit.training.collapse import CollapseWatch
from lmkit.training.compiling import compile_networks, forgiving
from lmkit.training.learner import Learner, Objective, Updater
from lmkit.training.memory import out_of_memory, place_of_memory, untried, what_fits
from lmkit.training.meter import Meter
from lmkit.training.norm import synchronise
from lmkit.training.processes import ALONE, Processes

MOST_SKIPPED = 10
"""How many updates in a row may be skipped, because they would not be finite, before a run ends."""


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """How training ended: at which step, and what stopped it."""

    step: int
    stop: Stop


def run(
    ready: Prepared,
    assembly: Assembly,
    folder: RunFolder,
    callback: Callback,
    processes: Processes = ALONE,
    checkpoint: Path | None = None,
) -> TrainingOutcome:
    """Train until ``run.steps``, from the start or from a checkpoint.

    Args:
        ready: The settings and the data; images that prove unreadable are added to its count.
        assembly: The components, on the CPU.
        folder: Where the run is written.
        callback: Hears of progress.
        processes: Those that train together, of which the first one writes.
        checkpoint: Where to go on; from the start if not given.

    Raises:
        LmkitError: If a component breaks, values stop being finite, or a file cannot be written.
            What was saved stays.
    """
    now = _Training(ready, assembly, folder, callback, processes, checkpoint)
    settings, device = ready.settings.run, now.device
    state = "failed"
    now.write_status("running", now.done)
    forked = [device] if device.type == "cuda" else []
    try:
        callback.started(step=now.done, steps=settings.steps)
        if objection := callback.objection():
            raise objection
        with (
            stop_on_signals(sent_on=processes.world > 1) as stop,
            torch.random.fork_rng(devices=forked),
            tuned(device),
            forgiving(settings.compile) if settings.compile != "none" else nullcontext(),
        ):
            for batch in now.meter.waiting.over(now.batches()):
                now.learn(batch)
                objection = callback.objection()
                news = processes.tell(stop.signal, objection is not None, batch.unreadable)
                # A signal from here on is for the next step: all have to take the same one.
                ending = news.signal is not None or news.objection
                last = now.done == settings.steps or ending
                if news.unreadable:
                    now.count_unreadable(news.unreadable)
                if last or now.done % settings.log_every == 0:
                    now.log()
                if last or now.done % settings.checkpoint_every == 0:
                    now.save(settings.keep)
                if last or (settings.sheet_every and now.done % settings.sheet_every == 0):
                    now.draw()
                if objection is not None:
                    raise objection
                if ending:
                    stop.signal = news.signal or stop.signal
                    break
        state = "stopped" if stop and now.done < settings.steps else "finished"
    except BaseException as error:  # KeyboardInterrupt and SystemExit leave a mark as well
        note = error.problem if isinstance(error, LmkitError) else repr(error)
        # The disk may be what failed; the error being raised is the one that matters.
        with suppress(LmkitError):
            now.write_status("failed", max(now.saved, 0), note)
        raise
    finally:
        callback.ended(now.done, state)
    now.write_status(state, now.done)
    if objection := callback.objection():
        raise objection
    return TrainingOutcome(now.done, stop)


class _Training:
    """What the steps of a call of [run][lmkit.training.loop.run] share, and what they do.

    Args: as there.

    Attributes:
        device: Where the steps run.
        meter: Averages what they report, and times the fetching of batches.
        done: Steps done.
        saved: The step of the newest checkpoint; -1 without one.
    """

    def __init__(
        self,
        ready: Prepared,
        assembly: Assembly,
        folder: RunFolder,
        callback: Callback,
        processes: Processes,
        checkpoint: Path | None,
    ) -> None:
        run = ready.settings.run
        self._assembly, self._folder = assembly, folder
        self._callback, self._processes = callback, processes
        self.device = device = choose_device(run.device)
        self._autocast = autocast_for(device, run.precision)
        assembly.to(device)
        self._optimizer = for_batch(ready.settings.optimizer, run.batch_size)
        self._updater = Updater(assembly, self._optimizer)
        self.done = 0
        if checkpoint is not None:
            self.done = load_checkpoint(
                checkpoint, assembly, self._updater.optimizer, device=device
            )
        assembly.train()
        objective = Objective(assembly, run.seed, self._autocast)
        self._objective = objective
        self._learner = Learner(
            objective,
            self._updater,
            processes,
            batch_size=run.batch_size,
            accumulate=run.accumulate,
        )
        if run.sync_batch_norm and processes.world > 1:
            for kind in synchronise(objective, processes):
                callback.note(
                    f"{kind} is not a plain BatchNorm, and not synchronised between processes."
                )
        self._ready = keep_on_device(ready, device, callback)
        if run.compile != "none":
            for text in compile_networks(assembly, run.compile, device):
                callback.note(text)
        self.meter = Meter(device)
        partial = False
        if checkpoint is not None:
            metrics = load_metrics(checkpoint, device=device)
            if metrics is None:
                callback.note(
                    f"{checkpoint} is sound but for its metrics: the next line of metrics averages "
                    "the steps from here on alone."
                )
            partial = self.meter.restore(metrics or {})
        folder.cut_metrics(self.done, partial=partial)
        self._watch = CollapseWatch(run.batch_size)
        self.saved = self.done if checkpoint is not None else -1

    def batches(self) -> TrainingBatches:
        """Return the batches of the steps that are left."""
        settings, processes = self._ready.settings, self._processes
        return self._ready.batches(
            self.done,
            settings.run.steps,
            annotated=self._assembly.needs_truth,
            rank=processes.rank,
            world=processes.world,
            workers=workers_for(settings.loading.workers, self.device, processes.place.local_world),
            pin_memory=self.device.type == "cuda",
        )

    def learn(self, batch: Batch) -> None:
        """Take a step."""
        # What a failed step holds goes with its error, before anything smaller is tried.
        whole, place = None, None
        try:
            whole = self._learner.take_in(batch, self._ready.dataset, self.device)
            self._learn(whole)
        except Exception as error:
            place = place_of_memory(error)
            if place is None:
                raise
        if place is not None:
            raise self._out_of_memory(place, whole)
        self._callback.progressed(self.done)

    def _learn(self, whole: Batch) -> None:
        seed = self._ready.settings.run.seed
        # Dropout and the like draw from the global generator: tie it to the step as well.
        torch.manual_seed(derive(seed, self.done, self._processes.rank, "network"))
        loss, terms, points, logged = self._learner.learn(whole, self.done)
        norms, skipped = self._updater.apply(loss, self.done)
        self._learner.undo(skipped)
        self.meter.add(loss, terms, norms, skipped, summary(points), logged)
        self.done += 1

    def _out_of_memory(self, place: str, batch: Batch | None) -> LmkitError:
        run, together = self._ready.settings.run, self._processes.world
        if together > 1 or batch is None:
            return untried(place, self.done + 1, self.device, run)
        given: dict[str, Any] = {"run": run, "share": run.batch_size}
        fit = what_fits(self._objective, self._updater, batch, self.done, **given)
        return out_of_memory(place, self.done + 1, self.device, fit=fit, **given)

    def count_unreadable(self, found: Mapping[int, str]) -> None:
        """Write down images that could not be read; refuse to go on with too many."""
        unreadable = self._ready.unreadable
        for index, reason in found.items():
            unreadable.add(self._ready.dataset.key(index), reason)
        self._folder.write_unreadable(unreadable.report())
        unreadable.check(len(self._ready.dataset), all_read=False)

    def log(self) -> None:
        """Write a line of metrics, and end a run that no longer learns."""
        run = self._ready.settings.run
        early = self.done % run.log_every != 0
        metrics = self.meter.read(run.batch_size, self._processes, keep=early)
        metrics |= rates(self._optimizer, self.done - 1)
        device = describe_device(self.device, self._processes.world)
        self._folder.append_metrics({"step": self.done, "device": device, **metrics})
        self._callback.logged(self.done, metrics)
        if advice := self._watch.hear(self.done, metrics):
            self._callback.note(advice)
        _check_finite(metrics, self.done, self._folder)

    def save(self, keep: int) -> None:
        """Write a checkpoint."""
        self._learner.settle()
        metrics = self.meter.state(self._processes)
        if self._processes.write:
            path = save_checkpoint(
                self._folder,
                self.done,
                self._assembly,
                self._updater.optimizer,
                metrics=metrics,
                keep=keep,
            )
            self._callback.saved(self.done, path)
        self.write_status("running", self.done)
        self.saved = self.done

    def draw(self) -> None:
        """Let sheets be drawn, which counts for no speed."""
        self._learner.settle()
        self._callback.sheets(self.done, self._assembly)
        self._assembly.train()
        self.meter.restart_clock()

    def write_status(self, state: str, step: int, note: str = "") -> None:
        """Write how the run stands."""
        steps, together = self._ready.settings.run.steps, self._processes.world
        self._folder.write_status(state, step, steps, note, processes=together)


def _check_finite(metrics: Mapping[str, float], step: int, folder: RunFolder) -> None:
    if metrics["skipped_in_a_row"] < MOST_SKIPPED:
        return
    bad = [name for name, value in metrics.items() if not abs(value) < float("inf")]
    raise LmkitError(
        f"The last {metrics['skipped_in_a_row']:.0f} updates up to step {step} were skipped: "
        f"{', '.join(bad)} not finite.",
        remedy="Lower optimizer.learning_rate, or train with --set run.precision=float32; "
        f"--resume {folder.path} goes on from the last checkpoint, which is sound.",
        code=ExitCode.DIVERGED,
    )
