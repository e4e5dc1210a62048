"""The page: the host's own tabs, as far as ours has to do with them, and those of the extension."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from modules import infotext_utils, script_callbacks, scripts, shared
from modules.command_line import EXTENSION
from starlette.middleware import Middleware

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
_RECEIVERS = {"img2img": "img2img", "inpaint": "img2img"}
"""Where pictures can be sent, and the tab that it is in."""


def serve() -> None:
    """Answer until the process is ended."""
    scripts.load(EXTENSION)
    demo = _page()
    data = shared.cmd_opts.data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    app, *_ = demo.queue().launch(
        server_name="0.0.0.0" if shared.cmd_opts.listen else HOST, auth=_users(),
        server_port=shared.cmd_opts.port, prevent_thread_lock=True, quiet=True,
        allowed_paths=[str(data), str(EXTENSION)], show_error=True,
        app_kwargs={"middleware": [Middleware(_Head)]},
    )  # fmt: skip
    for callback in script_callbacks.STARTED:
        callback(demo, app)
    print("Startup time: over", flush=True)  # noqa: T201 - the log
    demo.block_thread()


def _users() -> list[tuple[str, ...]] | None:
    """Who may log in; anybody may come in where nobody need."""
    pairs = [pair for pair in shared.cmd_opts.gradio_auth.split(",") if pair]
    return [tuple(pair.split(":", 1)) for pair in pairs] or None


def _page() -> gr.Blocks:
    """All tabs."""
    pages = [page for callback in script_callbacks.PAGES for page in callback()]
    fonts = {"font": ["sans-serif"], "font_mono": ["monospace"]}  # none from outside
    with gr.Blocks(gr.themes.Default(**fonts), analytics_enabled=False, title="Fake host") as demo:
        with gr.Tabs(elem_id="tabs") as tabs:
            _own("txt2img")
            images = _own("img2img")
            for page, title, name in pages:
                with gr.Tab(title, id=name, elem_id=f"tab_{name}"):
                    page.render()
        for binding in infotext_utils.BINDINGS:
            _sends(binding, images[binding.tabname], tabs)
    return demo


def _own(name: str) -> dict[str, Any]:
    """A tab of the host's own with the extension's scripts; its fields of images."""
    with gr.Tab(name, id=name, elem_id=f"tab_{name}"):
        gr.Textbox(label="Prompt", elem_id=f"{name}_prompt")
        images = {
            receiver: gr.Image(label=receiver, type="pil", elem_id=f"{receiver}_image")
            for receiver, tab in _RECEIVERS.items()
            if tab == name
        }
        for script in scripts.KNOWN:
            script().ui(name == "img2img")
    return images


def _sends(binding: Any, receiver: Any, tabs: Any) -> None:
    tab = _RECEIVERS[binding.tabname]
    binding.paste_button.click(
        lambda image: (image, gr.update(selected=tab)),
        inputs=[binding.source_image_component], outputs=[receiver, tabs],
    )  # fmt: skip


def _links(language: str) -> str:
    """What the host puts into its page's head: styles, its script, and those of the extension.

    The language is one of the extension's; here the page's address names it, and not an option.
    """
    words = EXTENSION / "localizations" / f"{language}.json"
    known = json.loads(words.read_text("utf-8")) if language else {}
    found = [HERE / "host.css", EXTENSION / "style.css"]
    links = [f"<link rel='stylesheet' href='file={path}'>" for path in found]
    modules = sorted((EXTENSION / "javascript").glob("*.mjs"))
    links += [f"<script>window.localization = {json.dumps(known)};</script>"]
    links += [f"<script src='file={HERE / 'host.js'}'></script>"]
    links += [f"<script type='module' src='file={path}'></script>" for path in modules]
    return "".join(links)


Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]


class _Head:
    """Puts the links into the head of gradio's page."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        asked = parse_qs(scope["query_string"].decode())
        links = _links("".join(asked.get("localization", []))).encode()
        begun: Message = {}
        body = b""

        async def held(message: Message) -> None:
            nonlocal begun, body
            if message["type"] == "http.response.start":
                begun = message
                return
            body += message["body"]
            if not message.get("more_body"):
                whole = body.replace(b"</head>", links + b"</head>", 1)
                kept = [one for one in begun["headers"] if one[0].lower() != b"content-length"]
                length = (b"content-length", str(len(whole)).encode())
                await send({**begun, "headers": [*kept, length]})
                await send({**message, "body": whole})

        await self._app(scope, receive, held)
