from collections.abc import Mapping
from os import PathLike
from typing import Any

class Response: ...

class JSONResponse(Response):
    def render(self, content: Any) -> bytes: ...

class FileResponse(Response):
    def __init__(
        self,
        path: str | PathLike[str],
        *,
        media_type: str | None = None,
        filename: str | None = None,
        headers: Mapping[str, str] | None = None,
        content_disposition_type: str = "attachment",
    ) -> None: ...
