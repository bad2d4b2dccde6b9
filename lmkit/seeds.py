"""Randomness as a function of what it is for, never of what happened before.

Every random draw of a run comes from a generator seeded with ``derive(seed, ...)`` of the step, the
process and the purpose. That makes resuming exact and workers harmless: a draw does not depend on
how many were made before it, or by whom.
"""

from hashlib import blake2b


def derive(seed: int, *words: int | str) -> int:
    """Return a seed in [0, 2^63) that is a function of its arguments alone.

    Args:
        seed: The run's seed.
        words: The step, the rank, the purpose: whatever sets this draw apart.
    """
    text = "\x1f".join(str(word) for word in (seed, *words))
    return (
        int.from_bytes(
            blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big"
        )
        >> 1
    )
