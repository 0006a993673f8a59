"""Wrong input: one clear line on stderr, exit code 2, nothing half-written.

usage: wrong_input_test.py BUILD_DIR        (from the project's root)
"""
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

JET = str(Path(sys.argv[1]) / "jet")
BASE = Path("models/base")
FIXTURE = Path("tests/fixtures/qwen2")
failures = 0
count = 0


def limit_file_size():
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def expect(name, arguments, *words, preexec=None):
    """Runs jet with the arguments: exit code 2, one line, each of the words in it."""
    global failures, count
    count += 1
    r = subprocess.run([JET, *map(str, arguments)], capture_output=True, text=True, preexec_fn=preexec, timeout=120)
    line = r.stderr.strip()
    good = r.returncode == 2 and line.startswith("jet: ") and "\n" not in line and all(w in line for w in words)
    print(f"{'ok ' if good else 'BAD'} {name}: [{r.returncode}] {line[:200]}")
    failures += not good


def copy_of(source, folder, name):
    target = folder / name
    shutil.copytree(source, target)
    for p in target.rglob("*"):
        p.chmod(0o755 if p.is_dir() else 0o644)
    return target


def edit_json(path, f):
    j = json.loads(path.read_text())
    f(j)
    path.write_text(json.dumps(j))


def edit_header(path, f):
    data = path.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    f(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + n:])


def generate(model, prompt="One day"):
    return ["generate", model, "-p", prompt, "-n", "2"]


class Broken:
    """Copies of a model folder under `tmp`, each with one file edited."""

    def __init__(self, tmp):
        self.tmp, self.made = tmp, 0

    def __call__(self, edit, source=BASE, file="model.safetensors"):
        self.made += 1
        folder = copy_of(source, self.tmp, f"model{self.made}")
        edit(folder / file)
        return folder


def models(tmp, broken):
    def rename(header):
        header["model.norm.gone"] = header.pop("model.norm.weight")

    def reshape(header):
        header["model.norm.weight"]["shape"] = [128, 2]

    def retype(header):
        header["model.norm.weight"]["dtype"] = "I64"
        header["model.norm.weight"]["shape"] = [64]

    expect("missing folder", generate(tmp / "nowhere"), "nowhere")
    expect("missing weights", generate(broken(lambda p: p.unlink())), "safetensors")
    expect("file of 3 bytes", generate(broken(lambda p: p.write_bytes(b"abc"))), "model.safetensors")
    expect("truncated header", generate(broken(lambda p: p.write_bytes(p.read_bytes()[:100]))), "header")
    expect("oversized header", generate(broken(lambda p: p.write_bytes(struct.pack("<Q", 1 << 60) + b"{}"))), "header")
    expect("truncated data", generate(broken(lambda p: p.write_bytes(p.read_bytes()[:-1000]))), "model.safetensors")
    expect("missing tensor", generate(broken(lambda p: edit_header(p, rename))), "model.norm.weight")
    expect("wrong shape", generate(broken(lambda p: edit_header(p, reshape))), "model.norm.weight", "[256]")
    expect("wrong dtype", generate(broken(lambda p: edit_header(p, retype))), "model.norm.weight", "i64")
    config = lambda f: generate(broken(lambda p: edit_json(p, f), file="config.json"))
    expect("config not JSON", generate(broken(lambda p: p.write_text("{"), file="config.json")), "config.json")
    expect("unknown architecture", config(lambda j: j.update(model_type="mystery")), "mystery", "known")
    expect("unknown rope type", config(lambda j: j.update(rope_parameters={"rope_type": "spiral"})), "spiral", "known")
    expect("negative size", config(lambda j: j.update(hidden_size=-1)), "hidden_size")
    expect("size of wrong type", config(lambda j: j.update(hidden_size="many")), "hidden_size")
    makers = lambda text: generate(broken(lambda p: p.write_text(text), file="generation_config.json"))
    expect("generation config not JSON", makers("{"), "generation_config.json")
    expect("generation config of another kind", makers("[]"), "generation_config.json")
    expect("end of text of wrong type", makers('{"eos_token_id": "two"}'), "generation_config.json", "eos_token_id")
    expect("makers' top_p out of range", makers('{"do_sample": true, "top_p": 7}'), "generation_config.json", "top_p")
    tokenizer = lambda edit: generate(broken(edit, file="tokenizer.json"))
    expect("tokenizer not JSON", tokenizer(lambda p: p.write_text("{")), "tokenizer.json")
    expect("tokenizer without vocabulary", tokenizer(lambda p: edit_json(p, lambda j: j["model"].pop("vocab"))), "vocab")
    expect("tokenizer of another kind", tokenizer(lambda p: edit_json(p, lambda j: j["model"].update(type="Unigram"))),
           "Unigram")
    expect("missing tokenizer", tokenizer(lambda p: p.unlink()), "tokenizer.json")


