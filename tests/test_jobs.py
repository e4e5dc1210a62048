"""The main job on small clips: what it says, what it keeps, and what it never does twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from lib_ofgen.errors import PainterError, Stopped, VideoError, WorkspaceError
from lib_ofgen.pipeline.run import Job, JobResult, run_job
from lib_ofgen.report import facts as report
from lib_ofgen.report.model import KeyFacts, Report
from lib_ofgen.settings.fields import Settings
from lib_ofgen.store.workspace import Workspace
from lib_ofgen.values import Clip, Image, KeyFrame, Repaint, Scene
from lib_ofgen.video.reader import open_video
from support.jobs import BASE, SIZE, Counting, Patience, decoded, differing, kept, pictures, run
from support.videos import make_video
from support.webui.recompute import compared


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(
        tmp_path_factory.mktemp("clip") / "pan.mp4", pictures(14), sound="aac", click=0.0
    )


@pytest.fixture(scope="session")
def done(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, JobResult, Counting]:
    """A job that is finished; tests copy its folder before they change anything."""
    folder, painter = tmp_path_factory.mktemp("done"), Counting()
    return folder, run(clip, folder, painter), painter


@pytest.fixture
def again(done: tuple[Path, JobResult, Counting], tmp_path: Path) -> Path:
    """A copy of the finished job's folder, to go on in."""
    subprocess.run(["cp", "-a", f"{done[0]}/.", str(tmp_path)], check=True)
    return tmp_path


# what it says


def test_the_report_keeps_its_contract(done: tuple[Path, JobResult, Counting], clip: Path) -> None:
    facts = json.loads(done[1].report.read_text("utf-8"))
    with open_video(clip) as source:
        length = sum(1 for _ in source)
    assert facts["clip"]["frames"] == length == 14
    assert facts["clip"]["rate"] == "25"
    assert (facts["clip"]["width"], facts["clip"]["height"]) == (160, 96)
    assert facts["clip"]["sound"]["codec"] == "aac"
    assert facts["scenes"] == [{"start": 0, "stop": 14}]
    assert [(key["index"], key["cause"]) for key in facts["keys"]] == [
        (0, "first"), (6, "interval"), (12, "interval"), (13, "last"),
    ]  # fmt: skip
    assert [frame["index"] for frame in facts["frames"]] == list(range(14))
    for frame in facts["frames"]:
        assert set(frame) == {"index", "sources", "coverage", "painted"}
        assert 0 <= frame["coverage"] <= 1
        assert 0 <= frame["painted"] <= 1
    assert [f["index"] for f in facts["frames"] if not f["sources"]] == [0, 6, 12, 13]
    assert 0 < facts["painted_mean"] < 1
    assert facts["painted_mean"] == pytest.approx(
        np.mean([frame["painted"] for frame in facts["frames"]]), rel=1e-5
    )
    assert facts["painted"]["keys"] == pytest.approx(4 / 14, rel=1e-5)
    assert sum(facts["painted"].values()) == pytest.approx(facts["painted_mean"], rel=1e-5)
    assert 0.5 < facts["coverage_mean"] < 1
    assert facts["flicker"] > 0
    assert facts["flickering"].keys() == {"result", "source"}
    assert {"result", "source", "straddling", "within"} <= set(facts["warp_error"])
    assert {"result", "painted"} <= set(facts["sharpness"])
    stages = {"decode", "analyse", "flow", "paint", "fuse", "encode", "total"}
    assert stages <= set(facts["seconds"])
    assert Settings().replace(facts["settings"]).to_json() == facts["settings"]
    assert facts["seed"] == 0
    assert {"ofgen", "python", "numpy", "opencv", "av"} <= set(facts["versions"])
    sheet = cv2.imread(str(done[1].sheet))
    assert sheet is not None
    assert sheet.std() > 10


