"""Prompts in the main job: what is tagged, what is painted, what a changed prompt paints anew."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import PIL.Image
import pytest

from lib_ofgen.errors import SettingsError, Stopped, TaggerError, WeightsError
from lib_ofgen.models import tagger
from lib_ofgen.report.model import TaggerFacts
from lib_ofgen.settings import prompt_rows
from lib_ofgen.settings.fields import Settings
from lib_ofgen.values import Image, PromptRow, Tags
from lib_ofgen.webui.access.allowed_paths import AllowedPaths
from lib_ofgen.webui.jobs import document
from support.jobs import BASE, Counting, Patience, kept, pictures, run_prompted
from support.videos import make_video

KEYS = [0, 6, 12, 13]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mp4", pictures(14))


@pytest.fixture(scope="module")
def done(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counting]:
    folder, painter = tmp_path_factory.mktemp("done"), Counting()
    run_prompted(clip, folder, painter, prompt="a")
    return folder, painter


@pytest.fixture
def again(done: tuple[Path, Counting], tmp_path: Path) -> Path:
    shutil.copytree(done[0], tmp_path / "again")
    return tmp_path / "again"


# what depends on a prompt


def test_a_changed_prompt_repaints_its_key_and_what_depends_on_it(again: Path, clip: Path) -> None:
    before, painter = kept(again, "frames", "painted"), Counting()
    run_prompted(clip, again, painter, [PromptRow(6, 7, "b", "")], prompt="a")
    assert painter.whole == [6]
    assert painter.holes <= set(range(1, 12)) - {6}
    assert before.items() <= kept(again, "frames", "painted").items()
    for job in painter.jobs:
        assert job.prompt == ("b" if job.target == 6 else "a")
    painter = Counting()
    run_prompted(clip, again, painter, prompt="a")  # and back again
    assert painter.jobs == []


def test_a_range_between_keys_repaints_holes_alone(again: Path, clip: Path) -> None:
    painter = Counting()
    run_prompted(clip, again, painter, [PromptRow(1, 6, "", "rain")], prompt="a")
    assert painter.whole == []
    assert painter.holes
    assert painter.holes <= set(range(1, 6))
    assert {(job.prompt, job.negative_prompt) for job in painter.jobs} == {("a", "rain")}


def test_a_list_that_says_what_the_settings_say_paints_nothing(again: Path, clip: Path) -> None:
    painter = Counting()
    run_prompted(clip, again, painter, [PromptRow(0, None, "a", "")], prompt="", negative_prompt="")
    assert painter.jobs == []
    rows = prompt_rows.read_rows(again / "out.mp4.ofgen" / "prompts.csv")
    run_prompted(clip, again, painter, rows)
    assert painter.jobs == []


def test_the_prompts_of_guided_keys_are_their_holes(tmp_path: Path, clip: Path) -> None:
    rows = [PromptRow(6, 12, "b", "")]
    run_prompted(clip, tmp_path, prompt="a", key_agreement="guided")
    painter = Counting()
    run_prompted(clip, tmp_path, painter, rows, prompt="a", key_agreement="guided")
    assert painter.whole == []
    assert painter.holes
    assert 0 not in painter.holes


def test_prompts_are_told(tmp_path: Path, clip: Path) -> None:
    rows = [PromptRow(6, None, "über (b:1.2)", "blur")]
    changes = {"prompt": "a", "prompt_prefix": "best", "seed": 5}
    facts = run_prompted(clip, tmp_path, None, rows, frames=tmp_path / "png", **changes).facts
    assert [(key.index, key.prompt, key.negative_prompt) for key in facts.keys] == [
        (0, "best, a", ""),
        *((index, "über (b:1.2)", "blur") for index in KEYS[1:]),
    ]
    assert facts.prompts[0] == PromptRow(0, 6, "best, a", "")
    assert facts.tagger == TaggerFacts("off", None, "off")
    written = prompt_rows.read_rows(tmp_path / "out.mp4.ofgen" / "prompts.csv")
    assert written == facts.prompts
    texts = {}
    for path in sorted((tmp_path / "png").glob("*.png")):
        with PIL.Image.open(path) as picture:
            texts[int(path.stem)] = picture.info.get("parameters")
    assert {index for index, text in texts.items() if text} == set(KEYS)
    assert texts[12].splitlines()[:2] == ["über (b:1.2)", "Negative prompt: blur"]
    assert texts[0].startswith("best, a\nSteps: 20, CFG scale: 7.0, Seed: 5, Size: 160x96")


# the tagger


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: nothing is tagged")
    pytest.importorskip("onnx", reason="onnx is not installed, so no tagger can be made")
    from support import tiny_tagger

    folder = tmp_path_factory.mktemp("models")
    tiny_tagger.make(folder / "tiny")
    return folder


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Image]:
    """Every picture that was tagged."""
    found: list[Image] = []
    tag = tagger.WD14Tagger.tag

    def watched(self: tagger.WD14Tagger, images: Sequence[Image]) -> list[Tags]:
        found.extend(images)
        return tag(self, images)

    monkeypatch.setattr(tagger.WD14Tagger, "tag", watched)
    return found


def test_key_frames_alone_are_tagged_and_each_once(
    clip: Path, tmp_path: Path, models: Path, seen: list[Image]
) -> None:
    first, changes = Counting(), {"tagger": "tiny", "tag_threshold": 0.97, "models": [models]}
    facts = run_prompted(clip, tmp_path, first, prompt="a", **changes).facts
    assert len(seen) == len(KEYS)
    assert facts.tagger.asked == "tiny"
    assert (facts.tagger.provider or "").endswith("ExecutionProvider")
    told = {key.index: key.prompt for key in facts.keys}
    assert all(prompt.startswith("a, ") for prompt in told.values())
    for job in first.jobs:
        assert job.prompt == told[max(key for key in KEYS if key <= job.target)]
    painter = Counting()
    run_prompted(clip, tmp_path, painter, prompt="a", **changes)
    assert painter.jobs == []
    run_prompted(clip, tmp_path, painter, prompt="a", **{**changes, "tag_threshold": 0.999})
    assert len(seen) == len(KEYS), "what was tagged was tagged again"
    run_prompted(clip, tmp_path, key_interval=3, prompt="a", **changes)
    assert len(seen) == len(KEYS) + 2


def test_damaged_tags_are_found_again(
    clip: Path, tmp_path: Path, models: Path, seen: list[Image]
) -> None:
    changes = {"tagger": "tiny", "tag_threshold": 0.97, "models": [models]}
    facts = run_prompted(clip, tmp_path, prompt="a", **changes).facts
    folder, painter = tmp_path / "out.mp4.ofgen" / "facts", Counting()
    tags = [path for path in folder.iterdir() if '"characters"' in path.read_text("utf-8")]
    assert len(tags) == len(KEYS)
    for path, form in zip(tags, ("0.9", '{"general": {}}', "", '"b"'), strict=True):
        text = path.read_text("utf-8")
        path.write_text(text.replace("0.9", "0.1", 1) if form == "0.9" else form, "utf-8")
    assert run_prompted(clip, tmp_path, painter, prompt="a", **changes).facts.keys == facts.keys
    assert painter.jobs == []
    assert len(seen) == 2 * len(KEYS)


def test_a_list_wins_over_tags(clip: Path, tmp_path: Path, models: Path) -> None:
    rows = [PromptRow(0, 7, "mine", "")]
    told = run_prompted(clip, tmp_path, None, rows, tagger="tiny", models=[models]).facts.keys
    assert [key.prompt == "mine" for key in told] == [True, True, False, False]


def test_another_model_of_the_same_name_tags_anew(
    clip: Path, tmp_path: Path, models: Path, seen: list[Image]
) -> None:
    from support import tiny_tagger

    folder = shutil.copytree(models / "tiny", tmp_path / "models" / "tiny").parent
    run_prompted(clip, tmp_path, tagger="tiny", models=[folder], max_frames=3)
    count = len(seen)
    (folder / "tiny" / "model.onnx.sha256").unlink()
    tiny_tagger.make(folder / "tiny", batch=1)
    run_prompted(clip, tmp_path, tagger="tiny", models=[folder], max_frames=3)
    assert len(seen) == 2 * count > 0


def test_tagging_can_be_stopped(clip: Path, tmp_path: Path, models: Path) -> None:
    with pytest.raises(Stopped):
        run_prompted(clip, tmp_path, reporter=Patience("tag", 1), tagger="tiny", models=[models])
    run_prompted(clip, tmp_path, tagger="tiny", models=[models])


@pytest.mark.parametrize("fault", ["missing", "shape", "device"])
def test_a_tagger_that_cannot_run_is_optional_only_if_said(
    clip: Path, tmp_path: Path, models: Path, fault: str
) -> None:
    import onnxruntime

    from support import tiny_tagger

    tiny_tagger.make(tmp_path / "models" / "shape", named=20)
    changes: dict[str, object] = {"tagger": "tiny", "models": [models, tmp_path / "models"]}
    if fault == "device":
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            pytest.skip("this onnxruntime has CUDA")
        changes["tagger_device"] = "cuda"
    else:
        changes["tagger"] = fault
    with pytest.raises((TaggerError, WeightsError)) as caught:
        run_prompted(clip, tmp_path, prompt="a", max_frames=3, **changes)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.mp4").exists()
    facts = run_prompted(
        clip, tmp_path, prompt="a", max_frames=3, tagger_optional=True, **changes
    ).facts
    assert {key.prompt for key in facts.keys} == {"a"}
    assert facts.tagger.reason == str(caught.value)


def test_rules_are_read_before_anything_is_done(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tag_rules: line 1 'miku'"):
        run_prompted(clip, tmp_path, tag_rules="miku")
    assert list(tmp_path.iterdir()) == []


# by the job document


def test_a_job_document_carries_rows(tmp_path: Path) -> None:
    rows = [{"start": 4, "prompt": "b"}, {"start": 0, "stop": 2, "prompt": "a"}]
    parsed = document.parse({"input": "clip.mp4", "prompts": rows})
    assert parsed.prompts == (PromptRow(0, 2, "a", ""), PromptRow(4, None, "b", ""))
    settings, places = Settings(), AllowedPaths(tmp_path, [])
    outputs = {
        document.find_output(document.parse(job), Path("clip.mp4"), settings, places)
        for job in ({"input": "i"}, {"input": "i", "prompts": rows}, {"input": "i", "prompts": []})
    }
    assert len(outputs) == 2, "another list is another film"
    for wrong in ({"start": 0}, [{"start": "soon"}], "a"):
        with pytest.raises(SettingsError, match="the job's prompts"):
            document.parse({"input": "clip.mp4", "prompts": wrong})


# by the command line


def _ofgen(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lib_ofgen", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_plan_of_prompts_is_edited_and_painted(
    clip: Path, tmp_path: Path, models: Path, form: str
) -> None:
    listed, film = tmp_path / f"list.{form}", tmp_path / "out.mp4"
    pairs = [word for name, value in BASE.items() for word in ("--set", f"{name}={value}")]
    more = ["--quiet", "--max-frames", 8, "--set", "tagger=tiny", "--models-dir", models]
    planned = _ofgen("plan", clip, "--prompts-out", listed, *pairs, *more)
    assert planned.returncode == 0, planned.stderr
    rows = list(prompt_rows.read_rows(listed))
    assert [row.start for row in rows] == [0, 6, 7]
    assert all(row.prompt for row in rows)
    rows[1] = rows[1]._replace(prompt="mine, by hand")
    listed.write_bytes(prompt_rows.dump_rows(rows, f".{form}"))
    made = _ofgen("animate", clip, "-o", film, "--prompts", listed, *pairs, *more)
    assert made.returncode == 0, made.stderr
    facts = json.loads((tmp_path / "out.mp4.ofgen" / "report.json").read_text("utf-8"))
    assert [key["prompt"] for key in facts["keys"]] == [row.prompt for row in rows]


def test_lists_are_refused_in_one_line(clip: Path, tmp_path: Path) -> None:
    bad, film = tmp_path / "bad.csv", tmp_path / "out.mp4"
    bad.write_text("start,prompt\nsoon,a\n", "utf-8")
    own = tmp_path / "out.mp4.ofgen" / "prompts.csv"
    for arguments, said in (
        (["animate", clip, "-o", film, "--prompts", bad], "bad.csv', line 2 has start 'soon'"),
        (["animate", clip, "-o", film, "--prompts", tmp_path / "no.csv"], "no.csv"),
        (["animate", clip, "-o", film, "--prompts", own], "edit a copy"),
        (["plan", clip, "--prompts-out", tmp_path / "list.txt"], ".csv or .json"),
        (["plan", clip, "--prompts-out", clip], "another name"),
    ):
        done = _ofgen(*arguments)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv"]
