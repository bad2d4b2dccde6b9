"""From settings to live components."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset
from lmkit.interfaces.deformation import Deformation
from lmkit.interfaces.detector import Detector
from lmkit.interfaces.generator import Generator
from lmkit.interfaces.kinds import INTERFACES
from lmkit.interfaces.live import LiveNetwork
from lmkit.interfaces.loss import Loss
from lmkit.interfaces.pairing import Pairing, Route
from lmkit.interfaces.weights import keep_still, load_weights
from lmkit.interfaces.writer import Writer
from lmkit.registry.discovery import describe
from lmkit.registry.lookup import Registered, Registry
from lmkit.registry.options import RESERVED, parts_of, wanted_from_run
from lmkit.registry.places import place_of
from lmkit.runtime.blame import advice, blame, is_failure
from lmkit.runtime.guarded import GuardedDataset
from lmkit.runtime.layout import layout_for
from lmkit.runtime.returned import check_routes
from lmkit.seeds import derive
from lmkit.settings.settings import Settings
from lmkit.settings.weight import Weight

_INSIDE = "lmkit_inside"
"""Under this name a component keeps the components inside it, by the names of their options."""
_ORIGIN = "lmkit_origin"
"""And a detector of another run that run's folder."""


@dataclass(slots=True)
class Assembly:
    """The live components of a run."""

    detector: Detector
    generator: Generator | None
    deformation: Deformation
    pairing: Pairing
    routes: tuple[Route, ...]
    losses: dict[str, Loss]
    weights: dict[str, Weight]
    names: dict[str, str]
    """What to call each part in a message, by section: ``{"detector": "detector 'hourglass'"}``."""
    writers: dict[str, Writer] = field(default_factory=dict)
    """Who receives what the run produces, by label."""

    def networks(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield everything that trains and is saved, by name."""
        yield "detector", self.detector
        if self.generator is not None:
            yield "generator", self.generator
        yield "losses", nn.ModuleDict(self.losses)

    def trainable(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters that train, by network; those without any are left out."""
        found = {
            name: [each for each in network.parameters() if each.requires_grad]
            for name, network in self.networks()
        }
        return {name: parameters for name, parameters in found.items() if parameters}

    @property
    def needs_truth(self) -> bool:
        """Whether a loss reads the annotated points."""
        return any(loss.needs_truth for loss in self.losses.values())

    def train(self) -> None:
        """Put every network in training mode."""
        for _, network in self.networks():
            network.train()

    def to(self, device: torch.device) -> None:
        """Move every network, in the layout that convolutions are fastest in and right."""
        for _, network in self.networks():
            network.to(device)
            network.to(memory_format=layout_for(device))


def assemble(settings: Settings, registry: Registry) -> Assembly:
    """Build every component of a run but its data, on the CPU.

    Raises:
        LmkitError: If components do not fit together or one cannot be built.
    """
    generator = None
    if settings.generator["name"] != "none":
        generator = build("generator", settings.generator, settings, registry)
    pairing = build("pairing", settings.pairing, settings, registry)
    names = _names(settings, registry)
    routes = _routes(pairing, names["pairing"]) if generator is not None else ()
    losses = {
        label: build("loss", options, settings, registry, purpose=f"loss.{label}")
        for label, options in settings.loss.items()
    }
    detector = build_detector(settings, registry)
    attach(losses, detector, generator, names)
    assembly = Assembly(
        detector=detector,
        generator=generator,
        deformation=build("deformation", settings.deformation, settings, registry),
        pairing=pairing,
        routes=routes,
        losses=losses,
        weights={label: options["weight"] for label, options in settings.loss.items()},
        names=names,
        writers={
            label: build("writer", options, settings, registry)
            for label, options in settings.writer.items()
        },
    )
    _check_fit(assembly, settings)
    return assembly


def attach(
    losses: Mapping[str, Loss],
    detector: nn.Module,
    generator: nn.Module | None,
    names: Mapping[str, str],
) -> None:
    """Show losses the networks that they are to be of use to.

    Args:
        losses: By label.
        detector: The run's.
        generator: The run's; None where it has none.
        names: What to call each loss in a message, by ``loss.LABEL``.

    Raises:
        LmkitError: If one fails.
    """
    other = None if generator is None else LiveNetwork(generator)
    for label, loss in losses.items():
        with blame(names[f"loss.{label}"], loss):
            for each in (*loss.__dict__.get(_INSIDE, {}).values(), loss):
                if isinstance(each, Loss):
                    each.attach(LiveNetwork(detector), other)


def build_detector(settings: Settings, registry: Registry) -> Detector:
    """Build the detector alone, without its weights: what opening a run needs."""
    detector: Detector = build("detector", settings.detector, settings, registry)
    return detector


def build_dataset(settings: Settings, registry: Registry) -> Dataset:
    """Build the dataset of ``settings.data``."""
    dataset: Dataset = build("dataset", settings.data, settings, registry)
    name = str(settings.data["name"])
    plugin = registry.find("dataset", name).plugin
    if plugin.built_in:
        return dataset
    return GuardedDataset(dataset, f"dataset '{name}' of {plugin.owner}")


def build(
    kind: str,
    options: dict[str, Any],
    settings: Settings,
    registry: Registry,
    *,
    purpose: str | None = None,
) -> Any:
    """Build one component from checked options.

    The initial weights are a function of the run's seed and of what the component is for, so that
    exchanging the generator leaves the detector's start as it was.

    Args:
        kind: The kind of component.
        options: Its section of the settings.
        settings: All settings, for what the run fills in.
        registry: Where the component is looked up.
        purpose: Sets the initial weights apart from others of the same kind.

    Raises:
        LmkitError: If the component is not derived from its kind's interface, refuses its options,
            or breaks.
    """
    entry = registry.find(kind, options["name"])
    cls = load_class(entry)
    given = {key: value for key, value in options.items() if key not in RESERVED}
    origin = options.get("from_run") or {}
    for name in wanted_from_run(cls):
        # A detector of another run stays what it was trained for.
        given[name] = origin.get(name, getattr(settings.run, name))
    inside = {
        name: build(part, given[name], settings, registry, purpose=f"{purpose or kind}.{name}")
        for name, part in parts_of(cls).items()
        if given.get(name) is not None
    }
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(settings.run.seed, "init", purpose or kind))
            component = cls(**{**given, **inside})
    except LmkitError:
        raise
    except BaseException as error:
        if not is_failure(error):
            raise
        raise LmkitError(
            f"The {kind} '{options['name']}' of {entry.plugin.owner} could not be built: "
            f"{describe(error).rstrip('.')}{_unless_built_in(entry, error, cls)}.",
            remedy=advice(error)
            or f"Check its options (lmkit show {kind} {options['name']}), or report it to its "
            "author; LMKIT_TRACEBACK=1 shows where it failed.",
            code=ExitCode.PLUGIN,
        ) from error
    if inside:
        # A class with slots has them where its author put them, and nowhere else.
        with suppress(AttributeError):
            component.__dict__[_INSIDE] = inside
    return _frozen(component, origin) if origin else component


