"""Tells the user, once, when the landmarks of a run look collapsed and stay so."""

from collections.abc import Mapping

from lmkit.geometry.collapse import looks_collapsed

WARM_UP = 500
"""Steps that are left alone. Score maps that are still flat put landmarks together at the centre.
The recipe ``quickstart`` moves them apart within some tens of steps; with a beta of 10 a
few hundred steps are spent in saturation first."""

IN_A_ROW = 5
"""Readings in a row, all of them after the warm-up, before anything is said: one bad batch or a
passing stage of training is no collapse."""

_SHARES = {
    "pinned": "stay near the centre",
    "coincident": "lie on one another",
    "border": "sit at the border",
}


class CollapseWatch:
    """Hears a run's metrics and speaks up once.

    Args:
        batch_size: Images a step; of batches of one nothing is said, since the spread within such
            a batch is 0 however far landmarks move.
    """

    def __init__(self, batch_size: int) -> None:
        self._can_tell = batch_size > 1
        self._in_a_row = 0
        self._spoke = False

    def hear(self, step: int, metrics: Mapping[str, float]) -> str | None:
        """Take in one reading, and return what to tell the user, or None.

        Args:
            step: Steps done.
            metrics: The reading; ``landmarks/...`` as
                [summary][lmkit.geometry.collapse.summary] has them.
        """
        values = {name: metrics[f"landmarks/{name}"] for name in ("spread", *_SHARES)}
        lost = self._can_tell and step > WARM_UP and looks_collapsed(values)
        self._in_a_row = self._in_a_row + 1 if lost else 0
        if self._spoke or self._in_a_row < IN_A_ROW:
            return None
        self._spoke = True
        found = [f"{values[name]:.0%} {words}" for name, words in _SHARES.items() if values[name]]
        found.append(f"on average they move by {values['spread']:.1f} % of the side")
        return (
            f"After {step} steps the landmarks look collapsed: {', '.join(found)}. "
            "Look at the run's sheets. What may help: another run.seed, a smaller detector.beta "
            "(quickstart takes 3), a lower optimizer.learning_rate, a stronger deformation."
        )
