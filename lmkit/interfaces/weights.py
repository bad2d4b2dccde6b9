"""Reading pretrained weights from files and runs, and making foreign networks constants."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.checkpoint_files import FOLDER, STATE, list_steps, sound_file
from lmkit.interfaces.tensor_files import load_tensors


def load_weights(path: str | Path, *, option: str) -> dict[str, Tensor]:
    """Read weights from a file or a run; nothing in it is executed.

    Args:
        path: A ``.safetensors`` file, or a ``.pth``/``.pt`` file of tensors (a plain state dict,
            or one under the key ``state_dict`` or ``model``). Or the folder of a run, for the
            weights of its detector in its newest sound checkpoint; or of one of its checkpoints.
        option: The option that named the file, for messages (``detector.core``).

    Returns:
        Names and tensors, on the CPU.

    Raises:
        LmkitError: If the file is missing or is not such a file, or the folder holds no sound
            checkpoint.
    """
    path = Path(path)
    if path.is_dir():
        path = _in_run(path, option)
    if not path.is_file():
        raise LmkitError(
            f"{option}={path}: there is no such file.",
            remedy=f"Give {option} the path of a .safetensors or .pth file, or of a run.",
            code=ExitCode.DATA,
        )
    try:
        content = _unwrap(_read(path))
    except OSError as error:
        raise LmkitError(
            f"{option}={path} cannot be read: {error.strerror or error}.",
            remedy="Make the file readable, or give another one.",
            code=ExitCode.DATA,
        ) from error
    except Exception as error:
        # What the readers say of such files is of no help; torch's recommends unsafe reading.
        raise LmkitError(
            f"{option}={path} is not a file of weights, is damaged, or holds more than tensors.",
            remedy="Give a .safetensors file, or a .pth file that holds tensors only.",
            code=ExitCode.DATA,
        ) from error
    if (
        not isinstance(content, dict)
        or not content
        or not all(_is_plain(value) for value in content.values())
    ):
        raise LmkitError(
            f"{option}={path} holds no state dict.",
            remedy="Give a file saved with torch.save(model.state_dict(), path).",
            code=ExitCode.DATA,
        )
    return {str(name): tensor for name, tensor in content.items()}


def freeze(network: nn.Module) -> nn.Module:
    """Make a foreign network a constant: it moves between devices, but never trains or is saved.

    Every parameter and buffer becomes a buffer that stays out of state dicts, and the network is
    put in eval mode for good. Gradients still pass through it to its input.

    Args:
        network: Changed in place.

    Returns:
        The same network.
    """
    keep_still(network)
    for module in network.modules():
        module._non_persistent_buffers_set.update(module._buffers)
    return network


def keep_still(network: nn.Module) -> nn.Module:
    """Make a network's parameters buffers, and put it in eval mode for good; it is still saved.

    Args:
        network: Changed in place.

    Returns:
        The same network.
    """
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            del module._parameters[name]
            module.register_buffer(name, parameter.detach())
        module.eval()
        # A loss that holds the network is switched to train mode with the rest; this one stays.
        # A partial, unlike a lambda, is copied and pickled together with the module it names.
        module.train = partial(_stay, module)  # type: ignore[method-assign]
    return network


def _in_run(path: Path, option: str) -> Path:
    """Return the file of detector weights in the folder of a run, or of a checkpoint."""
    one = (path / STATE).is_file()
    found = [path] if one else list(list_steps(path / FOLDER).values())
    for checkpoint in reversed(found):
        if (file := sound_file(checkpoint, "detector")) is not None:
            return file
    if found:
        what = "is damaged" if one else f"has no sound checkpoint: {found[-1].name} is damaged"
        remedy = f"Give {option} another run or checkpoint, or train that one again."
    elif (path / FOLDER).is_dir():
        what = "is a run that has no checkpoint yet"
        remedy = f"Train it first: lmkit train --resume {path}"
    else:
        what = "is a folder that holds neither a run nor a checkpoint"
        remedy = f"Give {option} the folder of a run, or a .safetensors or .pth file."
    raise LmkitError(f"{option}={path} {what}.", remedy=remedy, code=ExitCode.DATA)


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return load_tensors(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _is_plain(value: Any) -> bool:
    """Return whether it is a tensor whose values lie in memory one by one."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and not value.is_quantized
        and value.device.type == "cpu"
    )


def _unwrap(content: Any) -> Any:
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            return _unwrap(content[key])
    return content


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    """Take the place of ``train`` in a frozen module, which has but one mode."""
    return module
