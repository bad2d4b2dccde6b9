"""The detector: finds K landmarks in every image."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from lmkit.geometry.soft_argmax import DEFAULT_BETA, mean_position, spatial_softmax
from lmkit.interfaces.landmarks import Landmarks


class Detector(nn.Module, ABC):
    """Finds landmarks.

    The constructor builds the architecture and nothing else: it is also called when a run is
    opened again, where the checkpoint brings every weight. Reading pretrained weights belongs in
    [initialise][lmkit.api.Detector.initialise].

    Args:
        landmarks: The number of landmarks K.
    """

    component_kind: ClassVar[str] = "detector"
    """What an option of this type takes: a component of this kind."""

    def __init__(self, *, landmarks: int) -> None:
        super().__init__()
        self.landmarks = landmarks

    @abstractmethod
    def forward(self, images: Tensor) -> Landmarks:
        """Find the landmarks.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].

        Returns:
            K landmarks an image, points in float32.
        """

    def initialise(self) -> None:
        """Read pretrained weights; called once, when a new run starts.

        Raises:
            LmkitError: If they cannot be had.
        """


class HeatmapDetector(Detector):
    """A detector that writes score maps and leaves the rest to the core.

    Args:
        landmarks: The number of landmarks K.
        beta: Smoothness of the soft-argmax, see [soft_argmax][lmkit.api.soft_argmax].
    """

    def __init__(self, *, landmarks: int, beta: float = DEFAULT_BETA) -> None:
        super().__init__(landmarks=landmarks)
        self.beta = beta

    @abstractmethod
    def score_maps(self, images: Tensor) -> Tensor:
        """Score every position.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].

        Returns:
            (B, K, h, w), any real numbers; usually h = H / 4.
        """

    def forward(self, images: Tensor) -> Landmarks:
        """See [Detector][lmkit.api.Detector]."""
        scores = self.score_maps(images)
        if not isinstance(scores, Tensor) or scores.ndim != 4:
            came = f"shape {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores)
            raise TypeError(f"score_maps() returned {came} instead of a Tensor (B, K, h, w)")
        maps = spatial_softmax(scores, self.beta)
        return Landmarks(mean_position(maps), score_maps=scores, probability_maps=maps)