def test_the_page_says_what_the_report_says(done: tuple[Path, JobResult, Counting]) -> None:
    outcome = done[1]
    assert outcome.page == outcome.workspace / "report.html"
    facts, page = json.loads(outcome.report.read_text("utf-8")), outcome.page.read_text("utf-8")
    told = [facts["flicker"], facts["coverage_mean"], facts["painted_mean"]]
    told += [facts["warp_error"][name] for name in ("result", "source", "straddling", "within")]
    told += [*facts["sharpness"].values(), *facts["seconds"].values()]
    told += [value for value in facts["flickering"].values() if value is not None]
    for number in told:
        assert f'<data value="{number!r}">' in page
    pairs = facts["warp_error"]["each"]
    assert [pair["index"] for pair in pairs] == list(range(13))
    assert np.mean([pair["result"] for pair in pairs]) == pytest.approx(
        facts["warp_error"]["result"], rel=1e-5
    )
    assert [pair["index"] for pair in pairs if pair["straddles"]] == [0, 5, 6, 11, 12]
    assert page.count('class="dot result"') == len(pairs)
    assert page.count("data:image/jpeg") == len(facts["keys"]) + 6 * 4


def _untimed(page: Path) -> str:
    """A page without its table of seconds."""
    text = page.read_text("utf-8")
    return text[: text.index("<h3>Seconds")] + text[text.index("<h3>Settings") :]


@pytest.mark.parametrize("before_maps", [False, True])
def test_a_job_again_has_the_same_page(
    done: tuple[Path, JobResult, Counting], again: Path, clip: Path, before_maps: bool
) -> None:
    """Also in a workspace of frames that were finished without a map of their origins."""
    facts = list((again / "out.mp4.ofgen" / "facts").iterdir())
    mapped = [path for path in facts if '"origins"' in path.read_text("utf-8")]
    assert len(mapped) == 10
    for path in mapped if before_maps else []:
        path.write_text(json.dumps({"sources": json.loads(path.read_text("utf-8"))["sources"]}))
    painter = Counting()
    outcome = run(clip, again, painter)
    assert painter.jobs == []
    assert _untimed(outcome.page) == _untimed(done[1].page)


def test_a_job_of_one_frame_has_a_page(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "<script>alert(1) & co.mp4", pictures(1))
    page = run(clip, tmp_path, prompt="").page.read_text("utf-8")
    assert "<script" not in page
    assert "Made of &lt;script&gt;alert(1) &amp; co.mp4: 1 frame of 160x96" in page
    assert "There is no pair of frames that can be judged." in page


def test_a_second_report_names_every_stage_too(again: Path, clip: Path) -> None:
    seconds = run(clip, again).facts.seconds
    assert {"decode", "analyse", "flow", "paint", "fuse", "encode", "total"} <= set(seconds)
    assert seconds["paint"] == 0


def test_the_film_has_the_clips_frames_and_sound(
    done: tuple[Path, JobResult, Counting], clip: Path
) -> None:
    with open_video(clip) as here, open_video(done[1].video) as there:
        lengths = [sum(1 for _ in source) for source in (here, there)]
        assert lengths == [14, 14]
        assert here.clip.rate == there.clip.rate
        assert here.clip.duration == there.clip.duration
        assert there.sound is not None


# what it never does


def _scenes_kept(facts: Report) -> None:
    scene_of = {i: scene.start for scene in facts.scenes for i in range(*scene)}
    assert set(scene_of) == {frame.index for frame in facts.frames}
    for frame in facts.frames:
        assert {scene_of[i] for i in frame.sources} <= {scene_of[frame.index]}


