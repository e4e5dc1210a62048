"""Products in full single precision, whatever the host has set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["without_tf32"]


@contextmanager
def without_tf32() -> Iterator[None]:
    """Inside, NVIDIA's TF32, with its 10 bits of mantissa, is off; afterwards it is as before.

    Hosts switch it on for diffusion; GOCor's descent does not come out the same with it. torch 2.9
    renamed the switches, and refuses to read one kind where the other has been set.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    switches: list[tuple[Any, str, Any]]
    # Asked of cuDNN: before 2.9 the other answers for a name it lacks with an AssertionError.
    if hasattr(cudnn, "fp32_precision"):
        convolution = getattr(cudnn, "conv")  # noqa: B009 - torch's stubs lack it
        switches = [(matmul, "fp32_precision", "ieee"), (convolution, "fp32_precision", "ieee")]
    else:
        switches = [(matmul, "allow_tf32", False), (cudnn, "allow_tf32", False)]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in switches]
    try:
        for owner, name, value in switches:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
