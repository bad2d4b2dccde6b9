"""Combinations of components and options, each to be trained under otherwise equal settings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from lmkit.campaigns.campaign import CampaignEntry
from lmkit.errors import LmkitError
from lmkit.registry.lookup import Registry
from lmkit.registry.values import Text
from lmkit.settings.layers import Layer, merge, read_assignments, read_recipe
from lmkit.settings.settings import Settings, resolve


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of what is varied.

    Args:
        word: What it is called in the names of runs.
        layers: The settings that make it.
    """

    word: str
    layers: Sequence[Layer]


Axis = Sequence[Choice]
"""What is varied: the choices for one thing."""


def recipe_axis(names: str, config: Sequence[Layer], registry: Registry) -> Axis:
    """Return the choices of ``--recipe photos,imm-quick``: whole methods side by side.

    Args:
        names: Names of recipes, with commas between them.
        config: Settings on top of each of them.
        registry: Where recipes are looked up.

    Raises:
        LmkitError: If one is empty, given twice, or unknown.
    """
    return [
        Choice(_word(name), [*read_recipe(name, registry), *config])
        for name in _split(names, f"--recipe {names}")
    ]


def component_axis(section: str, names: str) -> Axis:
    """Return the choices of ``--detector hourglass,timm:resnet18`` and the like.

    Args:
        section: The section of the settings.
        names: Names of components, with commas between them.

    Raises:
        LmkitError: If one is empty or given twice.
    """
    return [
        Choice(_word(name), [Layer(f"--{section}", {section: {"name": Text(name)}})])
        for name in _split(names, f"--{section} {names}")
    ]


def loss_axis(sets: str) -> Axis:
    """Return the choices of ``--loss mse,mse+perceptual``: sets of losses.

    Args:
        sets: Sets with commas between them; the losses of a set have plus signs between them.

    Raises:
        LmkitError: If one is empty or given twice.
    """
    return [
        Choice(_word(words), [Layer("--loss", losses=words.split("+"))])
        for words in _split(sets, f"--loss {sets}")
    ]


def option_axis(assignment: str) -> Axis:
    """Return the choices of ``--vary detector.beta=3,10``.

    Args:
        assignment: An option, and its values with commas between them; with semicolons, where a
            value holds commas itself.

    Raises:
        LmkitError: If it has no such form, or a value is empty or given twice.
    """
    name, equals, values = assignment.partition("=")
    if not equals or "." not in name:
        raise LmkitError(
            f"--vary {assignment} is not section.key=value,value.",
            remedy="Write, for example, --vary detector.beta=3,10.",
        )
    key = name.strip().rpartition(".")[2]
    return [
        Choice(f"{key}={_word(value)}", [read_assignments([f"{name}={value}"])])
        for value in _split(values, f"--vary {assignment}", ";" if ";" in values else ",")
    ]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Every combination of what is varied.

    Args:
        base: Settings below the combinations: a recipe.
        axes: What is varied, one thing each; of two that set the same, the later one counts.
        above: Settings on top of the combinations, the same for all.
        registry: Where components are looked up.
    """

    base: Sequence[Layer]
    axes: Sequence[Axis]
    above: Sequence[Layer]
    registry: Registry

    def entries(self, *, seeds: int, steps: Mapping[str, int] | None = None) -> list[CampaignEntry]:
        """Return the run of every combination, seed by seed.

        Args:
            seeds: How often each combination is trained, from the settings' seed on upwards.
            steps: How many steps each combination is trained; what its settings say if not given.

        Raises:
            LmkitError: If there is nothing to compare, or a combination's settings are wrong.
        """
        chosen = self._chosen()
        if len(chosen) * seeds < 2:
            raise LmkitError(
                "A sweep of one run compares nothing.",
                remedy="Give two values or more, for example --detector hourglass,timm:resnet18, "
                "or --seeds 2.",
            )
        found = []
        for number in range(seeds):
            for word, layers in chosen:
                over = []
                if steps is not None:
                    over.append(Layer("--minutes", {"run": {"steps": steps[word]}}))
                settings = _settle(word, [*layers, *over], self.registry)
                name = word
                if number:
                    seed = settings.run.seed + number
                    over.append(Layer("--seeds", {"run": {"seed": seed}}))
                    settings = _settle(word, [*layers, *over], self.registry)
                    name = f"{word}-seed-{seed}"
                found.append(CampaignEntry(name, settings))
        _refuse_equal(found)
        return found

    def combinations(self) -> dict[str, Settings]:
        """Return the settings of each combination, by the word in its runs' names.

        Raises:
            LmkitError: If the settings of one are wrong.
        """
        return {word: _settle(word, layers, self.registry) for word, layers in self._chosen()}

    def _chosen(self) -> list[tuple[str, list[Layer]]]:
        chosen = []
        for combination in product(*self.axes):
            word = "+".join(choice.word for choice in combination) or "run"
            varied = [layer for choice in combination for layer in choice.layers]
            chosen.append((word, [*self.base, *varied, *self.above]))
        return chosen


def _settle(word: str, layers: Sequence[Layer], registry: Registry) -> Settings:
    try:
        return resolve(merge(layers), registry)
    except LmkitError as error:
        # Of many combinations, the user must know which.
        error.problem = f"The combination {word}: {error.problem}"
        raise


def _refuse_equal(found: Sequence[CampaignEntry]) -> None:
    """Refuse combinations that come to the same, such as a name and the option it stands for."""
    seen: dict[str, str] = {}
    for entry in found:
        key = repr(sorted(entry.settings.flat().items()))
        if key in seen:
            raise LmkitError(
                f"The combinations {seen[key]} and {entry.name} have the same settings.",
                remedy="Leave one of them out, or see what --set undoes.",
            )
        seen[key] = entry.name


def _split(text: str, where: str, separator: str = ",") -> list[str]:
    words = [word.strip() for word in text.split(separator)]
    twice = next((word for word in words if words.count(word) > 1), None)
    if not all(words) or twice is not None:
        raise LmkitError(
            f"{where} has {'an empty value' if twice is None or not twice else f'{twice} twice'}.",
            remedy=f"Give each value once, with '{separator}' between them.",
        )
    return words


def _word(text: str) -> str:
    """Return a value as it may stand in the name of a folder."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.") or "value"
