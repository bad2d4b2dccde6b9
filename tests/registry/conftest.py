"""What the tests of discovery share: an lmkit that ships other plugins than it does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lmkit.registry import discovery


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Have lmkit lie in a checkout that declares these modules: ``ship("a_plugin")``, or none.

    The core's own modules with hooks are left out. Returns the checkout's pyproject.toml.
    """

    def ship(*modules: str) -> Path:
        checkout = tmp_path / "checkout"
        checkout.mkdir(exist_ok=True)
        lines = [f'{module} = "{module}"' for module in modules]
        file = checkout / "pyproject.toml"
        file.write_text(
            "\n".join(["[project]", 'name = "lmkit"', "[project.entry-points.lmkit]", *lines])
        )
        monkeypatch.setattr(discovery, "OF_CORE", ())
        monkeypatch.setattr(discovery, "ROOT", checkout)
        return file

    return ship