def damaged(tmp, broken):
    """One number of the weights is NaN: nothing that the model says is a score, and no model is made of it."""

    def spoil(path):
        data = bytearray(path.read_bytes())
        n = struct.unpack("<Q", data[:8])[0]
        begin = 8 + n + json.loads(data[8:8 + n])["model.norm.weight"]["data_offsets"][0]
        data[begin:begin + 4] = b"\xff" * 4
        path.write_bytes(data)

    model = broken(spoil)
    expect("NaN in generate", generate(model), "damaged")
    for by in ("likelihood", "generation"):
        expect(f"NaN in eval by {by}", ["eval", model, "--limit", "4", "--by", by], "damaged")
    expect("NaN in the loss of a text", ["eval", model, "--tasks", "data/eval/math.jsonl", "--limit", "1",
                                         "--text", "data/train/stories.txt"], "damaged")
    expect("NaN in quantize", ["quantize", model, tmp / "nan-int4", "--type", "int4"], "model.norm.weight")
    expect("NaN in export", ["export", model, tmp / "nan-hf", "--format", "hf"], "model.norm.weight")
    expect("model that is not written", generate(tmp / "nan-int4"), "nan-int4", "is missing")


def arguments():
    expect("empty prompt", generate(BASE, ""), "prompt")
    expect("prompt beyond the context", generate(BASE, "word and word " * 4000), "4096")
    expect("context beyond counting", ["info", BASE, "--context", str(1 << 62)], "--context")
    expect("unknown command", ["fly"], "fly")
    expect("unknown option", ["info", BASE, "--sideways"], "sideways")
    expect("unknown shape", ["bench", "--shape", "jet-3b"], "jet-3b", "jet-2b")
    expect("shape and model", ["bench", BASE, "--shape", "jet-2b"], "exclude")
    expect("type of a stored model", ["bench", BASE, "--type", "f32"], "--type")
    expect("nothing to measure", ["bench", BASE, "--prefill", "0", "--batch", "0"], "nothing")
    expect("comparison with no report", ["bench", "--compare", BASE / "config.json", BASE / "config.json"], "format")
    expect("info of nothing", ["info"], "--shape")
    expect("temperature out of range", [*generate(BASE), "--temperature", "-1"], "temperature")


