"""Every choice a user has, declared once.

The command line, the webui's controls, the API's schema, presets, infotext and the table in the
docs are all read from the fields of `Settings`. Nothing else names a default, a range or a label.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from lib_ofgen.errors import SettingsError
from lib_ofgen.settings import control_units as control
from lib_ofgen.settings.choice import (
    Choice,
    check_value,
    choice_of,
    declare,
    read_text,
    shorten,
    to_json_value,
)

__all__ = ["DEFAULTS_VERSION", "DRAW_SEED", "Settings", "choices", "describe_unknown"]

DEFAULTS_VERSION = 2
"""Goes up when a default changes, so that a preset says which defaults it differs from."""
DRAW_SEED = -1
"""In place of a seed: one is drawn for the job, once."""


@dataclass(frozen=True)
class Settings:
    """All choices of a job; immutable, checked when made.

    Raises:
        SettingsError: if a value has the wrong type, is out of range or is not an option.
    """

    key_frames: str = declare(
        "coverage", "Key frames", "How key frames are chosen; these are painted first.",
        "Key frames", options=("coverage", "pyramid", "edges", "interval", "chosen", "every"),
    )  # fmt: skip
    key_threshold: float = declare(
        8.5, "Key threshold",
        "Edge difference to the last key frame from which a new key frame is chosen.",
        "Key frames", low=0, high=255, step=0.5, needs="key_frames=edges", advanced=True,
    )  # fmt: skip
    key_gap_min: float = declare(
        0.33, "Shortest key gap", "Shortest time from one key frame to the next.",
        "Key frames", unit="s", low=0, high=60, step=0.01,
        needs="key_frames=coverage|pyramid|edges", advanced=True,
    )  # fmt: skip
    key_gap_max: float = declare(
        10.0, "Longest key gap", "Longest time from one key frame to the next.",
        "Key frames", unit="s", low=0.04, high=600, step=0.1,
        needs="key_frames=coverage|pyramid|edges", advanced=True,
    )  # fmt: skip
    key_coverage: float = declare(
        0.85, "Key coverage",
        "Share of each frame between two key frames that the key frames must show.",
        "Key frames", low=0, high=1, step=0.01, needs="key_frames=coverage|pyramid",
    )  # fmt: skip
    key_interval: int = declare(
        12, "Key interval", "Number of frames from one key frame to the next.",
        "Key frames", unit="frames", low=1, high=100000, step=1, needs="key_frames=interval",
    )  # fmt: skip
    key_indices: tuple[int, ...] = declare(
        (), "Chosen key frames", "Indices of the key frames, counted from 0.",
        "Key frames", low=0, needs="key_frames=chosen",
    )  # fmt: skip
    key_last: bool = declare(
        True, "Last frame is a key",
        "Make the last frame of each scene a key frame, so that every frame has a key frame "
        "on both sides; not in scenes shorter than the shortest key gap.",
        "Key frames", needs="key_frames=coverage|pyramid|edges|interval", advanced=True,
    )  # fmt: skip
    key_agreement: str = declare(
        "guided", "Key agreement",
        "independent: every key frame is painted whole; without a mask, later ones of a scene "
        "then take on the colours of earlier ones. guided: the first key frame of a scene is "
        "painted whole; later ones are moved from it along the flow and completed. canvas: later "
        "key frames are painted whole beside finished ones on one canvas, up to three times as "
        "wide, so that a model with self-attention copies the style; these take on colours too. "
        "With a mask canvas is the same as independent.",
        "Key frames", options=("independent", "guided", "canvas"),
        needs="key_frames=coverage|pyramid|edges|interval|chosen",
    )  # fmt: skip
    cut_threshold: float = declare(
        3.0, "Cut threshold",
        "How much a frame must differ from its neighbours to start a new scene.",
        "Key frames", low=0.5, high=100, step=0.1,
    )  # fmt: skip

    flow: str = declare(
        "auto", "Flow", "Estimator of the optical flow; auto uses the best one that is installed.",
        "Flow", options=("auto", "pdcnet", "raft", "dis"),
    )  # fmt: skip
    confidence: float = declare(
        0.4, "Confidence", "Pixels whose flow has a lower confidence than this are not used.",
        "Flow", low=0, high=1, step=0.01,
    )  # fmt: skip
    confidence_radius: float = declare(
        1.0, "Confidence radius", "Largest error of the flow that counts as correct.",
        "Flow", unit="px", low=0.25, high=16, step=0.25, advanced=True,
    )  # fmt: skip

    global_iterations: int = declare(
        3, "Global iterations", "Iterations of PDC-Net+'s filters over the whole picture.",
        "Flow", low=1, high=32, step=1, needs="flow=auto|pdcnet", advanced=True,
    )  # fmt: skip
    local_iterations: int = declare(
        7, "Local iterations",
        "Iterations of PDC-Net+'s filters around each pixel; these take the most time.",
        "Flow", low=1, high=32, step=1, needs="flow=auto|pdcnet", advanced=True,
    )  # fmt: skip
    flow_half: bool = declare(
        False, "Half precision",
        "Run PDC-Net+ in half precision: faster on a GPU, with errors of at most a tenth of a "
        "pixel.",
        "Flow", needs="flow=auto|pdcnet", advanced=True,
    )  # fmt: skip
    track_reach: int = declare(
        4, "Track reach",
        "Number of frames on each side over which the position of each pixel in the painted "
        "frames is averaged along its track; 0: no averaging.",
        "Flow", unit="frames", low=0, high=16, step=1, advanced=True,
    )  # fmt: skip

    deflicker: float = declare(
        0.0, "Deflicker",
        "How far brightness and colour of finished frames are moved to their mean along the "
        "track of each pixel; detail and the source's own changes of light stay. 0: not at all.",
        "Flow", low=0, high=1, step=0.05,
    )  # fmt: skip

    prompt: str = declare("", "Prompt", "What to paint.", "Painting", long=True)
    negative_prompt: str = declare(
        "", "Negative prompt", "What not to paint.", "Painting", long=True
    )
    prompt_prefix: str = declare(
        "", "Prompt prefix", "Text before the prompt.",
        "Prompts", long=True,
    )  # fmt: skip
    prompt_suffix: str = declare(
        "", "Prompt suffix", "Text after the prompt and the tags.",
        "Prompts", long=True,
    )  # fmt: skip
    tagger: str = declare(
        "off", "Tagger",
        "Model that describes each key frame by tags, which are added to its prompt: the name "
        "of a folder of the models; off: no tags.",
        "Prompts",
    )  # fmt: skip
    tagger_device: str = declare(
        "auto", "Tagger device", "Device of the tagger; auto uses the GPU if onnxruntime can.",
        "Prompts", options=("auto", "cuda", "cpu"), advanced=True,
    )  # fmt: skip
    tagger_optional: bool = declare(
        False, "Go on without tagger",
        "Continue without tags if the tagger cannot run; off: the job fails.",
        "Prompts", advanced=True,
    )  # fmt: skip
    tag_threshold: float = declare(
        0.35, "Tag threshold", "Confidence above which a tag is used.",
        "Prompts", low=0.05, high=1, step=0.01,
    )  # fmt: skip
    character_threshold: float = declare(
        0.85, "Character threshold",
        "Confidence above which a tag that names a character is used.",
        "Prompts", low=0.05, high=1, step=0.01,
    )  # fmt: skip
    tag_slack: float = declare(
        0.1, "Tag slack",
        "How far the confidence of a tag of the key frame before may fall below its threshold "
        "before the tag is dropped.",
        "Prompts", low=0, high=1, step=0.01, advanced=True,
    )  # fmt: skip
    tag_blacklist: str = declare(
        "", "Tag blacklist", "Tags that are never used, separated by commas.",
        "Prompts", long=True,
    )  # fmt: skip
    tag_rules: str = declare(
        "", "Tag rules",
        "Replacements of tags, one on each line, such as hatsune miku -> <lora:miku:0.7>.",
        "Prompts", long=True,
    )  # fmt: skip
    strength: float = declare(
        0.4, "Strength", "Denoising strength of key frames: 0 keeps the frame, 1 ignores it.",
        "Painting", low=0, high=1, step=0.01,
    )  # fmt: skip
    hole_strength: float = declare(
        0.4, "Hole strength", "Denoising strength of holes, the regions that no key frame shows.",
        "Painting", low=0, high=1, step=0.01,
    )  # fmt: skip
    seed: int = declare(
        0, "Seed",
        "Seed of the painter's random numbers; -1 draws a seed for each job and records it.",
        "Painting", low=-1, high=2**32 - 1, step=1,
    )  # fmt: skip
    steps: int = declare(
        20, "Steps", "Number of sampling steps.",
        "Painting", low=1, high=150, step=1,
    )  # fmt: skip
    cfg_scale: float = declare(
        7.0, "CFG scale", "How closely the picture follows the prompt.",
        "Painting", low=1, high=30, step=0.5,
    )  # fmt: skip
    sampler: str = declare(
        "", "Sampler", "Name in the webui; empty: the webui's default.",
        "Painting",
    )  # fmt: skip
    scheduler: str = declare(
        "", "Scheduler", "Name in the webui; empty: the webui's default.",
        "Painting",
    )  # fmt: skip
    checkpoint: str = declare(
        "", "Checkpoint", "Model that paints key frames; empty: the loaded one.",
        "Painting",
    )  # fmt: skip
    inpaint_checkpoint: str = declare(
        "", "Inpainting checkpoint",
        "Model that paints holes; empty: the checkpoint of key frames.",
        "Painting",
    )  # fmt: skip
    control_units: str = declare(
        "", "Control units",
        "Units of ControlNet, one on each line, at most three, such as canny / "
        "control_v11p_sd15_canny weight=0.5; empty: none.",
        "Control", long=True,
    )  # fmt: skip
    other_scripts: bool = declare(
        False, "Other scripts",
        "Run the webui's other always-on scripts, such as ADetailer, on key frames that are "
        "painted whole, with the values that they have there.",
        "Control",
    )  # fmt: skip
    hole_lending: bool = declare(
        True, "Lend holes",
        "Use the paint of a hole in the frames around it too; off: the holes of every frame "
        "are painted again, and flicker.",
        "Painting",
    )  # fmt: skip
    hole_min: int = declare(
        256, "Smallest hole", "Holes of fewer pixels get the best estimate and are not painted.",
        "Painting", unit="px", low=0, high=1000000, step=1, advanced=True,
    )  # fmt: skip
    hole_box: int = declare(
        256, "Smallest box",
        "Smallest width and height of the region that is painted around a hole; a larger "
        "region gives the model more context.",
        "Painting", unit="px", low=64, high=2048, step=8, advanced=True,
    )  # fmt: skip
    paint_batch: int = declare(
        1, "Pictures at once",
        "Number of pictures of one size and prompt that the webui paints together. More "
        "pictures save time if one picture does not use the whole device, and need more "
        "memory. A stop loses at most this many frames.",
        "Painting", unit="frames", low=1, high=16, step=1,
    )  # fmt: skip
    background: str = declare(
        "keep", "Background",
        "What is outside the mask. keep: the source's own pixels. once: each part is painted "
        "when its scene shows it for the first time, and only moved after that.",
        "Painting", options=("keep", "once"),
    )  # fmt: skip

    second_pass: float = declare(
        0.0, "Second pass",
        "Denoising strength of the second pass, which repaints regions that differ from the "
        "finished frames beside them; 0: no second pass.",
        "Painting", low=0, high=1, step=0.01,
    )  # fmt: skip
    second_tolerance: float = declare(
        12.0, "Tolerance",
        "Difference to the finished frames beside, in levels of 255, from which the second "
        "pass repaints.",
        "Painting", low=0, high=255, step=0.5, advanced=True,
    )  # fmt: skip

    start: float = declare(
        0.0, "Start", "Time in the video at which the film starts.",
        "Video", unit="s", low=0, step=0.01,
    )  # fmt: skip
    end: float = declare(
        0.0, "End", "Time in the video at which the film ends; 0: the end of the video.",
        "Video", unit="s", low=0, step=0.01,
    )  # fmt: skip
    max_frames: int = declare(
        0, "Most frames", "Largest number of frames; 0: all.",
        "Video", unit="frames", low=0, step=1,
    )  # fmt: skip
    every_nth: int = declare(
        1, "Every nth frame", "Use one frame of this many.",
        "Video", unit="frames", low=1, high=1000, step=1,
    )  # fmt: skip
    width: int = declare(
        0, "Width", "Width of the film, a multiple of 8; 0: computed from the source.",
        "Video", unit="px", low=0, high=8192, step=8,
    )  # fmt: skip
    height: int = declare(
        0, "Height", "Height of the film, a multiple of 8; 0: computed from the source.",
        "Video", unit="px", low=0, high=8192, step=8,
    )  # fmt: skip
    fit: str = declare(
        "fit", "Fit",
        "If both width and height are given: fit inside them, crop to them, or pad to them.",
        "Video", options=("fit", "crop", "pad"),
    )  # fmt: skip
    quality: int = declare(
        18, "Quality",
        "Constant rate factor of the encoder; a lower value gives better quality and a larger "
        "file.",
        "Video", low=0, high=51, step=1,
    )  # fmt: skip
    keep_sound: bool = declare(
        True, "Keep sound", "Copy the sound of the source.",
        "Video",
    )  # fmt: skip

    def __post_init__(self) -> None:
        """Check every field and put numbers into their own type."""
        for item in dataclasses.fields(self):
            value = check_value(item, getattr(self, item.name))
            object.__setattr__(self, item.name, value)
        control.parse_units(self.control_units)
        if self.end and self.end <= self.start:
            raise SettingsError(
                f"end={self.end:g} does not lie after start={self.start:g}; "
                "give a later end, or 0 for the video's end"
            )
        if self.key_gap_min > self.key_gap_max:
            raise SettingsError(
                f"key_gap_min={self.key_gap_min:g} is longer than key_gap_max={self.key_gap_max:g}"
            )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Every setting's name, in the order of declaration."""
        return tuple(item.name for item in dataclasses.fields(cls))

    def replace(self, changes: Mapping[str, object]) -> Settings:
        """Return these settings with some changes.

        Raises:
            SettingsError: if a name is unknown (similar names are suggested) or a value is bad.
        """
        if told := describe_unknown(changes):
            raise SettingsError(told)
        return dataclasses.replace(self, **cast("dict[str, Any]", dict(changes)))

    def to_json(self) -> dict[str, Any]:
        """Every setting as JSON has it."""
        return {name: to_json_value(getattr(self, name)) for name in self.names()}

    def differences(self) -> dict[str, Any]:
        """Only what differs from the defaults, as JSON has it."""
        standard = Settings().to_json()
        return {name: value for name, value in self.to_json().items() if value != standard[name]}

    @classmethod
    def parse(cls, pairs: Mapping[str, str]) -> dict[str, object]:
        """Typed values of texts such as `--set key=value` and infotext hold.

        Unknown names pass through as texts, for `replace` to refuse.
        """
        kinds = {item.name: str(item.type) for item in dataclasses.fields(cls)}
        return {name: read_text(name, kinds.get(name, "str"), text) for name, text in pairs.items()}


_MOST_NAMED = 12
"""Unknown names of which an error tells; of more, only how many."""


def describe_unknown(names: Collection[str]) -> str:
    """One line that tells the names that are no settings, each with its nearest; empty: none."""
    known = Settings.names()
    unknown = [name for name in names if name not in known]
    if not unknown:
        return ""
    told: list[tuple[str, str]] = []
    for name in unknown[:_MOST_NAMED]:
        near = difflib.get_close_matches(name[:80], known, n=1)
        told.append((shorten(name), f"did you mean {near[0]}?" if near else ""))
    if len(unknown) == 1:
        return f"unknown setting {told[0][0]}; {told[0][1] or 'see `ofgen settings`'}"
    listed = ", ".join(f"{name} ({hint})" if hint else name for name, hint in told)
    more = len(unknown) - len(told)
    return f"unknown settings {listed}{f' and {more} more' if more else ''}; see `ofgen settings`"


def choices() -> dict[str, Choice]:
    """Name to `Choice`, in the order of declaration."""
    return {item.name: choice_of(item) for item in dataclasses.fields(Settings)}
