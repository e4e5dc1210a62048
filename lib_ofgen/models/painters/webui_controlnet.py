"""ControlNet of a webui behind an address: its units, and their part of each request."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lib_ofgen.errors import PainterError, SettingsError
from lib_ofgen.imaging.images import encode_png
from lib_ofgen.models.painters.http_client import Host, NoRouteError
from lib_ofgen.settings import control_units
from lib_ofgen.values import ControlUnit, Repaint, Stage

__all__ = ["HttpControl"]

_VERSIONS = (2, 3)
"""Versions of its API that we know; Forge's API has no version."""
_MOST = 10_000
"""Modules or models that are read of a list."""
_LONGEST = 300
"""Characters of the name of a module or model."""
_SHOWS = 3
"""The version that gives back what each unit has seen, by which one knows that it was used."""


class HttpControl:
    """The control units of a host's pictures; call `connect` first if there are units."""

    def __init__(self, host: Host, units: Sequence[ControlUnit]) -> None:
        """Keep the units; the host is not contacted yet."""
        self._host, self.units = host, tuple(units)
        self._shows = False

    def connect(self) -> None:
        """Learn the host's names, and refuse units that it does not have.

        Raises:
            PainterError: if the host lacks ControlNet or a unit, or its version is unknown.
        """
        if not self.units:
            return
        try:
            modules, models = self._answer("module_list"), self._answer("model_list")
        except NoRouteError as error:
            raise self._host.refuse(
                "has no ControlNet, which control_units asks for: "
                "install sd-webui-controlnet there, or empty control_units"
            ) from error
        version = self._optional("version", "version", 2)
        if version not in _VERSIONS:
            known = version is None or isinstance(version, (int, float))
            raise self._refuse_answer(f", of version {str(version)[:20]}," if known else "")
        self.units = self._match_units(modules, models)
        self._refuse_too_many()
        options = self._host.call("options", quick=True)
        hidden = isinstance(options, dict) and options.get("control_net_no_detectmap")
        self._shows = version == _SHOWS and not hidden

    def scripts(
        self,
        stage: Stage,
        job: Repaint,
        padded: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    ) -> dict[str, Any]:
        """The always-on scripts of a request; none where no unit steers the job."""
        args = [
            {
                **control_units.to_controlnet(unit),
                "image": base64.b64encode(encode_png(padded(image))).decode("ascii"),
                "save_detected_map": self._shows,
            }
            for unit, image in control_units.units_with_pictures(self.units, stage, job)
        ]
        return {"controlnet": {"args": args}} if args else {}

    def count(self, scripts: dict[str, Any]) -> int:
        """How many units steer a request with these always-on scripts."""
        return len(scripts["controlnet"]["args"]) if scripts else 0

    def check(self, answer: Any, scripts: dict[str, Any], target: int) -> None:
        """Check that the host has used the units: if they fail, it only logs that.

        `answer` holds a list of pictures.

        Raises:
            PainterError: if the host has painted without them.
        """
        if self._shows and len(answer["images"]) < 1 + self.count(scripts):
            raise self._host.refuse(
                f"ControlNet failed on frame {target}: look at the webui's own log, and check that "
                "the control units' models fit the checkpoint"
            )

    def _match_units(
        self, modules: dict[str, Any], models: dict[str, Any]
    ) -> tuple[ControlUnit, ...]:
        details = modules.get("module_detail")
        described = details.items() if isinstance(details, dict) else ()
        free = {
            name: bool(one["model_free"])
            for name, one in described
            if isinstance(one, dict) and "model_free" in one
        }
        named = self._names(modules, "module_list"), self._names(models, "model_list")
        try:
            return control_units.match_models(self.units, *named, free)
        except SettingsError as error:
            raise self._host.refuse(str(error)) from error

    def _names(self, answer: dict[str, Any], part: str) -> list[str]:
        """The names of a list; what is too long for one is left out."""
        names = answer.get(part)
        if not isinstance(names, list):
            raise self._refuse_answer()
        return [name for name in names[:_MOST] if isinstance(name, str) and len(name) <= _LONGEST]

    def _refuse_too_many(self) -> None:
        """Check that the host would not ignore some of the units."""
        most = self._optional("settings", "control_net_unit_count", control_units.MAX_UNITS)
        if not isinstance(most, int):
            raise self._refuse_answer()
        if len(self.units) > most:
            raise self._host.refuse(
                f"its ControlNet takes {most} units, and control_units has {len(self.units)}: "
                "raise 'ControlNet unit number' in its settings, or drop some"
            )

    def _optional(self, route: str, part: str, otherwise: object) -> Any:
        """A part of an answer that Forge does not give."""
        try:
            return self._answer(route).get(part)
        except NoRouteError:
            return otherwise

    def _answer(self, route: str) -> dict[str, Any]:
        answer = self._host.call(f"/controlnet/{route}", quick=True)
        if not isinstance(answer, dict):
            raise self._refuse_answer()
        return answer

    def _refuse_answer(self, what: str = "") -> PainterError:
        return self._host.refuse(
            f"its ControlNet{what} answers in an unknown form: "
            "install sd-webui-controlnet 1.1.455 there, or empty control_units"
        )
