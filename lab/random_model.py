#!/usr/bin/env python3
"""A model folder with random bf16 weights in a Jet-Nemotron shape, to measure servers with what is not at hand.

usage: lab/random_model.py CONFIG.json TOKENIZER_FOLDER OUT

CONFIG.json is in the layout of tests/fixtures/jet; its vocabulary becomes the tokenizer's. Without torch.
"""
import json
import shutil
import sys
from pathlib import Path

import numpy as np


def tensors(c):
    """(name, shape) of all tensors; layouts of tests/fixtures/jet."""
    hidden, mlp, head = c["hidden_size"], c["intermediate_size"], c["hidden_size"] // c["num_attention_heads"]
    jet = c["efficient_attention_config"]["jet"]
    heads, keys = jet["num_heads"], jet["num_heads"] * jet["head_dim"]
    value = int(jet["head_dim"] * jet["expand_v"])
    generated = heads * value // jet["dconv_generator_reduction"]
    kernel = "dynamic_conv1d.kernel_generator."
    blocks = {
        "jet": {"A_log": (heads,), "dt_bias": (heads,), "a_proj.weight": (heads, hidden),
                "b_proj.weight": (heads, hidden), "q_proj.weight": (keys, hidden), "k_proj.weight": (keys, hidden),
                "v_proj.weight": (heads * value, hidden), "g_proj.weight": (heads * value, hidden),
                "o_proj.weight": (hidden, heads * value), "o_norm.weight": (value,),
                kernel + "w1.weight": (generated, hidden),
                kernel + "w2.weight": (heads * value * jet["conv_size"], generated),
                kernel + "w2.bias": (heads * value * jet["conv_size"],)},
    }
    kv = c["num_key_value_heads"] * head
    blocks["attn"] = blocks["swa"] = {
        "q_proj.weight": (hidden, hidden), "q_proj.bias": (hidden,), "k_proj.weight": (kv, hidden),
        "k_proj.bias": (kv,), "v_proj.weight": (kv, hidden), "v_proj.bias": (kv,), "o_proj.weight": (hidden, hidden)}
    yield "model.embed_tokens.weight", (c["vocab_size"], hidden)
    for i, kind in enumerate(c["layer_types"]):
        layer = f"model.layers.{i}."
        for name in "input_layernorm", "post_attention_layernorm":
            yield f"{layer}{name}.weight", (hidden,)
        for name, shape in {"gate_proj": (mlp, hidden), "up_proj": (mlp, hidden), "down_proj": (hidden, mlp)}.items():
            yield f"{layer}mlp.{name}.weight", shape
        for name, shape in blocks[kind].items():
            yield f"{layer}self_attn.{name}", shape
    yield "model.norm.weight", (hidden,)


def main():
    if len(sys.argv) != 4 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    config, tokenizer, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), Path(sys.argv[3])
    config["vocab_size"] = max(json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"].values()) + 1
    out.mkdir(parents=True)
    for name in "tokenizer.json", "tokenizer_config.json":
        shutil.copy(tokenizer / name, out / name)
    (out / "config.json").write_text(json.dumps(config, indent=2))
    header, end = {}, 0
    for name, shape in tensors(config):
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + 2 * int(np.prod(shape))]}
        end = header[name]["data_offsets"][1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    rng = np.random.default_rng(1)
    with open(out / "model.safetensors", "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for name, part in header.items():
            x = rng.standard_normal(part["shape"], np.float32) * np.float32(0.02)
            if name.endswith("norm.weight"):
                x += 1
            f.write((x.view(np.uint32) >> 16).astype(np.uint16).tobytes())
    print(f"{out}: {end / 2e6:.0f} M numbers")


if __name__ == "__main__":
    main()
