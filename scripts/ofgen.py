"""The webui's entry: all of us or, where a library is broken, one line in its log."""

from __future__ import annotations

import logging

from lib_ofgen.system import libraries

_ENTRY = libraries.try_import("lib_ofgen.webui.entry")
if _ENTRY.module is None:
    logging.getLogger("ofgen").error("Optical Flow Animation: not loaded: %s", _ENTRY.fault)
else:
    OpticalFlowAnimation = _ENTRY.module.OpticalFlowAnimation  # the host looks for it here
    _ENTRY.module.register()
