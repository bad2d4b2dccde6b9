"""The figures that the paper publishes for its own method, as data.

Li, Liao, Miao, Lu and Luo, "Unsupervised Learning of Facial Landmarks based on Inter-Intra Subject
Consistencies", ICPR 2020. All are "normalised MSE": the mean distance between points in percent of
the distance between the eyes, called NME here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PAPER = "Li et al. 2020"
TRAINING_IMAGES = 200_000
"""CelebA's, "over 200k", without the 1,000 of MAFL that test."""
SPLITS = {"MAFL": (18_997, 1_000), "AFLW": (10_122, 2_991)}
"""The images that fit the regressor and that test, as the paper counts them."""
ALL = "all"
"""The complete method at K = 10, which is a row of every table and is trained once."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A row of a table that lmkit trains; one that several tables have is one object.

    Args:
        name: What it is asked for by.
        label: What the paper calls it.
        landmarks: K.
        recipe: The recipe whose own settings make the row, on top of any other recipe; None for
            the complete method.
        nme: The published error by data.
    """

    name: str
    label: str
    landmarks: int
    recipe: str | None
    nme: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the paper.

    Args:
        name: What it is asked for by.
        title: Its number and what it shows.
        page: Of the paper.
        data: What its columns were measured on.
        rows: Those that are the paper's own method.
        labelled: For the table of few labelled images, the error of its one row by N, None
            standing for all images.
    """

    name: str
    title: str
    page: int
    data: tuple[str, ...]
    rows: tuple[Row, ...]
    labelled: Mapping[int | None, float] | None = None


def _row(name: str, label: str, mafl: float, aflw: float, *, k: int = 10, recipe: str = "") -> Row:
    return Row(name, label, k, recipe or None, {"MAFL": mafl, "AFLW": aflw})


_ALL = _row(ALL, "Ours-All", 3.08, 6.20)

TABLES = {
    "table1": Table(
        "table1",
        "Table I: the parts of the method, and the number of landmarks",
        4,
        ("MAFL", "AFLW"),
        (
            _row("baseline", "Baseline", 3.41, 6.59, recipe="baseline"),
            _row("inter-subject", "w. Inter-Subject", 3.10, 6.24, recipe="inter-subject"),
            _row("cycle", "w. Cycle", 3.12, 6.28, recipe="cycle"),
            _ALL,
            _row("all-30", "Ours-All", 2.89, 6.08, k=30),
            _row("all-50", "Ours-All", 2.85, 6.04, k=50),
        ),
    ),
    "table2": Table(
        "table2",
        "Table II: N labelled images to fit the regressor on",
        4,
        ("MAFL",),
        (_ALL,),
        labelled={
            1: 9.03,
            5: 7.50,
            10: 7.09,
            100: 3.71,
            500: 3.23,
            1000: 3.17,
            5000: 3.09,
            None: 3.08,
        },
    ),
    "table3": Table(
        "table3",
        "Table III: the losses",
        5,
        ("MAFL", "AFLW"),
        (
            _row("vgg19", "VGG-19", 3.23, 6.42, recipe="vgg19"),
            _row("mse-only", "L_R only", 7.87, 14.98, recipe="mse-only"),
            _row("perceptual-only", "L_P only", 3.25, 6.28, recipe="perceptual-only"),
            _ALL,
        ),
    ),
}
"""The tables by name."""
