"""A device is compared with the CPU; one that is wrong is told from one that rounds."""

import json
import warnings

import pytest
import torch
from click.testing import CliRunner

from lmkit.cli.commands.doctor import doctor_command
from lmkit.runtime import device as devices
from lmkit.runtime import self_check
from lmkit.runtime.assemble import assemble
from lmkit.runtime.device import choose_device
from lmkit.runtime.layout import layout_for
from lmkit.runtime.self_check import Verdict, check_device
from lmkit.runtime.updates import heeds_flag, step_unless

CPU = torch.device("cpu")


class Deaf(torch.optim.Adam):
    """A fused optimiser that looks at no flag, as that of MPS."""

    def step(self, closure=None):
        self.found_inf = None
        return super().step(closure)


def test_the_cpu_is_as_the_cpu():
    found = check_device(CPU)
    assert found.fault == ""
    assert set(found.differences.values()) == {0.0}
    assert {"gradients", "landmarks", "weights after a skipped update"} <= set(found.differences)


def test_gradients_that_are_wrong_are_told(monkeypatch):
    """As those of BatchNorm in channels-last on MPS: the forward pass is right, and no error."""
    wanted = self_check._small_steps(CPU)
    wrong = {**wanted, "gradients": 1.02 * wanted["gradients"]}
    answers = iter([wanted, wrong])
    monkeypatch.setattr(self_check, "_small_steps", lambda device: next(answers))
    found = check_device(CPU)
    assert found.fault.startswith("its gradients differ from the CPU's")
    assert found.differences["gradients"] == pytest.approx(0.02, rel=1e-3)


def test_values_that_are_not_numbers_are_told(monkeypatch):
    wanted = self_check._small_steps(CPU)
    answers = iter([wanted, {**wanted, "losses": wanted["losses"] * float("nan")}])
    monkeypatch.setattr(self_check, "_small_steps", lambda device: next(answers))
    assert "its losses differ" in check_device(CPU).fault


def test_rounding_is_no_fault(monkeypatch):
    wanted = self_check._small_steps(CPU)
    rounded = {name: value * (1 + 1e-5) for name, value in wanted.items()}
    rounded |= {name: wanted[name] for name in self_check._EXACT}
    answers = iter([wanted, rounded])
    monkeypatch.setattr(self_check, "_small_steps", lambda device: next(answers))
    assert check_device(CPU).fault == ""


def test_an_optimiser_that_looks_at_no_flag_is_told(monkeypatch):
    monkeypatch.setattr(torch.optim, "Adam", Deaf)
    assert "must not change at all" in check_device(CPU).fault
    # And what is done about it where it is known:
    monkeypatch.setattr(self_check, "heeds_flag", lambda device: False)
    assert check_device(CPU).fault == ""


def test_a_device_that_fails_is_told():
    found = check_device(torch.device("meta"))
    assert found.fault.startswith("a small training step fails there (")


@pytest.mark.parametrize("first", [True, False], ids=["first step", "later step"])
@pytest.mark.parametrize("factor", [1.0, float("nan")])
def test_a_step_is_left_out_without_the_flag_as_with_it(first, factor):
    results = []
    for kind, heeds in ((torch.optim.Adam, True), (Deaf, False)):
        torch.manual_seed(0)
        used, unused = torch.nn.Parameter(torch.randn(5)), torch.nn.Parameter(torch.randn(3))
        optimizer = kind([used, unused], lr=0.1, weight_decay=0.1, fused=True)
        for value in ([] if first else [0.5]) + [factor]:
            used.grad = value * torch.ones(5)
            skipped = (~used.grad.isfinite().all()).float()
            step_unless(optimizer, skipped, heeds=heeds)
        assert unused not in optimizer.state
        results.append([used.detach(), unused.detach(), *optimizer.state[used].values()])
    with_flag, without = results
    assert all(torch.equal(a, b) for a, b in zip(with_flag, without, strict=True))
    assert all(value.isfinite().all() for value in without)


def test_mps_has_no_channels_last_and_no_trust():
    mps = torch.device("mps")
    assert layout_for(mps) == torch.contiguous_format
    assert layout_for(CPU) == layout_for(torch.device("cuda", 1)) == torch.channels_last
    assert not heeds_flag(mps)
    assert heeds_flag(CPU)
    assert heeds_flag(torch.device("cuda"))


def test_networks_lie_as_their_device_wants(tiny, registry, monkeypatch):
    assembly = assemble(tiny(), registry)
    wide = next(
        each
        for each in assembly.detector.modules()
        if isinstance(each, torch.nn.Conv2d) and each.kernel_size == (3, 3) and each.in_channels > 1
    )
    assembly.to(CPU)
    assert wide.weight.is_contiguous(memory_format=torch.channels_last)
    monkeypatch.setattr(
        "lmkit.runtime.assemble.layout_for", lambda device: layout_for(torch.device("mps"))
    )
    assembly.to(CPU)
    assert wide.weight.is_contiguous()


def test_auto_takes_mps_only_where_it_is_right(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(devices, "verdict", lambda name: Verdict())
    assert choose_device("auto").type == "mps"
    monkeypatch.setattr(devices, "verdict", lambda name: Verdict(fault="its gradients differ"))
    with pytest.warns(UserWarning, match=r"mps is there, and not taken, because its gradients"):
        assert choose_device("auto").type == "cpu"
    with warnings.catch_warnings():
        # Whoever names it has it.
        warnings.simplefilter("error")
        assert choose_device("mps").type == "mps"


def doctor(*words):
    return CliRunner().invoke(doctor_command, words, catch_exceptions=False)


def test_the_doctor_compares_a_device_with_the_cpu(monkeypatch):
    monkeypatch.setattr("lmkit.cli.commands.doctor._training_step", lambda: "works")
    done = doctor("--gpu", "--device", "cpu", "--json")
    assert done.exit_code == 0
    last = json.loads(done.stdout)[-1]
    assert (last["check"], last["state"]) == ("as the CPU", "ok")
    assert "gradients 0" in last["detail"]
    monkeypatch.setattr(
        self_check, "check_device", lambda device: Verdict({"gradients": 0.1}, "its gradients")
    )
    done = doctor("--gpu", "--device", "cpu")
    assert done.exit_code == 4
    assert "cpu is wrong with torch" in done.output
