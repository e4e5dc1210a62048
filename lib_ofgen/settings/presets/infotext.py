"""Presets in infotext, and in the PNG files that hold it.

The field that has the name of the webui's script holds the job document. Pictures are never
decoded.
"""

from __future__ import annotations

import io
import json
import re
from typing import Any, cast

from PIL.PngImagePlugin import PngImageFile

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings.fields import DEFAULTS_VERSION, Settings
from lib_ofgen.settings.infotext import format_infotext, label_values
from lib_ofgen.settings.presets.document import (
    Preset,
    make_portable,
    make_preset,
    migrate,
)

__all__ = ["FIELD", "PNG", "from_infotext", "from_png", "to_infotext"]

FIELD = "Optical Flow Animation"
PNG = b"\x89PNG\r\n\x1a\n"
_FIELD = re.compile(rf'(?:^|, ?){FIELD}: (?=")', re.MULTILINE)


def from_infotext(text: str, *, clip: bool = False) -> Preset:
    """Return the settings of the film of an infotext, as a preset without a name.

    Settings that are useful for one clip only are left out, unless `clip` is true.

    Raises:
        SettingsError: if the text has no film of this program, or its settings are not valid here.
    """
    found = list(_FIELD.finditer(text))
    if not found:
        raise SettingsError(f"the infotext has no field {FIELD!r}; take one of a film's key frames")
    try:
        # The last one, because a prompt above may quote another.
        quoted, _ = json.JSONDecoder().raw_decode(text, found[-1].end())
        document = json.loads(quoted)
        settings = dict(document["settings"])
        defaults = document.get("defaults", DEFAULTS_VERSION)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SettingsError(f"the infotext's field {FIELD!r} is damaged; copy it whole") from error
    return make_preset(
        "", make_portable(migrate(cast("dict[str, Any]", settings), defaults), clip=clip)
    )


def to_infotext(preset: Preset) -> str:
    """Return infotext that the webui reads: its own fields, and the job document for the script."""
    settings = Settings().replace(preset.settings)
    document = {"input": "", "defaults": DEFAULTS_VERSION, "settings": preset.settings}
    size = f"{settings.width}x{settings.height}" if settings.width and settings.height else ""
    values = {
        "steps": settings.steps,
        "sampler": settings.sampler,
        "scheduler": settings.scheduler,
        "cfg_scale": f"{settings.cfg_scale:g}",
        "seed": settings.seed,
        "size": size,
        "strength": f"{settings.strength:g}",
    }
    own = json.dumps(json.dumps(document, ensure_ascii=False), ensure_ascii=False)
    fields = {**label_values(values), "Script": FIELD, FIELD: own}
    text = format_infotext(settings.prompt, settings.negative_prompt, fields)
    return text if settings.prompt else text.lstrip("\n")


def from_png(data: bytes, *, clip: bool = False) -> Preset:
    """Return the same from the infotext in a PNG file; `data` may end with the file's beginning.

    Pillow reads up to the pixels, and limits how much a compressed text may become.

    Raises:
        SettingsError: if there is no infotext before the pixels, or as `from_infotext`.
    """
    try:
        with PngImageFile(io.BytesIO(data)) as picture:
            text = picture.info.get("parameters")
    except (SyntaxError, ValueError, OSError, OverflowError) as error:
        raise SettingsError(
            "the picture is damaged, cut off, or its texts are too large; take the key frames' "
            "picture as it was saved"
        ) from error
    if text is None:
        raise SettingsError(
            "the picture holds no infotext; take the key frames' picture as it was saved"
        )
    return from_infotext(text, clip=clip)
