"""timm's backbones: which there are, how one is built, and where its weights come from.

Wightman, "PyTorch Image Models", https://github.com/huggingface/pytorch-image-models.
"""

import difflib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg
from torch import Tensor, nn

from lmkit.api import ExitCode, LmkitError, load_weights

_TAGS = 4  # how many sets of pretrained weights a line names


def catalogue(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield the backbones whose name fits, with the pretrained weights there are for each.

    Args:
        pattern: A shell wildcard; with a dot in it, it is for names with a tag of weights.
    """
    if "." in pattern:
        for name in timm.list_pretrained(pattern):
            yield name, "with pretrained weights"
        return
    tags: dict[str, list[str]] = {}
    for name in timm.list_pretrained():
        architecture, _, tag = name.partition(".")
        tags.setdefault(architecture, []).append(tag)
    for name in timm.list_models(pattern):
        own = sorted(filter(None, tags.get(name, [])))
        more = f" and {len(own) - _TAGS} more" if len(own) > _TAGS else ""
        listed = ", ".join(own[:_TAGS]) + more
        known = "pretrained" if name in tags else "no pretrained weights"
        yield name, f"{known}: {listed}" if listed else known


def build(name: str, image_size: int) -> nn.Module:
    """Build a backbone that returns feature maps, with random weights.

    Args:
        name: As timm calls it, with or without a tag of weights (``resnet50.a1_in1k``).
        image_size: Side of the square images, in pixels; backbones of a fixed size are built for
            it.

    Returns:
        A module from (B, 3, S, S) to a list of feature maps, with timm's ``feature_info``.

    Raises:
        LmkitError: If timm has no such backbone, or cannot build it so.
    """
    if not timm.is_model(name) or (name.partition(".")[2] and name not in timm.list_pretrained()):
        raise _unknown(name)
    try:
        return _create(name, image_size)
    except Exception as error:
        raise cannot_be_used(name, image_size, error) from error


def cannot_be_used(name: str, image_size: int, error: Exception) -> LmkitError:
    """Return the refusal of a backbone that does not work at a size of images."""
    reason = " ".join(str(error).split())[:200]
    return LmkitError(
        f"detector.backbone={name} does not give feature maps of images of {image_size} pixels "
        f"({type(error).__name__}: {reason}).",
        remedy="Give run.image_size a multiple of 32, or the size it was made for (such as 224); "
        "or take another backbone: lmkit list backbone.",
    )


def pretrained_weights(name: str, image_size: int, source: Path | None) -> dict[str, Tensor]:
    """Return a backbone's pretrained weights, under the names of the one that is built here.

    timm converts them: it leaves the classifier out and resamples position embeddings.

    Args:
        name: As timm calls it.
        image_size: Side of the square images, in pixels.
        source: A file of weights in the form timm publishes them; downloaded by timm if not given.

    Raises:
        LmkitError: If they cannot be had or do not fit.
    """
    overlay: dict[str, Any] = {}
    if source is not None:
        # Read here, since timm would unpickle a file, which can run anything.
        overlay = {"state_dict": load_weights(source, option="detector.pretrained")}
    # Two networks from one seed: what is equal after loading was not in the file. Names cannot
    # tell, because timm renames and leaves out without a word.
    blank = _seeded(name, image_size)
    try:
        loaded = _seeded(name, image_size, pretrained=True, pretrained_cfg_overlay=overlay)
    except Exception as error:
        raise _not_loaded(name, source, error) from error
    before, after = blank.state_dict(), loaded.state_dict()
    same = [key for key, value in after.items() if value.ndim > 1 and value.equal(before[key])]
    if same:
        origin = f"detector.pretrained={source}" if source else f"The download of {name}"
        raise LmkitError(
            f"{origin} lacks {len(same)} weights of {name}, such as {same[0]}.",
            remedy="Give the weights of this very backbone, as timm publishes or saves them.",
            code=ExitCode.DATA,
        )
    return after


def stage_parameters(backbone: nn.Module, stages: int) -> Iterator[nn.Module]:
    """Yield the modules that belong to the first stages, everything before them included.

    Args:
        backbone: From [build][lmkit_timm.backbones.build].
        stages: How many, as timm's ``feature_info`` counts them; at least 1.

    Raises:
        LmkitError: If timm does not say where they end.
    """
    names = [name for name, _ in backbone.named_modules()]
    wanted = stage_names(backbone)[stages - 1]
    # timm nests a backbone as it is ("model.blocks.3") or flattens its first level ("stages_0").
    ways = (wanted, f"model.{wanted}", wanted.replace(".", "_"))
    place = next((way for way in ways if way in names), None)
    if place is None:
        raise LmkitError(
            f"detector.frozen={stages} is refused: timm does not say which modules make up the "
            "first stages of this backbone.",
            remedy="Give detector.frozen=0, or all.",
        )
    last = max(n for n, name in enumerate(names) if name == place or name.startswith(f"{place}."))
    for number, (_, module) in enumerate(backbone.named_modules()):
        if number <= last:
            yield module


def stage_names(backbone: nn.Module) -> list[str]:
    """Return what timm calls the modules that give feature maps, from first to last."""
    names: list[str] = backbone.feature_info.module_name()  # type: ignore[union-attr,operator]
    return names


def data_configuration(name: str) -> PretrainedCfg:
    """Return what timm knows of the images a backbone was made for: size, mean, deviation."""
    return timm.get_pretrained_cfg(name) or PretrainedCfg()


def _create(name: str, image_size: int, **options: Any) -> nn.Module:
    if data_configuration(name).fixed_input_size:
        options["img_size"] = image_size
    with warnings.catch_warnings():
        # Remarks about timm's own renamed modules; the user can do nothing about them.
        warnings.simplefilter("ignore")
        network: nn.Module = timm.create_model(name, features_only=True, **options)
    return network


def _seeded(name: str, image_size: int, **options: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _create(name, image_size, **options)


def _unknown(name: str) -> LmkitError:
    architecture = name.partition(".")[0]
    close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
    if timm.is_model(architecture):
        tagged = timm.list_pretrained(f"{architecture}.*")[:3]
        hint = f"Its weights are {', '.join(tagged)}. " if tagged else ""
    else:
        hint = f"Did you mean {' or '.join(close)}? " if close else ""
    return LmkitError(
        f"timm has no backbone '{name}'.",
        remedy=f"{hint}lmkit list backbone '*resnet*' shows what there is.",
    )


def _not_loaded(name: str, source: Path | None, error: Exception) -> LmkitError:
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if source is None:
        return LmkitError(
            f"The pretrained weights of {name} could not be downloaded ({reason}).",
            remedy="Fetch them elsewhere and give the file with --set detector.pretrained=FILE, or "
            "start from random weights with --set detector.pretrained=false.",
            code=ExitCode.DATA,
        )
    return LmkitError(
        f"detector.pretrained={source} does not hold the weights of {name} ({reason}).",
        remedy="Give the weights of this very backbone, as timm publishes or saves them.",
        code=ExitCode.DATA,
    )
