"""One run's settings: recipe, then ``--config`` file, then flags, then ``--set section.key=value``.

Each of these is a [Layer][lmkit.config.Layer] of the same nested form; a later one wins. Merging
needs no component and no torch. [resolve][lmkit.config.resolve] then asks every component for its
options, checks them, and fills in every default, so that what is written to ``run.json`` says
everything.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from lmkit.errors import ExitCode, LmkitError, did_you_mean
from lmkit.registry.lookup import Registered, Registry
from lmkit.registry.options import Text, check_options, convert

COMPONENT_SECTIONS = {
    "data": "dataset",
    "detector": "detector",
    "generator": "generator",
    "deformation": "deformation",
    "pairing": "pairing",
}
"""The sections that choose one component, and its kind."""

SEVERAL = ("loss", "writer")
"""The sections that choose any number of components of their kind, each under a label."""

_STRETCHED = ("sanchez2019", "jakab2018")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What belongs to the run and to no component.

    Args:
        steps: Steps of training in total; a resumed run goes on up to this number.
        batch_size: Pictures a step, of all processes together.
        accumulate: Passes in which each process computes its share of a batch, one after the other:
            less memory for the same gradient.
        landmarks: Number of landmarks K.
        image_size: Side of the square pictures the networks see, in pixels.
        seed: Everything random follows from it.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        sync_batch_norm: Where several processes train together, whether BatchNorm goes by the
            pictures of all of them or by each one's own.
        precision: Of the networks; ``auto`` is bfloat16 autocast on CUDA and float32 elsewhere.
            Geometry and losses are float32 always.
        compile: Whether torch.compile makes kernels for the networks, and in which of its modes;
            where that fails, they run as they are.
        checkpoint_every: Steps between checkpoints.
        keep: How many of the newest checkpoints are kept.
        log_every: Steps between lines of metrics.
        picture_every: Steps between pictures; 0 for pictures at the end alone.
    """

    steps: int = 1000
    batch_size: int = 32
    accumulate: int = 1
    landmarks: int = 10
    image_size: int = 128
    seed: int = 0
    device: str = "auto"
    sync_batch_norm: bool = True
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["none", "default", "reduce-overhead", "max-autotune"] = "none"
    checkpoint_every: int = 500
    keep: int = 2
    log_every: int = 20
    picture_every: int = 500

    def __post_init__(self) -> None:
        at_least = {"steps": 1, "batch_size": 1, "landmarks": 1, "image_size": 16, "seed": 0}
        at_least |= {"accumulate": 1}
        at_least |= {"checkpoint_every": 1, "keep": 1, "log_every": 1, "picture_every": 0}
        _check_at_least("run", self, at_least)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSettings:
    """How the networks learn.

    Args:
        name: The algorithm.
        learning_rate: At its highest, for batches of ``reference_batch`` where ``batch_rule`` is
            not ``none``.
        batch_rule: What the rate is multiplied with: ``linear``, ``run.batch_size`` divided by
            ``reference_batch``; ``sqrt``, the root of that; ``none``, nothing.
        reference_batch: See ``batch_rule``.
        betas: Decay rates of the running means of gradient and squared gradient.
        weight_decay: Added to the gradient by ``adam``, apart from it by ``adamw``.
        clip_norm: The gradient norm that each network is clipped to; none for no clipping.
        schedule: ``constant``; ``step``: times ``decay_factor`` every ``decay_every`` steps;
            ``cosine``: down to ``decay_factor`` over ``decay_every`` steps, constant after.
        decay_every: See ``schedule``. It does not depend on ``run.steps``, so that a run can be
            resumed to more steps and be the same run.
        decay_factor: See ``schedule``.
        warmup: Steps over which the rate first rises from 0.
    """

    name: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-3
    batch_rule: Literal["none", "linear", "sqrt"] = "none"
    reference_batch: int = 32
    betas: tuple[float, float] = (0.0, 0.9)
    weight_decay: float = 5e-4
    clip_norm: float | None = 1.0
    schedule: Literal["constant", "step", "cosine"] = "step"
    decay_every: int = 75_000
    decay_factor: float = 0.1
    warmup: int = 0

    def __post_init__(self) -> None:
        at_least = {"decay_every": 1, "warmup": 0, "weight_decay": 0, "reference_batch": 1}
        _check_at_least("optimizer", self, at_least)
        if not self.learning_rate > 0:
            raise LmkitError(
                f"optimizer.learning_rate={self.learning_rate} is not above 0.",
                remedy="Give a positive number, such as 0.001.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadingSettings:
    """How pictures become batches.

    Args:
        partner: What the deformed view is made of: the picture itself, or another training picture
            of its subject.
        crop: What is shown of a picture: all of it, its central window, the box of its annotated
            points, or what a publication showed.
        crop_share: With ``crop`` ``centre``, the window's side as a share of the shorter side.
        crop_margin: With ``crop`` ``annotated-box``, what is added to each side of the box, as a
            share of its longer side.
        fit: How what is shown becomes square: its central square, or all of it padded or stretched.
        held_out: Share of the subjects (or pictures) kept for testing where the data does not say.
        split_seed: Decides which; apart from ``run.seed``, so that runs with different seeds test
            on the same pictures.
        max_unreadable: Share of pictures that may be unreadable before the run stops.
        workers: Processes that read pictures; none chooses by the number of cores.
        cache: Where pictures lie that were read once: a folder; ``auto`` for the user's, where it
            pays; ``none`` for nowhere.
        resident: Whether the pictures that train are kept on the device; ``auto`` does on a GPU,
            where they take at most a quarter of its free memory and it pays.
    """

    partner: Literal["none", "subject"] = "none"
    crop: Literal["none", "centre", "annotated-box", "sanchez2019", "jakab2018", "dve2019"] = "none"
    crop_share: float = 0.8
    crop_margin: float = 0.5
    fit: Literal["crop", "pad", "stretch"] = "crop"
    held_out: float = 0.1
    split_seed: int = 0
    max_unreadable: float = 0.05
    workers: int | None = None
    cache: str = "auto"
    resident: Literal["auto", "always", "never"] = "auto"

    def __post_init__(self) -> None:
        if self.cache not in ("auto", "none"):
            # A run is opened from anywhere.
            place = str(Path(self.cache).expanduser().absolute())
            object.__setattr__(self, "cache", place)
        for name in ("held_out", "max_unreadable"):
            if not 0 <= getattr(self, name) < 1:
                raise LmkitError(
                    f"loading.{name}={getattr(self, name)} is not a share.",
                    remedy="Give a number of at least 0 and below 1.",
                )
        if self.workers is not None:
            _check_at_least("loading", self, {"workers": 0})
        if not 0 < self.crop_share <= 1:
            raise LmkitError(
                f"loading.crop_share={self.crop_share} is no share of a side.",
                remedy="Give a number above 0 and up to 1.",
            )
        if not 0 <= self.crop_margin < math.inf:
            raise LmkitError(
                f"loading.crop_margin={self.crop_margin} is no margin.",
                remedy="Give a number of at least 0, such as 0.5.",
            )
        if self.crop in _STRETCHED and self.fit != "stretch":
            raise LmkitError(
                f"loading.crop={self.crop} shows a rectangle that its authors stretched to the "
                f"square, and loading.fit={self.fit} would not.",
                remedy="Add --set loading.fit=stretch.",
            )


CORE_SECTIONS: dict[str, type] = {
    "run": RunSettings,
    "optimizer": OptimizerSettings,
    "loading": LoadingSettings,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides a run, with nothing left open.

    Component sections are plain dictionaries: ``name`` and every option. ``loss`` is one such
    dictionary a loss, by label, with its ``weight``; ``writer`` one a writer.
    """

    run: RunSettings
    optimizer: OptimizerSettings
    loading: LoadingSettings
    data: dict[str, Any]
    detector: dict[str, Any]
    generator: dict[str, Any]
    deformation: dict[str, Any]
    pairing: dict[str, Any]
    loss: dict[str, dict[str, Any]]
    writer: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def data_source(self) -> tuple[str, Path | None]:
        """Where the data comes from: its kind, and its place if it has one."""
        path = self.data.get("path")
        name = str(self.data["name"]).rpartition("/")[2]
        return name, None if path is None else Path(str(path)).resolve()

    @property
    def data_label(self) -> str:
        """What to call the data in a report: its kind, and where it is."""
        return ":".join(str(self.data[key]) for key in ("name", "path") if self.data.get(key))

    def to_dict(self) -> dict[str, Any]:
        """Return nested dictionaries of JSON values."""
        plain: dict[str, Any] = _jsonable(asdict(self))
        return plain

    def flat(self) -> dict[str, Any]:
        """Return ``{"section.key": value}`` of JSON values."""
        return dict(_flatten(self.to_dict()))


@dataclass(frozen=True, slots=True)
class Layer:
    """Settings from one place.

    Args:
        origin: The place, for messages: ``recipe quickstart``, ``--config my.toml``.
        values: Nested dictionaries ``{section: {key: value}}``.
        losses: If given, the only losses there are from this layer on.
        writers: The same of writers; each is a name, or ``NAME:VALUE``.
    """

    origin: str
    values: Mapping[str, Any] = field(default_factory=dict)
    losses: Sequence[str] | None = None
    writers: Sequence[str] | None = None


def read_toml(text: str, origin: str, registry: Registry) -> list[Layer]:
    """Parse a TOML text into layers: those of the recipe it is ``based_on``, then its own.

    Args:
        text: Sections, and above them perhaps ``based_on = "recipe"`` and
            ``losses = ["the", "only", "ones"]``, or ``writers``.
        origin: Where it is from, for messages.
        registry: Where recipes are looked up.

    Raises:
        LmkitError: If it is not TOML, or based on no recipe.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LmkitError(f"{origin} is not TOML: {error}.", remedy="Correct that line.") from None
    base = values.pop("based_on", None)
    only = {
        key: convert(values.pop(key), list[str], where=f"{origin}: {key}")
        for key in ("losses", "writers")
        if key in values
    }
    layers = [] if base is None else read_recipe(str(base), registry)
    return [*layers, Layer(origin, values, **only)]


def read_recipe(name: str, registry: Registry) -> list[Layer]:
    """Read a recipe, after those it is based on.

    Raises:
        LmkitError: If there is no such recipe, or it is not TOML.
    """
    recipe = registry.recipe(name)
    return read_toml(recipe.read(), f"recipe {name}", registry)


def read_config_file(path: Path, registry: Registry) -> list[Layer]:
    """Read a ``--config`` file: the same form as a recipe.

    Raises:
        LmkitError: If it cannot be read or is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LmkitError(
            f"--config {path} cannot be read: {error}.", remedy="Give the path of a TOML file."
        ) from None
    return read_toml(text, f"--config {path}", registry)


def read_assignments(assignments: Iterable[str]) -> Layer:
    """Parse ``section.key=value`` words as typed after ``--set``.

    Raises:
        LmkitError: If one does not have that form.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        *sections, key = name.strip().split(".")
        if not equals or not sections or not all((*sections, key)):
            raise LmkitError(
                f"--set {assignment} is not section.key=value.",
                remedy="Write, for example, --set detector.depth=3.",
            )
        table = values
        for section in sections:
            table = table.setdefault(section, {})
        table[key] = Text(value)
    return Layer("--set", values)


def merge(layers: Iterable[Layer]) -> dict[str, Any]:
    """Merge layers, later ones winning; choosing another component drops the former's options.

    Raises:
        LmkitError: If a section is unknown or is not a table.
    """
    merged: dict[str, Any] = {}
    known = (*CORE_SECTIONS, *COMPONENT_SECTIONS, *SEVERAL)
    for layer in layers:
        for section, table in layer.values.items():
            if section not in known:
                raise LmkitError(
                    f"{layer.origin}: there is no section '{section}'.",
                    remedy=did_you_mean(section, known, all_of_them="The sections are"),
                )
            tables = table.items() if section in SEVERAL and isinstance(table, dict) else ()
            for where, inner in ((section, table), *((f"{section}.{k}", v) for k, v in tables)):
                if not isinstance(inner, Mapping):
                    raise LmkitError(
                        f"{layer.origin}: {where} is a single value.",
                        remedy=f"Write --set {where}.KEY=VALUE, or [{where}] in a file.",
                    )
            if section in SEVERAL:
                chosen = merged.setdefault(section, {})
                for label, options in table.items():
                    chosen[label] = _merge_component(chosen.get(label, {}), options)
            elif section in COMPONENT_SECTIONS:
                merged[section] = _merge_component(merged.get(section, {}), table)
            else:
                merged[section] = {**merged.get(section, {}), **table}
        if layer.losses is not None:
            losses = merged.get("loss", {})
            merged["loss"] = {label: losses.get(label, {}) for label in layer.losses}
        if layer.writers is not None:
            merged["writer"] = _only_writers(layer.writers, merged.get("writer", {}))
    return merged


def resolve(merged: Mapping[str, Any], registry: Registry) -> Settings:
    """Check merged settings against the components and fill in every default.

    Args:
        merged: From [merge][lmkit.config.merge], or what
            [Settings.to_dict][lmkit.config.Settings.to_dict] returned.
        registry: Where components are looked up; their modules are imported.

    Raises:
        LmkitError: If a component or an option is unknown, missing, or of the wrong type.
    """
    core = {
        section: cls(
            **check_options(cls, merged.get(section, {}), section=section, given_by_run=())
        )
        for section, cls in CORE_SECTIONS.items()
    }
    chosen = {
        section: _resolve_component(section, kind, dict(merged.get(section, {})), registry)
        for section, kind in COMPONENT_SECTIONS.items()
    }
    if not merged.get("loss"):
        raise LmkitError("No loss is chosen.", remedy="Add one, for example --loss mse.")
    losses = {}
    for label, options in merged["loss"].items():
        options = dict(options)
        weight = check_options(_Weight, _take(options, "weight"), section=f"loss.{label}")
        options.setdefault("name", label)
        losses[label] = {
            **_resolve_component(f"loss.{label}", "loss", options, registry),
            **weight,
        }
    writers = {
        label: _resolve_component(f"writer.{label}", "writer", {"name": label, **options}, registry)
        for label, options in merged.get("writer", {}).items()
    }
    return Settings(**core, **chosen, loss=losses, writer=writers)  # type: ignore[arg-type]


def parse_data(spec: str, registry: Registry) -> dict[str, Any]:
    """Turn a ``--data`` word into the ``data`` section: a dataset's name, or a folder's path.

    Args:
        spec: ``NAME``, ``NAME:VALUE``, or the path of a folder.
        registry: Where datasets are looked up.

    Raises:
        LmkitError: If it is neither.
    """
    names = {entry.component.name for entry in registry.components("dataset")}
    word, path = spec.partition(":")[0], Path(spec)
    if word in names:
        return {"name": Text(spec)}
    if path.is_dir():
        return {"name": "folder", "path": Text(spec)}
    if word.rpartition("/")[2] in names:
        # plugin/name, where two plugins bring datasets of one name.
        return {"name": Text(spec)}
    if path.is_file():
        raise LmkitError(
            f"--data {spec} is a file, not a folder.",
            remedy=f"For a table of pictures write --data csv:{spec}.",
            code=ExitCode.DATA,
        )
    raise LmkitError(
        f"--data {spec} is neither a folder nor a kind of data.",
        remedy=did_you_mean(spec.partition(":")[0], names, all_of_them="Kinds of data are")
        + " Or give the path of a folder of pictures that exists.",
        code=ExitCode.DATA,
    )


class _Weight:
    """A loss's weight.

    Args:
        weight: What the loss is multiplied with.
    """

    def __init__(self, *, weight: float = 1.0) -> None: ...


def _take(options: dict[str, Any], key: str) -> dict[str, Any]:
    return {key: options.pop(key)} if key in options else {}


def _merge_component(former: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    if "name" in later and str(later["name"]) != str(former.get("name", later["name"])):
        return dict(later)
    return {**former, **later}


def _only_writers(words: Sequence[str], former: Mapping[str, Any]) -> dict[str, Any]:
    """Return the writers that words name, with the options they have had; ``none`` for no writer.

    Raises:
        LmkitError: If ``none`` is given beside others.
    """
    if list(words) == ["none"]:
        return {}
    if "none" in words:
        raise LmkitError(
            "The writer 'none' stands for no writer, and others are given beside it.",
            remedy="Leave it out, or the others.",
        )
    chosen = {}
    for word in words:
        name, colon, _ = word.partition(":")
        options = former.get(name, {})
        chosen[name] = _merge_component(options, {"name": Text(word)}) if colon else options
    return chosen


def _resolve_component(
    section: str, kind: str, options: dict[str, Any], registry: Registry
) -> dict[str, Any]:
    if "name" not in options:
        raise LmkitError(
            f"No {kind} is chosen.", remedy=f"Choose one: lmkit list {kind} shows them."
        )
    name, colon, argument = str(options.pop("name")).partition(":")
    if kind == "generator" and name == "none":
        # Methods without a generator learn from landmarks and warps alone.
        return {"name": "none"}
    entry = registry.find(kind, name)
    cls = entry.load()
    if colon:
        options[_argument(entry, cls)] = Text(argument)
    checked = check_options(cls, options, section=section)
    return {"name": name, **{key: _absolute(value) for key, value in checked.items()}}


def _argument(entry: Registered, cls: type) -> str:
    argument = getattr(cls, "argument", None)
    if argument is None:
        name = entry.component.name
        raise LmkitError(
            f"The {entry.component.kind} '{name}' takes nothing after a colon.",
            remedy=f"Write '{name}' alone.",
        )
    return str(argument)


def _absolute(value: Any) -> Any:
    """Make paths hold from any working directory, since a run is opened from anywhere."""
    return value.expanduser().absolute() if isinstance(value, Path) else value


def _check_at_least(section: str, settings: Any, least: Mapping[str, int]) -> None:
    for item in fields(settings):
        value = getattr(settings, item.name)
        if item.name in least and value < least[item.name]:
            raise LmkitError(
                f"{section}.{item.name}={value} is too small.",
                remedy=f"Give a number of at least {least[item.name]}.",
            )


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
