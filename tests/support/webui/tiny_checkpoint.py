"""Tiny Stable Diffusion 1.x checkpoints: `python tiny_checkpoint.py FOLDER`.

Makes tiny.ckpt, tiny-inpainting.ckpt and nan.ckpt with a .yaml of the same name beside each. Needs
torch and transformers with the CLIP configuration in the hub's cache, both as the host has them.

Names and shapes are SD 1.x's own, its four levels included, with 32 base channels. The weights are
random except for a few taps that make the model behave, so that a test can look at more than that
a picture came back:

* VAE: linear. Encoding is the mean of each 8x8 block, decoding blocks of 8x8. Latent channels 0 to
  2 are R, G, B, about of unit variance after the model's scale factor. +x and -x run side by side:
  GroupNorm with two channels a group then has zero mean, its gain is constant at amplitudes far
  below its epsilon, and silu(a) - silu(-a) = a.
* UNet: takes what it sees for noise, as a perfect denoiser of white data does, plus a little that
  depends on prompt, neighbourhood, mask and masked picture. nan.ckpt has NaN there.
* Text encoder: embeddings and the attention of the first layer; all other layers are zero.

Tensors are windows into a few shared pools, which `torch.save` stores once: 15 MB a file.
"""

from __future__ import annotations

import json
import math
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTextConfig

SEED = 1
TOKENIZER = "openai/clip-vit-large-patch14"
CONTEXT = 768
BASE = 32
LEVELS = (1, 2, 4, 4)
BLOCKS = 2
VAE_CHANNELS = 64  # two a group in GroupNorm(32)
VAE_LEVELS = 4
VAE_EPSILON = 1e-6
SCALE = 0.18215
SEEN = 0.93  # share of what the UNet sees that it calls noise
SPREAD = 0.3  # of [-1, 1]: a latent of 1 after scaling
FAINT = 2.0**-14  # amplitude inside the VAE: the smallest normal float16
PAIRS = tuple(
    (2 * place + turn, place, sign) for place in range(4) for turn, sign in enumerate((1, -1))
)

Shapes = Iterator[tuple[str, tuple[int, ...]]]
Weights = dict[str, torch.Tensor]


def _conv(name: str, given: int, made: int, side: int = 3) -> Shapes:
    yield f"{name}.weight", (made, given, side, side)
    yield f"{name}.bias", (made,)


def _linear(name: str, given: int, made: int) -> Shapes:
    yield f"{name}.weight", (made, given)
    yield f"{name}.bias", (made,)


def _norm(name: str, channels: int) -> Shapes:
    yield f"{name}.weight", (channels,)
    yield f"{name}.bias", (channels,)


def _residual(at: str, given: int, made: int) -> Shapes:
    yield from _norm(f"{at}.in_layers.0", given)
    yield from _conv(f"{at}.in_layers.2", given, made)
    yield from _linear(f"{at}.emb_layers.1", 4 * BASE, made)
    yield from _norm(f"{at}.out_layers.0", made)
    yield from _conv(f"{at}.out_layers.3", made, made)
    if given != made:
        yield from _conv(f"{at}.skip_connection", given, made, 1)


def _transformer(at: str, channels: int) -> Shapes:
    yield from _norm(f"{at}.norm", channels)
    yield from _conv(f"{at}.proj_in", channels, channels, 1)
    block = f"{at}.transformer_blocks.0"
    for name, width in (("attn1", channels), ("attn2", CONTEXT)):
        yield f"{block}.{name}.to_q.weight", (channels, channels)
        yield f"{block}.{name}.to_k.weight", (channels, width)
        yield f"{block}.{name}.to_v.weight", (channels, width)
        yield from _linear(f"{block}.{name}.to_out.0", channels, channels)
    yield from _linear(f"{block}.ff.net.0.proj", channels, channels * 8)
    yield from _linear(f"{block}.ff.net.2", channels * 4, channels)
    for place in (1, 2, 3):
        yield from _norm(f"{block}.norm{place}", channels)
    yield from _conv(f"{at}.proj_out", channels, channels, 1)


