"""Named settings to start from, one TOML file each, and the plugin that announces them."""

from lmkit.registry.component import Recipe
from lmkit.registry.hookspecs import hookimpl

FULL_RECIPE = "paper"
"""What training starts from where no recipe is named and there is a GPU; a plugin brings it."""

QUICK_RECIPE = "quickstart"
"""What training starts from where no recipe is named and there is no GPU: of generated faces."""

PHOTOS_RECIPE = "photos"
"""The same of other images; a plugin brings it."""

_SUMMARIES = {
    "quickstart": "small images and narrow networks: minutes on two CPU cores",
    "reconstruction-quick": "as quickstart, with the reconstruction as its only loss",
    "pretrain": "from annotated points, at full size: what a projection starts from",
    "pretrain-quick": "from annotated points, at the size of quickstart",
}


@hookimpl
def lmkit_recipes() -> list[Recipe]:
    """Announce the recipes that belong to no one method."""
    return [Recipe(name, __name__, summary) for name, summary in _SUMMARIES.items()]
