#!/usr/bin/env python3
"""The same model in other coordinates: rotate_model.py SRC DST [--seed 1]

The residual stream is multiplied by a random orthogonal matrix, norm weights are folded into the matrices behind them:

  embed' = E Q    W' = W diag(norm) Q (q, k, v, gate, up, head)    W' = Q^T W (o, down)    all norms 1

In real numbers the same function, but no weight lies where it lay: what a quantization costs on it is not owed to a
lattice that the weights came from. The head is a matrix of its own then, as the last norm cannot be folded into the
embedding. For llama, qwen2 and qwen3 with norms before mixer and MLP.

Gemma 3 has norms behind mixer and MLP too, whose weights no rotation passes. There Q is a random permutation (embedding
and head stay one matrix), and so is the order of the MLP's channels; the values of a head are rotated:

  v' = R v    o' = o R^T    so that no group of columns is one that a file's scales were made for

Its norms stay norms: their weights differ by factors of a hundred, and no format of groups bears them in its columns.

Needs numpy alone; writes bf16.
"""
import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np

TYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def read_tensors(folder):
    """All tensors of a folder's safetensors files as float64, by name."""
    tensors = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        data = np.memmap(path, np.uint8, "r")
        size = int(data[:8].view("<u8")[0])
        for name, t in json.loads(bytes(data[8 : 8 + size])).items():
            if name == "__metadata__":
                continue
            begin, end = (8 + size + o for o in t["data_offsets"])
            x = data[begin:end].view(TYPES[t["dtype"]])
            if t["dtype"] == "BF16":
                x = (x.astype(np.uint32) << 16).view(np.float32)
            tensors[name] = x.astype(np.float64).reshape(t["shape"])
    return tensors


def to_bf16(x):
    """Rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def write_tensors(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, x in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(x.shape), "data_offsets": [at, at + 2 * x.size]}
        at += 2 * x.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for x in tensors.values():
            f.write(to_bf16(x).tobytes())


def rotation(size, random):
    q, r = np.linalg.qr(random.standard_normal([size] * 2))
    return q * np.sign(np.diag(r))  # uniform over all rotations


def rotate(tensors, config, random):
    q = rotation(config["hidden_size"], random)
    embed = tensors["model.embed_tokens.weight"]
    head = tensors.get("lm_head.weight", embed)
    out = {"model.embed_tokens.weight": embed @ q}
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        names = sorted(n for n in tensors if n.startswith(layer))
        before = {"self_attn": tensors[layer + "input_layernorm.weight"],
                  "mlp": tensors[layer + "post_attention_layernorm.weight"]}
        for name in names:
            x, part = tensors[name], name[len(layer):].split(".")
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                x = q.T @ x
            elif part[0] in before and part[1].endswith("_proj") and part[-1] == "weight":
                x = (x * before[part[0]]) @ q
            elif part[0].endswith("layernorm"):
                x = np.ones_like(x)
            out[name] = x
    out["model.norm.weight"] = np.ones_like(tensors["model.norm.weight"])
    out["lm_head.weight"] = (head * tensors["model.norm.weight"]) @ q
    config["tie_word_embeddings"] = False
    return out


def permute(tensors, config, random):
    p = random.permutation(config["hidden_size"])
    out = {"model.embed_tokens.weight": tensors["model.embed_tokens.weight"][:, p],
           "model.norm.weight": tensors["model.norm.weight"][p]}
    share = config["num_attention_heads"] // config["num_key_value_heads"]
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        t = {name[len(layer):]: x for name, x in tensors.items() if name.startswith(layer)}
        turns = [rotation(config["head_dim"], random) for _ in range(config["num_key_value_heads"])]
        for name, x in t.items():
            if name == "self_attn.v_proj.weight":
                x = np.concatenate([r @ v for r, v in zip(turns, np.split(x, len(turns)))])
            if name == "self_attn.o_proj.weight":
                heads = np.split(x, config["num_attention_heads"], axis=1)
                x = np.concatenate([o @ turns[h // share].T for h, o in enumerate(heads)], axis=1)
            if name.endswith(("o_proj.weight", "down_proj.weight", "layernorm.weight")):
                x = x[p]
            elif name.endswith("_proj.weight"):
                x = x[:, p]
            t[name] = x
        order = random.permutation(config["intermediate_size"])
        for name in ("gate_proj", "up_proj"):
            t[f"mlp.{name}.weight"] = t[f"mlp.{name}.weight"][order]
        t["mlp.down_proj.weight"] = t["mlp.down_proj.weight"][:, order]
        out.update((layer + name, x) for name, x in t.items())
    return out


KINDS = {"llama": rotate, "qwen2": rotate, "qwen3": rotate, "gemma3_text": permute}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("source")
    p.add_argument("target")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    config = json.loads(Path(a.source, "config.json").read_text())
    if config["model_type"] not in KINDS:
        sys.exit(f"{a.source}: a {config['model_type']} is not rotated ({', '.join(KINDS)} are)")
    Path(a.target).mkdir()
    for f in Path(a.source).iterdir():
        if f.suffix != ".safetensors" and f.name not in ("config.json", "model.safetensors.index.json"):
            shutil.copy(f, a.target)
    random = np.random.default_rng(a.seed)
    tensors = KINDS[config["model_type"]](read_tensors(a.source), config, random)
    write_tensors(Path(a.target, "model.safetensors"), tensors)
    config["torch_dtype"] = "bfloat16"
    Path(a.target, "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
