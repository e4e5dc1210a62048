"""Matrix products in full single precision, with any settings of the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["without_tf32"]


@contextmanager
def without_tf32() -> Iterator[None]:
    """Switch NVIDIA's TF32 off inside the context, and restore its setting afterwards.

    TF32 has 10 bits of mantissa. Hosts switch it on for diffusion, but it changes the result of
    GOCor's descent. torch 2.9 renamed the switches, and refuses to read one kind if the other kind
    has been set.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    switches: list[tuple[Any, str, Any]]
    # cuDNN is asked: before 2.9 `matmul` raises AssertionError for an unknown name.
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
