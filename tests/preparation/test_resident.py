"""When images lie on the device, and that training is the same where they do."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from lmkit.data.cache.on_device import DeviceCachedDataset
from lmkit.preparation import keeping as module
from lmkit.preparation.prepared import prepare
from lmkit.runtime.callback import Callback
from lmkit.settings.layers import read_assignments
from lmkit.training.session import resume, start

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Listener(Callback):
    """Keeps what it is told."""

    def __init__(self):
        self.notes, self.counts = [], []

    def note(self, text):
        self.notes.append(text)

    def prepared(self, what, done, total):
        self.counts.append((what, done, total))


def weights(out, step=4):
    return load_file(out / "checkpoints" / f"step-{step}" / "detector.safetensors")


def test_training_is_the_same_and_may_go_on_either_way(tiny, tmp_path):
    listener = Listener()
    start(tiny("loading.resident=always"), tmp_path / "kept", [listener])
    assert listener.counts[-1] == ("to the device", 20, 20)
    start(tiny("run.steps=2", "loading.resident=never"), tmp_path / "parts")
    resume(tmp_path / "parts", [read_assignments(["run.steps=4", "loading.resident=always"])])
    start(tiny(), tmp_path / "plain")
    plain = weights(tmp_path / "plain")
    for name in ("kept", "parts"):
        found = weights(tmp_path / name)
        assert all(torch.equal(value, found[key]) for key, value in plain.items())


def keep(settings, registry, device, count=8, **changes):
    listener = Listener()
    ready = prepare(settings, registry)
    ready = replace(ready, split=replace(ready.split, train=list(range(count))))
    found = module.keep_on_device(ready, device, listener)
    return found.dataset is not ready.dataset, listener.notes


@pytest.fixture
def gpu(monkeypatch):
    """A device that is called a GPU, and has a megabyte."""

    class Here(DeviceCachedDataset):
        def __init__(self, source, indices, *, device, **given):
            super().__init__(source, indices, device=CPU, **given)

    monkeypatch.setattr(module, "DeviceCachedDataset", Here)
    monkeypatch.setattr(module, "free_memory", lambda device: 2**20)


def test_by_itself_only_on_a_gpu_and_where_it_pays(tiny, registry, gpu):
    assert keep(tiny(), registry, CPU) == (False, [])
    assert keep(tiny(), registry, CUDA) == (True, [])
    assert keep(tiny("run.steps=3"), registry, CUDA) == (False, [])
    assert keep(tiny("run.steps=3", "loading.resident=always"), registry, CUDA) == (True, [])
    assert keep(tiny("loading.resident=always"), registry, CPU) == (True, [])
    assert keep(tiny("loading.resident=never"), registry, CUDA) == (False, [])


@pytest.mark.parametrize("asked", ["auto", "always"])
def test_where_they_do_not_fit_a_note_says_so(tiny, registry, gpu, monkeypatch, asked):
    monkeypatch.setattr(module, "free_memory", lambda device: 4 * 8 * 3 * 32 * 32)
    settings = tiny(f"loading.resident={asked}")
    assert keep(settings, registry, CUDA) == (True, [])
    monkeypatch.setattr(module, "free_memory", lambda device: 4 * 8 * 3 * 32 * 32 - 1)
    kept, (note,) = keep(settings, registry, CUDA)
    assert not kept
    assert note == (
        "The 8 images that train take 0.0 GiB, more than 25% of the 0.0 GiB free on cuda: they "
        "are not kept there."
    )


def test_where_memory_runs_out_a_note_says_so(tiny, registry, monkeypatch):
    def full(*arguments, **given):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(module, "DeviceCachedDataset", full)
    kept, (note,) = keep(tiny("loading.resident=always"), registry, CPU)
    assert not kept
    assert note.startswith("cpu has no room")


def test_the_free_memory_of_this_machine():
    free = module.free_memory(CPU)
    assert free is None or 2**20 < free < 2**50


@pytest.mark.gpu
def test_training_on_a_gpu_keeps_them_there(tiny, tmp_path):
    listener = Listener()
    start(tiny("run.device=cuda", "run.steps=11"), tmp_path / "run", [listener])
    assert listener.counts[-1] == ("to the device", 20, 20)
