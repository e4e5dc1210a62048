"""The prompts of all frames: the tags of the key frames as phrases, and the rows of a given list.

Only key frames are tagged, and each of them once: the workspace stores the tags of a frame.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from lib_ofgen.errors import SettingsError, TaggerError, WeightsError
from lib_ofgen.models import tagger as tagging
from lib_ofgen.planning.prompts import (
    MIN_CONFIDENCE,
    Phrasing,
    Prompts,
    by_key,
    read_blacklist,
    read_rules,
)
from lib_ofgen.report.model import TaggerFacts
from lib_ofgen.store.frame_store import FrameStore
from lib_ofgen.store.workspace import digest
from lib_ofgen.system import sealed_json
from lib_ofgen.system.stopping import raise_if_stopped
from lib_ofgen.values import KeyFrame, PromptRow, Reporter, Scene, Tagger, Tags

__all__ = ["TaggerChoice", "TaggerOptions", "choose_tagger", "find_prompts", "parse_phrasing"]

_LOG = logging.getLogger(__name__)
_GROUP = 16
"""Number of frames that are read and tagged at once."""


@dataclass(frozen=True)
class TaggerOptions:
    """Which tagger is wanted, and where it runs."""

    name: str
    """Name of a model, or `off`."""
    device: str
    """`auto`, `cuda` or `cpu`."""
    optional: bool
    """Whether the job continues without tags if the tagger cannot run."""
    models: Sequence[Path]
    """Folders with models."""


class TaggerChoice(NamedTuple):
    """The tagger, or None if none is wanted or it cannot run; and the reason."""

    tagger: tagging.WD14Tagger | None
    options: TaggerOptions
    reason: str

    def facts(self) -> TaggerFacts:
        """Return the tagger's part of the report."""
        provider = self.tagger.provider if self.tagger else ""
        return TaggerFacts(self.options.name, provider or None, self.reason)


def choose_tagger(options: TaggerOptions) -> TaggerChoice:
    """Return the tagger that the options name. Its files are checked; nothing is loaded.

    Raises:
        WeightsError: if one of its files is missing or has changed; not if the tagger is optional.
        TaggerError: if it cannot run here; not if it is optional.
    """
    if options.name == "off":
        return TaggerChoice(None, options, "off")
    try:
        folder = tagging.find_model(options.name, options.models)
        return TaggerChoice(tagging.WD14Tagger(folder, options.device), options, "asked for")
    except (TaggerError, WeightsError) as error:
        return _continue_without(options, error)


def _continue_without(options: TaggerOptions, error: TaggerError | WeightsError) -> TaggerChoice:
    """Return the choice of no tagger if it is optional; raise the error otherwise."""
    if not options.optional:
        raise error
    _LOG.warning("the job goes on without tags: %s", error)
    return TaggerChoice(None, options, str(error))


def parse_phrasing(rules: str, blacklist: str, **more: Any) -> Phrasing:
    """Return the phrasing of the settings' texts; `more` are its other fields.

    Raises:
        SettingsError: if a line of the rules is not a rule.
    """
    try:
        return Phrasing(rules=read_rules(rules), blacklist=read_blacklist(blacklist), **more)
    except ValueError as error:
        raise SettingsError(f"tag_rules: {error}") from error


def find_prompts(
    frames: FrameStore,
    scenes: Sequence[Scene],
    keys: Sequence[KeyFrame],
    phrasing: Phrasing,
    chosen: TaggerChoice,
    rows: Sequence[PromptRow],
    reporter: Reporter,
) -> tuple[Prompts, TaggerChoice]:
    """Tag the key frames; return the prompts of all frames and the tagger that was used.

    The tagger is released at the end: nothing of it stays loaded.

    Raises:
        TaggerError: if the tagger cannot run and is not optional.
        Stopped: if the user asked to stop.
    """
    indices = [key.index for key in keys]
    found: dict[int, Tags] = {}
    tagger = chosen.tagger
    if tagger:
        try:
            found = _tag_frames(frames, indices, tagger, reporter)
            chosen = chosen._replace(reason=_reason(tagger))
            _LOG.info("tagger: %s (%s)", chosen.options.name, chosen.reason)
        except TaggerError as error:
            chosen = _continue_without(chosen.options, error)
        finally:
            tagger.release()
    own = by_key(indices, scenes, found, phrasing)
    return Prompts(frames.clip.length, own, rows), chosen


def _reason(tagger: tagging.WD14Tagger) -> str:
    return f"on {tagger.provider}" if tagger.provider else "all tags were known"


def _tag_frames(
    frames: FrameStore, indices: Sequence[int], tagger: Tagger, reporter: Reporter
) -> dict[int, Tags]:
    """Return the tags of the frames by index; find and store those that are not stored yet."""
    workspace = frames.workspace
    keys = {index: digest("tags", tagger.identity, frames.key, index) for index in indices}
    stored = {index: workspace.facts(key, _is_tags) for index, key in keys.items()}
    found = {index: Tags(**facts) for index, facts in stored.items() if facts is not None}
    missing = [index for index in indices if index not in found]
    for start in range(0, len(missing), _GROUP):
        raise_if_stopped(reporter)
        group = missing[start : start + _GROUP]
        for index, tags in zip(
            group, tagger.tag([frames.frame(index).image for index in group]), strict=True
        ):
            found[index] = _drop_unlikely(tags)
            workspace.save_facts(keys[index], asdict(found[index]))
        reporter.step("tag", start + len(group), len(missing))
    return found


def _is_tags(value: object) -> bool:
    """Whether the value has the shape of stored tags: for each kind, the confidences by tag."""
    is_confidence, kinds = sealed_json.number(0, 1), {kind.name for kind in fields(Tags)}
    return (
        isinstance(value, dict)
        and value.keys() == kinds
        and all(
            isinstance(tags, dict) and all(is_confidence(each) for each in tags.values())
            for tags in value.values()
        )
    )


def _drop_unlikely(tags: Tags) -> Tags:
    """Return the tags that any setting of the thresholds could put into a prompt."""
    return Tags(
        **{
            kind: {tag: round(value, 6) for tag, value in values.items() if value >= MIN_CONFIDENCE}
            for kind, values in asdict(tags).items()
        }
    )
