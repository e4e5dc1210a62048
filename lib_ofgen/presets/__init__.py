"""Named settings that people keep and share: as JSON documents, as link text, in infotext.

Nothing in a preset is ever executed, and no path or address is taken from it.
"""

from __future__ import annotations

from lib_ofgen.presets.document import (
    FORMAT,
    Preset,
    bundled,
    dump,
    fold,
    load,
    make,
    migrated,
    portable,
    read,
)
from lib_ofgen.presets.finding import find, known, named, take
from lib_ofgen.presets.infotext import from_infotext, to_infotext
from lib_ofgen.presets.link import from_link, to_link
from lib_ofgen.presets.store import Store

__all__ = [
    "FORMAT",
    "Preset",
    "Store",
    "bundled",
    "dump",
    "find",
    "fold",
    "from_infotext",
    "from_link",
    "known",
    "load",
    "make",
    "migrated",
    "named",
    "portable",
    "read",
    "take",
    "to_infotext",
    "to_link",
]
