"""``lmkit doctor``: whether this installation and this machine can train."""

import shutil
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from lmkit.cli.options import device_option, json_option, print_json
from lmkit.errors import ExitCode, LmkitError

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "pluggy",
    "click",
    "rich",
    "safetensors",
    "numpy",
    "pillow",
)
ENOUGH_DISK = 2 * 1024**3


@click.command("doctor", short_help="Check this installation and this machine.")
@click.option("--gpu", is_flag=True, help="Compare a device's results with the CPU's as well.")
@device_option
@json_option
def doctor_command(gpu: bool, device: str | None, as_json: bool) -> None:
    """Check versions, devices, plugins, disk, and that a small training step works.

    With --gpu, a few small steps on the GPU, or on --device, are compared with those on the CPU.
    Exits with 4 if something is wrong.
    """
    if device is not None and not gpu:
        raise LmkitError(
            f"--device {device} says what --gpu compares with the CPU, and that is not asked for.",
            remedy=f"Give both: lmkit doctor --gpu --device {device}.",
        )
    checks: list[dict[str, str]] = []
    more = [("as the CPU", lambda: _as_the_cpu(device))] if gpu else []
    for name, check in (
        ("python", _python),
        ("packages", _packages),
        ("device", _device),
        ("plugins", _plugins),
        ("components", _components),
        ("disk", _disk),
        ("training step", _training_step),
        *more,
    ):
        checks.append({"check": name, **_run(check)})
    if as_json:
        print_json(checks)
    else:
        for row in checks:
            click.secho(f"{row['state']:<8}", fg={"ok": "green"}.get(row["state"], "red"), nl=False)
            click.echo(f"{row['check']}: {row['detail']}")
    sys.exit(ExitCode.OK if all(row["state"] == "ok" for row in checks) else ExitCode.PLUGIN)


def _run(check: Callable[[], str]) -> dict[str, str]:
    try:
        return {"state": "ok", "detail": check()}
    except LmkitError as error:
        return {"state": "problem", "detail": f"{error.problem} {error.remedy}"}
    except Exception as error:
        # A doctor that falls ill itself helps nobody: whatever goes wrong is a finding.
        return {"state": "problem", "detail": f"{type(error).__name__}: {error}"}


def _python() -> str:
    return f"{sys.version.split()[0]} in {sys.prefix}"


def _packages() -> str:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            raise LmkitError(
                f"{package} is not installed.", remedy="Install lmkit again with pip."
            ) from None
    return ", ".join(found)


def _device() -> str:
    import torch

    from lmkit.data.cores import usable_cores
    from lmkit.runtime.device import choose_device

    device = choose_device("auto")
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device}: {properties.name}, {properties.total_memory / 1024**3:.0f} GiB"
    return f"{device}, {usable_cores()} cores, {torch.get_num_threads()} threads"


def _as_the_cpu(name: str | None) -> str:
    """Compare a device with the CPU: the one named, or the first GPU, or the CPU itself."""
    import torch

    from lmkit.runtime.device import choose_device
    from lmkit.runtime.self_check import check_device

    if name in (None, "auto"):
        # Also MPS that is not taken by itself, because it is wrong.
        gpus = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        name = next((kind for kind, there in gpus.items() if there), "cpu")
    device = choose_device(str(name))
    found = check_device(device)
    shares = ", ".join(f"{what} {share:.1g}" for what, share in found.differences.items())
    if found.fault:
        raise LmkitError(
            f"{device} is wrong with torch {torch.__version__}: {found.fault}.",
            remedy="Train with --device cpu, or with another version of torch or of the driver."
            + (f" All differences: {shares}." if shares else ""),
        )
    return f"{device} computes what the CPU does; shares that differ: {shares}"


def _plugins() -> str:
    from lmkit.registry.lookup import installed

    known = installed()
    if broken := known.problems():
        plugin = broken[0]
        raise LmkitError(
            f"{len(broken)} broken: {plugin.name} of {plugin.package}: {plugin.problem}",
            remedy=plugin.remedy,
        )
    disabled = sum(plugin.disabled for plugin in known.plugins)
    return f"{len(known.plugins) - disabled} work, {disabled} disabled"


def _components() -> str:
    from lmkit.registry.lookup import installed
    from lmkit.registry.options import options_of

    entries = list(installed().components())
    for entry in entries:
        options_of(entry.load())
    return f"all {len(entries)} can be imported"


def _disk() -> str:
    free = shutil.disk_usage(Path.cwd()).free
    if free < ENOUGH_DISK:
        raise LmkitError(
            f"{free / 1024**3:.1f} GiB free in {Path.cwd()}.",
            remedy="A run at full size needs about 0.3 GiB; free some space.",
        )
    return f"{free / 1024**3:.0f} GiB free in {Path.cwd()}"


def _training_step() -> str:
    import tempfile

    from lmkit.registry.lookup import installed
    from lmkit.settings.layers import Layer, read_recipe
    from lmkit.settings.settings import settle
    from lmkit.training.session import start

    small = {
        "run": {"steps": 1, "batch_size": 2, "image_size": 32, "landmarks": 3},
        "data": {"name": "faces", "count": 8},
    }
    layers = [*read_recipe("quickstart", installed()), Layer("doctor", small)]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        start(settle(layers), Path(folder) / "run")
    return f"works ({time.perf_counter() - started:.1f} s from images to checkpoint)"
