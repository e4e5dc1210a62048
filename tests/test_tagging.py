"""The tagger: prepared as its author's page does, and one clear line where it cannot run."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from lib_ofgen.errors import TaggerError, WeightsError
from lib_ofgen.imaging import images
from lib_ofgen.models import tagger as tagging
from lib_ofgen.models.tagger import Labels, WD14Tagger
from lib_ofgen.models.weights import registry
from support.paths import ROOT

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed, so nothing can be tagged")
pytest.importorskip("onnx", reason="onnx is not installed, so no tagger can be made")

from support import tiny_tagger


def published(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """The published page's preparation, said with Pillow and OpenCV.

    Pasted on white under its own alpha, channels reversed, a white border up to the larger of its
    longer side and the model's, then by area if that is too large (and cubic if it were too small).
    """
    rgba = PIL.Image.fromarray(image).convert("RGBA")
    white = PIL.Image.new("RGBA", rgba.size, "WHITE")
    white.paste(rgba, mask=rgba)
    bgr = np.ascontiguousarray(np.asarray(white.convert("RGB"))[:, :, ::-1])
    wide = max(*bgr.shape[:2], side)
    down, right = wide - bgr.shape[0], wide - bgr.shape[1]
    square = cv2.copyMakeBorder(
        bgr, top=down // 2, bottom=down - down // 2, left=right // 2, right=right - right // 2,
        borderType=cv2.BORDER_CONSTANT, value=(255, 255, 255),
    )  # fmt: skip
    if square.shape[0] != side:
        larger = square.shape[0] > side
        kernel = cv2.INTER_AREA if larger else cv2.INTER_CUBIC
        square = cv2.resize(square, dsize=(side, side), interpolation=kernel)
    return square.astype(np.float32)


SHAPES = {
    "rgba": (97, 131, 4),
    "grey": (75, 140),
    "wide": (90, 331, 3),
    "tall": (412, 61, 3),
    "small": (31, 20, 3),
    "small rgba": (20, 33, 4),
    "exact": (64, 64, 3),
    "one pixel": (1, 1, 3),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_pictures_are_prepared_as_published_to_the_last_bit(
    shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    image = rng.integers(0, 256, shape, dtype=np.uint8)
    before = image.copy()
    found = images.to_tagger_input(image, 64)
    assert found.dtype == np.float32
    assert np.array_equal(found, published(image, 64))
    assert np.array_equal(image, before)


def test_every_alpha_of_every_value_is_laid_on_white_as_published() -> None:
    value, alpha = np.meshgrid(np.arange(256), np.arange(256))
    image = np.stack([value, value[::-1], 255 - value, alpha], axis=2).astype(np.uint8)
    assert np.array_equal(images.to_tagger_input(image, 256), published(image, 256))


def test_a_small_picture_is_padded_and_not_enlarged() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    found = images.to_tagger_input(image, 64)
    assert (found == 0).sum() == image.size
    assert set(np.unique(found)) == {0, 255}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_tagger.make(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def shown(rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    sizes = [(64, 64), (48, 96), (200, 90), (64, 64), (30, 30)] * 2
    level = rng.integers(0, 256, (len(sizes), 3))
    return [
        np.full((*size, 3), colour, np.uint8) for size, colour in zip(sizes, level, strict=True)
    ]


def test_confidences_are_the_networks_and_kinds_lie_apart(
    model: Path, shown: list[NDArray[np.uint8]]
) -> None:
    names = [name for name, _ in tiny_tagger.labels()]
    for image, tags in zip(shown, WD14Tagger(model).tag(shown), strict=True):
        wanted = tiny_tagger.expected(published(image, tiny_tagger.SIDE)[None])[0]
        assert list(tags.ratings) == sorted(names[:4], key=lambda n: -tags.ratings[n])
        assert set(tags.general) == set(names[4:200])
        assert set(tags.characters) == set(names[200:])
        for kind in (tags.ratings, tags.general, tags.characters):
            assert list(kind.values()) == sorted(kind.values(), reverse=True)
        found = {**tags.ratings, **tags.general, **tags.characters}
        assert np.allclose([found[name] for name in names], wanted, atol=2e-6)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_model_of_a_fixed_batch_says_the_same(
    model: Path, tmp_path: Path, batch: int, shown: list[NDArray[np.uint8]]
) -> None:
    fixed = WD14Tagger(tiny_tagger.make(tmp_path / "fixed", batch=batch)).tag(shown)
    for one, other in zip(fixed, WD14Tagger(model).tag(shown), strict=True):
        assert one.general == pytest.approx(other.general, abs=1e-6)


def test_what_it_runs_on_is_told_and_it_comes_back_after_release(model: Path) -> None:
    tagger, image = WD14Tagger(model), np.full((9, 9, 3), 40, np.uint8)
    assert tagger.tag([]) == []
    assert tagger.provider == ""
    first = tagger.tag([image])
    assert tagger.provider in ("CPUExecutionProvider", "CUDAExecutionProvider")
    tagger.release()
    assert tagger.tag([image]) == first


def test_the_identity_is_that_of_both_files(model: Path, tmp_path: Path) -> None:
    same = tiny_tagger.make(tmp_path / "same")
    assert WD14Tagger(same).identity == WD14Tagger(model).identity
    table = same / tagging.LABELS
    table.write_text(table.read_text("utf-8").replace("tag_30,", "tag_thirty,"), "utf-8")
    assert WD14Tagger(same).identity != WD14Tagger(model).identity


def test_models_are_found_by_the_name_of_their_folder(model: Path, tmp_path: Path) -> None:
    folders = [tmp_path, model.parent]
    assert tagging.find_model("tiny", folders) == model
    assert tagging.names(folders) == ["tiny"]
    with pytest.raises(WeightsError, match=r"no tagger 'tine'.*model\.onnx.*off, tiny, wd-v1-4"):
        tagging.find_model("tine", folders)
    with pytest.raises(WeightsError, match=r"ofgen weights fetch wd-v1-4-swinv2-tagger-v2"):
        tagging.find_model("wd-v1-4-swinv2-tagger-v2", folders)
    for name in ("../models/tiny", "", ".", str(model)):
        with pytest.raises(WeightsError) as caught:
            tagging.find_model(name, folders)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"named": 299}, r"gives 300 confidences, and selected_tags.csv names 299 tags"),
        ({"channels": 1}, r"takes tensor\(float\) \['batch', 64, 64, 1\]"),
        ({"sigmoid": False}, r"invalid confidence, not 0 to 1"),
    ],
)
def test_another_network_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    folder = tiny_tagger.make(tmp_path / "other", **changes)
    with pytest.raises(TaggerError, match=said) as caught:
        WD14Tagger(folder).tag([np.zeros((8, 8, 3), np.uint8)])
    assert "\n" not in str(caught.value)


def test_a_network_that_fails_at_work_is_one_line(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    def run(*_: object) -> None:
        raise RuntimeError("bfc_arena: failed to\nallocate memory")

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", run)
    with pytest.raises(TaggerError, match=r"failed to allocate memory; take tagger_device=cpu"):
        WD14Tagger(model).tag([np.zeros((8, 8, 3), np.uint8)])


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_a_damaged_network_is_one_line(tmp_path: Path, damage: str) -> None:
    folder = tiny_tagger.make(tmp_path / "bad")
    path = folder / tagging.MODEL
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "text": b"hello", "empty": b""}[damage])
    with pytest.raises(
        TaggerError, match=r"cannot load .*model\.onnx.*get the model anew"
    ) as caught:
        WD14Tagger(folder).tag([np.zeros((8, 8, 3), np.uint8)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [None, b"", b"name,count\na,1\n", b"tag_id,name,category\n1,a,7\n", b"\xff\xfe\x00"]
)
def test_a_table_that_is_none_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "selected_tags.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"selected_tags\.csv") as caught:
        Labels.read(path)
    assert "\n" not in str(caught.value)


def test_a_model_that_changed_under_its_name_is_noticed(tmp_path: Path) -> None:
    folder = tiny_tagger.make(tmp_path / "tiny")
    WD14Tagger(folder)
    tiny_tagger.make(folder, batch=1)
    with pytest.raises(WeightsError, match="not "):
        WD14Tagger(folder)


def test_a_provider_that_is_not_there_is_refused(model: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(TaggerError, match=r"tagger_device=cuda.*CUDAExecutionProvider.*auto"):
        WD14Tagger(model, "cuda")
    assert WD14Tagger(model, "cpu").tag([np.zeros((8, 8, 3), np.uint8)])


def test_without_onnxruntime_it_says_so(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = tagging.util.find_spec
    monkeypatch.setattr(
        tagging.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name)
    )
    with pytest.raises(TaggerError, match="pip install onnxruntime"):
        WD14Tagger(model)


# as weights

NAME = "wd-v1-4-swinv2-tagger-v2"


def _ofgen(*args: object, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lib_ofgen", "weights", *map(str, args)],
        capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL, **more,
    )  # fmt: skip


def test_the_published_one_is_pinned_to_a_revision() -> None:
    one = registry.CHECKPOINTS[NAME]
    assert one.hub is not None
    assert len(one.hub.revision) == 40
    for url, hexes in ((one.url, one.sha256), *((each.url, each.sha256) for each in one.beside)):
        assert f"/resolve/{one.hub.revision}/" in url
        assert len(hexes) == 64


def test_a_model_put_there_by_hand_is_verified(tmp_path: Path) -> None:
    folder = tiny_tagger.make(tmp_path / "mine")
    done = _ofgen("verify", folder / "model.onnx")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"good  {folder / 'model.onnx'}  300 entries")
    tiny_tagger.make(folder, named=20)
    assert _ofgen("verify", folder / "model.onnx").stdout.startswith("bad ")


def test_another_file_than_the_published_one_is_named(tmp_path: Path) -> None:
    folder = tiny_tagger.make(tmp_path / NAME)
    found = hashlib.sha256((folder / tagging.LABELS).read_bytes()).hexdigest()
    done = _ofgen("verify", NAME, "--models-dir", tmp_path)
    assert done.returncode == 1
    assert f"SHA-256 {found}, not 8c8750600d" in done.stdout
    (folder / tagging.LABELS).unlink()
    assert "selected_tags.csv' is missing" in _ofgen("verify", "--models-dir", tmp_path).stdout
    with pytest.raises(WeightsError, match="selected_tags"):
        WD14Tagger(folder)


class _Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as its client asks for a file."""

    asked: list[tuple[str, str]]
    revision: str

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.asked.append((self.command, self.path))
        data = f"no such thing as {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.revision)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def hub() -> Iterator[tuple[list[tuple[str, str]], str]]:
    one = registry.CHECKPOINTS[NAME]
    assert one.hub is not None
    asked: list[tuple[str, str]] = []
    handler = type("Handler", (_Hub,), {"asked": asked, "revision": one.hub.revision})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield asked, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _surroundings(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {**kept, "HF_HOME": str(folder), "HF_HUB_DISABLE_TELEMETRY": "1", **more}


def test_both_files_are_fetched_by_the_hubs_client_and_proved(
    hub: tuple[list[tuple[str, str]], str], tmp_path: Path
) -> None:
    pytest.importorskip("huggingface_hub", reason="the hub's client is not installed")
    asked, url = hub
    done = _ofgen(
        "fetch", NAME, "--accept-licence", "--models-dir", tmp_path / "models",
        env=_surroundings(tmp_path / "home", HF_ENDPOINT=url),
    )  # fmt: skip
    revision = registry.CHECKPOINTS[NAME].url.split("/")[-2]
    got = [path for command, path in asked if command == "GET"]
    assert got == [
        f"/SmilingWolf/{NAME}/resolve/{revision}/{file}" for file in ("model.onnx", tagging.LABELS)
    ]
    assert done.returncode == 1, "a file that is none was taken"
    assert "not 8c8750600d" in done.stderr.splitlines()[-1]
    assert list((tmp_path / "models" / NAME).iterdir()) == []


def test_both_files_are_fetched_from_elsewhere(
    hub: tuple[list[tuple[str, str]], str], tmp_path: Path
) -> None:
    asked, url = hub
    done = _ofgen(
        "fetch", NAME, "--accept-licence", "--models-dir", tmp_path, "--from", f"{url}/mine",
        env=_surroundings(tmp_path / "home"),
    )  # fmt: skip
    assert asked == [("GET", "/mine/model.onnx"), ("GET", "/mine/selected_tags.csv")]
    assert done.returncode == 1
    assert list((tmp_path / NAME).iterdir()) == []


def test_without_a_connection_the_place_is_told(tmp_path: Path) -> None:
    done = _ofgen(
        "fetch", NAME, "--accept-licence", "--models-dir", tmp_path,
        env=_surroundings(tmp_path / "home", HF_ENDPOINT="http://127.0.0.1:9"),
    )  # fmt: skip
    line = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert f"put it at '{tmp_path / NAME / 'model.onnx'}'" in line
    assert f"https://huggingface.co/SmilingWolf/{NAME}" in line


# files of strangers


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name,category\n" + b"x" * 200_000 + b",0\n", "field larger"),
        (b"name,category\na,0\n" * 1_300_000, "more than 16 MiB"),
        (b"name,category\na,0\nb\n", "rows without a name or category"),
        ("name,category\n\u00e9,0\n".encode("latin-1"), "not a table of tags"),
        ("name,category\na,0\n".encode("utf-16"), "not a table of tags"),
        (b"name;category\na;0\n", "no column 'name'"),
        (b'name,category\n"a,0\n' + b"\0" * 9, "names no tags|not a table of tags|rows without"),
    ],
)
def test_a_hostile_table_is_one_short_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "selected_tags.csv"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=said) as refused:
        Labels.read(path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
@pytest.mark.parametrize("name", [tagging.MODEL, tagging.LABELS])
def test_a_pipe_in_the_place_of_a_file_does_not_hang(tmp_path: Path, name: str) -> None:
    folder = tiny_tagger.make(tmp_path / "piped")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(WeightsError, match="it is a pipe or a device"):
        WD14Tagger(folder)


def _network(folder: Path, inputs: list[Any], outputs: list[Any], nodes: list[Any]) -> Path:
    """A network of these, with a table of three tags."""
    import onnx
    from onnx import helper

    folder.mkdir()
    graph = helper.make_graph(nodes, "other", inputs, outputs)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, str(folder / tagging.MODEL))
    (folder / tagging.LABELS).write_text("name,category\na,0\nb,0\nc,4\n", "utf-8")
    return folder


