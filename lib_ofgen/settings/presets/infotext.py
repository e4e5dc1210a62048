"""Presets in infotext: the lines that a webui writes into its pictures and pastes from them.

The field that is named after the webui's script holds the job document. Pictures are never decoded.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from typing import Any, cast

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings.fields import DEFAULTS_VERSION, Settings
from lib_ofgen.settings.presets.document import LARGEST, Preset, make, migrate, portable

__all__ = ["FIELD", "PNG", "from_infotext", "from_png", "to_infotext"]

FIELD = "Optical Flow Animation"
PNG = b"\x89PNG\r\n\x1a\n"
_FIELD = re.compile(rf'(?:^|, ?){FIELD}: (?=")', re.MULTILINE)


def from_infotext(text: str, *, clip: bool = False) -> Preset:
    """The settings of the film that an infotext tells of, as a preset without a name.

    What says something of the clip only is left out, unless `clip` asks for it.

    Raises:
        SettingsError: the text tells of no film of ours, or of one that cannot be had here.
    """
    found = list(_FIELD.finditer(text))
    if not found:
        raise SettingsError(f"the infotext has no field {FIELD!r}; take one of a film's key frames")
    try:
        # The last one, for a prompt above may quote another.
        quoted, _ = json.JSONDecoder().raw_decode(text, found[-1].end())
        document = json.loads(quoted)
        settings = dict(document["settings"])
        defaults = document.get("defaults", DEFAULTS_VERSION)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SettingsError(f"the infotext's field {FIELD!r} is damaged; copy it whole") from error
    return make("", portable(migrate(cast("dict[str, Any]", settings), defaults), clip=clip))


def to_infotext(preset: Preset) -> str:
    """Infotext that the webui pastes: its own fields, and the job document for the script."""
    settings = Settings().replace(preset.settings)
    document = {"input": "", "defaults": DEFAULTS_VERSION, "settings": preset.settings}
    fields = {
        "Steps": settings.steps,
        "Sampler": settings.sampler,
        "Schedule type": settings.scheduler,
        "CFG scale": f"{settings.cfg_scale:g}",
        "Seed": settings.seed,
        "Size": f"{settings.width}x{settings.height}" if settings.width and settings.height else "",
        "Denoising strength": f"{settings.strength:g}",
        "Script": FIELD,
        FIELD: json.dumps(json.dumps(document, ensure_ascii=False), ensure_ascii=False),
    }
    negative = f"Negative prompt: {settings.negative_prompt}" if settings.negative_prompt else ""
    last = ", ".join(f"{name}: {value}" for name, value in fields.items() if value != "")
    return "\n".join(line for line in (settings.prompt, negative, last) if line)


def from_png(data: bytes, *, clip: bool = False) -> Preset:
    """The same of the infotext in a PNG file, of which `data` need hold the beginning only.

    Raises:
        SettingsError: there is none in front of the pixels, or as `from_infotext`.
    """
    for kind, body in _chunks(data):
        text = _parameters(kind, body)
        if text is not None:
            return from_infotext(text, clip=clip)
    raise SettingsError(
        "the picture holds no infotext; take the key frames' picture as it was saved"
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the chunks in front of the pixels."""
    place = len(PNG)
    while place + 8 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if kind in (b"IDAT", b"IEND"):
            return
        yield kind, data[place + 8 : place + 8 + length]
        place += 12 + length


def _parameters(kind: bytes, body: bytes) -> str | None:
    """The text under the keyword `parameters` (PNG 1.2, section 4.2.3), or None."""
    keyword, _, rest = body.partition(b"\0")
    if keyword != b"parameters":
        return None
    if kind == b"tEXt":
        return rest.decode("latin-1")
    if kind == b"iTXt":
        packed, text = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
        return (_inflated(text) if packed else text).decode("utf-8", "replace")
    return _inflated(rest[1:]).decode("latin-1") if kind == b"zTXt" else None


def _inflated(packed: bytes) -> bytes:
    """As much of a compressed text as may be one."""
    try:
        return zlib.decompressobj().decompress(packed, LARGEST)
    except zlib.error:
        return b""
