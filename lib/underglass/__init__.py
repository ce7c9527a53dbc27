"""Transformer components for the course. Import modules: `from underglass import attention`."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__version__ = "0.1.0"


def device() -> "torch.device":
    """The device that the course computes on: CUDA where there is a GPU, else the CPU.

    The environment variable `UNDERGLASS_DEVICE` (`cpu`, `cuda`, `mps`) overrides the choice.

    Raises:
        ValueError: if `UNDERGLASS_DEVICE` names no device, or one that this machine does not have.
    """
    import torch  # here, because `python -m underglass.data` needs no torch and not its seconds

    name = os.environ.get("UNDERGLASS_DEVICE")
    if not name:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"UNDERGLASS_DEVICE={name!r} cannot be used here: expected 'cpu', 'cuda' or 'mps', "
            f"and the hardware for it ({reason})"
        ) from error
    return torch.device(name)
