"""The host's always-on scripts on our pictures: ControlNet by its API, and the user's others.

Units go where the host's own API puts them: into the arguments of ControlNet's script. That takes
the class of a unit and the lists of modules and models, which its external code gives.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from modules import processing, scripts

from lib_ofgen.errors import PainterError, SettingsError
from lib_ofgen.settings import control_units
from lib_ofgen.values import ControlUnit, Image, Repaint, Stage

__all__ = ["Given", "PictureScripts"]

_CODES = (
    "internal_controlnet.external_code",
    "scripts.external_code",
    "lib_controlnet.external_code",
)
"""ControlNet's external code as sd-webui-controlnet imports it, old and new, and Forge."""
_LISTS = "lib_controlnet.global_state"
"""Where Forge has the names of modules and models."""
_VERSIONS = (2, 3)
"""Of the external code, which mean the same to us."""
_TITLE = "controlnet"


@dataclass(frozen=True)
class Given:
    """The host's scripts, and the values that the user gave them."""

    runner: Any
    args: Sequence[Any]

    @classmethod
    def by_default(cls) -> Given:
        """Those of img2img, with the values that the page begins with."""
        runner = scripts.scripts_img2img
        return cls(runner, [getattr(each, "value", None) for each in runner.inputs])


class PictureScripts:
    """Which scripts run on which picture; none where neither units nor others are asked for."""

    def __init__(
        self, units: Sequence[ControlUnit], given: Given | None, *, others: bool = False
    ) -> None:
        """`others` has the user's other scripts run on key frames.

        Raises:
            SettingsError: there is no ControlNet, one that we do not know, or it lacks a unit.
        """
        self._given = given or Given.by_default()
        self._others = self._user_scripts() if others else []
        self._control = self._code = None
        self._units: tuple[ControlUnit, ...] = ()
        if units:
            self._control, self._code = self._script(), _external_code()
            self._units = _known(self._code, units)
            self._blank()
            self._refuse_too_many()

    @property
    def identity(self) -> str:
        """Everything about the scripts that changes a pixel; empty where none runs."""
        if not self._units and not self._others:
            return ""
        values = [self._values(script) for script in self._others]
        names = [script.title() for script in self._others]
        units = [asdict(unit) for unit in self._units]
        return json.dumps([units, names, values], sort_keys=True, default=lambda it: str(type(it)))

    def run(self, stage: Stage) -> bool:
        """Whether any runs on pictures of the stage."""
        steering = any(stage in unit.stages for unit in self._units)
        return steering or (stage == "keys" and bool(self._others))

    def attach(self, wanted: Any, stage: Stage, job: Repaint) -> Callable[[], None]:
        """Have the picture's scripts run on it; gives what to call when it has been painted.

        That, called at any time, tells of an error of ControlNet, which the host only logs.
        """
        pairs = control_units.units_with_pictures(self._units, stage, job)
        others = self._others if stage == "keys" else []
        if not pairs and not others:
            return lambda: None
        steering = self._control if pairs else None
        runner = _Runner(self._given.runner, [*others, *([steering] if steering else [])], steering)
        wanted.scripts = runner
        wanted.script_args = self._arguments(pairs)

        def check() -> None:
            if runner.errors:
                raise PainterError(
                    f"ControlNet failed on frame {job.target}: {_told(runner.errors[0])}; check "
                    "that control_units fit the checkpoint; the webui's log says more"
                ) from runner.errors[0]

        return check

    def detach(self, wanted: Any) -> None:
        """Take ControlNet off the model, after a picture that was not painted to its end."""
        runner = wanted.scripts
        if isinstance(runner, _Runner) and runner.control is not None:
            runner.alwayson_scripts = [runner.control]
            runner.postprocess(wanted, processing.Processed(wanted, []))

    def _arguments(self, pairs: Sequence[tuple[ControlUnit, Image]]) -> list[Any]:
        """The values of all scripts, with the units in those of ControlNet."""
        args = list(self._given.args)
        if self._control is None:
            return args
        start, stop = self._control.args_from, self._control.args_to
        args += [None] * (stop - len(args))
        units = [self._unit(unit, image) for unit, image in pairs]
        args[start:stop] = [*units, *(self._blank() for _ in range(stop - start - len(units)))]
        return args

    def _unit(self, unit: ControlUnit, image: Image) -> Any:
        # Both ControlNets take an empty mask for none.
        picture = {"image": image, "mask": np.zeros_like(image)}
        return self._made({**control_units.to_controlnet(unit), "image": picture})

    def _blank(self) -> Any:
        return self._made({"enabled": False})

    def _made(self, values: dict[str, Any]) -> Any:
        try:
            return self._code.ControlNetUnit(**values)  # pyright: ignore[reportOptionalMemberAccess]
        except (AttributeError, TypeError, ValueError) as error:
            raise _changed(_told(error)) from error

    def _script(self) -> Any:
        """The host's script of ControlNet.

        Raises:
            SettingsError: there is none.
        """
        for script in self._given.runner.alwayson_scripts:
            if _is_control(script):
                return script
        raise SettingsError(
            "control_units asks for ControlNet, which this webui does not have; install the "
            "extension sd-webui-controlnet and restart, or empty control_units"
        )

    def _user_scripts(self) -> list[Any]:
        """Always-on scripts but ControlNet and the host's own, whose choices are the job's."""
        return [
            script
            for script in self._given.runner.alwayson_scripts
            if not _is_control(script) and not isinstance(script, scripts.ScriptBuiltinUI)
        ]

    def _values(self, script: Any) -> list[Any]:
        return list(self._given.args[script.args_from : script.args_to])

    def _refuse_too_many(self) -> None:
        slots = self._control.args_to - self._control.args_from if self._control else 0
        if len(self._units) > slots:
            raise SettingsError(
                f"control_units has {len(self._units)} units, and ControlNet here takes {slots}; "
                "raise 'ControlNet unit number' in the webui's settings and reload its page, or "
                "drop some"
            )


