"""Runs side by side: what differs in their settings, and whether their errors differ."""

from lmkit.comparison.page import write_comparison
from lmkit.comparison.runs import Comparison, compare, summarise
from lmkit.comparison.tables import markdown

__all__ = ["Comparison", "compare", "markdown", "summarise", "write_comparison"]
