#!/usr/bin/env python3
"""The same model in llama.cpp: what its quantizations cost, and its speed beside jet's.

usage: lab/beside_llama_cpp.py quantize IN.gguf OUT.gguf bf16|q8_0|q4_0|q4_k_m
       lab/beside_llama_cpp.py loss FILE.gguf MODEL TEXT [--tokens 16384] [--length 1024]
       lab/beside_llama_cpp.py gguf SOURCE.gguf FOLDER OUT.gguf
       lab/beside_llama_cpp.py random CONFIG.json OUT.gguf
       lab/beside_llama_cpp.py speed MODEL=FILE.gguf [MODEL:TYPE=FILE.gguf ...] [--turns 3] [--depths 0 4096] [--prefill 512]

loss: on the tokens and rows of `jet eval MODEL --text TEXT`; bits a weight are those of all of the file's tensors.
gguf: the weights of a llama or Gemma 3 folder (of lab/rotate_model.py, say) under the keys of the file that it was
imported from.
random: random bf16 weights in a qwen2 shape (models/shapes), without a vocabulary.
speed: by turns in one run, medians of the turns; MODEL is a folder, or with :TYPE a shape of `jet bench`. llama.cpp
reads a prompt of --depths tokens first, keys and values in f16, its attention not fused (the faster one on CPUs).

Needs llama-cpp-python built for this machine (CMAKE_ARGS=-DGGML_NATIVE=ON pip install --no-binary llama-cpp-python
llama-cpp-python), gguf and numpy.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

FTYPES = {"bf16": 32, "q8_0": 7, "q4_0": 2, "q4_k_m": 15}


@llama_cpp.llama_log_callback
def quiet(level, text, data):
    pass


class Model:
    """A file that llama.cpp has loaded."""

    def __init__(self, path, threads=2):
        llama_cpp.llama_log_set(quiet, None)
        self.threads = threads
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            sys.exit(f"{path}: llama.cpp does not load it")
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))


class Context:
    """One sequence with room for `tokens`, which run in batches of at most `batch`."""

    def __init__(self, model, tokens, batch=512):
        p = llama_cpp.llama_context_default_params()
        p.n_ctx, p.n_batch, p.n_ubatch = tokens, batch, batch
        p.n_threads = p.n_threads_batch = model.threads
        p.flash_attn_type = 0
        self.context = llama_cpp.llama_init_from_model(model.model, p)
        self.vocab = model.vocab
        self.batch, self.most = llama_cpp.llama_batch_init(batch, 0, 1), batch

    def run(self, ids, begin, all_logits=False):
        """`ids` at positions from `begin` on; the last one's logits, or all."""
        b = self.batch
        b.n_tokens = len(ids)
        for i, token in enumerate(ids):
            b.token[i], b.pos[i], b.n_seq_id[i] = int(token), begin + i, 1
            b.seq_id[i][0] = 0
            b.logits[i] = all_logits or i + 1 == len(ids)
        if llama_cpp.llama_decode(self.context, b) != 0:
            sys.exit("llama_decode failed")
        rows = len(ids) if all_logits else 1
        logits = llama_cpp.llama_get_logits(self.context)
        return np.ctypeslib.as_array(logits, shape=(rows * self.vocab,)).reshape(rows, self.vocab)

    def cut(self, length):
        llama_cpp.llama_memory_seq_rm(llama_cpp.llama_get_memory(self.context), 0, length, -1)


def bits_a_weight(path):
    tensors = gguf.GGUFReader(path).tensors
    return 8 * sum(int(t.n_bytes) for t in tensors) / sum(int(t.n_elements) for t in tensors)


def quantize(o):
    p = llama_cpp.llama_model_quantize_default_params()
    p.ftype, p.allow_requantize, p.nthread = FTYPES[o.type], True, o.threads
    llama_cpp.llama_log_set(quiet, None)
    if llama_cpp.llama_model_quantize(o.source.encode(), o.target.encode(), p) != 0:
        sys.exit(f"{o.source}: llama.cpp does not quantize it to {o.type}")
    print(f"{o.target}: {bits_a_weight(o.target):.2f} bits a weight")


