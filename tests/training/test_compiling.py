import json

import pytest
import torch
from safetensors.torch import load_file

from lmkit.interfaces.weights import list_steps
from lmkit.runtime.assemble import assemble
from lmkit.runtime.callback import Callback
from lmkit.settings.layers import Layer
from lmkit.training import compiling
from lmkit.training.compiling import compile_networks, forgiving
from lmkit.training.session import resume, start

CPU = torch.device("cpu")
FEW = (
    "run.steps=2",
    "run.log_every=1",
    "loss.perceptual.weights=random",
    "loss.perceptual.layers=relu1_2",
)


class Notes(Callback):
    def __init__(self):
        self.texts = []

    def note(self, text):
        self.texts.append(text)


@pytest.fixture
def quick(monkeypatch):
    """Trace networks and their gradients as for any backend, and make no kernels."""
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    yield
    torch.compiler.reset()


@pytest.fixture
def broken(monkeypatch):
    """Fail as where there is no compiler."""

    def fail(graph, inputs):
        raise RuntimeError("no compiler\nhere")

    monkeypatch.setattr(compiling, "BACKEND", fail)
    yield
    torch.compiler.reset()


def weights(run):
    path = max(list_steps(run.folder.checkpoints).items())[1]
    return load_file(path / "detector.safetensors")


def first_metrics(run):
    return json.loads(run.folder.metrics.read_text().splitlines()[0])


@pytest.mark.campaign  # half a minute, nearly all of it torch's compiler
def test_a_compiled_run_saves_what_a_plain_one_saves(tiny, tmp_path, quick):
    notes = Notes()
    plain, _ = start(tiny(*FEW), tmp_path / "plain")
    compiled, _ = start(tiny(*FEW, "run.compile=default"), tmp_path / "compiled", [notes])
    assert not [text for text in notes.texts if "compile" in text]
    found, wanted = weights(compiled), weights(plain)
    assert {name: value.shape for name, value in found.items()} == {
        name: value.shape for name, value in wanted.items()
    }
    first, second = (first_metrics(run) for run in (plain, compiled))
    for name in ("loss", "gradient_norm/detector", "gradient_norm/generator"):
        assert second[name] == pytest.approx(first[name], rel=1e-4)


def test_a_run_may_go_on_otherwise(tiny, tmp_path, broken):
    start(tiny(*FEW), tmp_path / "run")
    layer = Layer("test", {"run": {"steps": 3, "compile": "default"}})
    run, outcome = resume(tmp_path / "run", [layer])
    assert outcome.step == 3
    assert run.settings.run.compile == "default"


def test_networks_are_compiled_once_and_in_place(tiny, registry, quick):
    assembly = assemble(tiny(*FEW), registry)
    names = list(assembly.detector.state_dict())
    assert list(compile_networks(assembly, "default", CPU)) == []
    assert list(assembly.detector.state_dict()) == names
    compiled = [assembly.detector, assembly.generator, assembly.losses["perceptual"].vgg]
    assert all(module._compiled_call_impl is not None for module in compiled)


def test_nothing_changes_unless_asked_for(tiny, registry, broken):
    assembly = assemble(tiny(), registry)
    assert list(compile_networks(assembly, "none", CPU)) == []
    assert assembly.detector._compiled_call_impl is None


def test_where_nothing_can_be_compiled_the_run_says_so_and_goes_on(tiny, tmp_path, broken):
    notes = Notes()
    _, outcome = start(tiny(*FEW, "run.compile=default"), tmp_path / "run", [notes])
    assert outcome.step == 2
    assert [text for text in notes.texts if "nothing is compiled" in text and "no compiler" in text]


def test_what_cannot_be_compiled_runs_as_it_is(quick):
    class Awkward(torch.nn.Module):
        def forward(self, x):
            torch._dynamo.graph_break()
            return x * 2

    def fail(graph, inputs):
        raise RuntimeError("not this one")

    module = Awkward()
    module.compile(backend=fail)
    with forgiving("default"):
        assert module(torch.ones(2)).tolist() == [2, 2]
