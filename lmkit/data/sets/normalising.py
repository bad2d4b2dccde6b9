"""The two points whose distance normalises errors: by the points' names, or by their number.

Of faces these are the outer corners of the eyes or their centres. The orders of points are those of
iBUG (68), WFLW (98), COFW (29), JD-landmark and LaPa (106) and AFLW (21, and 19 without the ears).
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lmkit.errors import LmkitError

Pair = tuple[int, int]

_BY_NUMBER: dict[int, Pair] = {
    19: (6, 11),
    21: (6, 11),
    29: (8, 9),
    68: (36, 45),
    98: (60, 72),
    106: (66, 79),
}
_NEAR = 0.15  # of the extent of an image's points; the eyes of a face are twice as far apart
_EYES = ("eye", "eyes")
_OUTER = (("outer",), ("lateral",), ("exo",))
_CENTRES = ((), ("centre",), ("center",), ("pupil",), ("middle",))
_NOT_A_CENTRE = re.compile(r"brow|lid|lash|corner|inner|outer|top|bottom|upper|lower|bag|canthus")


def choose_pair(names: Sequence[str], given: Pair | None, convention: Pair | None = None) -> Pair:
    """Return the two points whose distance normalises errors.

    Args:
        names: The points' names.
        given: The user's choice.
        convention: What the data's own benchmark takes, if it has one.

    Returns:
        The user's choice or the convention, where there is one; else the outer corners or the
        centres of the eyes, by the points' names where they have any and by their number where they
        have none; else the first two.

    Raises:
        LmkitError: If the user's choice is not two of the points.
    """
    count = len(names)
    if given is not None:
        if min(given) < 0 or max(given) >= count or given[0] == given[1]:
            raise LmkitError(
                f"Points {given[0]} and {given[1]} cannot normalise errors: the data has {count}.",
                remedy="Give two different ones, counted from 0.",
            )
        return given
    if convention is not None:
        return convention
    if all(name.isdecimal() for name in names):
        return _BY_NUMBER.get(count, (0, 1))
    return _eyes(names) or (0, 1)


def near_note(points: NDArray[np.float64], names: Sequence[str], pair: Pair) -> tuple[str, ...]:
    """Warn about a normalising pair that is much nearer together than all points are apart.

    Args:
        points: (N, P, 2), (NaN, NaN) where not known.
        names: The P points'.
        pair: The two.

    Returns:
        A sentence, or nothing.
    """
    if len(names) < 3:
        return ()
    known: NDArray[np.bool_] = np.asarray(np.isfinite(points).all(axis=2))
    whole = points[known[:, pair[0]] & known[:, pair[1]] & (known.sum(axis=1) > 2)]
    if not len(whole):
        return ()
    extents = (np.nanmax(whole, axis=1) - np.nanmin(whole, axis=1)).max(axis=1)
    apart = np.linalg.norm(whole[:, pair[0]] - whole[:, pair[1]], axis=1)
    share = float(np.median(apart[extents > 0] / extents[extents > 0])) if extents.any() else 1.0
    if share >= _NEAR:
        return ()
    first, second = (names[number] for number in pair)
    return (
        f"The two points that normalise errors, {first} and {second}, are only {share:.1%} of the "
        "extent of all points apart, which makes errors look large: choose others with --set "
        "data.normalising_pair=A,B, such as the outer corners of the eyes.",
    )


def _eyes(names: Sequence[str]) -> Pair | None:
    """Return the outer corners of the eyes, or their centres, by the words of the names."""
    words = [_words(name) for name in names]
    for kinds in (_OUTER, _CENTRES):
        for kind in kinds:
            sides = [_the_one(words, side, kind) for side in (("left", "l"), ("right", "r"))]
            if sides[0] is not None and sides[1] is not None:
                return (sides[0], sides[1])
    return None


def _the_one(
    words: Sequence[frozenset[str]], side: tuple[str, str], kind: tuple[str, ...]
) -> int | None:
    """Return the number of the one name that says this of an eye; None if none or several do."""
    found = [
        number
        for number, own in enumerate(words)
        if own.intersection(side)
        and (own.intersection(_EYES) or "pupil" in own)
        and own.issuperset(kind)
        and (kind in _OUTER or not _NOT_A_CENTRE.search(" ".join(own)))
    ]
    return found[0] if len(found) == 1 else None


def _words(name: str) -> frozenset[str]:
    """Return the words of a name in lower case: of left_eye, leftEye, LeftEye and lefteye."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    apart = re.sub(r"(?i)(left|right)(?=eye|pupil)", r"\1 ", apart)
    apart = re.sub(r"(?i)(eye|pupil)(?=left|right|outer|inner|cent)", r"\1 ", apart)
    return frozenset(re.findall(r"[a-z]+", apart.lower()))
