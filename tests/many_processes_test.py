"""Training in many processes: the same losses and parameters as one process, resumed at any number of them; an error
or a death in one ends all; trials shared out by processes, one of them killed, come to the same results.

usage: many_processes_test.py BUILD_DIR [DEVICE]       (from the project's root)
DEVICE: "cuda", with an MPI and NCCL: pretraining alone, a process a GPU; where there are fewer GPUs than processes, each
process is told to NCCL as a machine of its own, as two of one machine on one GPU are refused.
"""
import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path

from ledger_results import results

BUILD = Path(sys.argv[1])
DEVICE = sys.argv[2] if len(sys.argv) > 2 else "cpu"
JET = str(BUILD / "jet")
ENV = os.environ | {"OMP_NUM_THREADS": "1", "JET_THREADS": "1", "GOMP_SPINCOUNT": "1000",
                    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",  # containers forbid what it uses
                    "OMPI_MCA_mpi_yield_when_idle": "1"}  # who waits leaves the core to others
MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-q"]
TIMED = {"seconds", "decode_tps", "speedup", "prefill_tps", "train_tps", "speed"}

RECIPE = f"""
device = "{DEVICE}"
seed = 3
threads = 1
precision = "fp32"
held_out_tokens = 512
[[data]]
name = "skills"
path = "data/train/skills.txt"
[eval]
search_items = 1
items = 1
held_out_rows = 1
held_out_length = 64
[model]
layers = 3
hidden = 128
heads = 2
kv_heads = 1
mlp = 512
[pretrain]
tokens = 8192
batch = 8
length = 64
accumulate = 4
lr = 2e-3
"""
DISTILL = """
[distill]
stage1 = {train = {tokens = 3840, batch = 6, length = 160, lr = 5e-4}}
stage2 = {train = {tokens = 3840, batch = 6, length = 160, lr = 2e-4}}
"""
TRIALS = """
[placement]
full = 1
swa = 0
[supernet.budget]
align = {tokens = 128, batch = 2, length = 32}
distill = {train = {tokens = 128, batch = 2, length = 32}}
[blocks]
kinds = ["retnet", "gla", "gated_delta_net"]
lrs = [1e-3]
seeds = 2
leaders = 1
weights = {accuracy = 1, speed = 0}
budget = {align = {tokens = 1024, batch = 2, length = 64}, distill = {train = {tokens = 1024, batch = 2, length = 64}}}
[dimensions]
context = 32
[distill]
stage1 = {train = {tokens = 512, batch = 2, length = 64}}
stage2 = {train = {tokens = 512, batch = 2, length = 64}}
[speed]
contexts = [0]
decode = 4
repeats = 1
prefill = 16
"""


def command(processes, *arguments):
    apart = [] if DEVICE == "cpu" else ["sh", "-c", 'NCCL_HOSTID=$OMPI_COMM_WORLD_RANK exec "$0" "$@"']
    return (MPIRUN + ["-n", str(processes), *apart] if processes > 1 else []) + [JET, *map(str, arguments)]


