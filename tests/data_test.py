"""`jet data` as a user runs it: a build killed again and again gives the same bytes, and wrong input one clear line.

usage: data_test.py BUILD_DIR        (from the project's root)
"""
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JET = str(Path(sys.argv[1]) / "jet")
KILLS = 12
passed = 0


def jet(*arguments, code=0):
    r = subprocess.run([JET, "data", *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert r.returncode == code, f"{arguments}: [{r.returncode}] {r.stderr}"
    return r.stdout if code == 0 else r.stderr.strip()


def build(inputs, out, *options):
    """The arguments of a build."""
    return [*map(str, inputs), "--tokenizer", "models/base", "--out", str(out), *map(str, options)]


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def check(name, good):
    global passed
    print(f"{'ok ' if good else 'BAD'} {name}")
    assert good, name
    passed += 1


def killed_build(inputs, out, options):
    """Kills the build with -9, each time soon after it has done one more shard. Returns the kills that hit."""
    rng, hits = random.Random(1), 0
    for _ in range(KILLS):
        shards = len(list(out.glob("shard-*.idx")))
        p = subprocess.Popen([JET, "data", "build", *build(inputs, out, *options)], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        while p.poll() is None and len(list(out.glob("shard-*.idx"))) == shards:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.1))
        if p.poll() is None:
            hits += 1
            os.kill(p.pid, signal.SIGKILL)
        p.wait()
    return hits


def kills(tmp):
    # Some 20 MB, enough that kills hit: the project's texts, their lines in another order each time.
    inputs = []
    rng = random.Random(2)
    for i, name in enumerate(["stories", "novels", "stories", "skills"]):
        words = (Path("data/train") / f"{name}.txt").read_text().split("\n<|endoftext|>\n")
        rng.shuffle(words)
        inputs.append(tmp / f"{i}.jsonl")
        inputs[-1].write_text("".join(json.dumps({"text": w}) + "\n" for w in words if w.strip()))
    inputs[1].with_suffix(".jsonl.gz").write_bytes(gzip.compress(inputs[1].read_bytes(), 1))
    inputs[1] = inputs[1].with_suffix(".jsonl.gz")
    options = ["--shard-tokens", 200000, "--held-out", 20000, "--decontaminate", "data/eval"]
    jet("build", *build(inputs, tmp / "whole", *options, "--threads", 1))
    hits = killed_build(inputs, tmp / "killed", options)
    jet("build", *build(inputs, tmp / "killed", *options))
    check(f"killed {hits} times, the folder is the same to the byte", hits >= 2 and
          contents(tmp / "whole") == contents(tmp / "killed"))
    manifest = json.loads((tmp / "whole/manifest.json").read_text())
    check("several shards, documents dropped and held out", len(manifest["shards"]) > 5 and
          manifest["dropped"]["documents"] > 0 and manifest["held_out"]["tokens"] >= 20000)


def contamination(tmp):
    text = Path("data/train/stories.txt").read_text()
    document = next(d for d in text.split("\n<|endoftext|>\n") if len(d.split()) > 60)
    words = document.split()
    tasks = tmp / "tasks"
    tasks.mkdir()
    item = lambda prompt: json.dumps({"prompt": prompt, "answer": " yes"}) + "\n"
    (tasks / "leaked.jsonl").write_text(item(" ".join(words[10:40])) + item("Is " + " ".join(reversed(words[10:40]))))
    (tasks / "fresh.jsonl").write_text(item(" ".join(f"fresh{i}" for i in range(30))))
    jet("build", *build(["data/train/stories.txt"], tmp / "stories"))
    report = json.loads(jet("check", tmp / "stories", "--eval", tasks, "--json"))
    check("the leaked item is found, with its document", report["tasks"]["leaked"]["contaminated"] == 1 and
          report["tasks"]["leaked"]["examples"][0]["item"] == 1 and
          report["tasks"]["leaked"]["examples"][0]["source"] == "data/train/stories.txt")
    check("the fresh item is not", report["tasks"]["fresh"]["contaminated"] == 0)
    check("the report is text as well", "leaked" in jet("check", tmp / "stories", "--eval", tasks))
    jet("build", *build(["data/train/stories.txt"], tmp / "clean", "--decontaminate", tasks))
    report = json.loads(jet("check", tmp / "clean", "--eval", tasks, "--json"))
    check("decontaminated, nothing is found", report["tasks"]["leaked"]["contaminated"] == 0)
    check("info tells how much was dropped", "dropped" in jet("info", tmp / "clean") and
          json.loads(jet("info", tmp / "clean", "--json"))["dropped"]["documents"] >= 1)


def parquet(tmp):
    """tests/fixtures/parquet/stories.parquet holds the first ten documents of stories.txt."""
    file = Path("tests/fixtures/parquet/stories.parquet")
    if not (Path(JET).parent / "jet-parquet").exists():
        line = jet("build", *build([file], tmp / "none"), code=2).split("\n")[-1]
        check(f"without jet-parquet: {line}", "jet-parquet" in line and "pyarrow" in line)
        print("skipped: reading Parquet (jet-parquet is not built: no pyarrow)")
        return
    documents = Path("data/train/stories.txt").read_text().split("\n<|endoftext|>\n")[:10]
    (tmp / "ten.txt").write_text("\n<|endoftext|>\n".join(documents))
    jet("build", *build([tmp / "ten.txt"], tmp / "ten"))
    jet("build", *build([file], tmp / "rows", "--field", "story"))
    shards = lambda folder: {k: v for k, v in contents(folder).items() if k.startswith("shard")}
    check("Parquet gives what the text gives", shards(tmp / "ten") == shards(tmp / "rows"))
    for field, words in {"text": "id, story", "id": "int64"}.items():
        line = jet("build", *build([file], tmp / field, "--field", field), code=2).split("\n")[-1]
        check(f"Parquet's column {field}: {line}", field in line and words in line)


def wrong_input(tmp):
    def expect(name, arguments, *words):
        *progress, line = jet(*arguments, code=2).split("\n")
        check(f"{name}: {line}", line.startswith("jet: ") and all(w in line for w in words) and
              not any("jet" in p for p in progress))

    bad = tmp / "bad.jsonl"
    bad.write_text('{"text": "a"}\n{"text": \n')
    missing = tmp / "missing.jsonl"
    missing.write_text('{"content": "a"}\n')
    (tmp / "a.csv").write_text("a")
    expect("broken JSON", ["build", *build([bad], tmp / "x1")], "bad.jsonl:2")
    expect("missing field", ["build", *build([missing], tmp / "x2")], "missing.jsonl:1", "'text'", "--field")
    expect("unknown kind of file", ["build", *build([tmp / "a.csv"], tmp / "x3")], ".csv", ".jsonl")
    expect("missing input", ["build", *build([tmp / "no.txt"], tmp / "x4")], "no.txt")
    expect("missing tokenizer", ["build", "data/train/code.txt", "--tokenizer", str(tmp), "--out", str(tmp / "x5")],
           "tokenizer.json")
    expect("other settings", ["build", *build(["data/train/stories.txt"], tmp / "stories", "--held-out", 100)],
           "held_out_tokens", "was 0", "is 100")
    expect("a folder of something else", ["build", *build(["data/train/code.txt"], "data/eval")], "data/eval")
    expect("info of no such folder", ["info", tmp / "nowhere"], "nowhere")
    expect("info of an unfinished folder", ["info", tmp / "x1"], "not built to its end")
    shard = tmp / "stories/shard-00000.bin"
    data = bytearray(shard.read_bytes())
    data[1000] ^= 1
    shard.write_bytes(data)
    expect("a damaged shard", ["check", tmp / "stories"], "shard-00000.bin", "damaged")
    shard.write_bytes(data[:-2])
    expect("a cut shard", ["info", tmp / "stories"], "shard-00000.bin")


def main():
    with tempfile.TemporaryDirectory() as folder:
        kills(Path(folder))
        contamination(Path(folder))
        parquet(Path(folder))
        wrong_input(Path(folder))
    print(f"{passed} passed, 0 failed")


main()
