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

    def check(self, total: int) -> None:
        """Refuse to go on with too many.

        Args:
            total: The number of images they are among.

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
            enough = min(1.0, int(share * 100 + 1) / 100)
            remedy += f", or go on without them with --set loading.max_unreadable={enough:g}"
        raise LmkitError(
            f"{count} of {total} images ({share:.1%}) cannot be read, more than the "
            f"{self.limit:.1%} that loading.max_unreadable allows: {named}{more}.",
            remedy=f"{remedy}.",
            code=ExitCode.DATA,
        )

    def report(self) -> list[dict[str, str]]:
        """Return every image and reason, sorted by key, ready for a JSON file."""
        return [{"image": key, "reason": self._reasons[key]} for key in sorted(self._reasons)]


def find_unreadable(dataset: Dataset) -> dict[int, str]:
    """Look at every image's file quickly, without decoding, and return what is wrong with it.

    An image that is found sound here may still prove damaged when it is read.
    """
    problems = ((index, dataset.problem(index)) for index in range(len(dataset)))
    return {index: problem for index, problem in problems if problem is not None}