def loss(o):
    run = subprocess.run([o.jet, "tokenize", o.model, "--file", o.text, "--json"], check=True, stdout=subprocess.PIPE)
    ids = json.loads(run.stdout)["ids"]
    run = subprocess.run([o.jet, "tokenize", o.model, "-p", "", "--special", "--json"], check=True,
                         stdout=subprocess.PIPE)
    beginning = json.loads(run.stdout)["ids"]
    model, step = Context(Model(o.file, o.threads), o.length), o.length - len(beginning)
    total = count = 0
    for row in range(o.tokens // o.length):
        x = beginning + ids[row * step:(row + 1) * step]
        model.cut(0)
        for at in range(0, o.length, model.most):
            logits = model.run(x[at:at + model.most], at, True)[:o.length - 1 - at].astype(np.float64)
            top = logits.max(1)
            wanted = logits[np.arange(len(logits)), x[at + 1:at + 1 + len(logits)]]
            total += (top + np.log(np.exp(logits - top[:, None]).sum(1)) - wanted).sum()
            count += len(logits)
    print(f"{o.file}: {total / count:.4f} nats a token, {bits_a_weight(o.file):.2f} bits a weight")


def folder_tensors(folder):
    sys.path.insert(0, str(Path(__file__).parent))
    from rotate_model import read_tensors
    return read_tensors(folder)


def bf16(x):
    return gguf.quants.quantize(np.ascontiguousarray(x, np.float32), gguf.GGMLQuantizationType.BF16)


def add(writer, name, x):
    if x.ndim == 1:
        return writer.add_tensor(name, x.astype(np.float32))
    writer.add_tensor(name, bf16(x), raw_dtype=gguf.GGMLQuantizationType.BF16)


LAYER = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
GEMMA = {**LAYER, "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
         "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
         "post_feedforward_layernorm": "post_ffw_norm"}
OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def gguf_name(name, parts):
    stem, kind = name.rsplit(".", 1)
    if stem in OUTSIDE:
        return f"{OUTSIDE[stem]}.{kind}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{parts[part]}.{kind}"


def to_gguf(o):
    reader = gguf.GGUFReader(o.source)
    arch = reader.fields["general.architecture"].contents()
    if arch not in ("llama", "gemma3"):
        sys.exit(f"{o.source}: a {arch}, only llama and gemma3 are written")
    writer = gguf.GGUFWriter(o.target, arch)
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in ("general.architecture", "general.file_type"):
            sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], sub)
    config = json.loads(Path(o.folder, "config.json").read_text())
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, x in folder_tensors(o.folder).items():
        part = name.split(".")[-2]
        if arch == "llama" and part in heads:  # rope of neighbours, where the folder has that of halves
            x = x.reshape(heads[part], 2, -1, x.shape[1]).swapaxes(1, 2).reshape(x.shape)
        if arch == "gemma3" and x.ndim == 1:  # norms multiply by 1 + weight in the folder
            x = 1 + x
        add(writer, gguf_name(name, GEMMA if arch == "gemma3" else LAYER), x)
    write(writer)


