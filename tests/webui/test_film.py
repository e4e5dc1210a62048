"""A job by the script, in img2img and txt2img."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import av
import numpy as np
import PIL.Image

from support.videos import heard
from support.webui.films import JOB, KEYS, LENGTH, RATE, frames_of, made_again, same_film
from support.webui.host import TITLE, Answer, Host


def test_the_script_takes_one_argument_in_both_tabs(host: Host) -> None:
    scripts = host.call("/sdapi/v1/script-info").body
    ours = [script for script in scripts if script["name"] == TITLE.lower()]
    assert [script["is_img2img"] for script in ours] == [False, True]
    assert [len(script["args"]) for script in ours] == [1, 1]


def test_the_film_has_the_clips_frames_rate_and_sound(done: Answer, clip: Path) -> None:
    assert done.film["state"] == "done"
    video = done.film["video"]
    with av.open(video) as film, av.open(str(clip)) as source:
        assert film.streams.video[0].average_rate == source.streams.video[0].average_rate == RATE
        assert (film.streams.video[0].width, film.streams.video[0].height) == (128, 64)
    assert len(frames_of(video)) == len(frames_of(clip)) == LENGTH
    codec, _, begins = heard(Path(video))
    assert codec == "aac"
    assert abs(begins - heard(clip)[2]) < 0.01


def test_the_answer_shows_the_key_frames(done: Answer) -> None:
    sheet = done.image()
    kept = PIL.Image.open(Path(done.film["workspace"]) / "keys.png").convert("RGB")
    assert np.array_equal(sheet, np.asarray(kept))
    assert sheet.std() > 20


def test_the_report_tells_what_was_done(done: Answer) -> None:
    facts = json.loads(Path(done.film["report"]).read_text("utf-8"))
    assert [key["index"] for key in facts["keys"]] == KEYS
    assert facts["scenes"] == [{"start": 0, "stop": LENGTH}]
    assert (facts["clip"]["frames"], facts["clip"]["rate"]) == (LENGTH, str(RATE))
    assert (facts["clip"]["width"], facts["clip"]["height"]) == (128, 64)
    assert facts["seed"] == 7
    wanted = {"prompt": "oil painting", "steps": 4, "strength": 0.5, "width": 128, **JOB}
    assert {name: facts["settings"][name] for name in wanted} == wanted
    assert [frame["index"] for frame in facts["frames"]] == list(range(LENGTH))
    assert all(facts["frames"][key]["painted"] == 1 for key in KEYS)
    assert 0 < facts["painted_mean"] < 0.6
    assert facts["seconds"]["paint"] > 0.2
    assert facts["warp_error"]["result"] > 0


def test_key_frames_are_painted(done: Answer, clip: Path) -> None:
    film, source = frames_of(done.film["video"]), frames_of(clip)
    for key in KEYS:
        changed = np.abs(film[key].astype(int) - source[key]).mean()
        assert changed > 12, f"frame {key} looks like the source"


def test_frames_are_their_contributions_bit_for_bit(done: Answer, clip: Path) -> None:
    """By the interpreter that made them, for another OpenCV has another flow."""
    compared = made_again(done, clip)
    assert sorted([frame["index"] for frame in compared] + KEYS) == list(range(LENGTH))
    holed = [frame for frame in compared if frame["holes"]]
    assert len(holed) >= 4
    assert len(compared) - len(holed) >= 1
    for frame in compared:
        assert frame["wrong"] == frame["stray"] == 0, frame
        assert frame["whole"] < 1e-3, frame
        assert (frame["own"] > 0) == frame["holes"], frame
    assert np.mean([frame["others"] for frame in compared]) > 0.5


def test_txt2img_takes_a_data_url_and_a_text(host: Host, clip: Path) -> None:
    url = "data:video/mp4;base64," + base64.b64encode(clip.read_bytes()).decode()
    settings = {**JOB, "inpaint_checkpoint": "", "max_frames": 6, "keep_sound": False}
    job = json.dumps({"input": url, "settings": settings})
    answer = host.film(job, "txt2img", seed=11)
    film = Path(answer.film["video"])
    assert film.is_relative_to(host.outputs / "ofgen")
    assert len(frames_of(film)) == 6
    with av.open(str(film)) as container:
        assert not container.streams.audio
    facts = json.loads(Path(answer.film["report"]).read_text("utf-8"))
    assert facts["seed"] == 11
    assert facts["settings"]["strength"] == 0.4, "txt2img's denoising strength is not for us"


def test_the_job_can_name_its_output(host: Host, clip: Path) -> None:
    wanted = host.outputs / "mine" / "a film.mkv"
    wanted.parent.mkdir()
    settings = {**JOB, "max_frames": 3}
    answer = host.film({"input": str(clip), "output": str(wanted), "settings": settings})
    assert answer.film["video"] == str(wanted)
    with av.open(str(wanted)) as container:
        assert "matroska" in container.format.name


def test_the_infotext_repeats_the_run(host: Host, clip: Path) -> None:
    """As the host's own parser reads it from the picture; the seed is one that was drawn."""
    settings = {**JOB, "max_frames": 9}
    prompt = 'a "quiet", blue: sea\nwith two lines'
    job = {"input": str(clip), "settings": settings}
    first = host.film(job, seed=-1, prompt=prompt, cfg_scale=7)  # which is also our default
    (picture,) = first.body["images"]
    read = host.call("/sdapi/v1/png-info", {"image": picture}).body
    assert read["info"] == first.info["infotexts"][0]
    assert read["parameters"]["Model"] == "tiny"
    assert (read["parameters"]["Size-1"], read["parameters"]["Size-2"]) == ("128", "64")
    document = json.loads(read["parameters"][TITLE])
    seed = json.loads(Path(first.film["report"]).read_text("utf-8"))["seed"]
    assert document["settings"]["seed"] == seed >= 0
    assert document["settings"]["prompt"] == prompt
    other = {"prompt": "else", "negative_prompt": "else", "cfg_scale": 12}
    request = {"script_name": TITLE, "script_args": [document], **other}
    again = host.located(host.call("/sdapi/v1/txt2img", request))
    assert again.film["workspace"] != first.film["workspace"]
    assert same_film(first.film["video"], again.film["video"])


def test_a_second_film_of_a_drawn_seed_is_another(host: Host, clip: Path) -> None:
    job = {"input": str(clip), "settings": {**JOB, "max_frames": 2}}
    one, other = (host.film(job, seed=-1) for _ in range(2))
    assert one.film["video"] != other.film["video"]
    assert not same_film(one.film["video"], other.film["video"])


def test_an_infotext_travels_in_the_picture(done: Answer) -> None:
    (text,) = done.body["images"]
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(text)))
    assert picture.info["parameters"] == done.info["infotexts"][0]