@pytest.mark.parametrize("agreement", ["independent", "guided", "canvas"])
def test_nothing_crosses_a_cut(tmp_path: Path, agreement: str) -> None:
    dark, bright = pictures(8), pictures(7, seed=8)
    shots = [*(image // 3 for image in dark), *(image // 3 + 150 for image in bright)]
    grey = [np.repeat(image[..., :1], 3, axis=2) for image in shots]
    clip = make_video(tmp_path / "cut.mp4", grey)
    facts = run(clip, tmp_path, key_agreement=agreement).facts
    assert facts.scenes == (Scene(0, 8), Scene(8, 15))
    assert [key.cause for key in facts.keys].count("cut") == 1
    _scenes_kept(facts)


def test_nothing_crosses_a_cut_of_a_real_clip(data: Path, tmp_path: Path) -> None:
    clip = data / "clips" / "sintel_cuts_9s_640x272.mp4"
    facts = run(clip, tmp_path, start=1, end=3.6, width=160, key_interval=12).facts
    assert [scene.start for scene in facts.scenes] == [0, 7, 57]
    _scenes_kept(facts)


@pytest.mark.parametrize("agreement", ["independent", "guided", "canvas"])
def test_frames_are_their_contributions_bit_for_bit(
    clip: Path, tmp_path: Path, agreement: str
) -> None:
    """Each contribution samples paint of the frame it names, once; only holes pass the painter."""
    facts = run(clip, tmp_path, key_agreement=agreement).facts
    frames = list(compared(tmp_path / "out.mp4.ofgen", clip))
    assert {f["index"] for f in frames} == {f.index for f in facts.frames if f.sources}
    assert any(frame["holes"] for frame in frames)
    for frame in frames:
        assert frame["wrong"] == frame["stray"] == frame["unmapped"] == 0, frame
        assert frame["whole"] < 1e-3, frame
        assert (frame["own"] > 0) == frame["holes"], frame
        told = facts.frames[frame["index"]]
        assert frame["sources"] == list(told.sources)
        assert frame["own"] <= told.painted


def test_holes_that_are_not_lent_are_painted_in_every_frame(clip: Path, tmp_path: Path) -> None:
    lent, afresh = Counting(), Counting()
    facts = run(clip, tmp_path, lent).facts
    other = tmp_path / "afresh"
    other.mkdir()
    baseline = run(clip, other, afresh, hole_lending=False).facts
    assert afresh.whole == lent.whole
    assert afresh.holes >= lent.holes
    assert (baseline.painted_mean or 0) > (facts.painted_mean or 0)
    keys = {key.index for key in baseline.keys}
    for frame in baseline.frames:
        assert set(frame.sources) - keys <= set(range(frame.index - 4, frame.index + 5))


# what it keeps


def test_the_same_job_again_paints_nothing(
    done: tuple[Path, JobResult, Counting], again: Path, clip: Path
) -> None:
    before, painter = kept(again, "frames", "painted", "spool", "facts"), Counting()
    outcome = run(clip, again, painter)
    assert painter.jobs == []
    assert painter.stages == []
    assert kept(again, "frames", "painted", "spool", "facts") == before
    assert differing(decoded(outcome.video), decoded(done[1].video)) == []
    assert replace(outcome.facts, seconds=done[1].facts.seconds) == done[1].facts


@pytest.mark.parametrize(
    "changes", [{"quality": 30}, {"keep_sound": False}, {"key_threshold": 3.0}, {"steps": 5}]
)
def test_what_does_not_touch_a_pixel_paints_nothing(
    again: Path, clip: Path, changes: dict[str, object]
) -> None:
    before, painter = kept(again, "frames", "painted", "spool"), Counting()
    run(clip, again, painter, **changes)
    assert painter.jobs == []
    assert kept(again, "frames", "painted", "spool") == before


def test_hole_strength_paints_holes_and_what_borrows_from_them(
    done: tuple[Path, JobResult, Counting], again: Path, clip: Path
) -> None:
    before, painter = kept(again, "frames", "painted"), Counting()
    facts = run(clip, again, painter, hole_strength=0.7).facts
    assert painter.whole == []
    assert painter.holes
    assert painter.holes <= done[2].holes | {f.index for f in facts.frames if f.sources}
    after = kept(again, "frames", "painted")
    assert before.items() <= after.items()
    new = len([name for name in after.keys() - before.keys() if name.startswith("frames")])
    between = [frame for frame in facts.frames if frame.sources]
    assert 0 < new <= len(between)


@pytest.mark.parametrize(
    ("changes", "whole"),
    [
        ({"confidence": 0.6}, False),
        ({"confidence_radius": 2.0}, False),
        ({"hole_min": 60}, False),
        ({"hole_box": 96}, False),
        ({"prompt": "a painting"}, True),
        ({"negative_prompt": "blur"}, True),
        ({"strength": 0.6}, True),
        ({"seed": 5}, True),
    ],
)
def test_a_changed_setting_paints_what_depends_on_it(
    again: Path, clip: Path, changes: dict[str, object], whole: bool
) -> None:
    before, painter = kept(again, "frames", "painted", "spool"), Counting()
    run(clip, again, painter, **changes)
    assert painter.whole == ([0, 6, 12, 13] if whole else [])
    assert before.items() <= kept(again, "frames", "painted", "spool").items()
    for job in painter.jobs:
        assert job.prompt == changes.get("prompt", "")
        assert job.negative_prompt == changes.get("negative_prompt", "")
        assert job.seed == changes.get("seed", 0)
    painter = Counting()
    run(clip, again, painter)  # and back again
    assert painter.jobs == []


def test_more_keys_paint_only_the_new_ones(again: Path, clip: Path) -> None:
    painter = Counting()
    run(clip, again, painter, key_interval=3)
    assert painter.whole == [3, 9]


def test_a_longer_part_of_the_clip_is_another_job(again: Path, clip: Path) -> None:
    painter = Counting()
    facts = run(clip, again, painter, max_frames=8).facts
    assert len(facts.frames) == 8
    assert painter.whole == [0, 6, 7]


def test_another_source_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "clip.mp4", pictures(4))
    run(clip, tmp_path)
    make_video(clip, pictures(4, seed=9))
    painter = Counting()
    run(clip, tmp_path, painter)
    assert painter.whole == [0, 3]


def test_a_drawn_seed_is_drawn_once(clip: Path, tmp_path: Path) -> None:
    first = run(clip, tmp_path, seed=-1, max_frames=3).facts.seed
    painter = Counting()
    facts = run(clip, tmp_path, painter, seed=-1, max_frames=3).facts
    assert facts.seed == first >= 0
    assert facts.settings["seed"] == -1
    assert painter.jobs == []
    others = {
        run(clip, tmp_path / str(n), seed=-1, max_frames=1).facts.seed
        for n in range(3)
        if not (tmp_path / str(n)).mkdir()
    }
    assert len(others | {first}) == 4


# batches of pictures


@dataclass
class Batches(Counting):
    """A painter that knows how many pictures it was handed at once."""

    sizes: list[int] = field(default_factory=list)
    stops: int = 0
    """At which batch somebody stops the job; 0 for none."""

    def paint(self, jobs: Sequence[Repaint]) -> list[Image]:
        self.sizes.append(len({job.target for job in jobs}))
        if len(self.sizes) == self.stops:
            raise Stopped("stopped")
        return super().paint(jobs)


def test_a_batch_changes_no_pixel_and_no_digest(
    done: tuple[Path, JobResult, Counting], clip: Path, tmp_path: Path
) -> None:
    painter = Batches()
    outcome = run(clip, tmp_path, painter, paint_batch=3)
    assert differing(decoded(outcome.video), decoded(done[1].video)) == []
    assert max(painter.sizes) == 3
    assert painter.sizes[:2] == [3, 1], "the four keys"
    assert painter.whole == done[2].whole
    assert sorted(painter.holes) == sorted(done[2].holes)
    names = [sorted(p.name for p in (s / "out.mp4.ofgen" / "painted").iterdir()) for s in (
        tmp_path, done[0]
    )]  # fmt: skip
    assert names[0] == names[1]


def test_a_stop_loses_one_batch(
    done: tuple[Path, JobResult, Counting], clip: Path, tmp_path: Path
) -> None:
    first, second = Batches(stops=2), Batches()
    with pytest.raises(Stopped):
        run(clip, tmp_path, first, paint_batch=2)
    assert len(first.jobs) == 2
    run(clip, tmp_path, second, paint_batch=3)
    assert second.sizes[0] == 1, "of three keys, two are there"
    assert sorted(first.whole + second.whole) == sorted(done[2].whole)


# stopping, and being killed


@pytest.mark.parametrize(
    ("stage", "after"), [("decode", 3), ("analyse", 4), ("paint", 1), ("paint", 6)]
)
def test_a_stopped_job_keeps_what_is_done(
    done: tuple[Path, JobResult, Counting], clip: Path, tmp_path: Path, stage: str, after: int
) -> None:
    first, second = Counting(), Counting()
    with pytest.raises(Stopped):
        run(clip, tmp_path, first, Patience(stage, after))
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4.ofgen"]
    before = kept(tmp_path, "frames", "painted", "clips")
    outcome = run(clip, tmp_path, second)
    assert before.items() <= kept(tmp_path, "frames", "painted", "clips").items()
    assert differing(decoded(outcome.video), decoded(done[1].video)) == []
    assert len(first.whole) + len(second.whole) == 4
    assert len(first.jobs) + len(second.jobs) <= len(done[2].jobs)


def test_a_job_that_only_encodes_can_be_stopped(again: Path, clip: Path) -> None:
    film = (again / "out.mp4").read_bytes()
    with pytest.raises(Stopped):
        run(clip, again, reporter=Patience("paint", 5), quality=30)
    assert (again / "out.mp4").read_bytes() == film
    assert sorted(path.name for path in again.iterdir()) == ["out.mp4", "out.mp4.ofgen"]


def _command(clip: Path, folder: Path, *more: str) -> list[str]:
    pairs = [word for name, value in BASE.items() for word in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "lib_ofgen", "animate", str(clip), "--quiet"]
    return [*command, "-o", str(folder / "out.mp4"), *pairs, *more]


def _killed(command: list[str], due: Callable[[], bool], number: signal.Signals) -> int:
    """Start the command and send the signal as soon as it is due; gives the exit status."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        end = time.monotonic() + 60
        while not due() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)
        process.send_signal(number)
        process.communicate()
        return process.returncode


def test_a_killed_job_goes_on_as_if_nothing_had_been(
    done: tuple[Path, JobResult, Counting], clip: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    moments = {"spool": rng.integers(2, 13), "frames": rng.integers(1, 4), "painted": 2}
    late = {"frames": rng.integers(6, 13)}
    before: dict[str, tuple[int, int]] = {}
    for part, count in [*moments.items(), *late.items()]:
        status = _killed(
            _command(clip, tmp_path),
            lambda part=part, count=count: len(kept(tmp_path, part)) >= count,
            signal.SIGKILL,
        )
        assert status == -signal.SIGKILL, f"it ended before {count} of {part} were there"
        now = kept(tmp_path, "frames", "painted", "clips")
        assert before.items() <= now.items(), "what was finished was made again"
        before = now
        assert not (tmp_path / "out.mp4").exists()
    ended = subprocess.run(_command(clip, tmp_path), check=False, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    assert before.items() <= kept(tmp_path, "frames", "painted", "clips").items()
    assert differing(decoded(tmp_path / "out.mp4"), decoded(done[1].video)) == []
    assert [path.name for path in tmp_path.rglob(".*partial*")] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_130_and_keeps_what_is_done(
    clip: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = _command(clip, tmp_path)
    assert _killed(command, lambda: len(kept(tmp_path, "frames")) >= 2, number) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4.ofgen"]
    before = kept(tmp_path, "frames", "painted", "spool")
    assert len(kept(tmp_path, "frames")) >= 2
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert before.items() <= kept(tmp_path, "frames", "painted", "spool").items()


# what is damaged, and who else is there


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _spoiled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage", [_cut, _spoiled, Path.unlink, lambda path: path.write_bytes(b"")]
)
@pytest.mark.parametrize("part", ["frames", "painted", "spool"])
def test_damaged_artifacts_are_made_anew(
    done: tuple[Path, JobResult, Counting],
    again: Path,
    clip: Path,
    part: str,
    damage: Callable[[Path], object],
) -> None:
    before = kept(again, part)
    for name in sorted(before)[::2]:
        damage(again / "out.mp4.ofgen" / name)
    painter = Counting()
    outcome = run(clip, again, painter)
    assert differing(decoded(outcome.video), decoded(done[1].video)) == []
    assert kept(again, part).keys() == before.keys()
    assert len(painter.jobs) < len(done[2].jobs)
    painter = Counting()
    run(clip, again, painter)
    assert painter.jobs == []


@pytest.mark.parametrize("part", ["facts", "clips"])
def test_damaged_facts_are_found_again(
    done: tuple[Path, JobResult, Counting], again: Path, clip: Path, part: str
) -> None:
    for path in (again / "out.mp4.ofgen" / part).iterdir():
        _cut(path)
    painter = Counting()
    outcome = run(clip, again, painter)
    assert differing(decoded(outcome.video), decoded(done[1].video)) == []
    assert painter.whole == []


def test_two_jobs_do_not_share_a_workspace(again: Path, clip: Path) -> None:
    film = (again / "out.mp4").read_bytes()
    with (
        Workspace(again / "out.mp4.ofgen").lock(),
        pytest.raises(WorkspaceError, match=r"another job is using.*--workspace"),
    ):
        run(clip, again)
    assert (again / "out.mp4").read_bytes() == film


# painters and keys


def test_each_stage_is_entered_once_and_left(done: tuple[Path, JobResult, Counting]) -> None:
    assert done[2].stages == ["enter keys", "leave keys", "enter holes", "leave holes"]
    assert [job.mask is None for job in done[2].jobs] == sorted(
        [job.mask is None for job in done[2].jobs], reverse=True
    )


def test_a_painter_that_fails_is_restored_and_nothing_is_written(
    clip: Path, tmp_path: Path
) -> None:
    painter = Counting(fails=True)
    with pytest.raises(PainterError, match="out of paint"):
        run(clip, tmp_path, painter)
    assert painter.stages == ["enter keys", "leave keys", "enter holes", "leave holes"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4.ofgen"]
    painter = Counting()
    run(clip, tmp_path, painter)
    assert painter.whole == []


def test_a_painter_gets_what_it_can_paint(done: tuple[Path, JobResult, Counting]) -> None:
    for job in done[2].jobs:
        height, width = job.image.shape[:2]
        assert height % 8 == width % 8 == 0
        assert job.original.shape == job.image.shape
        assert job.image.flags["C_CONTIGUOUS"]
        assert job.mask is None or (job.mask.shape == (height, width) and job.mask.any())
        assert job.seed == 0


@pytest.mark.parametrize("still", [True, False])
def test_guided_keys_are_moved_there_and_completed(tmp_path: Path, still: bool) -> None:
    shown = pictures(1) * 14 if still else pictures(14)
    clip, painter = make_video(tmp_path / "clip.mp4", shown), Counting()
    facts = run(clip, tmp_path, painter, key_agreement="guided").facts
    assert painter.whole == [0]
    assert [frame.index for frame in facts.frames if not frame.sources] == [0]
    if still:
        assert painter.holes == set()
        assert facts.painted_mean == pytest.approx(1 / 14, rel=1e-5)
        film = decoded(tmp_path / "out.mp4")
        assert np.abs(film[0].astype(int) - film[-1]).mean() < 2
    else:
        assert 12 in facts.frames[13].sources or painter.holes
    painter = Counting()
    run(clip, tmp_path, painter, key_agreement="guided")
    assert painter.jobs == []


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("choice", ["edges", "interval", "chosen", "every"])
def test_the_shortest_clips_are_films_too(tmp_path: Path, length: int, choice: str) -> None:
    clip = make_video(tmp_path / "short.mp4", pictures(length), sound="aac", click=0.0)
    facts = run(clip, tmp_path, key_frames=choice).facts
    assert len(decoded(tmp_path / "out.mp4")) == length
    assert facts.keys[0] == KeyFacts(0, "first", "", "", 0)
    assert length > 1 or facts.warp_error.result is None


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"key_frames": "every"}, list(range(14))),
        ({"key_frames": "interval", "key_interval": 5}, [0, 5, 10, 13]),
        ({"key_frames": "interval", "key_interval": 5, "key_last": False}, [0, 5, 10]),
        ({"key_frames": "chosen", "key_indices": [4, 9]}, [0, 4, 9]),
        ({"key_frames": "edges", "key_threshold": 255.0}, [0, 13]),
    ],
)
def test_key_frames_are_those_that_were_asked_for(
    clip: Path, tmp_path: Path, changes: dict[str, object], keys: list[int]
) -> None:
    painter = Counting()
    facts = run(clip, tmp_path, painter, **changes).facts
    assert [key.index for key in facts.keys] == keys
    assert painter.whole == keys


def test_frames_of_less_than_a_hole_are_made(tmp_path: Path) -> None:
    """A frame that has fewer pixels than the least hole is not one large hole."""
    clip = make_video(tmp_path / "clip.mp4", pictures(8))
    painter = Counting()
    run(clip, tmp_path, painter, hole_min=1_000_000)
    assert painter.holes == set()


def test_finished_frames_go_into_a_folder(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "frames"
    run(clip, tmp_path, frames=folder, max_frames=5)
    assert sorted(path.name for path in folder.iterdir()) == [f"{i:06}.png" for i in range(5)]
    film = decoded(tmp_path / "out.mp4")
    for index, image in enumerate(film):
        shown = cv2.imread(str(folder / f"{index:06}.png"))[..., ::-1]
        assert np.abs(shown.astype(int) - image).mean() < 12


# refused before anything is painted


def test_a_film_does_not_replace_its_own_source(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "out.mp4", pictures(3))
    before = clip.read_bytes()
    with pytest.raises(VideoError, match=r"out\.mp4.*another name"):
        run(clip, tmp_path)
    os.link(clip, tmp_path / "linked.mp4")
    with pytest.raises(VideoError, match=r"out\.mp4.*another name"):
        run(tmp_path / "linked.mp4", tmp_path)
    assert clip.read_bytes() == before


def test_a_source_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    for name, content in (("none.mp4", None), ("text.mp4", b"hello"), ("empty.mp4", b"")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(VideoError, match=name):
            run(tmp_path / name, tmp_path)
    assert not list(tmp_path.glob("out*"))


def test_a_report_that_cannot_be_written_is_told_before_painting(
    clip: Path, tmp_path: Path
) -> None:
    painter = Counting()
    job = Job(
        clip, tmp_path / "out.mp4", tmp_path / "w", Settings(), report=clip / "under" / "a.json"
    )
    with pytest.raises(WorkspaceError, match=r"a\.json.*another place"):
        run_job(job, painter, Patience())
    assert painter.jobs == []
    assert not (tmp_path / "out.mp4").exists()


def test_a_contact_sheet_holds_one_frame_at_a_time(tmp_path: Path) -> None:
    seen: list[weakref.ref[Image]] = []

    def result(index: int) -> Image:
        assert sum(ref() is not None for ref in seen) <= 1
        image = np.full((*SIZE, 3), index, np.uint8)
        seen.append(weakref.ref(image))
        return image

    keys = [KeyFrame(index, 0.0, "every") for index in range(150)]
    times = Clip(SIZE, Fraction(25), Fraction(1, 25), tuple(range(150)), 150, Fraction(0), None)
    report.save_sheet(tmp_path / "keys.png", result, keys, times)
    assert 12 <= len(seen) <= 24
    assert cv2.imread(str(tmp_path / "keys.png")) is not None


class _Cropping(Counting):
    """A painter that returns pictures of another size, or too few."""

    few = False

    def paint(self, repaints: Sequence[Repaint]) -> list[Image]:
        pictures = super().paint(repaints)
        return pictures[1:] if self.few else [picture[8:] for picture in pictures]


@pytest.mark.parametrize(
    ("few", "said"), [(False, "160x88 and not as 160x96"), (True, "0 pictures")]
)
def test_a_wrong_answer_of_any_painter_is_one_line(
    clip: Path, tmp_path: Path, few: bool, said: str
) -> None:
    painter = _Cropping()
    painter.few = few
    with pytest.raises(PainterError, match=said) as error:
        run(clip, tmp_path, painter)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out.mp4").exists()