class _Runner(scripts.ScriptRunner):
    """Some of the host's scripts; keeps the errors of ControlNet, which the host only logs."""

    def __init__(self, given: Any, kept: list[Any], steering: Any) -> None:
        vars(self).update(vars(given))
        self.alwayson_scripts, self.callback_map = kept, {}
        self.control, self.errors = steering, list[Exception]()

    def ordered_scripts(self, method_name: str) -> list[Any]:
        """The scripts that have something to do there, in the user's order."""
        found = super().ordered_scripts(method_name)
        return [self._heard(one, method_name) if one is self.control else one for one in found]

    def _heard(self, script: Any, method_name: str) -> Any:
        """What the host needs of a script to run one method of it."""
        method = getattr(script, method_name)

        def called(*args: Any, **options: Any) -> Any:
            try:
                return method(*args, **options)
            except Exception as error:
                self.errors.append(error)
                raise

        names = ("args_from", "args_to", "filename", "setup_for_ui_only")
        return SimpleNamespace(
            **{name: getattr(script, name) for name in names}, **{method_name: called}
        )


def _is_control(script: Any) -> bool:
    return str(script.title()).lower() == _TITLE


def _external_code() -> Any:
    """ControlNet's external code, as it is loaded.

    Raises:
        SettingsError: it is not, or of a version that we do not know.
    """
    for name in _CODES:
        code = sys.modules.get(name)
        if code is not None and hasattr(code, "ControlNetUnit"):
            break
    else:
        raise _changed("it has no external code")
    version = code.get_api_version() if hasattr(code, "get_api_version") else None
    if version not in _VERSIONS:
        raise _changed(f"its external code is of version {version}")
    return code


def _known(code: Any, units: Sequence[ControlUnit]) -> tuple[ControlUnit, ...]:
    """The units as ControlNet spells them."""
    try:
        if hasattr(code, "get_models"):
            details = code.get_modules_detail() if hasattr(code, "get_modules_detail") else {}
            free = {name: bool(detail["model_free"]) for name, detail in details.items()}
            return control_units.match_models(
                units, code.get_modules(), code.get_models(update=True), free
            )
        names = sys.modules[_LISTS]
        modules, models = names.get_all_preprocessor_names(), names.get_all_controlnet_names()
    except (AttributeError, KeyError, TypeError) as error:
        raise _changed(_told(error)) from error
    return control_units.match_models(units, modules, models)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _changed(what: str) -> SettingsError:
    return SettingsError(
        f"control_units asks for ControlNet, and the one here is another than we know: {what}; "
        "install sd-webui-controlnet 1.1.455, or empty control_units"
    )
