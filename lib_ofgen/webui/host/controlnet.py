"""The host's always-on scripts on our pictures: ControlNet, and the user's other scripts.

Units go where the host's own API puts them: into the arguments of ControlNet's script. ControlNet's
external code gives the class of a unit and the lists of modules and models.
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

__all__ = ["PictureScripts", "UserScripts"]

_CODES = (
    "internal_controlnet.external_code",
    "scripts.external_code",
    "lib_controlnet.external_code",
)
"""Module names of ControlNet's external code: sd-webui-controlnet, new and old, and Forge."""
_LISTS = "lib_controlnet.global_state"
"""The module in which Forge has the names of modules and models."""
_VERSIONS = (2, 3)
"""Versions of the external code that we can use."""
_TITLE = "controlnet"


@dataclass(frozen=True)
class UserScripts:
    """The host's scripts with the values that the user has given them."""

    runner: Any
    args: Sequence[Any]

    @classmethod
    def by_default(cls) -> UserScripts:
        """Return the scripts of img2img with the first values of the page."""
        runner = scripts.scripts_img2img
        return cls(runner, [getattr(each, "value", None) for each in runner.inputs])


class PictureScripts:
    """Which scripts run on which picture; none if neither units nor other scripts are wanted."""

    def __init__(
        self, units: Sequence[ControlUnit], scripts: UserScripts | None, *, others: bool = False
    ) -> None:
        """Check that the host has what is wanted.

        Args:
            units: The control units of the job.
            scripts: The user's scripts; None: those of img2img with their first values.
            others: Whether the user's other scripts run on key frames.

        Raises:
            SettingsError: if there is no ControlNet, if we do not know its version, or if it lacks
                a module or model.
        """
        self._scripts = scripts or UserScripts.by_default()
        self._others = self._user_scripts() if others else []
        self._control = self._code = None
        self._units: tuple[ControlUnit, ...] = ()
        if units:
            self._control, self._code = self._find_controlnet(), _find_external_code()
            self._units = _match_units(self._code, units)
            self._make_blank()
            self._refuse_too_many()

    @property
    def identity(self) -> str:
        """Everything about the scripts that changes a pixel; empty if none runs."""
        if not self._units and not self._others:
            return ""
        values = [self._values(script) for script in self._others]
        names = [script.title() for script in self._others]
        units = [asdict(unit) for unit in self._units]
        return json.dumps([units, names, values], sort_keys=True, default=lambda it: str(type(it)))

    def has_scripts(self, stage: Stage) -> bool:
        """Whether any script runs on pictures of the stage."""
        has_units = any(stage in unit.stages for unit in self._units)
        return has_units or (stage == "keys" and bool(self._others))

    def attach(self, processing_job: Any, stage: Stage, repaint: Repaint) -> Callable[[], None]:
        """Attach the scripts of a picture to the host's processing object.

        Returns:
            A function that raises PainterError if ControlNet has failed, which the host only
            logs; to be called at any time, and when the picture is painted.
        """
        pairs = control_units.units_with_pictures(self._units, stage, repaint)
        others = self._others if stage == "keys" else []
        if not pairs and not others:
            return lambda: None
        control = self._control if pairs else None
        attached = [*others, *([control] if control else [])]
        runner = _Runner(self._scripts.runner, attached, control)
        processing_job.scripts = runner
        processing_job.script_args = self._arguments(pairs)

        def check() -> None:
            if runner.errors:
                cause = _describe(runner.errors[0])
                raise PainterError(
                    f"ControlNet failed on frame {repaint.target}: {cause}; check that "
                    "control_units fit the checkpoint; the webui's log says more"
                ) from runner.errors[0]

        return check

    def detach(self, processing_job: Any) -> None:
        """Remove ControlNet from the model after a picture that was not finished."""
        runner = processing_job.scripts
        if isinstance(runner, _Runner) and runner.control is not None:
            runner.alwayson_scripts = [runner.control]
            runner.postprocess(processing_job, processing.Processed(processing_job, []))

    def _arguments(self, pairs: Sequence[tuple[ControlUnit, Image]]) -> list[Any]:
        """Return the values of all scripts, with the units in those of ControlNet."""
        args = list(self._scripts.args)
        if self._control is None:
            return args
        start, stop = self._control.args_from, self._control.args_to
        args += [None] * (stop - len(args))
        units = [self._make_unit(unit, image) for unit, image in pairs]
        args[start:stop] = [*units, *(self._make_blank() for _ in range(stop - start - len(units)))]
        return args

    def _make_unit(self, unit: ControlUnit, image: Image) -> Any:
        # Both ControlNets treat an empty mask as no mask.
        picture = {"image": image, "mask": np.zeros_like(image)}
        return self._construct({**control_units.to_controlnet(unit), "image": picture})

    def _make_blank(self) -> Any:
        return self._construct({"enabled": False})

    def _construct(self, values: dict[str, Any]) -> Any:
        try:
            return self._code.ControlNetUnit(**values)  # pyright: ignore[reportOptionalMemberAccess]
        except (AttributeError, TypeError, ValueError) as error:
            raise _unknown_version(_describe(error)) from error

    def _find_controlnet(self) -> Any:
        """Return the host's script of ControlNet.

        Raises:
            SettingsError: if the host has none.
        """
        for script in self._scripts.runner.alwayson_scripts:
            if _is_control(script):
                return script
        raise SettingsError(
            "control_units needs ControlNet, which this webui does not have; install the "
            "extension sd-webui-controlnet and restart, or empty control_units"
        )

    def _user_scripts(self) -> list[Any]:
        """Return the always-on scripts without ControlNet and the host's own.

        The job itself makes the choices of the host's own scripts.
        """
        return [
            script
            for script in self._scripts.runner.alwayson_scripts
            if not _is_control(script) and not isinstance(script, scripts.ScriptBuiltinUI)
        ]

    def _values(self, script: Any) -> list[Any]:
        return list(self._scripts.args[script.args_from : script.args_to])

    def _refuse_too_many(self) -> None:
        slots = self._control.args_to - self._control.args_from if self._control else 0
        if len(self._units) > slots:
            raise SettingsError(
                f"control_units has {len(self._units)} units, and ControlNet here takes {slots}; "
                "raise 'ControlNet unit number' in the webui's settings and reload its page, or "
                "drop some"
            )


