"""Files that strangers made: what names another file, and small ones that ask for much."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from moving import make_video

from lib_ofgen.errors import VideoError
from lib_ofgen.media.container import extension_of
from lib_ofgen.video import open_video

NAMING = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{path}'\n",
    "DASH": """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S"
 profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" minBufferTime="PT1S"><Period>
<AdaptationSet mimeType="video/mp4"><Representation id="v" bandwidth="1000" codecs="avc1.64000d">
<BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>
""",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "PLS": "[playlist]\nFile1={url}\nNumberOfEntries=1\n",
    "ASX": '<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
    "IMF": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/'
    '2067-3/2016"><Id>urn:uuid:0</Id></CompositionPlaylist>',
    "Smooth Streaming": '<?xml version="1.0"?><SmoothStreamingMedia MajorVersion="2"/>',
}
TEXTS = {
    "html": "<!DOCTYPE html><html><script>alert(1)</script></html>",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>',
    "xhtml": '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>',
    "js": "alert(document.cookie)\n",
    "vobsub": "# VobSub index file, v7\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0\n",
    "text": "not a video\n" * 100,
}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("film") / "film.mp4", 5)


@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.mpd", "a.ffconcat", "a%d.png", "a.idx"])
@pytest.mark.parametrize("kind", [*NAMING, *TEXTS])
def test_a_file_that_names_others_is_refused_under_any_name(
    tmp_path: Path, film: Path, kind: str, name: str
) -> None:
    shutil.copy(film, tmp_path / "a1.png")
    shutil.copy(film, tmp_path / "a.sub")
    text = {**NAMING, **TEXTS}[kind].replace("{url}", film.as_uri()).replace("{path}", str(film))
    (tmp_path / name).write_text(text)
    says = rf"playlist \({kind}\) that names other files; give" if kind in NAMING else "it is a te"
    for take in (open_video, extension_of):
        with pytest.raises(VideoError, match=says) as refused:
            take(tmp_path / name)
        assert refused.value.exit_status == 2
        assert "\n" not in str(refused.value)


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "link.mp4").symlink_to("fifo.mp4")
    for path in (tmp_path / "fifo.mp4", tmp_path / "link.mp4", Path("/dev/zero"), tmp_path):
        with pytest.raises(VideoError, match=r"it is a (directory|pipe or a device)"):
            open_video(path)


@pytest.mark.parametrize("name", ["film.html", "film", "film.%d.png", "film.m3u8"])
def test_the_extension_is_that_of_what_is_found_in_the_file(
    tmp_path: Path, film: Path, name: str
) -> None:
    shutil.copy(film, tmp_path / name)
    assert extension_of(tmp_path / name) == ".mp4"


def test_every_clip_has_the_extension_of_its_container(data: Path) -> None:
    for path in [*(data / "clips").iterdir(), *(data / "bad").iterdir()]:
        if path.name not in ("text_renamed.mp4", "truncated_no_moov.mp4", "zero_bytes.mp4"):
            assert extension_of(path) == path.suffix
