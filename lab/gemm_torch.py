#!/usr/bin/env python3
"""torch's GEMM rate for the linear layers of a model: what the engine's prefill is compared with.

    gemm_torch.py models/shapes/jet-2b.json [--threads 2] [--tokens 512,2048] [--types f32,bf16,int8] [--repeats 5]

Each distinct [out, in] is timed as x[tokens, in] @ w[out, in]^T in every type, the repeats of all shapes and types
interleaved, and the medians kept. `total` is FLOP-weighted over all linears of all layers: sum of FLOPs / sum of times.
The head is listed but not in the total, for a prompt needs the logits of its last token only. int8 is torch's dynamic
quantised linear (fp32 in and out, activations quantised inside), where the build has an engine for it. Prints JSON.
"""

import argparse
import json
import statistics
import sys
import time
import warnings

warnings.filterwarnings("ignore")
import torch  # noqa: E402

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def attention(c):
    h, heads = c["hidden_size"], c["num_attention_heads"]
    dim = c.get("head_dim") or h // heads
    kv = c["num_key_value_heads"] * dim
    return {"q": (heads * dim, h), "k": (kv, h), "v": (kv, h), "o": (h, heads * dim)}


def jet_block(c):
    h, b = c["hidden_size"], c["efficient_attention_config"]["jet"]
    k = b["num_heads"] * b["head_dim"]
    v = b["num_heads"] * int(b["head_dim"] * b["expand_v"])
    generator = v // b["dconv_generator_reduction"]
    return {"q": (k, h), "k": (k, h), "v": (v, h), "g": (v, h), "o": (h, v), "a": (b["num_heads"], h),
            "b": (b["num_heads"], h), "w1": (generator, h), "w2": (v * b["conv_size"], generator)}


def linears(c):
    """{(out, in): how many in the model}, the names of each, and the head's (out, in)."""
    counts, names = {}, {}
    h, mlp = c["hidden_size"], c["intermediate_size"]
    for kind in c.get("layer_types") or ["attn"] * c["num_hidden_layers"]:
        layer = dict(jet_block(c) if kind == "jet" else attention(c))
        layer.update({"gate": (mlp, h), "up": (mlp, h), "down": (h, mlp)})
        for name, shape in layer.items():
            counts[shape] = counts.get(shape, 0) + 1
            names.setdefault(shape, set()).add(f"{kind}.{name}" if name not in ("gate", "up", "down") else name)
    return counts, names, (c["vocab_size"], h)


def quantised_engine():
    return next((e for e in ("onednn", "x86", "fbgemm") if e in torch.backends.quantized.supported_engines), None)


def job(kind, shape, tokens):
    """A function of no arguments that runs the product once."""
    out, inner = shape
    x = torch.randn(tokens, inner)
    if kind == "int8":
        w = torch.quantize_per_channel(torch.randn(out, inner), torch.full((out,), 0.03),
                                       torch.zeros(out, dtype=torch.int64), 0, torch.qint8)
        packed = torch.ops.quantized.linear_prepack(w, None)
        return lambda: torch.ops.quantized.linear_dynamic(x, packed)
    x, w = x.to(DTYPES[kind]), torch.randn(out, inner).to(DTYPES[kind])
    return lambda: torch.nn.functional.linear(x, w)


def measure(types, shapes, tokens, repeats):
    """{(type, shape): median seconds}."""
    jobs = {(kind, shape): job(kind, shape, tokens) for kind in types for shape in shapes}
    seconds = {key: [] for key in jobs}
    for repeat in range(repeats + 1):
        for key, run in jobs.items():
            start = time.perf_counter()
            run()
            if repeat > 0:  # the first one warms up
                seconds[key].append(time.perf_counter() - start)
    return {key: statistics.median(s) for key, s in seconds.items()}


def report(config, types, all_tokens, repeats):
    counts, names, head = linears(config)
    out = []
    for tokens in all_tokens:
        medians = measure(types, [*counts, head], tokens, repeats)
        for kind in types:
            rows = [{"out": s[0], "in": s[1], "count": counts.get(s, 0), "names": sorted(names.get(s, ["head"])),
                     "seconds": medians[kind, s], "flops": 2 * tokens * s[0] * s[1] / medians[kind, s]}
                    for s in dict.fromkeys([*counts, head])]
            flops = sum(2 * tokens * s[0] * s[1] * n for s, n in counts.items())
            total = flops / sum(medians[kind, s] * n for s, n in counts.items())
            out.append({"type": kind, "tokens": tokens, "total_flops": total, "linears": rows})
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="a config.json of the Qwen, Llama, Gemma or Jet-Nemotron layout")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--tokens", default="512,2048")
    parser.add_argument("--types", default="f32,bf16,int8")
    parser.add_argument("--repeats", type=int, default=5)
    a = parser.parse_args()
    types = a.types.split(",")
    unknown = set(types) - {*DTYPES, "int8"}
    if unknown or a.repeats < 1 or a.threads < 1:
        sys.exit(f"gemm_torch.py: types are f32, bf16, int8 (not {sorted(unknown)}); repeats and threads at least 1")
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    engine = quantised_engine()
    if "int8" in types and engine is None:
        print("gemm_torch.py: int8 left out, this torch has no quantised engine", file=sys.stderr)
        types.remove("int8")
    if "int8" in types:
        torch.backends.quantized.engine = engine
    with open(a.config) as f:
        config = json.load(f)
    with torch.inference_mode():
        measured = report(config, types, [int(n) for n in a.tokens.split(",")], a.repeats)
    print(json.dumps({"format": "gemm torch 1", "torch": torch.__version__,
                      "capability": torch.backends.cpu.get_cpu_capability(), "threads": a.threads, "config": a.config,
                      "int8_engine": engine, "repeats": a.repeats, "measured": measured}, indent=1))


if __name__ == "__main__":
    main()
