from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from fastapi.datastructures import Headers
from fastapi.responses import Response as Response

def Depends(dependency: Callable[..., Any]) -> Any: ...

class FastAPI:
    routes: list[Any]
    def add_api_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: Sequence[str],
        dependencies: Sequence[Any],
        response_class: type[Response],
        name: str,
    ) -> None: ...

class HTTPException(Exception):
    def __init__(
        self, status_code: int, detail: Any = None, headers: dict[str, str] | None = None
    ) -> None: ...

class Request:
    headers: Headers
    def stream(self) -> AsyncIterator[bytes]: ...