def _unet_shapes(seen: int) -> Shapes:
    yield from _linear("time_embed.0", BASE, 4 * BASE)
    yield from _linear("time_embed.2", 4 * BASE, 4 * BASE)
    yield from _conv("input_blocks.0.0", seen, BASE)
    channels, block, skips = BASE, 1, [BASE]
    for level, factor in enumerate(LEVELS):
        deepest = level == len(LEVELS) - 1
        for _ in range(BLOCKS):
            yield from _residual(f"input_blocks.{block}.0", channels, BASE * factor)
            channels = BASE * factor
            if not deepest:
                yield from _transformer(f"input_blocks.{block}.1", channels)
            skips.append(channels)
            block += 1
        if not deepest:
            yield from _conv(f"input_blocks.{block}.0.op", channels, channels)
            skips.append(channels)
            block += 1
    yield from _residual("middle_block.0", channels, channels)
    yield from _transformer("middle_block.1", channels)
    yield from _residual("middle_block.2", channels, channels)
    yield from _unet_rise(channels, skips)


def _unet_rise(channels: int, skips: list[int]) -> Shapes:
    """The half of the UNet in which the picture grows again."""
    block = 0
    for level in reversed(range(len(LEVELS))):
        for place in range(BLOCKS + 1):
            wide = BASE * LEVELS[level]
            yield from _residual(f"output_blocks.{block}.0", channels + skips.pop(), wide)
            channels, part = wide, 1
            if level != len(LEVELS) - 1:
                yield from _transformer(f"output_blocks.{block}.1", channels)
                part = 2
            if level and place == BLOCKS:
                yield from _conv(f"output_blocks.{block}.{part}.conv", channels, channels)
            block += 1
    yield from _norm("out.0", channels)
    yield from _conv("out.2", channels, 4)


def _vae_residual(at: str) -> Shapes:
    for place in (1, 2):
        yield from _norm(f"{at}.norm{place}", VAE_CHANNELS)
        yield from _conv(f"{at}.conv{place}", VAE_CHANNELS, VAE_CHANNELS)


def _vae_shapes() -> Shapes:
    wide = VAE_CHANNELS
    yield from _conv("encoder.conv_in", 3, wide)
    yield from _conv("decoder.conv_in", 4, wide)
    for level in range(VAE_LEVELS):
        yield from _vae_residual(f"encoder.down.{level}.block.0")
        if level < VAE_LEVELS - 1:
            yield from _conv(f"encoder.down.{level}.downsample.conv", wide, wide)
        for place in (0, 1):
            yield from _vae_residual(f"decoder.up.{level}.block.{place}")
        if level:
            yield from _conv(f"decoder.up.{level}.upsample.conv", wide, wide)
    for half in ("encoder", "decoder"):
        yield from _vae_residual(f"{half}.mid.block_1")
        yield from _norm(f"{half}.mid.attn_1.norm", wide)
        for part in ("q", "k", "v", "proj_out"):
            yield from _conv(f"{half}.mid.attn_1.{part}", wide, wide, 1)
        yield from _vae_residual(f"{half}.mid.block_2")
        yield from _norm(f"{half}.norm_out", wide)
    yield from _conv("encoder.conv_out", wide, 8)
    yield from _conv("decoder.conv_out", wide, 3)
    yield from _conv("quant_conv", 8, 8, 1)
    yield from _conv("post_quant_conv", 4, 4, 1)


def _text_shapes(config: CLIPTextConfig) -> Shapes:
    wide = config.hidden_size
    for layer in range(config.num_hidden_layers):
        at = f"encoder.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _linear(f"{at}.self_attn.{part}", wide, wide)
        yield from _linear(f"{at}.mlp.fc1", wide, config.intermediate_size)
        yield from _linear(f"{at}.mlp.fc2", config.intermediate_size, wide)
        yield from _norm(f"{at}.layer_norm1", wide)
        yield from _norm(f"{at}.layer_norm2", wide)