def _frozen(detector: Detector, origin: Mapping[str, Any]) -> Detector:
    """Make a detector of another run a part that stays as it is, and is saved with this run."""
    keep_still(detector)
    detector.__dict__[_ORIGIN] = origin["path"]
    return detector


def initialise(component: object, option: str) -> None:
    """Let a component of a new run read its pretrained weights, after those inside it.

    Args:
        component: A detector, generator or loss; of others nothing is read.
        option: Its section of the settings, for messages.

    Raises:
        LmkitError: If a file or run cannot be read, or is of another network.
    """
    own = getattr(component, "__dict__", {})
    path = own.get(_ORIGIN)
    if path is None:
        for name, inner in own.get(_INSIDE, {}).items():
            initialise(inner, f"{option}.{name}")
    if path is not None:
        assert isinstance(component, nn.Module)
        weights = load_weights(path, option=option)
        try:
            component.load_state_dict(weights)
        except RuntimeError as error:
            raise LmkitError(
                f"{option}: the weights of {path} are not those of its detector: "
                f"{describe(error).rstrip('.')}.",
                remedy=f"The run is damaged: lmkit check-run {path}",
                code=ExitCode.RUN,
            ) from None
    elif isinstance(component, (Detector, Generator)):
        component.initialise()


def _routes(pairing: Pairing, name: str) -> tuple[Route, ...]:
    """Ask a pairing for its routes.

    Raises:
        LmkitError: If it fails, or returns anything else.
    """
    with blame(name, pairing):
        routes = check_routes(pairing.routes())
        _ = pairing.uses_auxiliary
        return routes


def _unless_built_in(entry: Registered, error: BaseException, cls: type) -> str:
    return "" if entry.plugin.built_in else place_of(error, cls)


def load_class(entry: Registered) -> type:
    """Import a component's class.

    Raises:
        LmkitError: If it cannot be had, or is not derived from its kind's interface.
    """
    cls: type = entry.load()
    component, plugin = entry.component, entry.plugin
    interface = INTERFACES[component.kind]
    if not issubclass(cls, interface):
        raise LmkitError(
            f"The {component.kind} '{component.name}' of plugin {plugin.name} ("
            f"{plugin.owner}) is no {interface.__name__}: {component.target} is not derived "
            "from it.",
            remedy=f"Its author has to derive the class from lmkit.api.{interface.__name__}.",
            code=ExitCode.PLUGIN,
        )
    return cls


def _names(settings: Settings, registry: Registry) -> dict[str, str]:
    """Name every part with its package, unless it is lmkit's own."""
    chosen = {"deformation": settings.deformation, "detector": settings.detector}
    chosen |= {"generator": settings.generator, "pairing": settings.pairing}
    chosen |= {f"loss.{label}": options for label, options in settings.loss.items()}
    names = {}
    for section, options in chosen.items():
        kind = section.partition(".")[0]
        names[section] = f"{kind} '{options['name']}'"
        if options["name"] != "none":
            plugin = registry.find(kind, options["name"]).plugin
            names[section] += "" if plugin.built_in else f" of {plugin.owner}"
    for label, options in settings.writer.items():
        plugin = registry.find("writer", options["name"]).plugin
        owner = f"plugin {plugin.name} ({plugin.owner})"
        names[f"writer.{label}"] = f"writer '{options['name']}' of {owner}"
    return names


def _check_fit(assembly: Assembly, settings: Settings) -> None:
    for label, loss in assembly.losses.items():
        if loss.needs_routes and not assembly.routes:
            raise LmkitError(
                f"The loss '{label}' compares reconstructions, but there is no generator or route.",
                remedy="Choose a generator and a pairing with routes, or another loss.",
            )
        if loss.needs_warps and settings.loading.partner != "none":
            raise LmkitError(
                f"The loss '{label}' compares two views of one image by their warps, but "
                f"loading.partner={settings.loading.partner} makes them of two images.",
                remedy="Choose another loss, or --set loading.partner=none.",
            )
    if assembly.pairing.uses_auxiliary and settings.run.batch_size < 2:
        raise LmkitError(
            f"A batch of {settings.run.batch_size} has no other image to serve as auxiliary for "
            f"the pairing '{settings.pairing['name']}'.",
            remedy="Give --batch-size 2 or more, or --pairing intra.",
        )
