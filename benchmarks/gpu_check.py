"""Checks whether lmkit is right and fast on a GPU, in one command of about ten minutes.

    python benchmarks/gpu_check.py --json gpu.json
    python benchmarks/gpu_check.py --only as_the_cpu,rates
    python benchmarks/gpu_check.py --cpu

Each check says ``right``, ``WRONG``, ``told`` (figures that nobody judges) or ``left out``, with
what it found; the exit status is 1 if one is wrong. ``--cpu`` takes the same checks at small sizes
on the CPU, to try this tool itself. Nothing is downloaded: losses have random weights.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_steps import LeftOutError, Steps
from torch import Tensor, nn

from lmkit.bench.stopwatch import clock, finish, matrix_precision, matrix_rate
from lmkit.data.cache.on_device import DeviceCachedDataset
from lmkit.data.cores import usable_cores
from lmkit.data.framing import build_framer
from lmkit.data.loading import Batch, TrainingBatches
from lmkit.prediction.stream import detect, ready_to_detect
from lmkit.registry.lookup import installed
from lmkit.run.run import Run, open_run
from lmkit.runtime.assemble import build_dataset, build_detector
from lmkit.runtime.device import autocast_for, choose_device, describe_device, dtype_for
from lmkit.runtime.self_check import TOLERANCE, check_device
from lmkit.settings.layers import merge, read_assignments, read_recipe
from lmkit.settings.settings import Settings, resolve
from lmkit.training.compiling import why_not
from lmkit.training.memory import place_of_memory
from lmkit.training.session import resume, start

Found = dict[str, Any]
RANDOM = "loss.perceptual.weights=random"
SMALL = (
    *("run.image_size=32", "run.landmarks=3", "run.batch_size=4", "data.count=48"),
    *("detector.features=8", "detector.depth=1", "generator.width=4", "generator.blocks=1"),
)
SHALLOW = "loss.perceptual.layers=relu1_2"
DOCUMENTED = {64: 329, 32: 225}
"""MiB that an image keeps in float32, by the generator's width: docs/scaling.md."""


class WrongError(Exception):
    """What a check found, and should not have."""