class Pools:
    """Random tensors of a wanted spread, the same for the same name."""

    def __init__(self) -> None:
        """Empty; a pool is made when it is first drawn from."""
        self._pools: dict[tuple[int, int], torch.Tensor] = {}

    def random(self, name: str, shape: tuple[int, ...], spread: float) -> torch.Tensor:
        """Normal numbers of about that spread, as a window; not to be written to."""
        count, power = math.prod(shape), round(math.log2(spread))
        size = 1 << 21 if count > 1 << 18 else 1 << 18
        if (power, size) not in self._pools:
            chance = torch.Generator().manual_seed(SEED + power * 7919 + size)
            drawn = torch.randn(size + 65536, generator=chance) * 2.0**power
            self._pools[power, size] = drawn.half()
        pool = self._pools[power, size]
        start = zlib.crc32(name.encode()) % (pool.numel() - count)
        return pool[start : start + count].view(shape)

    def filled(self, shapes: Shapes, gains: Mapping[str, float] | None = None) -> Weights:
        """Random weights, biases of 0, norms of 1; `gains` go by the ends of names."""
        made: Weights = {}
        for name, shape in shapes:
            if name.endswith(".bias"):
                made[name] = torch.zeros(shape, dtype=torch.half)
            elif len(shape) == 1:
                made[name] = torch.ones(shape, dtype=torch.half)
            else:
                gain = next((g for end, g in (gains or {}).items() if name.endswith(end)), 1.0)
                made[name] = self.random(name, shape, gain / math.sqrt(math.prod(shape[1:])))
        return made


def unet(seen: int, pools: Pools, *, broken: bool = False) -> Weights:
    """What it sees in the first four channels goes straight to the output."""
    gains = {"out_layers.3.weight": 0.5, "attn2.to_k.weight": 2.0, "attn2.to_v.weight": 2.0}
    made = pools.filled(_unet_shapes(seen), gains)
    last = "output_blocks.11"
    changed = (
        "input_blocks.0.0.weight", f"{last}.0.skip_connection.weight", "out.2.weight",
        f"{last}.0.out_layers.3.weight", f"{last}.1.proj_out.weight",
    )  # fmt: skip
    for name in changed:
        made[name] = made[name].clone()
    first, skip, out = (made[name] for name in changed[:3])
    first[:8], skip[:8] = 0, 0
    out *= 0.03  # little: guidance multiplies it, steps add it up
    out[:, :8] = 0
    for name in changed[3:]:
        made[name][:8] *= 0.02
    for channel, place, sign in PAIRS:
        first[channel, place, 1, 1] = sign
        skip[channel, BASE + channel] = 1  # the first layer's output comes after the deep ones
        out[place, channel, 1, 1] = sign * SEEN
    if broken:
        made["out.2.bias"] = torch.full((4,), math.nan, dtype=torch.half)
    return made


def vae(pools: Pools) -> Weights:
    """A linear pass-through; every residual branch ends in zeros."""
    made = pools.filled(_vae_shapes())
    ends = (
        ".conv2.weight", ".attn_1.proj_out.weight", "conv_in.weight", "conv_out.weight",
        "sample.conv.weight", "quant_conv.weight",
    )  # fmt: skip
    for name, weight in made.items():
        if name.endswith(ends):
            made[name] = torch.zeros(weight.shape, dtype=torch.half)
    gain, latent = 1 / math.sqrt(VAE_EPSILON), 1 / (SCALE * SPREAD)
    for channel, place, sign in PAIRS:
        colours = slice(place, place + 1) if place < 3 else slice(0, 3)
        share = 1 if place < 3 else 1 / 3
        made["encoder.conv_in.weight"][channel, colours, 1, 1] = sign * FAINT * share
        made["encoder.conv_out.weight"][place, channel, 1, 1] = sign
        made["decoder.conv_in.weight"][channel, place, 1, 1] = sign * FAINT
        if place < 3:
            made["decoder.conv_out.weight"][place, channel, 1, 1] = sign / gain / FAINT
        made["quant_conv.weight"][place, place] = latent / gain / FAINT
        made["post_quant_conv.weight"][place, place] = 1 / latent
    made["quant_conv.bias"][4:] = -20.0  # log variance: nothing is drawn
    for level in range(VAE_LEVELS - 1):
        # The host pads right and below only, so that taps 0 and 1 are the 2x2 block.
        for channel in range(8):
            made[f"encoder.down.{level}.downsample.conv.weight"][channel, channel, :2, :2] = 0.25
            made[f"decoder.up.{level + 1}.upsample.conv.weight"][channel, channel, 1, 1] = 1
    return made


