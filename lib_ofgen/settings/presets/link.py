"""Presets as one line of text that can be sent through a chat.

`ofgen:preset:1:` and the base64url of a digest and the deflated document.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import zlib

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings.presets.document import MAX_BYTES, Preset, dump, load

__all__ = ["SCHEME", "from_link", "to_link"]

SCHEME = "ofgen:preset:"
_VERSION = 1
_DIGEST = 6
"""Number of bytes of the document's SHA-256 in a link."""
_DICTIONARY = (
    b'"key_indices":["checkpoint":"scheduler":"sampler":"negative_prompt":"inpaint_checkpoint":"'
    b'"flow":"auto","dis","raft","pdcnet","fit":"crop","pad","key_last":false,"keep_sound":false,'
    b'"global_iterations":"local_iterations":"flow_half":true,"hole_lending":false,"quality":18,'
    b'"cut_threshold":"every_nth":"confidence_radius":"confidence":0.5,"track_reach":'
    b'"key_gap_min":"key_gap_max":"key_threshold":"max_frames":"start":"end":'
    b'"key_agreement":"independent","guided","key_frames":"interval","edges","pyramid","every",'
    b'"chosen","coverage","key_interval":24,"key_coverage":0.8,"hole_min":100,"hole_box":512,'
    b'"width":512,"height":768,"seed":-1,"steps":20,"cfg_scale":7.0,"prompt":"'
    b'"strength":0.4,"hole_strength":0.4,{"ofgen":1,"name":"","description":"","defaults":2,'
    b'"settings":{'
)
"""Dictionary of the compression; links of version 1 need exactly these bytes."""
_BREAK_CHARACTERS = r"\s>\u200b\u200c\u200d\u2060\ufeff\u00ad"
"""What a chat may put into a link: line breaks, quotation marks, characters without width."""
_LINK = re.compile(rf"{SCHEME}(\d{{1,9}}):([A-Za-z0-9_\-{_BREAK_CHARACTERS}]+)", re.ASCII)
_BREAK = re.compile(f"[{_BREAK_CHARACTERS}]+")


def to_link(preset: Preset) -> str:
    """Return the link of the preset."""
    document = json.dumps(json.loads(dump(preset)), separators=(",", ":"), ensure_ascii=False)
    text = document.encode("utf-8", "backslashreplace")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=_DICTIONARY)
    packed = _digest(text) + packer.compress(text) + packer.flush()
    return f"{SCHEME}{_VERSION}:{base64.urlsafe_b64encode(packed).rstrip(b'=').decode()}"


def from_link(text: str) -> Preset:
    """Return the preset of the first link in a text.

    What a chat puts around a link and into it is removed.

    Raises:
        SettingsError: if there is no link, or it is damaged, of a newer program, or not a preset.
    """
    found = _LINK.search(text[:MAX_BYTES])
    if found is None:
        raise SettingsError(f"the text holds no link; one begins with {SCHEME}{_VERSION}:")
    if int(found[1]) != _VERSION:
        raise SettingsError(
            f"the link is of version {int(found[1])}, and here it is {_VERSION}; update ofgen"
        )
    document = _unpack(_BREAK.sub("", found[2]))
    if document is not None:
        return load(document)
    raise SettingsError("the link is damaged or cut off; copy it whole, or ask for the file")


def _digest(document: bytes) -> bytes:
    return hashlib.sha256(document).digest()[:_DIGEST]


def _unpack(code: str) -> bytes | None:
    """Return the document in the code of a link, or None if it is not whole or too large.

    Words that follow the link in its text are decoded with it. The compressed data tells where it
    ends, and what comes after that is ignored.
    """
    code = code[: len(code) - (len(code) % 4 == 1)]  # a single character holds no byte
    try:
        packed = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
        unpacker = zlib.decompressobj(-15, zdict=_DICTIONARY)
        document = unpacker.decompress(packed[_DIGEST:], MAX_BYTES)
    except (binascii.Error, zlib.error):
        return None
    return document if unpacker.eof and packed[:_DIGEST] == _digest(document) else None
