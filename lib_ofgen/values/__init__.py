"""The values that the other rooms exchange, and the ports of the engine.

Images are `(H, W, 3)` uint8 sRGB, masks `(H, W)`, all in numpy. What is on a device stays inside
its estimator or painter.
"""

from __future__ import annotations

from lib_ofgen.values.arrays import Box, Image, Mask, Size, check_shape
from lib_ofgen.values.flow import NOT_PAINTED, Contribution, Draft, Flow, Light
from lib_ofgen.values.frames import Clip, Frame, Jump, Sampling, Sound
from lib_ofgen.values.painting import (
    MODULE_DEFAULT,
    ControlUnit,
    Layer,
    Origin,
    Painted,
    PromptRow,
    Repaint,
    Stage,
    Tags,
    Words,
)
from lib_ofgen.values.plan import Cause, KeyFrame, Scene, Step
from lib_ofgen.values.ports import FlowEstimator, FrameSink, Painter, Reporter, Tagger
from lib_ofgen.values.records import DraftRecord, FrameRecord

__all__ = [
    "MODULE_DEFAULT",
    "NOT_PAINTED",
    "Box",
    "Cause",
    "Clip",
    "Contribution",
    "ControlUnit",
    "Draft",
    "DraftRecord",
    "Flow",
    "FlowEstimator",
    "Frame",
    "FrameRecord",
    "FrameSink",
    "Image",
    "Jump",
    "KeyFrame",
    "Layer",
    "Light",
    "Mask",
    "Origin",
    "Painted",
    "Painter",
    "PromptRow",
    "Repaint",
    "Reporter",
    "Sampling",
    "Scene",
    "Size",
    "Sound",
    "Stage",
    "Step",
    "Tagger",
    "Tags",
    "Words",
    "check_shape",
]
