from collections.abc import Callable

class HTTPBasicCredentials:
    username: str
    password: str

class HTTPBasic:
    __call__: Callable[..., HTTPBasicCredentials]