def jet(processes, *arguments):
    r = subprocess.run(command(processes, *arguments), env=ENV, capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, f"{processes} processes, {arguments}: {r.stderr}"
    return r.stdout


def tensors(path):
    """The file's fp32 tensors by name, and its metadata."""
    data = path.read_bytes()
    n, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    meta = header.pop("__metadata__", {})
    out = {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        out[name] = array("f", data[8 + n + begin:8 + n + end])
    return out, meta


def compare(what, a, b):
    """Checkpoints of the same training: losses within 1e-5, each parameter within 1e-4 of its size."""
    (pa, ma), (pb, mb) = tensors(a), tensors(b)
    ca, cb = (json.loads(m["state"])["curve"] for m in (ma, mb))
    assert [t for t, _ in ca] == [t for t, _ in cb] and len(ca) > 3
    loss = max(abs(x - y) / abs(x) for (_, x), (_, y) in zip(ca, cb))
    assert loss < 1e-5, f"{what}: losses differ by {loss:.1e}\n{ca}\n{cb}"
    assert pa.keys() == pb.keys()
    difference = {name: math.dist(pa[name], pb[name]) / math.hypot(*pa[name]) for name in pa}
    # Softmax hardly sees what is added to all keys: that bias's gradient is mostly rounding, which AdamW makes steps of.
    worst, name = max((d, name) for name, d in difference.items() if not name.endswith("k_proj.bias"))
    assert worst < 1e-4 and max(difference.values()) < 1e-2, f"{what}: {name} differs by {worst:.1e}"
    print(f"{what}: losses within {loss:.1e}, parameters within {worst:.1e}", flush=True)


def wait_for(what, seconds=120):
    end = time.time() + seconds
    while not what():
        assert time.time() < end, "waited too long"
        time.sleep(0.01)


def ranks_of(mpirun):
    return [int(p) for p in Path(f"/proc/{mpirun.pid}/task/{mpirun.pid}/children").read_text().split()]


def pretrain_killed(processes, out, recipe):
    """A pretraining whose last process dies by -9 after its first checkpoint: all of them end."""
    p = subprocess.Popen(command(processes, "pretrain", "models/base", "--recipe", recipe, "--out", out),
                         env=ENV | {"JET_SAVE_SECONDS": "0"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    file = out / "checkpoints/pretrain.safetensors"
    wait_for(file.exists)
    os.kill(ranks_of(p)[-1] if processes > 1 else p.pid, signal.SIGKILL)
    assert p.wait(timeout=60) != 0
    step = json.loads(tensors(file)[1]["state"])["step"]
    assert 0 < step < 16, f"stopped at step {step}"
    return step


def pretraining(folder):
    recipe = folder / "pretrain.toml"
    recipe.write_text(RECIPE)
    checkpoint = "checkpoints/pretrain.safetensors"
    for n in (1, 2, 3):
        out = jet(n, "pretrain", "models/base", "--recipe", recipe, "--out", folder / f"pretrain{n}")
        assert out.count("model:") == 1, out  # one process tells
    one = folder / "pretrain1" / checkpoint
    for n in (2, 3):
        compare(f"pretrain, {n} processes and 1", one, folder / f"pretrain{n}" / checkpoint)
    for before, after in ((1, 2), (2, 1)):
        out = folder / f"resumed{before}"
        step = pretrain_killed(before, out, recipe)
        jet(after, "pretrain", "models/base", "--recipe", recipe, "--out", out)
        compare(f"pretrain, {before} process(es) to step {step}, then {after}", one, out / checkpoint)


def distillation(folder, teacher, student):
    """Rows as they are; in chunks that hand their states on; packed documents that do not see each other."""
    whole = RECIPE + DISTILL
    curves = []
    for name, text in (("whole", whole), ("chunks", whole.replace("length = 160", "length = 160, chunk = 48")),
                       ("documents", "separate_documents = true" + whole)):
        recipe = folder / f"{name}.toml"
        recipe.write_text(text)
        for n in (1, 2, 3):
            jet(n, "distill", teacher, "--student", student, "--recipe", recipe, "--out", folder / f"{name}{n}")
        curves.append(json.loads(tensors(folder / f"{name}1/checkpoints/distill-stage1.safetensors")[1]["state"])["curve"])
        assert curves.count(curves[-1]) == 1, f"{name} trains as another form of rows does: {curves}"
        for n in (2, 3):
            for stage in ("distill-stage1", "distill-stage2"):
                compare(f"{name}: {stage}, {n} processes and 1",
                        *(folder / f"{name}{k}/checkpoints/{stage}.safetensors" for k in (1, n)))


def begun_and_done(log):
    """Trials that a process has begun and ended, by its progress lines."""
    begun, done = set(), set()
    for line in log.read_text().splitlines():
        name, colon, rest = line.partition(": ")
        if not colon or not name.startswith(("baseline", "block")):
            continue
        begun.add(name)
        if rest.startswith("distillation") and "100%" in rest:
            done.add(name)
    return begun, done


def trials(folder, base):
    """The same search by one process, by two that share the trials out, one of which is killed, and by a world of two."""
    recipe = folder / "trials.toml"
    recipe.write_text(RECIPE + TRIALS)

    def search(out):
        return ["postnas", base, "--recipe", recipe, "--out", folder / out, "--until", "distill"]

    jet(1, *search("alone"))
    logs = [folder / "killed.log", folder / "other.log"]
    killed, other = (subprocess.Popen(command(1, *search("shared"), "--trials"), env=ENV, stdout=subprocess.DEVNULL,
                                      stderr=log.open("w")) for log in logs)

    def in_a_trial():
        assert killed.poll() is None, "it ended before it could be killed"
        begun, done = begun_and_done(logs[0])
        return begun - done

    wait_for(in_a_trial)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert other.wait(timeout=300) == 0, logs[1].read_text()
    lost = set.difference(*begun_and_done(logs[0]))
    took = begun_and_done(logs[1])[1]
    assert lost and lost <= took, f"lost {lost}, the other process did {took}"
    a, b = results(folder / "alone", TIMED), results(folder / "shared", TIMED)
    for key in sorted(a.keys() | b.keys()):
        assert a.get(key) == b.get(key), f"{key} differs:\n{a.get(key)}\n{b.get(key)}"
    print(f"trials: a process died in {', '.join(lost)}; the same {len(a)} results", flush=True)

    jet(2, *search("world"))
    assert results(folder / "world", TIMED).keys() == a.keys()


def study(folder):
    """A study by one process and by two that share it."""
    run = lambda out, *more: command(1, "study", "tests/fixtures/study.toml", "--out", folder / out, *more)
    subprocess.run(run("study1"), env=ENV, check=True, capture_output=True)
    logs = [folder / "first.log", folder / "second.log"]
    both = [subprocess.Popen(run("study2", "--trials"), env=ENV, stdout=subprocess.DEVNULL, stderr=log.open("w"))
            for log in logs]
    for process, log in zip(both, logs):
        assert process.wait(timeout=300) == 0, log.read_text()
    alone, shared = (json.loads((folder / out / "study.json").read_text()) for out in ("study1", "study2"))
    assert alone == shared, f"{alone}\n{shared}"
    first, second = ({line.split()[0] for line in log.read_text().splitlines()
                      if line.startswith("mqar/") and "100%" in line} for log in logs)
    assert not first & second and len(first | second) == 6, f"{first}\n{second}"
    print(f"study: two processes took {len(first)} and {len(second)} trainings; the same results", flush=True)


def gpus(folder):
    """Tensors of another device than the CPU, by a stand-in for NCCL."""
    for n in (2, 3):
        (folder / f"gpus{n}").mkdir()
        r = subprocess.run(MPIRUN + ["-n", str(n), str(BUILD / "many_gpus"), folder / f"gpus{n}"], env=ENV,
                           capture_output=True, text=True, timeout=120)
        assert r.returncode == 0, r.stderr
        print(r.stdout, end="", flush=True)


def errors(folder):
    """What fails in one process ends all with its line; what fails in all is told once."""
    recipe = folder / "few.toml"
    recipe.write_text(RECIPE.replace("batch = 8", "batch = 2").replace("accumulate = 4", "accumulate = 1"))
    r = subprocess.run(command(3, "pretrain", "models/base", "--recipe", recipe, "--out", folder / "few"), env=ENV,
                       capture_output=True, text=True, timeout=60)
    assert r.returncode == 2 and r.stderr.count("a batch of 2 rows for 3 processes") == 1, r.stderr
    rest = ["--recipe", recipe, "--out", folder / "few"]
    r = subprocess.run(MPIRUN + ["-n", "1", *command(1, "pretrain", "models/base", *rest), ":", "-n", "1",
                                 *command(1, "pretrain", "models/none", *rest)],
                       env=ENV, capture_output=True, text=True, timeout=60)
    assert r.returncode == 2 and r.stderr.count("jet: process 1 of 2: ") == 1, r.stderr


def main():
    if shutil.which("mpirun") is None:
        print("skipped: no mpirun (Debian packages: libopenmpi-dev openmpi-bin)")
        return
    version = subprocess.run([str(BUILD / "jet-train"), "--version"], capture_output=True, text=True).stdout
    if "no MPI" in version:
        print("skipped: built without MPI")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pretraining(folder)
        if DEVICE == "cpu":
            errors(folder)
            gpus(folder)
            trials(folder, folder / "pretrain1/model")
            study(folder)
            distillation(folder, folder / "pretrain1/model", folder / "shared/model")
    print("1 passed, 0 failed")


main()
