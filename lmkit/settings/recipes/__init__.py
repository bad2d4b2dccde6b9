"""Complete named settings, one TOML file each, and the plugin that announces them."""

from lmkit.registry.component import Recipe
from lmkit.registry.hookspecs import hookimpl

_SUMMARIES = {
    "quickstart": "small images and narrow networks: minutes on two CPU cores",
    "paper": "Li et al. 2020 in full: 128 pixels, hourglass, inter-intra with the cycle",
    "baseline": "Table I, Baseline: one path, original to deformed",
    "sanchez": "Table I, Sanchez: baseline, started by projection from a core you name",
    "inter-subject": "Table I, w. Inter-Subject: through an auxiliary subject, no cycle",
    "cycle": "Table I, w. Cycle: both paths, no auxiliary subject",
    "vgg19": "Table III, VGG-19: perceptual loss from the deeper network",
    "mse-only": "Table III, L_R only: no perceptual loss",
    "perceptual-only": "Table III, L_P only: no pixel loss",
    "pretrain": "from annotated points, at the paper's size: what a projection starts from",
    "pretrain-quick": "from annotated points, at the size of quickstart",
}


@hookimpl
def lmkit_recipes() -> list[Recipe]:
    """Announce the built-in recipes."""
    return [Recipe(name, __name__, summary) for name, summary in _SUMMARIES.items()]
