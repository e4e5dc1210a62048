"""Presets: named settings that users keep and share, as JSON documents, as links, in infotext.

Nothing in a preset is ever executed, and no path or address is taken from it.
"""

from __future__ import annotations

from lib_ofgen.settings.presets.document import (
    FORMAT,
    Preset,
    bundled_presets,
    dump,
    fold_name,
    load,
    make_portable,
    make_preset,
    migrate,
    read,
)
from lib_ofgen.settings.presets.find import find, get_preset, list_presets, take
from lib_ofgen.settings.presets.infotext import from_infotext, to_infotext
from lib_ofgen.settings.presets.link import from_link, to_link
from lib_ofgen.settings.presets.store import Store

__all__ = [
    "FORMAT",
    "Preset",
    "Store",
    "bundled_presets",
    "dump",
    "find",
    "fold_name",
    "from_infotext",
    "from_link",
    "get_preset",
    "list_presets",
    "load",
    "make_portable",
    "make_preset",
    "migrate",
    "read",
    "take",
    "to_infotext",
    "to_link",
]
