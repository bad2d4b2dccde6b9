import errno
import io
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from lmkit.errors import ExitCode, LmkitError
from lmkit.run import checkpoint as module
from lmkit.run.folder import RunFolder
from lmkit.run.run import open_run
from lmkit.runtime.assemble import assemble
from lmkit.training.learner import Updater
from lmkit.training.session import resume


@pytest.fixture
def parts(tiny, registry, tmp_path):
    settings = tiny()
    assembly = assemble(settings, registry)
    return RunFolder.create(tmp_path / "run"), assembly, Updater(assembly, settings.optimizer)


def test_two_are_kept(parts):
    folder, assembly, updater = parts
    for step in (1, 2, 3):
        module.save_checkpoint(folder, step, assembly, updater.optimizer, keep=2)
    assert list(module.list_checkpoints(folder)) == [2, 3]


def test_nothing_is_pickled(parts):
    folder, assembly, updater = parts
    path = module.save_checkpoint(folder, 1, assembly, updater.optimizer, keep=2)
    assert {file.suffix for file in path.iterdir()} == {".safetensors", ".json"}


def test_loaded_moments_lie_in_memory_as_the_weights_do(parts, tiny, registry):
    folder, assembly, updater = parts
    device = torch.device("cpu")
    assembly.to(device)
    total = sum((p**2).sum() for _, net in assembly.networks() for p in net.parameters())
    updater.backward(total)
    updater.apply(total, 0)
    path = module.save_checkpoint(folder, 1, assembly, updater.optimizer, keep=2)
    other = assemble(tiny("run.seed=1"), registry)
    other.to(device)
    fresh = Updater(other, tiny().optimizer)
    assert module.load_checkpoint(path, other, fresh.optimizer, device=device) == 1
    pairs = [(p, fresh.optimizer.state[p]) for own in fresh.networks.values() for p in own]
    assert any(not p.is_contiguous() for p, _ in pairs)
    assert all(state["exp_avg"].stride() == p.stride() for p, state in pairs)
    for (_, state), (_, former) in zip(pairs, updater.optimizer.state.items(), strict=True):
        assert torch.equal(state["exp_avg"], former["exp_avg"])


def test_a_write_that_fails_leaves_the_former_checkpoint(parts, monkeypatch):
    folder, assembly, updater = parts
    module.save_checkpoint(folder, 1, assembly, updater.optimizer, keep=2)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(LmkitError, match=r"step-2 cannot be written: No space left") as caught:
        module.save_checkpoint(folder, 2, assembly, updater.optimizer, keep=2)
    assert caught.value.code == ExitCode.STORAGE
    assert [path.name for path in folder.checkpoints.iterdir()] == ["step-1"]


def test_what_a_killed_write_left_is_neither_read_nor_kept(parts):
    folder, assembly, updater = parts
    module.save_checkpoint(folder, 1, assembly, updater.optimizer, keep=2)
    half = folder.checkpoints / ".step-2.partial"
    half.mkdir()
    (half / "detector.safetensors").write_bytes(b"half")
    assert module.latest_checkpoint(folder).name == "step-1"
    module.save_checkpoint(folder, 3, assembly, updater.optimizer, keep=2)
    assert not half.exists()


def test_weights_that_are_not_finite_are_not_saved(parts):
    folder, assembly, updater = parts
    with torch.no_grad():
        next(assembly.detector.parameters()).fill_(torch.nan)
    with pytest.raises(LmkitError, match="detector holds values that are not finite") as caught:
        module.save_checkpoint(folder, 1, assembly, updater.optimizer, keep=2)
    assert caught.value.code == ExitCode.DIVERGED
    assert module.list_checkpoints(folder) == {}


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


@pytest.mark.parametrize("name", ["detector", "optimizer"])
def test_a_flipped_byte_is_noticed(copied, name):
    file = copied / "checkpoints" / "step-4" / f"{name}.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    from lmkit.settings.layers import read_assignments

    with pytest.raises(LmkitError, match=rf"{name}.safetensors is not what was written") as caught:
        resume(copied, [read_assignments(["run.steps=6"])])
    assert caught.value.code == ExitCode.RUN
    assert "step-2 is then taken" in caught.value.remedy
    shutil.move(copied / "checkpoints" / "step-4", copied / "aside")
    _, outcome = resume(copied, [read_assignments(["run.steps=6"])])
    assert outcome.step == 6


def test_a_missing_file_and_a_broken_state_are_noticed(copied):
    step = copied / "checkpoints" / "step-4"
    (step / "detector.safetensors").unlink()
    with pytest.raises(LmkitError, match=r"detector.safetensors is missing"):
        _ = open_run(copied).detector
    (step / "state.json").write_text("{")
    with pytest.raises(LmkitError, match=r"step-4 is damaged: .*state.json"):
        _ = open_run(copied).detector
    (step / "state.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(LmkitError, match="another version"):
        _ = open_run(copied).detector


def test_a_folder_that_is_taken_is_refused(trained, tmp_path):
    with pytest.raises(LmkitError, match="holds a run already") as caught:
        RunFolder.create(trained)
    assert "--resume" in caught.value.remedy
    (tmp_path / "file").touch()
    with pytest.raises(LmkitError, match="not empty"):
        RunFolder.create(tmp_path)
    with pytest.raises(LmkitError, match="cannot be written") as caught:
        RunFolder.create(tmp_path / "file" / "run")
    assert caught.value.code == ExitCode.STORAGE
    with pytest.raises(LmkitError, match=r"run.json is missing"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("name", ["run.json", "state.json", "detector.safetensors"])
def test_what_the_system_does_not_let_be_read_is_not_called_damaged(
    copied, monkeypatch, name, number
):
    opened, os_opened = io.open, os.open

    def refuse(original):
        def open_(path, *rest, **options):
            if Path(str(path)).name == name:
                raise OSError(number, os.strerror(number), str(path))
            return original(path, *rest, **options)

        return open_

    monkeypatch.setattr(io, "open", refuse(opened))
    monkeypatch.setattr(os, "open", refuse(os_opened))
    with pytest.raises(LmkitError, match=f"{name} cannot be read: ") as caught:
        _ = open_run(copied, device="cpu").detector
    assert caught.value.code == ExitCode.RUN
    assert "nothing says that the file is damaged" in caught.value.remedy
    assert "Move that folder away" not in caught.value.remedy
