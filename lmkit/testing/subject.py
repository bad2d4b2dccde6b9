"""What is checked: a plugin, or one of its components, built as a run would build it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lmkit.errors import LmkitError
from lmkit.registry.discovery import Plugin
from lmkit.registry.lookup import Registered, Registry, installed
from lmkit.registry.options import (
    GIVEN_BY_RUN,
    REQUIRED,
    check_options,
    convert,
    options_of,
    parts_of,
)
from lmkit.runtime.assemble import attach, build, load_class
from lmkit.settings.layers import COMPONENT_SECTIONS, SEVERAL
from lmkit.settings.optimizer import OptimizerSettings
from lmkit.settings.sections import LoadingSettings, RunSettings
from lmkit.settings.settings import Settings, resolve_inside
from lmkit.testing.check import Skipped
from lmkit.testing.networks import stand_ins

RUN = {"landmarks": 5, "image_size": 64}
"""What the run gives to constructors, unless the author says otherwise."""


@dataclass(frozen=True)
class PluginSubject:
    """A plugin under test.

    Args:
        plugin: Its record.
        registry: It, and every plugin installed beside it.
    """

    plugin: Plugin
    registry: Registry
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What became of the checks that others rest on."""

    def __str__(self) -> str:
        return f"plugin {self.plugin.name}"

    @property
    def kind(self) -> str:
        """As in the kinds of promises."""
        return "plugin"


class _OwnFirst(Registry):
    """What a plugin brings, and beside it what others do.

    Args:
        plugins: The plugin alone.
        others: Where the rest is looked up.
    """

    def __init__(self, plugins: list[Plugin], others: Registry) -> None:
        super().__init__(plugins)
        self._others = others

    def find(self, kind: str, name: str) -> Registered:
        """Return the plugin's own component of this name, or anybody's."""
        try:
            return super().find(kind, name)
        except LmkitError:
            return self._others.find(kind, name)


@dataclass(frozen=True)
class Subject:
    """A component under test.

    Args:
        entry: The component and its plugin.
        given: Options, and perhaps ``landmarks`` and ``image_size``, as its author gave them.
    """

    entry: Registered
    given: Mapping[str, Any] = field(default_factory=dict)
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What became of the checks that others rest on."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def kind(self) -> str:
        """Its kind."""
        return self.entry.component.kind

    @property
    def name(self) -> str:
        """What users call it."""
        return self.entry.component.name

    @property
    def section(self) -> str:
        """Where its options stand in a run's settings."""
        if self.kind in SEVERAL:
            return f"{self.kind}.{self.name}"
        return "data" if self.kind == "dataset" else self.kind

    @property
    def landmarks(self) -> int:
        """The number of landmarks K that it is built for."""
        return self._from_run("landmarks")

    @property
    def image_size(self) -> int:
        """The side of the images that it is built for."""
        return self._from_run("image_size")

    def load(self) -> type:
        """Import its class."""
        return load_class(self.entry)

    def options(self) -> dict[str, Any]:
        """Return every option with its value: as the author gave it, or its default.

        Raises:
            LmkitError: If one is unknown or not of its type.
            Skipped: If one has neither.
        """
        cls = self.load()
        given = {name: value for name, value in self.given.items() if name not in GIVEN_BY_RUN}
        lacking = [
            option.name
            for option in options_of(cls)
            if option.default is REQUIRED and option.name not in given
        ]
        if lacking:
            example = ", ".join(f'"{name}": ...' for name in lacking)
            raise Skipped(
                f'{self} needs {", ".join(lacking)}: give settings={{"{self}": {{{example}}}}}, '
                f"or --set {self.kind}.{self.name}.{lacking[0]}=VALUE on the command line"
            )
        inside = partial(resolve_inside, self._beside)
        return check_options(cls, given, section=self.section, part=inside)

    def settings(self, options: Mapping[str, Any], seed: int = 0) -> Settings:
        """Return the settings of a run that has this component and no other."""
        run = RunSettings(landmarks=self.landmarks, image_size=self.image_size, seed=seed)
        chosen: dict[str, Any] = {section: {} for section in (*COMPONENT_SECTIONS, *SEVERAL)}
        section = self.section.partition(".")[0]
        content = {"name": self.name, **options}
        chosen[section] = {self.name: content} if section in SEVERAL else content
        return Settings(run=run, optimizer=OptimizerSettings(), loading=LoadingSettings(), **chosen)

    def build(self, seed: int = 0) -> Any:
        """Build it as a run of this seed would.

        Raises:
            LmkitError: If it refuses its options or breaks.
            Skipped: If an option is needed and not given.
        """
        options = self.options()
        registry = _OwnFirst([self.entry.plugin], self._beside)
        settings = self.settings(options, seed)
        built = build(self.kind, {"name": self.name, **options}, settings, registry)
        self.attach(built)
        return built

    def inside(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Build the components inside it, by the names of the options that take them."""
        settings = self.settings(options)
        return {
            name: build(kind, options[name], settings, self._beside)
            for name, kind in parts_of(self.load()).items()
            if options.get(name) is not None
        }

    def attach(self, component: Any) -> None:
        """Show a loss the networks that stand in for those of a run."""
        if self.kind == "loss":
            networks = stand_ins(self.landmarks)
            attach({"": component}, *networks, {"loss.": f"loss '{self.name}'"})

    @property
    def _beside(self) -> Registry:
        """What components inside this one are looked up in."""
        return _OwnFirst([self.entry.plugin], installed())

    def _from_run(self, name: str) -> int:
        value = convert(self.given.get(name, RUN[name]), int, where=f"{self}: {name}")
        if value < 1:
            raise LmkitError(
                f"{self}: {name}={value} is too small.", remedy=f"Give {name} a number above 0."
            )
        return int(value)
