"""Named settings to start from, one TOML file each, and the plugin that announces them."""

from lmkit.registry.component import Recipe
from lmkit.registry.hookspecs import hookimpl

FULL_RECIPE = "paper"
"""The full method, which whoever names no recipe is told of; a plugin brings it."""

QUICK_RECIPE = "quickstart"
"""What training starts from where no recipe is named, on every device: of generated faces."""

PHOTOS_RECIPE = "photos"
"""The same of other images; a plugin brings it."""

_RECIPES = (
    Recipe("quickstart", __name__, "small images and narrow networks: a first run", minutes=5),
    Recipe(
        "reconstruction-quick",
        __name__,
        "as small as quickstart, with the reconstruction as its only loss",
        minutes=5,
    ),
    Recipe(
        "pretrain", __name__, "from annotated points, at full size: what a projection starts from"
    ),
    Recipe("pretrain-quick", __name__, "from annotated points, at the size of quickstart"),
)


@hookimpl
def lmkit_recipes() -> list[Recipe]:
    """Announce the recipes that belong to no one method."""
    return list(_RECIPES)
