"""Which interface belongs to which kind of component."""

from lmkit.interfaces.dataset import Dataset
from lmkit.interfaces.deformation import Deformation
from lmkit.interfaces.detector import Detector
from lmkit.interfaces.generator import Generator
from lmkit.interfaces.loss import Loss
from lmkit.interfaces.pairing import Pairing
from lmkit.interfaces.writer import Writer

INTERFACES: dict[str, type] = {
    "detector": Detector,
    "generator": Generator,
    "deformation": Deformation,
    "pairing": Pairing,
    "loss": Loss,
    "dataset": Dataset,
    "writer": Writer,
}
"""The class that every component of a kind is derived from; ``lmkit.api`` has it too."""
