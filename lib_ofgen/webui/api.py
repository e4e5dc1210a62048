"""`/ofgen/v1`: the settings' schema, presets and jobs, under the host's own credentials."""

import json
import secrets
from typing import Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from modules import shared

from lib_ofgen import presets
from lib_ofgen.errors import OfgenError
from lib_ofgen.settings import schema
from lib_ofgen.webui.job import JOBS, HostJob, presets_here

__all__ = ["add_routes"]


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
        ("jobs/{job_id}/video", _video, "GET"),
    ):
        app.add_api_route(f"/ofgen/v1/{path}", endpoint, methods=[method], dependencies=guard)


_BASIC = Depends(HTTPBasic())  # as a default, for the host's FastAPI reads no `Annotated`


def _allowed(given: HTTPBasicCredentials = _BASIC) -> None:
    """Let in whom the host's `--api-auth` names."""
    pairs = [pair.strip() for pair in shared.cmd_opts.api_auth.split(",")]
    offered = f"{given.username}:{given.password}".encode()
    if not any(secrets.compare_digest(offered, pair.encode()) for pair in pairs):
        raise HTTPException(401, "wrong user or password", {"WWW-Authenticate": "Basic"})


def _presets() -> list[dict[str, Any]]:
    ours = presets.bundled()
    return [
        {
            "name": name,
            "description": preset.description,
            "settings": preset.settings,
            "bundled": name in ours,
            "link": presets.to_link(preset),
        }
        for name, preset in presets.known(presets_here()).items()
    ]


def _preset(name: str) -> dict[str, Any]:
    """The document of the preset, as PUT takes it."""
    try:
        return json.loads(presets.dump(presets.named(name, presets_here())))
    except OfgenError as error:
        raise HTTPException(404, str(error)) from error


def _keep_preset(name: str, document: dict[str, Any], replace: bool = False) -> dict[str, Any]:
    """Keep the document's preset under the name of the address."""
    store = presets_here()
    try:
        preset = presets.make(name, *presets.read(document)[1:])
        if store.get(preset.name) and not replace:
            raise HTTPException(409, f"there is a preset {preset.name!r}; add ?replace=true")
        store.save(preset, replace=replace)
    except OfgenError as error:
        raise HTTPException(422, str(error)) from error
    return _preset(preset.name)


def _forget_preset(name: str) -> dict[str, Any]:
    """Forget one that is not bundled."""
    try:
        presets_here().delete(name)
    except OfgenError as error:
        raise HTTPException(404, str(error)) from error
    return {"deleted": name}


def _jobs() -> list[dict[str, Any]]:
    return [job.facts() for job in list(JOBS.values())]


def _found(job_id: str) -> HostJob:
    job = JOBS.get(job_id)
    if job is None:
        raise HTTPException(404, f"no job {job_id!r} is remembered; they go with the webui")
    return job


def _job(job_id: str) -> dict[str, Any]:
    return _found(job_id).facts()


def _cancel(job_id: str) -> dict[str, Any]:
    job = _found(job_id)
    job.stop()
    return job.facts()


def _video(job_id: str) -> FileResponse:
    job = _found(job_id)
    if job.outcome is None:
        raise HTTPException(409, f"job {job_id!r} has no film: it is {job.state}")
    return FileResponse(job.outcome.video)
