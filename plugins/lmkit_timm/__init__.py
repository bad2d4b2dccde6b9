"""Any timm backbone as a detector, written against ``lmkit.api`` alone."""

from lmkit.api import Component, Listing, hookimpl


@hookimpl
def lmkit_components() -> list[Component]:
    """Announce the detector."""
    summary = "any timm backbone with a light decoder: timm:resnet50, timm:convnext_tiny ..."
    return [Component("detector", "timm", "lmkit_timm.detector:TimmDetector", summary)]


@hookimpl
def lmkit_listings() -> list[Listing]:
    """Announce the catalogue of backbones."""
    summary = "timm's backbones, for --detector timm:NAME"
    return [Listing("backbone", "lmkit_timm.backbones:catalogue", summary)]
