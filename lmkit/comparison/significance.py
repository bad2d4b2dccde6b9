"""Whether the difference of two results is larger than its noise."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lmkit.evaluation.measures import LEVEL, Interval, bootstrap
from lmkit.points.linear import Array

SEED = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two errors on the same test images.

    Args:
        first: Whose error.
        second: What it is compared with.
        points: The first's mean error less the second's, in percentage points.
        interval: Its confidence interval, by drawing images anew (paired bootstrap).
    """

    first: str
    second: str
    points: float
    interval: Interval

    @classmethod
    def of(cls, first: str, errors: Array, second: str, others: Array) -> "Difference":
        """Compare the errors of two results.

        An image that is hard for both says nothing of their difference: images are drawn with
        both their errors, which is drawing their differences.

        Args:
            first: Whose errors.
            errors: (N,), one an image, in percent.
            second: What they are compared with.
            others: (N,), of the same images in the same order.
        """
        apart = errors - others
        # Equal differences have no noise, whatever their mean's last bits say.
        equal = bool((apart == apart[0]).all())
        interval = Interval(apart[0], apart[0]) if equal else bootstrap(apart, seed=SEED)
        return cls(first, second, float(apart.mean()), interval)

    def turned(self) -> "Difference":
        """Return the difference of the second from the first."""
        low, high = self.interval
        return Difference(self.second, self.first, -self.points, Interval(-high, -low))

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval leaves 0 out."""
        return not self.interval.low <= 0 <= self.interval.high

    @property
    def words(self) -> str:
        """The difference in plain words."""
        low, high = self.interval
        if not self.beyond_noise:
            return f"no difference beyond noise [{low:.2f}, {high:.2f}]"
        if self.points > 0:
            return f"larger by {self.points:.2f} points [{low:.2f}, {high:.2f}]"
        return f"smaller by {-self.points:.2f} points [{-high:.2f}, {-low:.2f}]"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        interval = {"low": self.interval.low, "high": self.interval.high, "level": LEVEL}
        return {
            "first": self.first,
            "second": self.second,
            "points": self.points,
            "interval": interval,
            "beyond_noise": self.beyond_noise,
            "words": self.words,
        }


@dataclass(frozen=True, slots=True)
class Seeds:
    """Runs that differ in their seed alone.

    Args:
        runs: Their names.
        seeds: Their seeds.
        mean: The mean of their errors, in percent.
        sd: The standard deviation of their errors, of a sample.
    """

    runs: list[str]
    seeds: list[int]
    mean: float
    sd: float

    @classmethod
    def of(cls, runs: list[str], seeds: list[int], errors: list[float]) -> "Seeds":
        """Summarise the errors of two or more runs."""
        return cls(runs, seeds, float(np.mean(errors)), float(np.std(errors, ddof=1)))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"runs": self.runs, "seeds": self.seeds, "mean": self.mean, "sd": self.sd}
