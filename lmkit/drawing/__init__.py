"""Drawings of what a run found: marks, points on images, contact sheets."""

from lmkit.drawing.points import colours, draw_points
from lmkit.drawing.sheets import caption, enlarge_for_viewing, heading, legend, sheet, stack

__all__ = [
    "caption",
    "colours",
    "draw_points",
    "enlarge_for_viewing",
    "heading",
    "legend",
    "sheet",
    "stack",
]
