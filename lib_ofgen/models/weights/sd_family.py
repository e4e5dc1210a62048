"""The family of Stable Diffusion that a checkpoint belongs to, by the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lib_ofgen.errors import SettingsError, WeightsError
from lib_ofgen.models.weights import checkpoint_io

__all__ = ["family_of", "family_of_file", "refuse_mixture"]

_ATTENDS = "attn2.to_k.weight"
"""A layer whose width is that of the text encoder's output."""
_WIDTHS = {768: "SD 1.x", 1024: "SD 2.x", 1280: "SDXL refiner", 2048: "SDXL"}
_THIRD = "model.diffusion_model.x_embedder.proj.weight"
"""A tensor that only SD 3 has."""


def family_of(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """`SD 1.x`, `SD 2.x`, `SDXL`, `SDXL refiner` or `SD 3`; empty if the shapes do not show it."""
    if _THIRD in shapes:
        return "SD 3"
    widths = {
        shape[1]
        for name, shape in shapes.items()
        if name.startswith("model.diffusion_model.") and name.endswith(_ATTENDS) and len(shape) == 2
    }
    return _WIDTHS.get(widths.pop(), "") if len(widths) == 1 else ""


def family_of_file(path: Path) -> str:
    """Return the family of a checkpoint file, or empty; only its list of tensors is read."""
    try:
        return family_of(checkpoint_io.shapes(path))
    except (OSError, WeightsError):
        return ""  # an error is reported when it is loaded


def refuse_mixture(base: tuple[str, str], holes: tuple[str, str]) -> None:
    """Check that two checkpoints, each a name and a family, can be used in one job.

    Raises:
        SettingsError: if they are of different families.
    """
    (base_name, base_family), (holes_name, holes_family) = base, holes
    if base_family and holes_family and base_family != holes_family:
        raise SettingsError(
            f"inpaint_checkpoint={holes_name!r} is {holes_family} and the checkpoint of the key "
            f"frames, {base_name!r}, is {base_family}: one size, one prompt and its LoRAs cannot "
            f"serve both; choose an inpainting model of {base_family}, or none"
        )
