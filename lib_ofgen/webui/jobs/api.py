"""`/ofgen/v1`: the settings' schema, presets and jobs, under the host's own credentials."""

import json
import secrets
from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from modules import shared

from lib_ofgen.errors import OfgenError
from lib_ofgen.settings import presets
from lib_ofgen.settings.choice import shorten
from lib_ofgen.settings.presets.document import MAX_BYTES
from lib_ofgen.settings.schema import schema
from lib_ofgen.webui.access.request_guard import is_foreign
from lib_ofgen.webui.jobs.job import FILES, JOBS, ROUTES, HostJob, for_strangers, presets_here

__all__ = ["add_routes"]

_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'",
}
"""Of what is handed out, nothing is guessed to be another kind, and nothing runs."""
_KINDS = {"report": "application/json", "page": "text/html; charset=utf-8", "keys": "image/png"}
_OPENED = "page"
"""What a browser may show; all else it saves."""


class _Ascii(JSONResponse):
    """JSON that holds any text, also halves of characters."""

    def render(self, content: Any) -> bytes:
        """The bytes of the answer."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def add_routes(_: Any, app: FastAPI) -> None:
    """Add our routes where the host has an API; for the host's `on_app_started`."""
    if not shared.cmd_opts.api:
        return
    guard = [Depends(_allowed)] if shared.cmd_opts.api_auth else []
    for path, endpoint, method in (
        ("settings", schema, "GET"),
        ("presets", _presets, "GET"),
        ("presets/{name}", _preset, "GET"),
        ("presets/{name}", _keep_preset, "PUT"),
        ("presets/{name}", _forget_preset, "DELETE"),
        ("jobs", _jobs, "GET"),
        ("jobs/{job_id}", _job, "GET"),
        ("jobs/{job_id}/cancel", _cancel, "POST"),
        *((f"jobs/{{job_id}}/{name}", _handing_out(name), "GET") for name in FILES),
    ):
        changes = [] if method == "GET" else [Depends(_from_here)]
        app.add_api_route(
            f"{ROUTES}/{path}", endpoint, methods=[method], dependencies=[*changes, *guard],
            response_class=_Ascii, name=f"ofgen {method} {path}",
        )  # fmt: skip


def _from_here(request: Request) -> None:
    """Let nothing be changed by a page of another site that a person's browser shows."""
    asked, options = request.headers, shared.cmd_opts
    origins = (getattr(options, "cors_allow_origins", None) or "").split(",")
    if is_foreign(
        asked.get("sec-fetch-site"), asked.get("origin"), asked.get("host", ""),
        [one.strip() for one in origins if one.strip()],
        getattr(options, "cors_allow_origins_regex", None) or "",
    ):  # fmt: skip
        raise HTTPException(403, "a page of another site may change nothing here")


_BASIC = Depends(HTTPBasic())  # as a default, for the host's FastAPI reads no `Annotated`


def _allowed(given: HTTPBasicCredentials = _BASIC) -> None:
    """Let in whom the host's `--api-auth` names."""
    pairs = [pair.strip() for pair in shared.cmd_opts.api_auth.split(",")]
    offered = f"{given.username}:{given.password}".encode()
    if not any(secrets.compare_digest(offered, pair.encode()) for pair in pairs):
        raise HTTPException(401, "wrong user or password", {"WWW-Authenticate": "Basic"})


def _presets() -> list[dict[str, Any]]:
    ours = presets.bundled_presets()
    return [
        {
            "name": name,
            "description": preset.description,
            "settings": preset.settings,
            "bundled": name in ours,
            "link": presets.to_link(preset),
        }
        for name, preset in presets.list_presets(presets_here()).items()
    ]


def _preset(name: str) -> dict[str, Any]:
    """The document of the preset, as PUT takes it."""
    try:
        return json.loads(presets.dump(presets.get_preset(name, presets_here())))
    except OfgenError as error:
        raise _refused(404, error) from error


def _refused(status: int, why: object) -> HTTPException:
    """An answer of one line."""
    return HTTPException(status, for_strangers(str(why)))


async def _sent(request: Request) -> bytes:
    """What the request holds, if it is no more than a preset may be."""
    body, large = b"", False
    async for part in request.stream():  # to its end, for who still sends hears no answer
        large = large or len(body) + len(part) > MAX_BYTES
        body = b"" if large else body + part
    if large:
        raise _refused(413, f"more than {MAX_BYTES} bytes are no preset; they are small")
    return body


_SENT = Depends(_sent)


def _keep_preset(name: str, replace: bool = False, sent: bytes = _SENT) -> dict[str, Any]:
    """Keep the preset that was sent under the name of the address."""
    store = presets_here()
    try:
        preset = presets.make_preset(name, *presets.load(sent)[1:])
        if store.get(preset.name) and not replace:
            raise _refused(409, f"there is a preset {shorten(preset.name)}; add ?replace=true")
        store.save(preset, replace=replace)
    except OfgenError as error:
        raise _refused(422, error) from error
    return _preset(preset.name)


def _forget_preset(name: str) -> dict[str, Any]:
    """Forget one that is not bundled."""
    try:
        presets_here().delete(name)
    except OfgenError as error:
        raise _refused(404, error) from error
    return {"deleted": name}


def _jobs() -> list[dict[str, Any]]:
    return [job.facts() for job in list(JOBS.values())]


def _found(job_id: str) -> HostJob:
    job = JOBS.get(job_id)
    if job is None:
        raise _refused(404, f"no job {shorten(job_id)} is remembered; they go with the webui")
    return job


def _job(job_id: str) -> dict[str, Any]:
    return _found(job_id).facts()


def _cancel(job_id: str) -> dict[str, Any]:
    job = _found(job_id)
    job.stop()
    return job.facts()


def _handing_out(name: str) -> Callable[[str], Response]:
    """The endpoint of what a job has made under the name, to be saved; nothing in it runs."""

    def file(job_id: str) -> Response:
        job = _found(job_id)
        path = job.file(name)
        if path is None:
            raise _refused(409, f"job {shorten(job_id)} has no {name}: it is {job.state}")
        if not path.is_file():
            raise _refused(410, f"the {name} of job {shorten(job_id)} is not there any more")
        how = "inline" if name == _OPENED else "attachment"
        return FileResponse(
            path, media_type=_KINDS.get(name), filename=path.name, headers=_SAFE,
            content_disposition_type=how,
        )  # fmt: skip

    return file
