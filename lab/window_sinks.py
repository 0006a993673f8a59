#!/usr/bin/env python3
"""What a window loses with a text's first tokens, layer by layer: the squared error of a Llama's mixer outputs, over the
outputs' own square, beyond the window on two held-out rows.

    window       softmax over the last WINDOW tokens
    sinks        and over the first four
    gate         window; o = m a + (1 - m) s, m = sigmoid(Wm x + c) a head and token, s a vector a head: a learned
                 share in the sinks' place, fitted by 32 steps of AdamW on the other rows

usage: lab/window_sinks.py MODEL TEXT [--window 128] [--rows 8] [--length 512]        (wants torch; seed 0)
"""
import argparse
import json
import math
import subprocess
import tempfile
from pathlib import Path

import torch

from rotate_model import read_tensors


def tokens(model, text, count):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
        f.write(Path(text).read_text(encoding="utf-8")[:8 * count])
        f.flush()
        out = subprocess.run(["build/jet", "tokenize", model, "--file", f.name, "--json"], check=True,
                             stdout=subprocess.PIPE).stdout
    return json.loads(out)["ids"][:count]


def fitted(x, a, y, wo, steps=32, lr=3e-2):
    """m and s for outputs y of o = m a + (1 - m) s; x [rows, T, hidden], a [rows, heads, T, d]."""
    heads, dim = a.shape[1], a.shape[3]
    weight, bias = torch.zeros(heads, x.shape[-1]), torch.full((heads,), 2.0)
    sink = torch.zeros(heads, dim)
    own = [t.requires_grad_() for t in (weight, bias, sink)]
    adam = torch.optim.AdamW(own, lr=lr, betas=(0.9, 0.95), weight_decay=0)

    def out(x, a):
        m = torch.sigmoid(x @ weight.T + bias).transpose(1, 2)[..., None]
        return (m * a + (1 - m) * sink[None, :, None]).transpose(1, 2).flatten(2) @ wo.T

    for step in range(steps):
        adam.param_groups[0]["lr"] = lr * min(1, (step + 1) / 4) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        rows = torch.randint(0, len(x) - 2, (2,))
        loss = (out(x[rows], a[rows]) - y[rows]).pow(2).mean() / y.pow(2).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        return out(x, a)


def main():
    p = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    p.add_argument("model"), p.add_argument("text")
    p.add_argument("--window", type=int, default=128)
    p.add_argument("--rows", type=int, default=8)
    p.add_argument("--length", type=int, default=512)
    o = p.parse_args()
    torch.manual_seed(0)
    c, T = json.loads(Path(o.model, "config.json").read_text()), o.length
    w = {name: torch.from_numpy(x).float() for name, x in read_tensors(o.model).items()}
    heads, kv = c["num_attention_heads"], c["num_key_value_heads"]
    dim, eps = c["hidden_size"] // heads, c["rms_norm_eps"]
    ids = torch.tensor(tokens(o.model, o.text, o.rows * T)).view(o.rows, T)
    ids[:, 0] = c["bos_token_id"]
    theta = c.get("rope_theta") or c["rope_parameters"]["rope_theta"]
    angle = torch.arange(T)[:, None] * theta ** (-torch.arange(0, dim, 2) / dim)
    cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)

    def norm(x, weight):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight

    def rope(x):
        return x * cos + torch.cat([-x[..., dim // 2:], x[..., :dim // 2]], -1) * sin

    at = torch.arange(T)
    causal = at[:, None] >= at
    window = causal & (at[:, None] - at < o.window)
    sinks = window | (causal & (at < 4))
    x, sums = w["model.embed_tokens.weight"][ids], {}
    for layer in range(c["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        h = norm(x, w[prefix + "input_layernorm.weight"])
        q, k, v = ((h @ w[f"{prefix}self_attn.{n}_proj.weight"].T).view(o.rows, T, -1, dim).transpose(1, 2)
                   for n in "qkv")
        k, v = (t.repeat_interleave(heads // kv, 1) for t in (k, v))
        scores, wo = rope(q) @ rope(k).transpose(-1, -2) / math.sqrt(dim), w[prefix + "self_attn.o_proj.weight"]
        attended = {name: scores.masked_fill(~mask, -1e30).softmax(-1) @ v
                    for name, mask in (("full", causal), ("window", window), ("sinks", sinks))}
        y = {name: a.transpose(1, 2).flatten(2) @ wo.T for name, a in attended.items()}
        y["gate"] = fitted(h, attended["window"], y["full"], wo)
        far = (slice(-2, None), slice(o.window + 32, None))
        errors = {n: ((y[n] - y["full"])[far].pow(2).sum() / y["full"][far].pow(2).sum()).item()
                  for n in ("window", "sinks", "gate")}
        for name, e in errors.items():
            sums.setdefault(name, []).append(e)
        print(f"layer {layer:>2} ", *(f"{n} {e:.3f} " for n, e in errors.items()), flush=True)
        x = x + y["full"]
        h = norm(x, w[prefix + "post_attention_layernorm.weight"])
        gate, up, down = (w[f"{prefix}mlp.{n}_proj.weight"] for n in ("gate", "up", "down"))
        x = x + (torch.nn.functional.silu(h @ gate.T) * (h @ up.T)) @ down.T
    print("mean     ", *(f"{n} {sum(e) / len(e):.3f} " for n, e in sums.items()))


if __name__ == "__main__":
    main()
