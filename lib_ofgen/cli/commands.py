"""The command line: `ofgen animate | plan | evaluate | flow | presets | settings | ...`.

Exit status: 0 done; 1 failed; 2 bad usage, settings or input; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Any

from lib_ofgen import __version__
from lib_ofgen.cli import console, measure, presets, weights
from lib_ofgen.cli.presets import add_settings, read_settings
from lib_ofgen.errors import OfgenError, SettingsError, Stopped
from lib_ofgen.models.painters.brush import BrushPainter
from lib_ofgen.models.painters.webui_api import HttpPainter
from lib_ofgen.pipeline import checks, stage_options
from lib_ofgen.pipeline import run as pipeline
from lib_ofgen.pipeline.analysis import prompting
from lib_ofgen.pipeline.stopwatch import Stopwatch
from lib_ofgen.report import facts as report
from lib_ofgen.report import wording
from lib_ofgen.settings import control_units, prompt_rows
from lib_ofgen.settings.fields import Settings
from lib_ofgen.settings.schema import table
from lib_ofgen.store import workspace
from lib_ofgen.store.workspace import PROMPTS, Workspace, write_whole
from lib_ofgen.system import limits
from lib_ofgen.system.files import claim_outputs
from lib_ofgen.system.safe_text import strip_secrets, to_one_line
from lib_ofgen.values import Painter, PromptRow

__all__ = ["main"]

_PROMPTS = ("prompt", "negative_prompt", "prompt_prefix", "prompt_suffix")
"""Settings that say what to paint."""

_WEBUI_ONLY = ("checkpoint", "inpaint_checkpoint", "sampler", "scheduler", "control_units")
"""Settings of what only a webui has."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    Args:
        arguments: The words after `ofgen`; None: those of the process.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(words)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        limits.change(getattr(options, "limit", []))
        return run(options)
    except OfgenError as error:
        text = to_one_line(strip_secrets(str(error), words))
        console.say(f"ofgen: {'' if isinstance(error, Stopped) else 'error: '}{text}")
        return error.exit_status
    except KeyboardInterrupt:
        console.say("ofgen: stopped at once; finished work is kept")
        return 130
    except BrokenPipeError:
        return 1  # the reader of our output has gone


def _parser() -> argparse.ArgumentParser:
    parser = console.Parser(prog="ofgen", description="Turn a video into a steady animation.")
    parser.add_argument("--version", action="version", version=f"ofgen {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_animate(commands)
    _add_plan(commands)
    _add_measures(commands)
    presets.add_commands(commands)
    _add_upkeep(commands)
    weights.add_commands(commands, _add_models)
    return parser


def _add_animate(commands: Any) -> None:
    animate = commands.add_parser("animate", help="make the film")
    animate.add_argument("input", type=Path, metavar="INPUT")
    animate.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.mp4")
    _add_job_options(animate)
    animate.set_defaults(run=_animate)
    demo = commands.add_parser("demo", help="make the film of the bundled clip")
    demo.add_argument("-o", "--output", type=Path, default=Path("ofgen-demo.mp4"))
    _add_job_options(demo)
    demo.set_defaults(run=_demo)


def _add_job_options(parser: argparse.ArgumentParser) -> None:
    add_settings(parser)
    parser.add_argument("--painter", default="brush", metavar="brush|URL")
    parser.add_argument("--painter-auth", metavar="USER:PASSWORD")
    parser.add_argument("--workspace", type=Path, metavar="DIR", help="default: OUT.ofgen")
    parser.add_argument(
        "--prompts", type=Path, metavar="FILE", help="rows of prompts, .csv or .json"
    )
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="a second copy of it")
    parser.add_argument("--frames", type=Path, metavar="DIR", help="also write each frame as PNG")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_mask(parser)
    _add_models(parser)
    _add_limit(parser)


def _add_limit(parser: argparse.ArgumentParser) -> None:
    text = "change a limit on what files may demand of this machine; see docs/security.md"
    parser.add_argument("--limit", action="append", default=[], metavar="NAME=NUMBER", help=text)


def _add_mask(parser: argparse.ArgumentParser) -> None:
    text = "white where the video is animated; see --set background=keep|once"
    parser.add_argument("--mask", type=Path, metavar="VIDEO|FOLDER|PICTURE", help=text)


def _add_models(parser: argparse.ArgumentParser) -> None:
    text = "folder with the weights of flow estimators and taggers; may be given more than once"
    parser.add_argument(
        "--models-dir", type=Path, action="append", default=[], metavar="DIR", help=text
    )


