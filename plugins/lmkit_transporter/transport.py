"""Feature transport: what is at the target's landmarks, put into the source."""

from torch import Tensor


def union(heatmaps: Tensor) -> Tensor:
    """Return where any of the landmarks is: ``1 - prod over k of (1 - H_k)``.

    One where a landmark is, zero far from all, and the sum of the heatmaps where they do not
    overlap.

    Args:
        heatmaps: (B, K, h, w), in [0, 1].

    Returns:
        (B, 1, h, w), in [0, 1].
    """
    return 1 - (1 - heatmaps).prod(dim=1, keepdim=True)


def transport(source: Tensor, target: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Erase the source's features around both images' landmarks, and put in the target's.

    Kulkarni et al. 2019, equation (1): ``(1 - H(x_s)) (1 - H(x_t)) Phi(x_s) + H(x_t) Phi(x_t)``.

    Args:
        source: Phi(x_s), features of the source, (B, C, h, w).
        target: Phi(x_t), features of the target, (B, C, h, w).
        before: H(x_s), where the source's landmarks are, (B, 1, h, w), in [0, 1].
        after: H(x_t), where the target's are.

    Returns:
        (B, C, h, w).
    """
    return (1 - before) * (1 - after) * source + after * target
