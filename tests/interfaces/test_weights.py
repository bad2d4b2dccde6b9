import copy
import os
import pickle
import shutil
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.weights import freeze, load_weights

STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.tensor([1.0])}


def assert_state(found):
    assert found.keys() == STATE.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, STATE[name])


def test_safetensors_are_read(tmp_path):
    save_file(STATE, tmp_path / "net.safetensors")
    assert_state(load_weights(tmp_path / "net.safetensors", option="detector.core"))


@pytest.mark.parametrize(
    "nest",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"lr": 0.1}},
        lambda state: {"model": {"state_dict": state}},
    ],
    ids=["plain", "state_dict", "model", "both"],
)
def test_state_dicts_are_read_plain_or_nested(tmp_path, nest):
    torch.save(nest(STATE), tmp_path / "net.pth")
    assert_state(load_weights(str(tmp_path / "net.pth"), option="detector.core"))


class Executed:
    """An object whose unpickling would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def refusal(path):
    with warnings.catch_warnings():
        # torch remarks on the pickle protocol of what is not one of its files.
        warnings.simplefilter("ignore")
        with pytest.raises(LmkitError) as caught:
            load_weights(path, option="detector.core")
    assert caught.value.code is ExitCode.DATA
    assert caught.value.problem.startswith(f"detector.core={path}")
    return caught.value


def test_nothing_in_a_file_is_executed(tmp_path):
    trap = tmp_path / "trap"
    torch.save({"weight": Executed(trap)}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps({"weight": Executed(trap)}))
    for name in ("a.pth", "b.pth"):
        assert "holds more than tensors" in refusal(tmp_path / name).problem
    assert not trap.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights\n" * 20, b"\x89PNG\r\n" + bytes(100)])
def test_other_files_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    error = refusal(path)
    assert error.problem.endswith(
        " is not a file of weights, is damaged, or holds more than tensors."
    )
    assert error.remedy == "Give a .safetensors file, or a .pth file that holds tensors only."


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_was_cut_short_is_refused(tmp_path, suffix):
    path = tmp_path / f"file{suffix}"
    (torch.save if suffix == ".pth" else save_file)(STATE, path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "is damaged" in refusal(path).problem


def test_a_pickled_module_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    assert "holds more than tensors" in refusal(tmp_path / "module.pth").problem


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 1, "w": torch.ones(1)}, torch.ones(2)])
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "file.pth")
    error = refusal(tmp_path / "file.pth")
    assert error.problem.endswith(" holds no state dict.")
    assert "torch.save(model.state_dict(), path)" in error.remedy


def test_a_missing_file_is_refused(tmp_path):
    error = refusal(tmp_path / "missing.pth")
    assert error.problem.endswith("there is no such file.")
    assert error.remedy.endswith("the path of a .safetensors or .pth file, or of a run.")


def test_a_run_gives_the_detector_of_its_newest_checkpoint(trained):
    newest = trained / "checkpoints" / "step-4"
    expected = load_file(newest / "detector.safetensors")
    for path in (trained, newest, newest / "detector.safetensors"):
        found = load_weights(path, option="detector.core")
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def damage(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def test_a_damaged_checkpoint_is_passed_over_in_a_run_and_refused_alone(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    older, newest = (run / "checkpoints" / name for name in ("step-2", "step-4"))
    damage(newest / "detector.safetensors")
    assert refusal(newest).problem.endswith("step-4 is damaged.")
    found = load_weights(run, option="detector.core")
    expected = load_file(older / "detector.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    (older / "state.json").write_text("{}")
    assert refusal(older).problem.endswith("step-2 is damaged.")
    assert refusal(run).problem.endswith("has no sound checkpoint: step-4 is damaged.")


def test_folders_without_weights_are_refused(tmp_path):
    assert "holds neither a run nor a checkpoint" in refusal(tmp_path).problem
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    error = refusal(tmp_path / "run")
    assert error.problem.endswith("is a run that has no checkpoint yet.")
    assert error.remedy == f"Train it first: lmkit train --resume {tmp_path / 'run'}"


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Sequential(nn.Conv2d(4, 2, 1))
    )


def trained_a_little(net):
    net.train()(torch.randn(8, 3, 6, 6))
    return net


class Holder(nn.Module):
    """A loss that holds a frozen network beside weights of its own."""

    def __init__(self, net):
        super().__init__()
        self.own = nn.Linear(2, 2)
        self.net = net


def test_a_frozen_network_computes_what_it_did_in_eval_mode():
    net, images = trained_a_little(network()), torch.randn(2, 3, 6, 6)
    expected = net.eval()(images)
    assert freeze(net) is net
    torch.testing.assert_close(net(images), expected, atol=0, rtol=0)


def test_a_frozen_network_neither_trains_nor_is_saved():
    holder = Holder(freeze(network()))
    assert [name for name, _ in holder.named_parameters()] == ["own.weight", "own.bias"]
    assert list(holder.state_dict()) == ["own.weight", "own.bias"]
    holder.load_state_dict(Holder(freeze(network())).state_dict())


def test_a_frozen_network_stays_in_eval_mode():
    images = torch.randn(2, 3, 6, 6)
    net = freeze(trained_a_little(network()))
    expected, mean = net(images), net[1].running_mean.clone()
    holder = Holder(net).train()
    assert holder.own.training
    assert not any(module.training for module in net.modules())
    assert net.train() is net
    assert net.eval() is net
    torch.testing.assert_close(net(images), expected, atol=0, rtol=0)
    assert torch.equal(net[1].running_mean, mean)


def test_a_frozen_network_moves_with_what_holds_it():
    holder = Holder(freeze(network())).to(torch.float64)
    assert all(buffer.dtype in (torch.float64, torch.int64) for buffer in holder.buffers())
    assert holder.net(torch.randn(1, 3, 6, 6, dtype=torch.float64)).dtype is torch.float64


def test_gradients_pass_through_to_the_input_and_stop_at_the_weights():
    net, images = freeze(network()), torch.randn(2, 3, 6, 6, requires_grad=True)
    net(images).square().sum().backward()
    assert images.grad.abs().sum() > 0
    assert not any(buffer.requires_grad for buffer in net.buffers())


@pytest.mark.parametrize("again", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_of_a_frozen_network_is_a_frozen_network(again):
    net = freeze(trained_a_little(network()))
    twin, images = again(net), torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(twin(images), net(images), atol=0, rtol=0)
    assert twin.train() is twin
    assert twin[1].train() is twin[1]
    assert not any(module.training for module in twin.modules())
    assert list(twin.parameters()) == list(twin.state_dict()) == []
    twin.to(torch.float64)
    assert net[0].weight.dtype is torch.float32


def test_freezing_twice_is_freezing_once():
    net = freeze(freeze(network()))
    assert list(net.parameters()) == []
    assert net(torch.randn(1, 3, 6, 6)).shape == (1, 2, 4, 4)
