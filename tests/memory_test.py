"""Peak resident memory of a run: at most the weights, the predicted cache and 300 MB (figures of jet info --json); of
an export: a few parts of tensors.

usage: memory_test.py BUILD_DIR        (from the project's root)
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

JET = str(Path(sys.argv[1]) / "jet")
BASE = Path("models/base")
ALLOWANCE = 300_000_000
EXPORT_BOUND = 60_000_000  # parts of tensors, where the model has 537 MB
failures = 0


def peak_of(arguments):
    """Runs jet with the arguments; the most memory it ever held, in bytes."""
    child = subprocess.Popen([JET, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"jet {' '.join(arguments)}: exit code {child.returncode}"
    return usage.ru_maxrss * 1024


def expect(name, model, context, arguments):
    global failures
    info = json.loads(subprocess.check_output([JET, "info", str(model), "--context", str(context), "--json"]))
    weights, cache = info["weight_bytes"], info["contexts"][0]["cache_bytes"]
    assert weights > 0 and cache > 0
    peak = peak_of(arguments)
    good = peak <= weights + cache + ALLOWANCE
    print(f"{'ok ' if good else 'BAD'} {name}: peak {peak / 1e6:.1f} MB, weights {weights / 1e6:.1f} MB, "
          f"cache {cache / 1e6:.1f} MB")
    failures += not good


def large_model(folder):
    """537 MB of bf16 zeros, nearly all of them embedding: a second copy of the weights would break the bound."""
    hidden, vocab, mlp, heads, dim = 2048, 131072, 64, 2, 32
    shapes = {"model.embed_tokens.weight": [vocab, hidden], "model.norm.weight": [hidden]}
    for name, shape in {"input_layernorm": [hidden], "post_attention_layernorm": [hidden],
                        "self_attn.q_proj": [heads * dim, hidden], "self_attn.k_proj": [heads * dim, hidden],
                        "self_attn.v_proj": [heads * dim, hidden], "self_attn.o_proj": [hidden, heads * dim],
                        "mlp.gate_proj": [mlp, hidden], "mlp.up_proj": [mlp, hidden],
                        "mlp.down_proj": [hidden, mlp]}.items():
        shapes[f"model.layers.0.{name}.weight"] = shape
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header)
    text += " " * (-(8 + len(text)) % 64)
    with open(folder / "model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text.encode())
        f.truncate(8 + len(text) + at)
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llama", "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": mlp,
        "num_attention_heads": heads, "num_key_value_heads": heads, "head_dim": dim, "num_hidden_layers": 1,
        "max_position_embeddings": 4096, "tie_word_embeddings": True}))
    shutil.copy(BASE / "tokenizer.json", folder)
    return folder


def main():
    global failures
    expect("generate", BASE, 2048, ["generate", str(BASE), "-p", "One day " * 900, "-n", "16", "--ignore-eos"])
    expect("eval", BASE, 2048, ["eval", str(BASE), "--limit", "4"])
    with tempfile.TemporaryDirectory() as tmp:
        model = large_model(Path(tmp))
        for options in ([], ["--dtype", "f32"]):
            peak = peak_of(["export", str(model), str(model / "out"), "--format", "hf", "--shard-size", "200MB", *options])
            good = peak <= EXPORT_BOUND
            print(f"{'ok ' if good else 'BAD'} export {' '.join(options)}: peak {peak / 1e6:.1f} MB")
            failures += not good
            shutil.rmtree(model / "out")
        expect("generate, large", model, 64, ["generate", str(model), "-p", "One day", "-n", "2", "--ignore-eos"])
    sys.exit(failures != 0)


main()
