"""`/ofgen/v1`: the schema of the settings, presets and jobs, with the host's own credentials."""

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
from lib_ofgen.webui.host.environment import preset_store, public_text
from lib_ofgen.webui.jobs.job import RESULT_FILES, ROUTES, JobRun
from lib_ofgen.webui.jobs.service import SERVICE

__all__ = ["add_routes"]

_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'",
}
"""Headers of files: browsers guess no other media type and run nothing in them."""
_MEDIA_TYPES = {
    "report": "application/json",
    "page": "text/html; charset=utf-8",
    "keys": "image/png",
}
_SHOWN_INLINE = "page"
"""The file that a browser may show; it saves the others."""


class _AsciiJson(JSONResponse):
    """JSON that can hold any text, lone surrogates too."""

    def render(self, content: Any) -> bytes:
        """Return the bytes of the answer."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def add_routes(_: Any, app: FastAPI) -> None:
    """Add our routes if the host has an API; for the host's `on_app_started`."""
    if not shared.cmd_opts.api:
        return
    guard = [Depends(_check_credentials)] if shared.cmd_opts.api_auth else []
    for path, endpoint, method in (
        ("settings", schema, "GET"),
        ("presets", _list_presets, "GET"),
        ("presets/{name}", _get_preset, "GET"),
        ("presets/{name}", _save_preset, "PUT"),
        ("presets/{name}", _delete_preset, "DELETE"),
        ("jobs", _list_jobs, "GET"),
        ("jobs/{job_id}", _get_job, "GET"),
        ("jobs/{job_id}/cancel", _cancel_job, "POST"),
        *((f"jobs/{{job_id}}/{name}", _file_endpoint(name), "GET") for name in RESULT_FILES),
    ):
        changes = [] if method == "GET" else [Depends(_refuse_foreign)]
        app.add_api_route(
            f"{ROUTES}/{path}", endpoint, methods=[method], dependencies=[*changes, *guard],
            response_class=_AsciiJson, name=f"ofgen {method} {path}",
        )  # fmt: skip


def _refuse_foreign(request: Request) -> None:
    """Refuse a request that a browser sends for a page of another site."""
    headers, options = request.headers, shared.cmd_opts
    origins = (getattr(options, "cors_allow_origins", None) or "").split(",")
    if is_foreign(
        headers.get("sec-fetch-site"), headers.get("origin"), headers.get("host", ""),
        [one.strip() for one in origins if one.strip()],
        getattr(options, "cors_allow_origins_regex", None) or "",
    ):  # fmt: skip
        raise HTTPException(403, "a page of another site cannot change anything here")


_BASIC = Depends(HTTPBasic())  # as a default: the host's FastAPI does not know `Annotated`


def _check_credentials(given: HTTPBasicCredentials = _BASIC) -> None:
    """Refuse users whom the host's `--api-auth` does not name."""
    pairs = [pair.strip() for pair in shared.cmd_opts.api_auth.split(",")]
    offered = f"{given.username}:{given.password}".encode()
    if not any(secrets.compare_digest(offered, pair.encode()) for pair in pairs):
        raise HTTPException(401, "wrong user or password", {"WWW-Authenticate": "Basic"})


def _list_presets() -> list[dict[str, Any]]:
    bundled = presets.bundled_presets()
    return [
        {
            "name": name,
            "description": preset.description,
            "settings": preset.settings,
            "bundled": name in bundled,
            "link": presets.to_link(preset),
        }
        for name, preset in presets.list_presets(preset_store()).items()
    ]


def _get_preset(name: str) -> dict[str, Any]:
    """Return the document of the preset, as PUT accepts it."""
    try:
        return json.loads(presets.dump(presets.get_preset(name, preset_store())))
    except OfgenError as error:
        raise _refuse(404, error) from error


def _refuse(status: int, reason: object) -> HTTPException:
    """Return an error answer of one line."""
    return HTTPException(status, public_text(str(reason)))


async def _read_body(request: Request) -> bytes:
    """Return the body of the request; refuse one that is larger than a preset may be."""
    body, large = b"", False
    async for part in request.stream():  # to its end: a client that still sends reads no answer
        large = large or len(body) + len(part) > MAX_BYTES
        body = b"" if large else body + part
    if large:
        raise _refuse(413, f"a preset has at most {MAX_BYTES} bytes; send a smaller one")
    return body


_BODY = Depends(_read_body)


def _save_preset(name: str, replace: bool = False, body: bytes = _BODY) -> dict[str, Any]:
    """Save the preset in the body under the name in the address."""
    store = preset_store()
    try:
        preset = presets.make_preset(name, *presets.load(body)[1:])
        if store.get(preset.name) and not replace:
            raise _refuse(409, f"there is a preset {shorten(preset.name)}; add ?replace=true")
        store.save(preset, replace=replace)
    except OfgenError as error:
        raise _refuse(422, error) from error
    return _get_preset(preset.name)


def _delete_preset(name: str) -> dict[str, Any]:
    """Delete a preset that is not bundled."""
    try:
        preset_store().delete(name)
    except OfgenError as error:
        raise _refuse(404, error) from error
    return {"deleted": name}


def _list_jobs() -> list[dict[str, Any]]:
    return [run.facts() for run in SERVICE.jobs.runs()]


def _find_job(job_id: str) -> JobRun:
    run = SERVICE.jobs.find(job_id)
    if run is None:
        raise _refuse(404, f"no job {shorten(job_id)} is known since the webui started")
    return run


def _get_job(job_id: str) -> dict[str, Any]:
    return _find_job(job_id).facts()


def _cancel_job(job_id: str) -> dict[str, Any]:
    run = _find_job(job_id)
    run.stop()
    return run.facts()


def _file_endpoint(name: str) -> Callable[[str], Response]:
    """Return the endpoint of a job's result file; a browser runs nothing in the file."""

    def file(job_id: str) -> Response:
        run = _find_job(job_id)
        path = run.file(name)
        if path is None:
            raise _refuse(409, f"job {shorten(job_id)} has no {name}: it is {run.state}")
        if not path.is_file():
            raise _refuse(410, f"the {name} of job {shorten(job_id)} does not exist any more")
        how = "inline" if name == _SHOWN_INLINE else "attachment"
        return FileResponse(
            path, media_type=_MEDIA_TYPES.get(name), filename=path.name, headers=_SAFE_HEADERS,
            content_disposition_type=how,
        )  # fmt: skip

    return file