def _add_plan(commands: Any) -> None:
    plan = commands.add_parser("plan", help="show scenes and key frames, without painting")
    plan.add_argument("input", type=Path, metavar="INPUT")
    plan.add_argument("-o", "--output", type=Path, metavar="SHEET.png")
    plan.add_argument("--json", action="store_true")
    plan.add_argument("--workspace", type=Path, metavar="DIR", help="default: a temporary one")
    plan.add_argument("--quiet", action="store_true")
    plan.add_argument("--prompts", type=Path, metavar="FILE", help="rows of prompts to start from")
    plan.add_argument(
        "--prompts-out", type=Path, metavar="FILE", help="write the prompts, as .csv or .json"
    )
    add_settings(plan)
    _add_mask(plan)
    _add_models(plan)
    _add_limit(plan)
    plan.set_defaults(run=_plan)


def _add_measures(commands: Any) -> None:
    rate = commands.add_parser("evaluate", help="steadiness, sharpness and colour of a result")
    rate.add_argument("source", type=Path, metavar="SOURCE")
    rate.add_argument("result", type=Path, metavar="RESULT")
    rate.add_argument("--json", action="store_true")
    rate.add_argument("--quiet", action="store_true")
    rate.add_argument(
        "--report", type=Path, metavar="FILE.json", help="the result's report, for its key frames"
    )
    rate.add_argument(
        "--painted", type=Path, metavar="FILM", help="the same frames, every one painted"
    )
    add_settings(rate)
    _add_limit(rate)
    rate.set_defaults(run=measure.run_evaluate)
    flow = commands.add_parser("flow", help="flow from one picture to another")
    flow.add_argument("first", type=Path, metavar="A")
    flow.add_argument("second", type=Path, metavar="B")
    flow.add_argument("-o", "--output", type=Path, required=True, metavar="FLOW.flo")
    flow.add_argument("--png", type=Path, metavar="PNG", help="also as a picture")
    flow.add_argument("--flow", default="auto", metavar="NAME")
    _add_models(flow)
    _add_limit(flow)
    flow.set_defaults(run=measure.run_flow)


def _add_upkeep(commands: Any) -> None:
    listing = commands.add_parser("settings", help="the table of all settings")
    listing.set_defaults(run=_print_settings)
    space = commands.add_parser("workspace", help="the folder that a job works in")
    spaces = space.add_subparsers(required=True, metavar="clean")
    clean = spaces.add_parser("clean", help="delete the folder")
    clean.add_argument("folder", type=Path, metavar="DIR")
    clean.set_defaults(run=_clean)


