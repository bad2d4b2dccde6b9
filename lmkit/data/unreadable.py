"""Keeps count of the images that could not be read, and says when they are too many."""

from lmkit.errors import ExitCode, LmkitError
from lmkit.interfaces.dataset import Dataset

_NAMED = 3  # how many images a message names


class Unreadable:
    """The images that could not be read, and why; each counts once.

    Args:
        limit: The share of images, in [0, 1], past which a run must stop.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._reasons: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    def add(self, key: str, reason: str) -> None:
        """Note an image; one that is known already changes nothing."""
        self._reasons.setdefault(key, reason)

    def check(self, total: int, *, all_read: bool) -> None:
        """Refuse to go on with too many.

        Args:
            total: The number of images they are among.
            all_read: Whether all of these have been read, so that no more will be found.

        Raises:
            LmkitError: If their share of ``total`` exceeds the limit, or all are unreadable.
        """
        count = len(self)
        if count == 0 or (count <= self.limit * total and count < total):
            return
        named = "; ".join(f"{key} ({reason})" for key, reason in [*self._reasons.items()][:_NAMED])
        more = f"; and {count - _NAMED} more" if count > _NAMED else ""
        share = count / total
        remedy = "Replace or remove them"
        if share < 1:
            enough = _enough(count if all_read else total - 1, total)
            remedy += f", or go on without them with --set loading.max_unreadable={enough}"
            if not all_read:
                remedy += (
                    ", which is enough however many more prove damaged; lmkit data check reads "
                    "every image and says what is just enough"
                )
        allowed = f"more than the {self.limit:.1%} that loading.max_unreadable allows"
        raise LmkitError(
            f"{count} of {total} images ({share:.1%}) cannot be read, "
            f"{allowed if share < 1 else 'which leaves none'}: {named}{more}.",
            remedy=f"{remedy}.",
            code=ExitCode.DATA,
        )

    def report(self) -> list[dict[str, str]]:
        """Return every image and reason, sorted by key, ready for a JSON file."""
        return [{"image": key, "reason": self._reasons[key]} for key in sorted(self._reasons)]


def _enough(count: int, total: int) -> str:
    """Return a share below 1 that allows so many of all, in as few digits as there may be."""
    for digits in range(2, 12):
        scale = 10**digits
        enough = -(-count * scale // total)
        # A little more, so that no rounding takes it away again.
        enough += enough / scale * total < count
        if enough < scale:
            return f"{enough / scale:.{digits}f}"
    return str(count / total)


def find_unreadable(dataset: Dataset) -> dict[int, str]:
    """Look at every image's file quickly, without decoding, and return what is wrong with it.

    An image that is found sound here may still prove damaged when it is read.
    """
    problems = ((index, dataset.problem(index)) for index in range(len(dataset)))
    return {index: problem for index, problem in problems if problem is not None}
