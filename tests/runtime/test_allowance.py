"""Networks of any described size are built only within what their weights account for."""

import pytest
import torch
from torch import nn

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.tensor_files import Form
from lmkit.runtime.allowance import state_without_memory, within

HUGE = 10**12
ASKS = {
    "a convolution": lambda: nn.Conv2d(100_000, 100_000, 3),
    "zeros": lambda: torch.zeros(HUGE),
    "sides without end": lambda: torch.empty(2**40, 2**40),
    "a range": lambda: torch.arange(HUGE),
    "a diagonal": lambda: torch.eye(10**6),
    "steps": lambda: torch.linspace(0, 1, HUGE),
    "an order": lambda: torch.randperm(HUGE),
    "copies": lambda: torch.zeros(3).repeat(HUGE),
    "a copy of a view": lambda: torch.zeros(1).expand(HUGE).clone(),
    "another like it": lambda: torch.zeros(3).new_ones(HUGE),
    "many": lambda: [torch.zeros(2**26) for _ in range(100)],
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_what_asks_for_too_much_is_refused_before_it_has_it(ask):
    with (
        pytest.raises(LmkitError, match=r"run/run\.json describes .* far larger") as caught,
        within(1000, 10, "run/run.json"),
    ):
        ask()
    assert caught.value.code == ExitCode.RUN


def test_what_takes_no_end_is_refused():
    def build():
        for _ in range(10**7):
            torch.zeros(1)

    with pytest.raises(LmkitError, match="more than 110,000 operations"), within(9, 10, "run"):
        build()
    with pytest.raises(LmkitError, match="more than 110,000 operations"):
        state_without_memory(build, 10, "run")


def test_what_is_built_within_it_is_what_it_would_be():
    torch.manual_seed(1)
    expected = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).state_dict()
    torch.manual_seed(1)
    with within(1000, 7, "run"):
        found = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_state_is_found_out_without_memory():
    state = state_without_memory(lambda: nn.Linear(2**30, 2**20), 2, "run")
    assert state.forms == {
        "weight": Form(torch.float32, (2**20, 2**30)),
        "bias": Form(torch.float32, (2**20,)),
    }


def test_a_constructor_that_computes_with_values_cannot_be_called_without_memory():
    def build():
        return nn.Linear(int(torch.ones(3).sum().item()), 1)

    assert state_without_memory(build, 2, "run") is None
    with within(16, 2, "run"):
        assert build().in_features == 3