def _animate(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    output: Path = options.output
    folder = options.workspace or output.parent / f"{output.name}.ofgen"
    rows = _read_rows(options.prompts, folder)
    places = (options.input, options.output, folder)
    models = weights.model_folders(options.models_dir)
    job = pipeline.Job(
        *places, settings, options.report, options.frames, models, options.mask, rows
    )
    with console.Progress(quiet=options.quiet) as progress:
        painter = _make_painter(options, settings, rows, progress.should_stop)
        outcome = pipeline.run_job(job, painter, progress)
    damaged = outcome.facts.clip.damaged
    if damaged:
        console.say(f"ofgen: note: {damaged} frames of the source are damaged and were left out")
    left_out = outcome.facts.left_out
    if left_out:
        console.say(f"ofgen: note: {left_out} frames are left out: a GIF shows at most 50 a second")
    chosen = outcome.facts.flow
    if not options.quiet:
        console.say(f"flow    {chosen.estimator} ({chosen.reason})")
        if settings.tagger != "off":
            console.say(f"tagger  {settings.tagger} ({outcome.facts.tagger.reason})")
        for line in wording.report_lines(outcome.facts):
            console.say(line)
    console.say(f"video   {outcome.video}", out=True)
    console.say(f"keys    {outcome.sheet}", out=True)
    console.say(f"report  {options.report or outcome.report}", out=True)
    console.say(f"page    {outcome.page}", out=True)
    return 0


def _read_rows(path: Path | None, folder: Path) -> tuple[PromptRow, ...]:
    """Return the rows of --prompts.

    Raises:
        SettingsError: if it is the workspace's own list, which the job overwrites.
    """
    if path is None:
        return ()
    if path.resolve() == (folder / PROMPTS).resolve():
        raise SettingsError(f"'{path}' is overwritten by every job; edit a copy and give the copy")
    return prompt_rows.read_rows(path)


def _make_painter(
    options: argparse.Namespace,
    settings: Settings,
    rows: Sequence[PromptRow],
    should_stop: Callable[[], bool],
) -> Painter:
    """Return the brush, or a painter at the address of a webui that has been reached."""
    if settings.other_scripts:
        raise SettingsError(
            "other_scripts=True is only for jobs inside the webui; behind an address the webui "
            "decides itself which always-on scripts run: leave other_scripts off"
        )
    if options.painter == "brush":
        named = [name for name in _WEBUI_ONLY if getattr(settings, name)]
        if named:
            raise SettingsError(
                f"{named[0]}={getattr(settings, named[0])!r} needs a webui, but the painter is the "
                "brush: name a webui with --painter URL"
            )
        has_rows = any(row.prompt or row.negative_prompt for row in rows)
        if has_rows or any(getattr(settings, name) for name in _PROMPTS):
            console.say(
                "ofgen: note: the brush ignores prompts; a webui reads them (--painter URL)"
            )
        return BrushPainter()
    painter = HttpPainter(
        options.painter,
        auth=options.painter_auth,
        checkpoint=settings.checkpoint,
        inpaint_checkpoint=settings.inpaint_checkpoint,
        sampler=settings.sampler,
        scheduler=settings.scheduler,
        steps=settings.steps,
        cfg_scale=settings.cfg_scale,
        units=control_units.parse_units(settings.control_units),
        should_stop=should_stop,
    )
    painter.connect()
    return painter


def _demo(options: argparse.Namespace) -> int:
    clip = resources.files("lib_ofgen.cli") / "demo" / "bbb_4s_640x360.mp4"
    with resources.as_file(clip) as path:
        options.input = path
        return _animate(options)


def _plan(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    if options.output and options.output.suffix.lower() != ".png":
        raise SettingsError(f"the sheet '{options.output}' is a picture; its name must end in .png")
    inputs = [options.input, *filter(None, [options.mask])]
    checks.check_apart(inputs, [options.output, options.prompts_out])
    if options.prompts_out:
        prompt_rows.dump_rows([], options.prompts_out.suffix.lower(), f"'{options.prompts_out}'")
    with ExitStack() as stack:
        stack.enter_context(claim_outputs([options.output, options.prompts_out]))
        progress = stack.enter_context(console.Progress(quiet=options.quiet))
        folder = options.workspace or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        space = Workspace(folder)
        stack.enter_context(space.lock())
        known = pipeline.analyse_source(
            options.input, space, settings, progress, Stopwatch(), options.mask
        )
        gaps = pipeline.estimate_gaps(known, settings, progress)
        if options.prompts_out:
            _write_prompts(options, settings, known, progress)
        if options.output:
            source = known.frames.frame
            report.save_sheet(
                options.output, lambda i: source(i).image, known.keys, known.frames.clip
            )
    clip = known.frames.clip
    work = report.estimate_paint(clip, pipeline.count_whole_frames(known, settings), gaps)
    if options.json:
        plan = report.describe_plan(clip, known.scenes, known.keys, work)
        console.say(json.dumps(plan.to_json()), out=True)
        return 0
    console.say(f"{clip.length} frames of {clip.size} at {clip.rate} a second", out=True)
    console.say(f"{len(known.scenes)} scenes, {len(known.keys)} key frames", out=True)
    console.say(f"{work.whole} frames are painted whole: {work.share:.1%} of all", out=True)
    console.say(f"about {work.painted:.1%} of all pixels are painted", out=True)
    after = {gap.start: gap for gap in gaps}
    for key in known.keys:
        line = f"{key.index:6}  {clip.seconds(key.index):9.3f} s  {key.cause:9}"
        if key.index in after and after[key.index].stop - key.index > 1:
            line += f" then {after[key.index].coverage:4.0%} in reach, at least"
        console.say(line.rstrip(), out=True)
    indices = ",".join(str(key.index) for key in known.keys)
    console.say(f"--set key_frames=chosen --set key_indices={indices}", out=True)
    return 0


def _write_prompts(
    options: argparse.Namespace,
    settings: Settings,
    known: pipeline.SourceAnalysis,
    progress: console.Progress,
) -> None:
    """Write the prompts of the frames, as rows to edit."""
    wanted = stage_options.tagger_options(settings, weights.model_folders(options.models_dir))
    tagger = prompting.choose_tagger(wanted)
    rows = prompt_rows.read_rows(options.prompts) if options.prompts else ()
    prompts, tagger = pipeline.make_prompts(known, settings, tagger, rows, progress)
    path: Path = options.prompts_out
    write_whole(path, prompt_rows.dump_rows(prompts.rows(), path.suffix.lower(), f"'{path}'"))
    if wanted.name != "off" and not options.quiet:
        console.say(f"tagger  {wanted.name} ({tagger.reason})")
    console.say(f"prompts {path}", out=True)


def _print_settings(_: argparse.Namespace) -> int:
    console.say(table().rstrip(), out=True)
    return 0


def _clean(options: argparse.Namespace) -> int:
    freed = workspace.delete_workspace(options.folder)
    console.say(f"deleted '{options.folder}': {freed / 1e6:.1f} MB are free again", out=True)
    return 0
