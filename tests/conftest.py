"""What many tests share: the registry of built-ins, and runs small enough to train in a second."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from lmkit.registry.lookup import Registry, installed
from lmkit.settings.layers import Layer, merge, read_assignments, read_recipe
from lmkit.settings.settings import Settings, resolve

TINY = {
    "run": {"steps": 4, "batch_size": 4, "image_size": 32, "landmarks": 3, "device": "cpu"},
    "data": {"name": "faces", "count": 24},
    "detector": {"name": "hourglass", "features": 8, "depth": 1},
    "generator": {"name": "residual", "width": 4, "blocks": 1},
}


class _Terminations:
    """Counts SIGTERMs, those that tests send to their own process and those that come.

    Training takes one as the request to save and stop, so that a test which trains would swallow
    that of somebody who ends pytest.
    """

    def __init__(self) -> None:
        self._kill, self._raise = os.kill, signal.raise_signal
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._own = 0

    def watch(self) -> None:
        os.kill, signal.raise_signal = self._send, self._raise_here
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # Not of processes that tests fork and end.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))

    def _send(self, process: int, number: int) -> None:
        self._own += process == os.getpid() and number == signal.SIGTERM
        self._kill(process, number)

    def _raise_here(self, number: int) -> None:
        self._own += number == signal.SIGTERM
        self._raise(number)

    def has_come(self) -> bool:
        """Return whether one came that no test had sent; ask between tests."""
        with contextlib.suppress(BlockingIOError):
            self._own -= self._reader.recv(4096).count(signal.SIGTERM)
        came, self._own = self._own < 0, 0
        return came


_TERMINATIONS = _Terminations()


def pytest_runtest_logfinish() -> None:
    """End where somebody else's SIGTERM came while a test trained."""
    if _TERMINATIONS.has_come():
        pytest.exit("SIGTERM", returncode=143)


def pytest_configure() -> None:
    """Use one thread in each of the processes that test side by side, one a core."""
    _TERMINATIONS.watch()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the commands that tests start
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked ``gpu`` where there is no CUDA device."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep caches of images out of the home of whoever runs the tests; return where they are."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LMKIT_CACHE", str(folder))
        yield folder


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Lay a package and its metadata on the path, as pip would.

    ``install("my-package", source)`` makes a module ``my_package`` with an entry point of its name,
    and returns the folder of its metadata.
    """
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def install(
        package: str, source: str, *, entries: list[str] | None = None, version: str = "1.2"
    ) -> Path:
        module = package.replace("-", "_")
        (site / f"{module}.py").write_text(source)
        monkeypatch.delitem(sys.modules, module, raising=False)
        info = site / f"{module}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        lines = entries or [f"{module} = {module}"]
        (info / "entry_points.txt").write_text("[lmkit]\n" + "\n".join(lines) + "\n")
        installed.cache_clear()
        return info

    yield install
    installed.cache_clear()


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Every installed component."""
    return installed()


@pytest.fixture(scope="session")
def tiny(registry: Registry):
    """Make the settings of a run that trains in a second: ``tiny("run.steps=2", ...)``."""

    def make(*assignments: str, recipe: str = "reconstruction-quick") -> Settings:
        layers = [
            *read_recipe(recipe, registry),
            # As of a run, so that tests which resume runs to more steps know their schedule.
            Layer("test", TINY, source="run"),
            read_assignments(assignments),
        ]
        return resolve(merge(layers), registry)

    return make


@pytest.fixture(scope="session")
def trained(tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run; to be read, not changed."""
    from lmkit.training.session import start

    out = tmp_path_factory.mktemp("runs") / "trained"
    start(tiny("run.checkpoint_every=2"), out)
    return out