def text(config: CLIPTextConfig, pools: Pools) -> Weights:
    """Embeddings, one layer that attends, and zeros; nothing is left for the host to make up."""
    made: Weights = {}
    for name, shape in _text_shapes(config):
        if "layer_norm" in name:
            made[name] = (torch.zeros if name.endswith(".bias") else torch.ones)(shape).half()
        elif name.startswith("encoder.layers.0.self_attn") and len(shape) == 2:
            made[name] = pools.random(name, shape, 1 / math.sqrt(shape[1]))
        else:
            made[name] = torch.zeros(1, dtype=torch.half).expand(shape)
    # The host divides by the mean over all channels, which a norm without a bias makes 0.
    made["final_layer_norm.weight"] = torch.ones(config.hidden_size, dtype=torch.half)
    made["final_layer_norm.bias"] = torch.full((config.hidden_size,), 0.125, dtype=torch.half)
    chance = torch.Generator().manual_seed(SEED)
    strip = torch.randn(config.vocab_size * 7 + config.hidden_size, generator=chance).half()
    tokens = (config.vocab_size, config.hidden_size)
    made["embeddings.token_embedding.weight"] = strip.as_strided(tokens, (7, 1))
    places = config.max_position_embeddings
    made["embeddings.position_ids"] = torch.arange(places)[None]
    name = "embeddings.position_embedding.weight"
    made[name] = pools.random(name, (places, config.hidden_size), 0.25)
    return made


def document(seen: int) -> dict[str, Any]:
    """The model's configuration as the host's .yaml has it."""
    unet_params = {
        "image_size": 32, "in_channels": seen, "out_channels": 4, "model_channels": BASE,
        "attention_resolutions": [4, 2, 1], "num_res_blocks": BLOCKS,
        "channel_mult": list(LEVELS), "num_heads": 8, "use_spatial_transformer": True,
        "transformer_depth": 1, "context_dim": CONTEXT, "use_checkpoint": False, "legacy": False,
    }  # fmt: skip
    vae_params = {
        "double_z": True, "z_channels": 4, "resolution": 64, "in_channels": 3, "out_ch": 3,
        "ch": VAE_CHANNELS, "ch_mult": [1] * VAE_LEVELS, "num_res_blocks": 1,
        "attn_resolutions": [], "dropout": 0.0,
    }  # fmt: skip
    modules = "ldm.modules.diffusionmodules.openaimodel.UNetModel"
    params = {
        "linear_start": 0.00085, "linear_end": 0.012, "timesteps": 1000, "num_timesteps_cond": 1,
        "log_every_t": 200, "first_stage_key": "jpg", "cond_stage_key": "txt", "image_size": 64,
        "channels": 4, "cond_stage_trainable": False, "scale_factor": SCALE,
        "conditioning_key": "hybrid" if seen == 9 else "crossattn",
        **({"finetune_keys": None} if seen == 9 else {"use_ema": False}),
        "unet_config": {"target": modules, "params": unet_params},
        "first_stage_config": {
            "target": "ldm.models.autoencoder.AutoencoderKL",
            "params": {
                "embed_dim": 4, "monitor": "val/rec_loss", "ddconfig": vae_params,
                "lossconfig": {"target": "torch.nn.Identity"},
            },
        },
        "cond_stage_config": {"target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder"},
    }  # fmt: skip
    kind = "LatentInpaintDiffusion" if seen == 9 else "LatentDiffusion"
    return {"model": {"target": f"ldm.models.diffusion.ddpm.{kind}", "params": params}}


def save(path: Path, seen: int, *, broken: bool = False) -> None:
    """The checkpoint at `path`, and its .yaml."""
    pools = Pools()
    parts = {
        "model.diffusion_model.": unet(seen, pools, broken=broken),
        "first_stage_model.": vae(pools),
        "cond_stage_model.transformer.text_model.": text(
            CLIPTextConfig.from_pretrained(TOKENIZER), pools
        ),
    }
    weights = {f"{at}{name}": value for at, part in parts.items() for name, value in part.items()}
    # The host refuses the container that newer versions of torch write by themselves.
    torch.save({"state_dict": weights}, path, _use_new_zipfile_serialization=False)
    path.with_suffix(".yaml").write_text(json.dumps(document(seen), indent=1), encoding="utf-8")


def main() -> None:
    """Make all three in the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "tiny.ckpt", 4)
    save(folder / "tiny-inpainting.ckpt", 9)
    save(folder / "nan.ckpt", 4, broken=True)


if __name__ == "__main__":
    main()
