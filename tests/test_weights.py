"""Reading checkpoints: every shape they come in, and none that would run code."""

from __future__ import annotations

import logging
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lib_ofgen.errors import SettingsError, WeightsError
from lib_ofgen.models.weights import checkpoint_io, registry, sd_family

torch = pytest.importorskip("torch", reason="torch is not installed, so no checkpoint can be read")

PDCNET = registry.CHECKPOINTS["pdcnet-plus"]


def state() -> dict[str, Any]:
    return {"a.weight": torch.arange(6.0).reshape(2, 3), "a.count": torch.tensor(8)}


class Attack:
    """Unpickled by anything but the guarded loader, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapped", [True, False])
def test_every_format_loads(tmp_path: Path, zipped: bool, prefix: str, wrapped: bool) -> None:
    path = tmp_path / "weights.pth.tar"
    content: dict[str, Any] = {prefix + key: value for key, value in state().items()}
    if wrapped:
        content = {"epoch": 3, "state_dict": content, "optimizer": {"lr": 0.1}}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    loaded = checkpoint_io.load(path)
    assert list(loaded) == ["a.weight", "a.count"]
    assert all(torch.equal(loaded[key], value) for key, value in state().items())


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_training_checkpoints_with_foreign_objects_load(data: Path, kind: str) -> None:
    path = data.parent / "pdcnet" / f"ckpt_like_{kind}.pth.tar"
    if not path.is_file():
        pytest.skip("the look-alike checkpoints are not beside the data folder")
    loaded = checkpoint_io.load(path)
    assert len(loaded) == 270
    assert all(isinstance(value, torch.Tensor) for value in loaded.values())


@pytest.mark.parametrize("zipped", [True, False])
def test_the_hosts_own_torch_load_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    torch.save(state(), tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    monkeypatch.setattr(torch, "load", None)
    assert len(checkpoint_io.load(tmp_path / "w.pth")) == 2


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("beside", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused(
    tmp_path: Path, zipped: bool, beside: bool
) -> None:
    mark, path = tmp_path / "mark", tmp_path / "w.pth"
    content = {"state_dict": state(), "stats": Attack(mark)} if beside else Attack(mark)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"would run code.*system") as caught:
        checkpoint_io.load(path)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_a_bare_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Attack(tmp_path / "mark")))
    with pytest.raises(WeightsError):
        checkpoint_io.load(tmp_path / "w.pth")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("call", ["builtins eval", "builtins getattr", "subprocess Popen"])
def test_what_could_run_code_is_never_looked_up(tmp_path: Path, call: str) -> None:
    named = "\n".join(call.split()).encode()
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", b"\x80\x02c" + named + b"\n(X\x01\x00\x00\x001tR.")
        archive.writestr("w/version", "3\n")
        archive.writestr("w/byteorder", "little")
    with pytest.raises(WeightsError, match="would run code"):
        checkpoint_io.load(path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused_in_one_line(tmp_path: Path, zipped: bool, kept: float) -> None:
    path = tmp_path / "w.pth"
    torch.save({"w": torch.ones(10_000)}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(WeightsError, match="damaged") as caught:
        checkpoint_io.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {}, {"state_dict": {"a": "b"}}])
def test_what_holds_no_tensors_is_no_checkpoint(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="not a checkpoint"):
        checkpoint_io.load(tmp_path / "w.pth")


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("w/constants.pkl", b"")
    with pytest.raises(WeightsError, match="TorchScript"):
        checkpoint_io.load(tmp_path / "w.pth")


def test_keys_of_another_network_are_listed() -> None:
    wanted = {"a.weight": (2, 3), "b.weight": (1,)}
    with pytest.raises(WeightsError, match=r"another network: it lacks b\.weight"):
        checkpoint_io.fit(state(), wanted, Path("w.pth"))
    with pytest.raises(WeightsError, match=r"other shapes of a\.weight \(2, 3\)"):
        checkpoint_io.fit(state(), {"a.weight": (3, 2)}, Path("w.pth"))


def test_unknown_keys_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        checkpoint_io.fit(state(), {"a.weight": (2, 3)}, Path("w.pth"))
    assert "a.count" in caplog.text


def test_converted_weights_are_the_same(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    torch.save({"state_dict": state(), "epoch": 1}, tmp_path / "w.pth.tar")
    checkpoint_io.convert(tmp_path / "w.pth.tar", tmp_path / "w.safetensors")
    loaded = checkpoint_io.load(tmp_path / "w.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.pth.tar", "w.safetensors"]
    assert all(torch.equal(loaded[key], value) for key, value in state().items())
    (tmp_path / "w.safetensors").write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="damaged"):
        checkpoint_io.load(tmp_path / "w.safetensors")


def test_a_checkpoint_is_found_or_its_address_given(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"https://drive.*" + tmp_path.name + ".*non-commercial"):
        registry.need(PDCNET, [tmp_path])
    (tmp_path / "PDCNet_plus_m.pth.tar").touch()
    assert registry.need(PDCNET, [tmp_path / "none", tmp_path]).name == "PDCNet_plus_m.pth.tar"


def test_the_first_use_is_recorded_and_compared(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(b"one")
    assert registry.verify(path, PDCNET) == registry.verify(path, PDCNET)
    path.write_bytes(b"two")
    with pytest.raises(WeightsError, match=r"download it again.*w\.pth\.sha256"):
        registry.verify(path, PDCNET)


# what kind of checkpoint it is


def _of(width: int, **more: Any) -> dict[str, Any]:
    name = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    return {name: torch.zeros(2, width), **more}


FAMILIES = {768: "SD 1.x", 1024: "SD 2.x", 2048: "SDXL", 1280: "SDXL refiner", 999: ""}


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt", ".old.ckpt"])
@pytest.mark.parametrize("width", FAMILIES)
def test_a_checkpoints_family_is_read_off_its_shapes(
    tmp_path: Path, suffix: str, width: int
) -> None:
    path = tmp_path / f"model{suffix}"
    if suffix == ".safetensors":
        safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is missing")
        safetensors.save_file(_of(width), path)
    else:
        content = {"state_dict": _of(width), "epoch": 3}
        torch.save(content, path, _use_new_zipfile_serialization=suffix == ".ckpt")
    assert list(checkpoint_io.shapes(path).values()) == [(2, width)]
    assert sd_family.family_of_file(path) == FAMILIES[width]


def test_the_tensors_themselves_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    header = b'{"model.diffusion_model.x_embedder.proj.weight": {"shape": [1000000, 1000000]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert sd_family.family_of_file(path) == "SD 3"


@pytest.mark.parametrize("zipped", [True, False])
def test_shapes_of_a_file_that_would_run_code_are_refused(tmp_path: Path, zipped: bool) -> None:
    mark, path = tmp_path / "mark", tmp_path / "w.ckpt"
    torch.save({"stats": Attack(mark)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="would run code"):
        checkpoint_io.shapes(path)
    assert sd_family.family_of_file(path) == ""
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]", b"PK\x03\x04" * 9])
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_what_is_no_checkpoint_has_no_family(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    assert sd_family.family_of_file(path) == sd_family.family_of_file(tmp_path / "none") == ""
    with pytest.raises(WeightsError):
        checkpoint_io.shapes(path)


def test_checkpoints_of_two_families_are_refused_with_the_reason() -> None:
    with pytest.raises(SettingsError) as caught:
        sd_family.refuse_mixture(("grand", "SDXL"), ("holes", "SD 1.x"))
    words = ("inpaint_checkpoint='holes' is SD 1.x", "'grand', is SDXL", "choose")
    assert [word for word in words if word not in str(caught.value)] == []
    sd_family.refuse_mixture(("a", "SD 1.x"), ("b", "SD 1.x"))
    sd_family.refuse_mixture(("a", "SDXL"), ("b", ""))