@pytest.mark.parametrize("how", ["huge pictures", "huge batch", "two inputs", "texts", "a shape"])
def test_a_network_that_asks_or_gives_what_none_does_is_one_line(tmp_path: Path, how: str) -> None:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    side = 100_000 if how == "huge pictures" else 8
    batch = 10_000_000 if how == "huge batch" else 1
    inputs = [value("in", TensorProto.FLOAT, [batch, side, side, 3])]
    outputs = [value("out", TensorProto.FLOAT, ["n", 3])]
    mean = [helper.make_node("ReduceMean", ["in"], ["out"], axes=[1, 2], keepdims=0)]
    if how == "two inputs":
        inputs.append(value("more", TensorProto.FLOAT, [1]))
    if how == "texts":
        outputs = [value("out", TensorProto.STRING, ["n", 3])]
        mean = [helper.make_node("ReduceMean", ["in"], ["mean"], axes=[1, 2], keepdims=0),
                helper.make_node("Cast", ["mean"], ["out"], to=TensorProto.STRING)]  # fmt: skip
    if how == "a shape":
        outputs = [value("out", TensorProto.FLOAT, ["n", "m", 3])]
        mean = [helper.make_node("ReduceMean", ["in"], ["out"], axes=[1], keepdims=0)]
    folder = _network(tmp_path / "other", inputs, outputs, mean)
    with pytest.raises(TaggerError) as refused:
        WD14Tagger(folder).tag([np.zeros((8, 8, 3), np.uint8)])
    assert "\n" not in str(refused.value)
