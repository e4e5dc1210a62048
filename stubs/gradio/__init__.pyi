from collections.abc import Callable
from types import TracebackType
from typing import Any

from typing_extensions import Self

__version__: str

def update(**values: Any) -> dict[str, Any]: ...

class _Dependency:
    def then(
        self,
        fn: Callable[..., Any] | None,
        inputs: Any = None,
        outputs: Any = None,
        **options: Any,
    ) -> _Dependency: ...
    success = then

class _Event:
    def __call__(
        self,
        fn: Callable[..., Any] | None,
        inputs: Any = None,
        outputs: Any = None,
        **options: Any,
    ) -> _Dependency: ...

class Component:
    do_not_save_to_config: bool
    def __init__(self, value: Any = None, **options: Any) -> None: ...

class _Context:
    def __init__(self, *args: Any, **options: Any) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

class Blocks(_Context):
    load: _Event

class Accordion(_Context, Component): ...
class Column(_Context, Component): ...
class Row(_Context, Component): ...
class Tab(_Context, Component): ...
class Tabs(_Context, Component): ...

class Button(Component):
    click: _Event

class Checkbox(Component):
    change: _Event

class Dropdown(Component):
    change: _Event
    input: _Event

class File(Component):
    change: _Event
    preprocess: Callable[..., Any]

class HTML(Component):
    change: _Event

class Image(Component):
    change: _Event

class Number(Component):
    change: _Event

class Slider(Component):
    change: _Event
    release: _Event

class State(Component): ...

class Textbox(Component):
    blur: _Event
    change: _Event
    submit: _Event
