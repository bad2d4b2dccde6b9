"""What the optimiser keeps of each parameter, as a checkpoint holds it: checked before it is used.

A fused kernel walks through weights and moments side by side and looks at no shape: moments of
another one would have it read and write elsewhere in memory.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lmkit.interfaces.tensor_files import Form, form_of

_OF_ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam and AdamW keep: the number of updates, a scalar, and two moments."""


def check_moments(tensors: Mapping[str, Tensor], parameters: Sequence[Tensor], steps: int) -> None:
    """Refuse moments that are not those of an optimiser's parameters.

    Args:
        tensors: ``NUMBER.NAME`` for each parameter that was ever updated, and each moment of it.
        parameters: Those of the optimiser, in its order.
        steps: The steps done; there are no more updates.

    Raises:
        ValueError: If one is missing, of another type or shape, of no parameter, or of no value
            that the optimiser could have come to.
    """
    known = {f"{number}.{name}" for number in range(len(parameters)) for name in _OF_ADAM}
    if extra := sorted(tensors.keys() - known):
        raise ValueError(f"it holds {extra[0][:80]}, which no parameter has")
    for number, parameter in enumerate(parameters):
        found = {name: tensors.get(f"{number}.{name}") for name in _OF_ADAM}
        if any(value is not None for value in found.values()):
            _check(number, found, parameter, steps)


def _check(number: int, found: Mapping[str, Tensor | None], parameter: Tensor, steps: int) -> None:
    for name, value in found.items():
        if value is None:
            raise ValueError(f"it lacks {number}.{name}")
        wanted = Form(torch.float32, ()) if name == "step" else form_of(parameter)
        if form_of(value) != wanted:
            raise ValueError(f"{number}.{name} is {form_of(value)}, where {wanted} belongs")
        if not value.isfinite().all():
            raise ValueError(f"{number}.{name} holds values that are not finite")
    updates, squares = found["step"], found["exp_avg_sq"]
    assert updates is not None
    assert squares is not None
    if not 0 <= updates.item() <= steps:
        raise ValueError(f"{number}.step counts {updates.item():g} updates, of {steps} steps")
    if (squares < 0).any():
        raise ValueError(f"{number}.exp_avg_sq holds a mean of squares below 0")