class Checks:
    """The checks, each a method without arguments, in their order.

    Args:
        device: What is checked.
        small: Whether at small sizes.
        folder: Where runs may be written.
    """

    def __init__(self, device: torch.device, folder: Path, *, small: bool) -> None:
        self.device, self.folder, self.small = device, folder, small
        self.cuda = device.type == "cuda"

    def settings(self, *assignments: str, recipe: str = "paper") -> Settings:
        """Return settings; small ones are told last."""
        registry = installed()
        words = [RANDOM] if recipe == "paper" else []
        words += [*assignments, *(SMALL if self.small else ())]
        words += [SHALLOW] if self.small and recipe == "paper" else []
        words += [f"run.device={self.device}", f"loading.cache={self.folder / 'cache'}"]
        layers = [*read_recipe(recipe, registry), read_assignments(words)]
        return resolve(merge(layers), registry)

    def needs_cuda(self) -> None:
        """Leave a check out elsewhere."""
        if not self.cuda:
            raise LeftOutError("for CUDA alone")

    def machine(self) -> Found:
        """Tell what is here."""
        found: Found = {"torch": torch.__version__, "device": describe_device(self.device)}
        found |= {"cores": usable_cores(), "cores of the machine": os.cpu_count()}
        if self.cuda:
            properties = torch.cuda.get_device_properties(self.device)
            found["memory, GiB"] = round(properties.total_memory / 2**30, 1)
            found["capability"] = f"{properties.major}.{properties.minor}"
            found["compiles"] = why_not(self.device) or "yes"
        return found

    def as_the_cpu(self) -> Found:
        """Operations one by one against the CPU: lmkit doctor --gpu."""
        verdict = check_device(self.device)
        if verdict.fault:
            raise WrongError(f"{verdict.fault}; shares: {verdict.differences}")
        return {"largest difference": max(verdict.differences.values()), "limit": TOLERANCE}

    def step_as_on_the_cpu(self) -> Found:
        """A whole step of the full method in float32: loss, gradients and points."""
        sizes = ("run.precision=float32", "generator.width=8", "run.batch_size=4")
        settings = self.settings(*sizes, "detector.features=32")
        cudnn: Any = torch.backends.cudnn
        before = cudnn.conv.fp32_precision
        cudnn.conv.fp32_precision = "ieee"
        try:
            ways = [
                Steps(settings, each, drawn=True) for each in (torch.device("cpu"), self.device)
            ]
            (loss, _, points), (own, _, found) = [each.learn()[:3] for each in ways]
        finally:
            cudnn.conv.fp32_precision = before
        wanted, gradient = (each.gradient() for each in ways)
        share = ((gradient - wanted).norm() / wanted.norm()).item()
        apart = (found.cpu() - points).abs().max().item() * settings.run.image_size / 2
        result = {"loss": abs(own.item() / loss.item() - 1), "gradient": share, "pixels": apart}
        return _judged(result, {"loss": 1e-4, "gradient": 1e-2, "pixels": 0.1})

    def half_precision(self) -> Found:
        """What bfloat16 does to loss, gradients and points."""
        kinds = ("float32", "bfloat16")
        ways = [
            Steps(self.settings(f"run.precision={kind}"), self.device, drawn=True) for kind in kinds
        ]
        (loss, _, points), (own, _, found) = [each.learn()[:3] for each in ways]
        wanted, gradient = (each.gradient() for each in ways)
        turned = 1 - nn.functional.cosine_similarity(wanted, gradient, dim=0).item()
        result = {"loss": abs(own.item() / loss.item() - 1), "1 - cosine of gradients": turned}
        pixels = (found - points).abs().max().item() * ways[0].batch.images.shape[-1] / 2
        return _judged(result, {"loss": 0.05, "1 - cosine of gradients": 0.3}) | {"pixels": pixels}

    def a_bad_step(self) -> Found:
        """Weights, moments and running statistics after a step that is not finite."""
        steps = Steps(self.settings(recipe="reconstruction-quick"), self.device)
        steps.take(2)
        before = {name: value.clone() for name, value in steps.objective.state_dict().items()}
        steps.batch, kept = Batch(steps.batch.images.float() * float("nan")), steps.batch
        steps.take(1)
        steps.batch = kept
        after = steps.objective.state_dict()
        changed = [name for name in before if not torch.equal(before[name], after[name])]
        if changed:
            raise WrongError(f"{len(changed)} tensors changed, {changed[0]} first")
        if not steps.take(1).isfinite():
            raise WrongError("the step after it is not finite")
        return {"tensors unchanged": len(before)}

    def a_run(self) -> Found:
        """Trained, resumed and predicted with; whether stopping changes anything is told."""
        words = ["run.log_every=1", "run.checkpoint_every=2", "data.count=200"]
        words.append("optimizer.decay_every=100")
        few, more = [
            self.settings(*words, f"run.steps={steps}", recipe="reconstruction-quick")
            for steps in (4, 6)
        ]
        whole, _ = start(more, self.folder / "whole")
        start(few, self.folder / "halves")
        halves, _ = resume(self.folder / "halves", [read_assignments(["run.steps=6"])])
        lines = whole.folder.metrics.read_text(encoding="utf-8").splitlines()
        if not all(abs(json.loads(line)["loss"]) < float("inf") for line in lines):
            raise WrongError("a loss is not finite")
        points = [_points(run, self.device) for run in (whole, halves)]
        return {"points apart after 6 and 4 + 2 steps": (points[0] - points[1]).abs().max().item()}

    def compiled(self) -> Found:
        """Losses of compiled networks beside those as they are."""
        self.needs_cuda()
        losses, sizes = {}, (*SMALL, "generator.pad=8", "run.precision=float32")
        for mode in ("none", "default", "reduce-overhead"):
            steps = Steps(self.settings(*sizes, f"run.compile={mode}"), self.device, drawn=True)
            losses[mode] = [steps.take(1).item() for _ in range(3)]
            torch.compiler.reset()
        apart = {
            mode: max(abs(a / b - 1) for a, b in zip(own, losses["none"], strict=True))
            for mode, own in losses.items()
        }
        return _judged(apart, dict.fromkeys(apart, 1e-2))

    def nothing_waits(self) -> Found:
        """Steps under torch's alarm for waiting of the host."""
        self.needs_cuda()
        steps = Steps(self.settings("generator.width=32"), self.device)
        steps.take(3)
        torch.cuda.set_sync_debug_mode("error")
        try:
            steps.take(2)
        except RuntimeError as error:
            raise WrongError(str(error)) from error
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return {"steps": 2}

    def memory_runs_out(self) -> Found:
        """A run with too little memory ends in a message that names what fits."""
        self.needs_cuda()
        share = 3 * 2**30 / torch.cuda.get_device_properties(self.device).total_memory
        out = self.folder / "too-large"
        program = (
            f"import torch; torch.cuda.set_per_process_memory_fraction({share})\n"
            "from lmkit.cli.main import main\n"
            "main(['train', '--recipe', 'paper', '--batch-size', '64', '--steps', '2',"
            f" '--set', '{RANDOM}', '--set', 'data.count=300', '--set', 'loading.cache=none',"
            f" '--device', '{self.device}', '--out', {str(out)!r}])"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        said = " ".join(done.stderr.split())
        if done.returncode != 2 or "Traceback" in said or "ran out in" not in said:
            raise WrongError(f"exit {done.returncode}: {said[-600:]}")
        return {"said": said[said.rindex("Error:") :]}

    def layouts(self) -> Found:
        """Count the convolutions whose input has to be copied, because it is not channels-last."""
        steps = Steps(self.settings(), self.device)
        copied: dict[str, int] = {}

        def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
            own = given[0]
            if own.shape[1] > 3 and not own.is_contiguous(memory_format=torch.channels_last):
                copied[type(module).__name__] = copied.get(type(module).__name__, 0) + 1

        for module in steps.objective.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                module.register_forward_pre_hook(look)
        steps.take(1)
        return {"copied in a step": copied}

    def rates(self) -> Found:
        """Time steps, their images a second, and their share of a matrix product's rate."""
        dtype = dtype_for(self.device, "auto")
        rate, found = matrix_rate(self.device, dtype), Found()
        precision = matrix_precision(self.device, dtype)
        found[f"matrix product, {precision}"] = f"{rate / 1e12:.3g} TFLOP/s"
        rows = [(64, 32, 1), (64, 32, 8), (32, 32, 1), (32, 128, 8), (64, 128, 8)]
        for width, batch, pad in rows[:1] if self.small else rows:
            sizes = (f"generator.width={width}", f"run.batch_size={batch}", f"generator.pad={pad}")
            settings = self.settings(*sizes)
            wide, pad = (settings.generator[each] for each in ("width", "pad"))
            name = f"width {wide}, batch {settings.run.batch_size}, pad {pad}"
            try:
                found[name] = self.rate_of(settings, rate)
            except Exception as error:
                if place_of_memory(error) is None:
                    raise
                found[name] = "out of memory"
        return found

    def rate_of(self, settings: Settings, rate: float) -> str:
        """Time a step, and return its rates beside that of a matrix product."""
        steps = Steps(settings, self.device)
        operations = steps.operations()
        steps.updater.optimizer.zero_grad()
        seconds = steps.seconds(*((1, 1) if self.small else (4, 8)))
        return (
            f"{1000 * seconds:.1f} ms, {steps.batch_size / seconds:.0f} images/s, "
            f"{operations / seconds / rate:.0%}"
        )

    def memory(self) -> Found:
        """MiB an image beside half of the table of docs/scaling.md, which is of float32."""
        self.needs_cuda()
        found, limits = {}, {}
        for width, said in DOCUMENTED.items():
            peaks = []
            for batch in (16, 32):
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(self.device)
                sizes = (f"generator.width={width}", f"run.batch_size={batch}")
                Steps(self.settings(*sizes), self.device).take(2)
                peaks.append(torch.cuda.max_memory_allocated(self.device) / 2**20)
            found[f"width {width}"] = (peaks[1] - peaks[0]) / 16
            limits[f"width {width}"] = 1.3 * said / 2
        return _judged(found, limits)

    def gathering(self) -> Found:
        """Milliseconds that the host needs for a batch of images that lie on the device."""
        settings = self.settings("data.count=300", "run.image_size=32", recipe="quickstart")
        data, framer = build_dataset(settings, installed()), build_framer(settings)
        count = min(len(data), 256)
        kept = DeviceCachedDataset(data, range(count), framer=framer, device=self.device)
        size = min(128, count // 2)
        where: Found = {"framer": framer, "batch_size": size, "seed": 0, "start": 0, "stop": 11}
        batches = iter(TrainingBatches(kept, range(count), **where))
        next(batches)
        seconds = clock(self.device, lambda: [None for _ in batches])
        return {f"a batch of {size}, ms": round(100 * seconds, 3)}

    def first_detection(self) -> Found:
        """Milliseconds for the first image, and for the same again."""
        settings = self.settings()
        detector = ready_to_detect(build_detector(settings, installed()), self.device)
        side = settings.run.image_size
        image = torch.zeros(1, 3, side, side, dtype=torch.uint8)
        autocast = autocast_for(self.device, "auto")
        # What is loaded once a process counts for nobody's image.
        detect(detector, image.expand(2, -1, -1, -1), self.device, autocast)

        def find() -> object:
            return detect(detector, image, self.device, autocast)

        found = {name: 1000 * clock(self.device, find) for name in ("first", "again")}
        return _judged(found, {"first": 500.0})


ORDER = (
    *("machine", "as_the_cpu", "step_as_on_the_cpu", "half_precision", "a_bad_step", "a_run"),
    *("compiled", "nothing_waits", "memory_runs_out", "layouts", "rates", "memory", "gathering"),
    "first_detection",
)
TOLD = ("machine", "layouts", "rates", "gathering")
"""The checks whose figures nobody judges."""


def _judged(found: dict[str, float], limits: dict[str, float]) -> Found:
    beyond = {name: found[name] for name, limit in limits.items() if not found[name] <= limit}
    if beyond:
        raise WrongError(
            f"{beyond} is beyond { ({name: limits[name] for name in beyond}) }; all: {found}"
        )
    return dict(found)


def _points(run: Run, device: torch.device) -> Tensor:
    side = run.settings.run.image_size
    image = torch.rand(3, side, side, generator=torch.Generator().manual_seed(0))
    opened = open_run(run.path, device=str(device))
    return torch.as_tensor(opened.predict(image)).cpu()


def carry_out(name: str, checks: Checks) -> Found:
    """Carry out a check, and return how it ended, what it found and how long it took."""
    began = time.perf_counter()
    work: Callable[[], Found] = getattr(checks, name)
    ended: Found
    try:
        ended = {"state": "told" if name in TOLD else "right", "found": work()}
    except WrongError as error:
        ended = {"state": "WRONG", "found": str(error)}
    except LeftOutError as error:
        ended = {"state": "left out", "found": str(error)}
    except Exception as error:
        # The checks after it may still tell something.
        ended = {"state": "WRONG", "found": f"{type(error).__name__}: {error}"}
    finish(checks.device)
    return ended | {"seconds": round(time.perf_counter() - began, 1)}


def main(arguments: list[str] | None = None) -> int:
    """Carry out the checks asked for; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", metavar="DEVICE", help="cuda, cuda:N or mps")
    parser.add_argument("--cpu", action="store_true", help="small sizes on the CPU")
    parser.add_argument("--only", metavar="NAMES", help=f"some of: {', '.join(ORDER)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    asked = parser.parse_args(arguments)
    device = choose_device("cpu" if asked.cpu else asked.device)
    if device.type == "cpu" and not asked.cpu:
        parser.error("there is no GPU here; --cpu tries this tool on the CPU")
    names = ORDER if asked.only is None else tuple(asked.only.split(","))
    if unknown := [name for name in names if name not in ORDER]:
        parser.error(f"there is no check {unknown[0]!r}; there are {', '.join(ORDER)}")
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as folder:
        checks = Checks(device, Path(folder), small=asked.cpu)
        for name in names:
            found[name] = carry_out(name, checks)
            state, said, seconds = found[name].values()
            print(f"{state:<9}{name} ({seconds} s): {said}", flush=True)
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=2, default=str) + "\n", encoding="utf-8")
    return int(any(each["state"] == "WRONG" for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