def random(o):
    c, rng = json.loads(Path(o.config).read_text()), np.random.default_rng(1)
    if c["model_type"] != "qwen2":
        sys.exit(f"{o.config}: a {c['model_type']}, only qwen2 is written")
    writer = gguf.GGUFWriter(o.target, "qwen2")
    writer.add_context_length(c["max_position_embeddings"])
    writer.add_embedding_length(c["hidden_size"])
    writer.add_block_count(c["num_hidden_layers"])
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count(c["num_attention_heads"])
    writer.add_head_count_kv(c["num_key_value_heads"])
    writer.add_rope_freq_base(c["rope_theta"])
    writer.add_layer_norm_rms_eps(c["rms_norm_eps"])
    writer.add_vocab_size(c["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    hidden, mlp = c["hidden_size"], c["intermediate_size"]
    kv = hidden // c["num_attention_heads"] * c["num_key_value_heads"]
    shapes = {"attn_q": (hidden, hidden), "attn_k": (kv, hidden), "attn_v": (kv, hidden),
              "attn_output": (hidden, hidden), "ffn_gate": (mlp, hidden), "ffn_up": (mlp, hidden),
              "ffn_down": (hidden, mlp)}
    add(writer, "token_embd.weight", 0.02 * rng.standard_normal((c["vocab_size"], hidden), np.float32))
    add(writer, "output_norm.weight", np.ones(hidden))
    for layer in range(c["num_hidden_layers"]):
        for name, shape in shapes.items():
            add(writer, f"blk.{layer}.{name}.weight", 0.02 * rng.standard_normal(shape, np.float32))
        for name in ("attn_q", "attn_k", "attn_v"):
            add(writer, f"blk.{layer}.{name}.bias", np.zeros(shapes[name][0]))
        for name in ("attn_norm", "ffn_norm"):
            add(writer, f"blk.{layer}.{name}.weight", np.ones(hidden))
    write(writer)


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def jet_speed(o, model):
    name, _, kind = model.partition(":")
    what = ["--shape", name, "--type", kind] if kind else [name]
    out = subprocess.run([o.jet, "bench", *what, "--depths", ",".join(map(str, o.depths)), "--prefill", str(o.prefill),
                          "--prefill-depths", "0", "--steps", str(o.steps), "--repeats", "1", "--json", "-",
                          "--threads", str(o.threads)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return [s["tps"] for s in json.loads(out.stdout)["stages"]]


def seconds(f):
    begin = time.perf_counter()
    f()
    return time.perf_counter() - begin


def llama_speed(o, prompt, deep):
    """In jet's order: the prompt, then decoding at each depth; `deep` has the longest context read already."""
    ids = np.random.default_rng(2).integers(0, 30000, o.prefill + o.steps)
    prompt.cut(0)
    speeds = [o.prefill / seconds(lambda: prompt.run(ids[:o.prefill], 0))]
    for depth in o.depths:
        context = deep if depth == max(o.depths) else prompt
        context.cut(depth)
        context.run(ids[:1], depth)
        speeds.append(o.steps / seconds(lambda: [context.run(ids[i:i + 1], depth + 1 + i) for i in range(o.steps)]))
    return speeds


def filled(context, depth):
    for at in range(0, depth, context.most):
        context.run([5 + at % 1000 + i for i in range(min(context.most, depth - at))], at)
    return context


def speed(o):
    print("| model | " + " | ".join([f"prompt of {o.prefill}"] + [f"decode at {d}" for d in o.depths]) + " |")
    print("|" + "---|" * (len(o.depths) + 2))
    for pair in o.pairs:
        ours, path = pair.split("=", 1)
        model, longest = Model(path, o.threads), max(o.depths)
        prompt = Context(model, max(512, o.prefill, *(d for d in o.depths if d < longest)) + 2 * o.steps, max(512, o.prefill))
        deep = filled(Context(model, longest + 2 * o.steps), longest)
        turns = []
        for _ in range(o.turns):
            turns.append((jet_speed(o, ours), llama_speed(o, prompt, deep)))
        cells = []
        for a, b in zip(zip(*(t[0] for t in turns)), zip(*(t[1] for t in turns))):
            ratios = [x / y for x, y in zip(a, b)]
            cells.append(f"{statistics.median(a):.1f} : {statistics.median(b):.1f} = {statistics.median(ratios):.2f} "
                         f"({min(ratios):.2f} to {max(ratios):.2f})")
        print(f"| {ours} : {Path(path).name} | " + " | ".join(cells) + " |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--jet", default="build/jet")
    p.add_argument("--threads", type=int, default=2)
    commands = p.add_subparsers(required=True)

    def command(name, run, *arguments):
        c = commands.add_parser(name)
        c.set_defaults(run=run)
        for a in arguments:
            c.add_argument(a)
        return c

    command("quantize", quantize, "source", "target").add_argument("type", choices=FTYPES)
    c = command("loss", loss, "file", "model", "text")
    c.add_argument("--tokens", type=int, default=16384)
    c.add_argument("--length", type=int, default=1024)
    command("gguf", to_gguf, "source", "folder", "target")
    command("random", random, "config", "target")
    c = command("speed", speed)
    c.add_argument("pairs", nargs="+")
    c.add_argument("--turns", type=int, default=3)
    c.add_argument("--depths", type=int, nargs="+", default=[0, 4096])
    c.add_argument("--prefill", type=int, default=512)
    c.add_argument("--steps", type=int, default=32)
    o = p.parse_args()
    o.run(o)


if __name__ == "__main__":
    main()
