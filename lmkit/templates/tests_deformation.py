"""What is special about the deformation; the rest is checked in test_conformance.py."""

import pytest
import torch
from my_plugin.deformation import Shear

from lmkit.api import LmkitError


def test_it_draws_from_its_ranges_and_from_all_of_them() -> None:
    """The diagonal stays: nothing is scaled."""
    for warp in Shear(shear=0.3, shift=0.2).warps(2000, torch.Generator().manual_seed(0)):
        lean, move = warp.matrix[:, (0, 1), (1, 0)], warp.matrix[:, :, 2]
        assert 0.29 < lean.abs().max() <= 0.3
        assert 0.19 < move.abs().max() <= 0.2
        assert (warp.matrix[:, (0, 1), (0, 1)] == 1).all()


@pytest.mark.parametrize("options", [{"shear": 1.0}, {"shear": -0.1}, {"shift": -0.1}])
def test_what_would_fold_or_make_no_sense_is_refused(options: dict[str, float]) -> None:
    """With a remedy."""
    with pytest.raises(LmkitError, match="Give a shear from 0 to below 1"):
        Shear(**options)
