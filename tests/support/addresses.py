"""Addresses that hold credentials."""

from __future__ import annotations

SHAPES = [
    "http://{user}:{secret}@host:7860/sub",
    "http://{user}:{secret}@host:99999",
    "HTTPS://{user}:{secret}@[::1]:7860",
    "ftp://{user}:{secret}@host/x",
    "http://{secret}@host",
    "http://{user}:{secret}@",
    "http://{user}:{secret}",
    "//{user}:{secret}@host",
    "http:/{user}:{secret}@host",
    "http:{user}:{secret}@host",
    "http:\\\\{user}:{secret}@host",
    "{user}:{secret}@host:7860",
    "{user}:{secret}",
    " http://{user}:{secret}@host \n",
    "http://{user}:{secret}@host@other",
    "http://{user}%3A{secret}%40host",
    "http://host/{user}:{secret}@x",
    "http://host/sub;auth={secret}",
    "http://host:7860/?token={secret}",
    "http://host/?user={user}&password={secret}#top",
    "http://host#{secret}",
    "/login?next=http://{user}:{secret}@host",
]
