"""Masks of a subject as files, and the frames of a job as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from lib_ofgen.values import Image, Size

SIZE = Size(96, 160)
LENGTH = 13


def place(index: int) -> tuple[slice, slice]:
    """Where the subject stands in frame `index`."""
    left = 20 + 5 * index
    return slice(30, 70), slice(left, left + 40)


def grey(index: int) -> Image:
    """The mask of frame `index`."""
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[place(index)] = 255
    return mask


def write(path: Path, image: Image) -> Path:
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def folder(path: Path, image: Callable[[int], Image] = grey, length: int = LENGTH) -> Path:
    for index in range(length):
        write(path / f"m{index}.png", image(index))
    return path


def film(space: Path) -> list[Image]:
    """The finished frames, before encoding."""
    paths = sorted((space / "png").iterdir())
    return [np.ascontiguousarray(cv2.imread(str(path))[..., ::-1]) for path in paths]