def quantization(tmp, broken, int4):
    subprocess.run([JET, "quantize", BASE, int4, "--type", "int4"], check=True, capture_output=True, timeout=120)
    quantize = lambda source, target, kind="int4": ["quantize", source, target, "--type", kind]

    def halve_scales(header):  # the freed bytes go to a tensor of their own: every byte has an owner
        scales = header["model.layers.0.mlp.up_proj.weight.scales"]
        scales["shape"][0] //= 2
        begin, end = scales["data_offsets"]
        scales["data_offsets"] = [begin, (begin + end) // 2]
        header["rest"] = {"dtype": "U8", "shape": [(end - begin) // 2], "data_offsets": [(begin + end) // 2, end]}

    expect("quantize onto itself", quantize(FIXTURE, FIXTURE), "source itself")
    expect("quantize onto what exists", quantize(FIXTURE, int4), "exists")
    expect("quantize twice", quantize(int4, tmp / "out"), "quantized already")
    expect("quantize to an unknown type", quantize(FIXTURE, tmp / "out", "int3"), "int3", "int4")
    expect("quantize nothing", quantize(tmp / "nowhere", tmp / "out"), "nowhere")
    expect("full disk while quantizing", quantize(FIXTURE, tmp / "out"), "model.safetensors", preexec=limit_file_size)
    assert not list(tmp.glob("out*")), "a failed quantize left traces"
    expect("truncated scales", generate(broken(lambda p: edit_header(p, halve_scales), source=int4)),
           "up_proj.weight.scales", "[22, 8, 16]", "[44, 8, 16]")
    expect("another tool's quantization", generate(broken(lambda p: edit_json(
        p, lambda j: j["quantization_config"].update(quant_method="awq")), source=int4, file="config.json")), "awq")


def exports(tmp, broken, int4):
    own = tmp / "own"
    subprocess.run([JET, "export", "tests/fixtures/jet", own, "--format", "hf"], check=True, capture_output=True,
                   timeout=120)
    export = lambda source, target, *options, to="jet-nemotron": ["export", source, target, "--format", to, *options]
    unlike = broken(lambda p: edit_json(p, lambda j: j["spec"]["layers"][2].update(norm_eps=1e-3)), source=own,
                    file="config.json")
    expect("export of nothing", export(tmp / "nowhere", tmp / "out"), "nowhere")
    expect("export of an unfinished run", export(tmp, tmp / "out"), "model/config.json", "finish")
    expect("export to an unknown format", export(own, tmp / "out", to="gguf"), "gguf", "jet-nemotron")
    expect("export onto itself", export(own, own), "source itself")
    expect("export onto what exists", export(own, int4), "exists", "another folder")
    expect("export of quantized weights", export(int4, tmp / "out"), "quantized", "--format hf")
    expect("export of unlike blocks", export(unlike, tmp / "out"), "layer 2", "norm_eps 0.001", "layer 0",
           "--format hf")
    expect("export of a damaged model", export(broken(lambda p: p.write_bytes(p.read_bytes()[:-1000]), source=own),
                                               tmp / "out"), "model.safetensors")
    expect("export in files of no size", export(own, tmp / "out", "--shard-size", "0"), "--shard-size")
    expect("export in files of no known size", export(own, tmp / "out", "--shard-size", "5 elephants"), "elephants")
    expect("export to an unknown dtype", export(own, tmp / "out", "--dtype", "f8"), "f8", "bf16")
    expect("full disk while exporting", export(own, tmp / "out"), "model.safetensors", preexec=limit_file_size)
    assert not list(tmp.glob("out*")), "a failed export left traces"


def generation(tmp):
    asked = lambda *options: [*generate(BASE), *options]
    expect("beams and sampling", asked("--num-beams", "4", "--temperature", "1"), "--num-beams", "--temperature")
    expect("beams and drafts", asked("--num-beams", "4", "--lookup", "8"), "--num-beams", "--lookup")
    expect("beams and a saved state", asked("--num-beams", "4", "--save-state", tmp / "s"), "--save-state")
    expect("no beams", asked("--num-beams", "0"), "--num-beams")
    expect("length penalty without beams", asked("--length-penalty", "2"), "--length-penalty", "--num-beams")
    expect("early stopping of another kind", asked("--num-beams", "2", "--early-stopping", "maybe"), "maybe", "never")
    expect("drafts of a negative length", asked("--lookup", "-1"), "--lookup")
    expect("beams and stop strings", asked("--num-beams", "4", "--stop", "x"), "--num-beams", "--stop")
    expect("empty stop string", asked("--stop", ""), "stop string", "empty")
    expect("stop string that is no UTF-8", asked("--stop", "\udcff"), "stop string", "UTF-8")
    expect("penalty of nothing", asked("--repetition-penalty", "0"), "repetition_penalty")
    expect("min-p out of range", asked("--min-p", "2"), "min-p")
    for bias in ("11", "11=", "=1", "x=1", "11=1x", "11=nan", "11=inf", "9999999999=1"):
        expect(f"bias {bias}", asked("--logit-bias", bias), "logit", "bias")
    expect("bias outside the vocabulary", asked("--logit-bias", "4096=1"), "logit_bias", "4096")
    expect("missing state", asked("--load-state", tmp / "no-state"), "no-state")
    expect("weights as a state", asked("--load-state", BASE / "model.safetensors"), "model.safetensors", "no saved")
    expect("state below a file", asked("--save-state", BASE / "config.json" / "s"), "config.json")


def files(tmp):
    ids = FIXTURE / "golden.safetensors"
    out = tmp / "logits.safetensors"
    out.write_text("old")
    expect("full disk while saving", ["logits", FIXTURE, "--ids", ids, "--out", out], "logits.safetensors",
           preexec=limit_file_size)
    assert out.read_text() == "old" and len(list(tmp.glob("*.tmp-*"))) == 0, "a failed save left traces"
    expect("ids file missing", ["logits", FIXTURE, "--ids", tmp / "no.safetensors", "--out", out], "no.safetensors")
    expect("nothing to verify", ["verify", tmp / "model1"], "golden")


def training(tmp):
    recipe = tmp / "recipe.toml"
    run = lambda text: (recipe.write_text(text),
                        ["postnas", BASE, "--recipe", recipe, "--out", tmp / "run"])[1]
    smoke = Path("recipes/smoke.toml").read_text()
    expect("unknown recipe key", run("colour = 1\n" + smoke), "colour", "recipe.toml")
    expect("unknown nested key", run(smoke.replace("beam = 2", "beams = 2")), "beams", "placement")
    expect("recipe not TOML", run("seed = = 1"), "recipe.toml:1")
    expect("unknown device", run('device = "gpu"\n' + smoke), "'gpu'", "cuda:N", "recipe.toml")
    expect("device that is not there", run('device = "cuda:99"\n' + smoke), "cuda:99", "recipe.toml")
    expect("wrong type in recipe", run(smoke.replace("beam = 2", 'beam = "two"')), "beam")
    expect("missing training text", run(smoke.replace("data/train/gsm8k.txt", "data/train/none.txt")), "none.txt")
    expect("training of nothing", ["bench", "train"], "--shape")
    expect("training of no base", ["bench", "train", "--shape", "jet-2b"], "layer 0", "attention")
    expect("no such line", ["bench", "train", BASE, "--lines", "stage3"], "stage3", "stage2")
    expect("nothing to replace", ["bench", "train", BASE, "--full", "8"], "--full 8")
    expect("unknown frozen", run('frozen = "bf16"\n' + smoke), "frozen", "mapped")
    local = smoke.replace("stage2 = {", "stage2 = {local = true, ")
    expect("everything trained locally", run(local), "stage2", "local")
    chunks = smoke.replace("length = 128", "length = 128, chunk = 128", 1)
    assert chunks != smoke
    expect("chunk as long as the row", run(chunks), "chunk is 128", "below length")
    expect("chunks of separate documents",
           run("separate_documents = true\n" + chunks.replace("chunk = 128", "chunk = 32")), "choose one")
    kept = smoke.replace("stage1 = {", "stage1 = {teacher_top = 8, ")
    expect("kept targets and hidden states", run(kept), "feature_weight = 0")
    kept = smoke.replace("align = {", "kept_batches = 8\nalign = {chunk = 32, ", 1)
    assert kept != smoke
    expect("kept activations in chunks", run(kept), "kept_batches", "align.chunk = 0")
    objective = smoke.replace("beam = 2", 'beam = 2\nfull_objective = [{task = "poems", weight = 1}]')
    expect("objective without a task", [*run(objective)[:-1], tmp / "run4"], "no task 'poems'")
    expect("more layers eliminated than are linear",
           [*run(smoke.replace("beam = 2", "beam = 2\neliminate = 6"))[:-1], tmp / "run5"], "eliminate is 6", "[0, 5]")
    expect("an option that a block has not",
           [*run(smoke.replace('"retnet"', '"retnet:colour=3"'))[:-1], tmp / "run6"], "colour")
    expect("unknown block", run(smoke.replace('kinds = [', 'kinds = ["magic", ')), "magic")
    expect("unknown stage", [*run(smoke), "--only", "magic"], "magic")
    expect("missing base", ["postnas", tmp / "nowhere", "--recipe", "recipes/smoke.toml", "--out", tmp / "run2"],
           "nowhere")
    hybrid = copy_of("tests/fixtures/jet", tmp, "hybrid")
    shutil.copy(BASE / "tokenizer.json", hybrid)
    shutil.copy(BASE / "tokenizer_config.json", hybrid)
    expect("base that is no full-attention model",
           ["postnas", hybrid, "--recipe", "recipes/smoke.toml", "--out", tmp / "run3"], "replaces attention", "every layer")


def runs_of_small_models(tmp):
    """What is bound to a run, and trainings that cannot go well."""
    recipe, text = tmp / "small.toml", tmp / "text.txt"
    text.write_text("One day a word and another word. " * 200 + "\n<|endoftext|>\n" + "The end of it. " * 60)
    train = "{train = {tokens = 512, batch = 2, length = 64, lr = 1e-3}}"
    small = f"""
threads = 1
held_out_tokens = 128
eval = {{items = 1, search_items = 1, held_out_rows = 1, held_out_length = 64}}
data = [{{name = "t", path = "{text}"}}]
model = {{layers = 2, hidden = 32, heads = 2, kv_heads = 1, mlp = 48, context = 256}}
pretrain = {{tokens = 256, batch = 2, length = 64}}
distill = {{stage1 = {train}, stage2 = {train}}}
"""
    pretrain = lambda out: ["pretrain", BASE, "--recipe", recipe, "--out", tmp / out]
    recipe.write_text(small)
    subprocess.run([JET, *map(str, pretrain("pretrained"))], check=True, capture_output=True, timeout=120)
    text.write_text(text.read_text().replace("word", "line"))
    expect("a text that changed under a run", pretrain("pretrained"), "another text", "text.txt", "--out")
    recipe.write_text(small.replace("pretrain = {tokens = 256", "pretrain = {lr = 1e9, tokens = 1024"))
    expect("a training that diverges", pretrain("diverged"), "pretrain", "stopped being finite", "lower its lr")
    assert not (tmp / "diverged/model").exists(), "a diverged training left a model"
    recipe.write_text(small.replace("pretrain = {tokens = 256", "pretrain = {tokens = 0"))
    expect("a training without tokens", pretrain("nothing"), "pretrain.tokens is 0", "[1, 1e+15]")
    recipe.write_text(small.replace("lr = 1e-3", "lr = 1e-3, clip = 0", 1))
    expect("gradients clipped to nothing", pretrain("nothing"), "stage1", "clip is 0", "(0, 1e+09]")
    recipe.write_text(small.replace("lr = 1e-3", "lr = nan", 1))
    expect("a rate that is no number", pretrain("nothing"), "stage1", "lr is nan", "(0, 1e+09]")


def main():
    with tempfile.TemporaryDirectory() as folder:
        tmp = Path(folder)
        broken = Broken(tmp)
        models(tmp, broken)
        damaged(tmp, broken)
        arguments()
        quantization(tmp, broken, tmp / "int4")
        exports(tmp, broken, tmp / "int4")
        generation(tmp)
        files(tmp)
        if os.path.exists(Path(JET).parent / "jet-train"):
            training(tmp)
            runs_of_small_models(tmp)
    print(f"{count - failures} passed, {failures} failed")
    sys.exit(failures != 0)


main()
