"""Memory that runs out in a step ends in a message that names what fits, and in no traceback."""

import pytest
import torch

from lmkit.cli import main as command_line
from lmkit.errors import LmkitError
from lmkit.runtime.blame import blame, is_out_of_memory
from lmkit.training import memory, session
from lmkit.training.compiling import refuse_graphs
from lmkit.training.learner import Updater
from lmkit.training.memory import _more_passes
from lmkit.training.session import start

CPU = torch.device("cpu")
MPS = RuntimeError("MPS backend out of memory (MPS allocated: 8 GB, other allocations: 1 GB).")


@pytest.fixture
def room_for(monkeypatch):
    """Emulate a device whose memory is enough for so many images a pass, forward or backward."""

    def make(images, *, backward=False):
        taken = []
        honest, back = memory.Objective.forward, Updater.backward

        def forward(self, batch, number, part):
            count = len(batch.images[slice(None) if part is None else part.rows])
            taken.append(count)
            if count > images and not backward:
                with blame("detector 'hourglass'"):
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
            return honest(self, batch, number, part)

        def go_back(self, loss):
            if taken[-1] > images:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
            back(self, loss)

        monkeypatch.setattr(memory.Objective, "forward", forward)
        monkeypatch.setattr(Updater, "backward", go_back)
        return taken

    return make


@pytest.mark.parametrize(
    ("backward", "place"), [(False, "the forward pass"), (True, "the backward pass or the update")]
)
def test_what_fits_is_tried_and_named(tiny, tmp_path, room_for, backward, place):
    taken = room_for(2, backward=backward)
    with pytest.raises(LmkitError) as caught:
        start(tiny("run.batch_size=8"), tmp_path / "run")
    said = f"{caught.value.problem} {caught.value.remedy}"
    assert f"The memory of cpu ran out in {place} of step 1, with 8 images in a pass" in said
    assert "--batch-size 8, run.accumulate=1, run.compile=none" in said
    assert "A pass of 2 images fits" in said
    assert "run.accumulate=4, which keeps the batch, or with --batch-size 2" in said
    assert taken == [8, 4, 2, 2]
    assert caught.value.__cause__ is None


def test_what_it_names_trains(tiny, tmp_path, room_for):
    room_for(2)
    run, _ = start(tiny("run.batch_size=8", "run.accumulate=4", "run.steps=2"), tmp_path / "run")
    assert run.step == 2


def test_nothing_that_fits_is_said_as_well(tiny, tmp_path, room_for):
    room_for(0)
    with pytest.raises(LmkitError, match="smaller networks"):
        start(tiny("run.batch_size=4", "run.accumulate=2"), tmp_path / "run")


def test_compiled_networks_are_named(tiny):
    run = tiny("run.compile=reduce-overhead").run
    fit = memory.Fit(2, 2, 3 * 2**30)
    said = memory.out_of_memory("the forward pass", 3, CPU, run, 4, fit).remedy
    assert "takes 3.00 GiB" in said
    assert "without run.compile=reduce-overhead" in said
    assert "keeps memory for its graphs" in said
    alone = memory.untried("the forward pass", 3, CPU, run)
    assert "run.accumulate=2" in alone.remedy


def test_moments_that_are_to_come_count(tiny, registry, monkeypatch):
    """A pass that fits before the first update may not fit after it."""
    asked = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 0))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 500)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 900)
    parameter = torch.nn.Parameter(torch.zeros(10))
    optimizer = torch.optim.Adam([parameter])
    updater = type("Some", (), {"networks": {"detector": [parameter]}, "optimizer": optimizer})()
    assert memory._peak_and_room(updater, asked) == (900 + 80, 1500)
    parameter.grad = torch.zeros(10)
    optimizer.step()
    assert memory._peak_and_room(updater, asked) == (900, 1500)


def test_passes_divide_the_batch():
    assert list(_more_passes(1, 32)) == [2, 4, 8, 16, 32]
    assert list(_more_passes(1, 12)) == [2, 4, 12]
    assert list(_more_passes(3, 12)) == [6, 12]
    assert list(_more_passes(1, 7)) == [7]
    assert list(_more_passes(1, 1)) == []


def test_memory_is_memory_on_every_device():
    assert is_out_of_memory(MPS)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    with pytest.raises(LmkitError, match="ran out of memory in the detector"), blame("detector"):
        raise MPS


def test_commands_without_a_step_have_a_message_too(monkeypatch, capsys):
    def fail(**given):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(command_line.cli, "main", fail)
    with pytest.raises(SystemExit) as caught:
        command_line.main(["list"])
    assert caught.value.code == 2
    assert "The memory of the device ran out." in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune"])
def test_graphs_and_several_passes_are_refused_before_the_run(tiny, tmp_path, monkeypatch, mode):
    cuda = torch.device("cuda", 0)
    with pytest.raises(LmkitError, match="written over between the 2 passes") as caught:
        refuse_graphs(mode, 2, cuda)
    assert "run.compile=default" in caught.value.remedy
    refuse_graphs(mode, 1, cuda)
    refuse_graphs(mode, 2, CPU)
    refuse_graphs("default", 2, cuda)
    monkeypatch.setattr(session, "choose_device", lambda name: cuda)
    with pytest.raises(LmkitError, match="records CUDA graphs"):
        start(tiny(f"run.compile={mode}", "run.accumulate=2"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
