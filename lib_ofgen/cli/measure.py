"""The commands `ofgen evaluate` and `ofgen flow`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lib_ofgen.cli import console, weights
from lib_ofgen.cli.presets import read_settings
from lib_ofgen.errors import SettingsError, VideoError
from lib_ofgen.imaging import flow_io, images
from lib_ofgen.models.flow import choose_estimator
from lib_ofgen.pipeline import checks, stage_options
from lib_ofgen.report import evaluate, wording
from lib_ofgen.report import facts as report
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import write_whole
from lib_ofgen.system.files import claim_outputs
from lib_ofgen.values import Frame, Sampling

__all__ = ["run_evaluate", "run_flow"]

_SAMPLING = ("start", "end", "max_frames", "every_nth")
"""Settings that say which frames of a source are used."""


def run_evaluate(options: argparse.Namespace) -> int:
    """Print the measures of a result; return the exit status."""
    settings = read_settings(options)
    with console.Progress(quiet=options.quiet) as progress:
        result = evaluate.evaluate(
            options.source,
            options.result,
            progress,
            sampling=Sampling(**{name: getattr(settings, name) for name in _SAMPLING}),
            cut_threshold=settings.cut_threshold,
            keys=_read_keys(options.report) if options.report else (),
            painted=options.painted,
        )
    if options.json:
        console.say(json.dumps(result.to_json()), out=True)
        return 0
    for line in wording.evaluation_lines(result):
        console.say(line, out=True)
    return 0


def _read_keys(path: Path) -> set[int]:
    """Return the indices of the key frames in a report."""
    try:
        return report.read_key_indices(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        cause = getattr(error, "strerror", None) or "it is not a report, or it is damaged"
        raise SettingsError(f"cannot read '{path}': {cause}; give a job's report.json") from error


def run_flow(options: argparse.Namespace) -> int:
    """Write the flow from one picture to another; return the exit status."""
    checks.check_apart([options.first, options.second], [options.output, options.png])
    checks.check_apart([options.output], [options.png])
    with claim_outputs([options.output, options.png]):
        return _write_flow(options)


def _write_flow(options: argparse.Namespace) -> int:
    first, second = (_read_picture(path) for path in (options.first, options.second))
    if first.shape != second.shape:
        sizes = " and ".join(str(images.size_of(image)) for image in (first, second))
        raise VideoError(f"the pictures are {sizes}; give two pictures of one size", bad_input=True)
    settings = Settings().replace({"flow": options.flow})
    models = weights.model_folders(options.models_dir)
    chosen = choose_estimator(settings.flow, stage_options.estimator_options(settings, models))
    (found,) = chosen.estimator.estimate([(Frame(1, second), Frame(0, first))])
    write_whole(options.output, flow_io.to_flo(found.vectors))
    if options.png:
        write_whole(options.png, images.encode_png(flow_io.draw_flow(found.vectors)))
    return 0


def _read_picture(path: Path) -> Any:
    try:
        return images.read_picture(path)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise VideoError(f"cannot read the picture '{path}': {cause}", bad_input=True) from error
