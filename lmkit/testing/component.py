"""What every component promises, whatever its kind."""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import torch

from lmkit.interfaces.dataset import Dataset
from lmkit.interfaces.deformation import Deformation
from lmkit.interfaces.pairing import Pairing
from lmkit.interfaces.writer import Writer
from lmkit.registry.component import KINDS
from lmkit.registry.options import check_options, options_of, wanted_from_run
from lmkit.settings.layers import SEVERAL
from lmkit.testing.check import expect, promise
from lmkit.testing.inputs import BATCH, arguments, random_images, seeded
from lmkit.testing.state import nothing_global_changes
from lmkit.testing.story import follow, run_folder
from lmkit.testing.subject import Subject

NETWORKS = ("detector", "generator", "loss")
"""The kinds that are networks: they train, move between devices and are saved."""


@promise(
    "interface",
    *KINDS,
    remedy="Derive the class from its kind's interface in lmkit.api, write every method that the "
    "interface leaves open, and spell what it has as it does.",
)
def interface(subject: Subject) -> None:
    """The class is derived from its kind's interface, with no method left open or misspelt."""
    left_open = sorted(getattr(subject.load(), "__abstractmethods__", ()))
    expect(not left_open, subject, "every method to be there", f"none of {', '.join(left_open)}")
    for word, meant in _misspelt(subject.load()):
        expect(False, subject, f"'{meant}', which lmkit looks for", f"'{word}', which it does not")


@promise(
    "options",
    *KINDS,
    remedy="Explain the class in a docstring with every option in its Args section, and give "
    "options types that text, TOML and JSON can all say.",
)
def options(subject: Subject) -> None:
    """Options are typed and explained, and survive being written to a run and read again."""
    cls = subject.load()
    described = (cls.__dict__.get("__doc__") or "").strip()
    expect(bool(described), subject, "a docstring, which lmkit show prints", "none")
    mute = [option.name for option in options_of(cls) if not option.meaning]
    expect(not mute, subject, "every option in the Args section", f"nothing on {', '.join(mute)}")
    chosen = subject.options()
    content = json.loads(json.dumps(subject.settings(chosen).to_dict()))
    stored = content[subject.section.partition(".")[0]]
    stored = stored[subject.name] if subject.kind in SEVERAL else stored
    del stored["name"]
    again = check_options(cls, stored, section=subject.section)
    expect(again == chosen, subject, f"the options {chosen} after a round trip", again)


@promise(
    "global state",
    *KINDS,
    remedy="Draw from the generator that is given, or from one made with a seed of your own; leave "
    "seeding and torch's settings to the run, and printing to a writer.",
)
def global_state(subject: Subject) -> None:
    """Neither construction nor use touches global random state or torch's settings, or prints."""
    quiet = subject.kind != "writer"
    ends = []
    for seed in (0, 1):
        cls, given = subject.load(), subject.options()
        given |= {name: getattr(subject, name) for name in wanted_from_run(cls)}
        given |= subject.inside(given)
        with nothing_global_changes(subject, "construction", torch_may_draw=True):
            torch.manual_seed(seed)
            component = cls(**given)
            subject.attach(component)
            ends.append(torch.get_rng_state())
    # Whatever was drawn, two seeds never lead to one state; another seed does.
    reseeded = torch.equal(*ends)
    expect(not reseeded, subject, "initial weights to follow the run's seed", "a seed of its own")
    with (
        nothing_global_changes(subject, "use", torch_may_draw=False, quiet=quiet),
        torch.no_grad(),
    ):
        use(subject, component)
    if subject.kind in NETWORKS:
        component.train()
        with nothing_global_changes(subject, "training", torch_may_draw=True):
            component(*arguments(subject))


def _misspelt(cls: type) -> Iterator[tuple[str, str]]:
    """Yield the names of a class that are nearly one of its interface's, and that one."""
    bases = [base for base in cls.__mro__[1:] if base.__module__.startswith("lmkit.interfaces.")]
    known = {name for base in bases for name in vars(base) if not name.startswith("_")}
    # What the class has under its own name is not what a similar one stands for.
    open_names = [name for name in known if name not in vars(cls)]
    inherited = {name for base in cls.__mro__[1:] for name in vars(base)}
    for word in vars(cls):
        if not word.startswith("_") and word not in inherited:
            for meant in get_close_matches(word, open_names, 1, cutoff=0.88):
                yield word, meant


def use(subject: Subject, component: Any) -> None:
    """Use a component for what it is there for, as evaluation would."""
    if subject.kind in NETWORKS:
        component.eval()
        component(*arguments(subject))
    elif isinstance(component, Deformation):
        component(random_images(BATCH, subject.image_size), seeded("use"))
    elif isinstance(component, Pairing):
        component.routes()
        component.auxiliary(BATCH, None, seeded("use"))
    elif isinstance(component, Dataset):
        component.indices("train")
        component.key(0)
        component.image(0)
        component.annotation(0)
    elif isinstance(component, Writer):
        with run_folder() as folder:
            follow(subject, component, folder)
