"""What each frame is to be painted by: tags of the key frames, phrased, under a given list.

Only key frames are tagged, each once: what a model sees in a frame is kept in the workspace.
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
"""Frames read at once."""


@dataclass(frozen=True)
class TaggerOptions:
    """Which tagger is wanted."""

    name: str
    """Of a model, or `off`."""
    device: str
    optional: bool
    """Whether the job goes on without tags where the tagger cannot run."""
    models: Sequence[Path]


class TaggerChoice(NamedTuple):
    """The tagger, if one was asked for and can run, and why not."""

    tagger: tagging.WD14Tagger | None
    asked: TaggerOptions
    reason: str

    def facts(self) -> TaggerFacts:
        """The tagger's part of the report."""
        provider = self.tagger.provider if self.tagger else ""
        return TaggerFacts(self.asked.name, provider or None, self.reason)


def choose_tagger(asked: TaggerOptions) -> TaggerChoice:
    """The tagger that is asked for; its files are looked at, nothing is loaded.

    Raises:
        WeightsError: a file of it is missing or is not what it was.
        TaggerError: it cannot run here.
    """
    if asked.name == "off":
        return TaggerChoice(None, asked, "off")
    try:
        folder = tagging.find_model(asked.name, asked.models)
        return TaggerChoice(tagging.WD14Tagger(folder, asked.device), asked, "asked for")
    except (TaggerError, WeightsError) as error:
        return _without(asked, error)


def _without(asked: TaggerOptions, error: TaggerError | WeightsError) -> TaggerChoice:
    """No tagger, if the job may go on without; else the error rises."""
    if not asked.optional:
        raise error
    _LOG.warning("the job goes on without tags: %s", error)
    return TaggerChoice(None, asked, str(error))


def parse_phrasing(rules: str, blacklist: str, **more: Any) -> Phrasing:
    """The phrasing of the settings' texts; `more` are its other fields.

    Raises:
        SettingsError: a line of the rules is none.
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
    """What every frame is painted by, and the tagger as it turned out; nothing of it stays loaded.

    Raises:
        TaggerError: the tagger cannot run, and is not optional.
        Stopped: the user asked to stop.
    """
    indices = [key.index for key in keys]
    found: dict[int, Tags] = {}
    tagger = chosen.tagger
    if tagger:
        try:
            found = _seen(frames, indices, tagger, reporter)
            chosen = chosen._replace(reason=_reason(tagger))
            _LOG.info("tagger: %s (%s)", chosen.asked.name, chosen.reason)
        except TaggerError as error:
            chosen = _without(chosen.asked, error)
        finally:
            tagger.release()
    own = by_key(indices, scenes, found, phrasing)
    return Prompts(frames.clip.length, own, rows), chosen


def _reason(tagger: tagging.WD14Tagger) -> str:
    return f"on {tagger.provider}" if tagger.provider else "all tags were known"


def _seen(
    frames: FrameStore, indices: Sequence[int], tagger: Tagger, reporter: Reporter
) -> dict[int, Tags]:
    """The tags of the frames, those that nobody has looked for yet found and kept."""
    workspace = frames.workspace
    places = {index: digest("tags", tagger.identity, frames.key, index) for index in indices}
    known = {index: workspace.facts(place, _tags) for index, place in places.items()}
    found = {index: Tags(**facts) for index, facts in known.items() if facts is not None}
    lacking = [index for index in indices if index not in found]
    for start in range(0, len(lacking), _GROUP):
        raise_if_stopped(reporter)
        group = lacking[start : start + _GROUP]
        for index, tags in zip(
            group, tagger.tag([frames.frame(index).image for index in group]), strict=True
        ):
            found[index] = _likely(tags)
            workspace.save_facts(places[index], asdict(found[index]))
        reporter.step("tag", start + len(group), len(lacking))
    return found


def _tags(value: object) -> bool:
    """The shape of kept tags: of each kind, the confidences by tag."""
    sure, kinds = sealed_json.number(0, 1), {kind.name for kind in fields(Tags)}
    return (
        isinstance(value, dict)
        and value.keys() == kinds
        and all(
            isinstance(found, dict) and all(sure(one) for one in found.values())
            for found in value.values()
        )
    )


def _likely(tags: Tags) -> Tags:
    """Those tags that a prompt could ever take."""
    return Tags(
        **{
            kind: {tag: round(sure, 6) for tag, sure in all_of_it.items() if sure >= MIN_CONFIDENCE}
            for kind, all_of_it in asdict(tags).items()
        }
    )