class _Runner(scripts.ScriptRunner):
    """Runs some of the host's scripts, and keeps the errors of ControlNet."""

    def __init__(self, runner: Any, attached: list[Any], control: Any) -> None:
        vars(self).update(vars(runner))
        self.alwayson_scripts, self.callback_map = attached, {}
        self.control, self.errors = control, list[Exception]()

    def ordered_scripts(self, method_name: str) -> list[Any]:
        """Return the scripts that have the method, in the user's order."""
        ordered = super().ordered_scripts(method_name)
        return [self._wrap(one, method_name) if one is self.control else one for one in ordered]

    def _wrap(self, script: Any, method_name: str) -> Any:
        """Return what the host needs of a script to run one method; errors are kept."""
        method = getattr(script, method_name)

        def call(*args: Any, **options: Any) -> Any:
            try:
                return method(*args, **options)
            except Exception as error:
                self.errors.append(error)
                raise

        names = ("args_from", "args_to", "filename", "setup_for_ui_only")
        return SimpleNamespace(
            **{name: getattr(script, name) for name in names}, **{method_name: call}
        )


def _is_control(script: Any) -> bool:
    return str(script.title()).lower() == _TITLE


def _find_external_code() -> Any:
    """Return the loaded module of ControlNet's external code.

    Raises:
        SettingsError: if it is not loaded, or if we do not know its version.
    """
    for name in _CODES:
        code = sys.modules.get(name)
        if code is not None and hasattr(code, "ControlNetUnit"):
            break
    else:
        raise _unknown_version("it has no external code")
    version = code.get_api_version() if hasattr(code, "get_api_version") else None
    if version not in _VERSIONS:
        raise _unknown_version(f"its external code has version {version}")
    return code


def _match_units(code: Any, units: Sequence[ControlUnit]) -> tuple[ControlUnit, ...]:
    """Return the units with modules and models as ControlNet spells them."""
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
        raise _unknown_version(_describe(error)) from error
    return control_units.match_models(units, modules, models)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _unknown_version(what: str) -> SettingsError:
    return SettingsError(
        f"control_units needs ControlNet, and the version here is not supported: {what}; "
        "install sd-webui-controlnet 1.1.455, or empty control_units"
    )
