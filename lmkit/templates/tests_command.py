"""What is special about the command; that it can be imported is checked in test_conformance.py."""

from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from my_plugin.command import command

import lmkit


def test_it_prints_how_far_each_landmark_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """One stays where it is, the other moves by two pixels either way."""
    points = np.array([[[5.0, 5.0], [8.0, 4.0]], [[5.0, 5.0], [12.0, 4.0]]])
    run = SimpleNamespace(predict=lambda images: points)
    monkeypatch.setattr(lmkit, "open_run", lambda path: run)
    done = CliRunner().invoke(command, ["runs/first", "a.png", "b.png"])
    assert done.output == "0 0.0\n1 2.0\n"
