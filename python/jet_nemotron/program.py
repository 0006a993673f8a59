"""What the program `jet` does, from Python: search, distillation, evaluation, quantization. It runs as a process of its
own, since it brings a libtorch that must not meet the user's torch."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._jet import JetError

Callback = Callable[[str], None]


@dataclass
class Run:
    """A run's folder, the model in it (None where it did not come to one), its report.json, and what it printed."""

    folder: str
    model: str | None
    report: dict[str, Any] | None
    text: str


def _candidates() -> list[Path]:
    places = [os.environ.get("JET_BINARY"), Path(__file__).parent / "bin" / "jet", shutil.which("jet"),
              Path(__file__).parents[2] / "jet", Path(__file__).resolve().parents[2] / "build" / "jet"]
    return [Path(p) for p in places if p and os.access(p, os.X_OK) and not Path(p).is_dir()]


def jet_program(trains: bool = False) -> str:
    """The path of `jet`: JET_BINARY, that of the wheel, PATH's, the project's build/jet. `trains`: one that has
    jet-train beside it. Raises FileNotFoundError where there is none."""
    for path in _candidates():
        if not trains or path.resolve().with_name("jet-train").exists():
            return str(path)
    what = "jet with jet-train beside it, which training needs," if trains else "jet"
    raise FileNotFoundError(f"the program {what} is not found: build the project (`make build`) and set JET_BINARY to "
                            "its build/jet")


def run_jet(arguments: list[str], callback: Callback | None = None, trains: bool = False) -> str:
    """Runs `jet ARGUMENTS` and returns what it printed. `callback` is given each line of its progress; without one
    they go to standard error. Ctrl-C, and what the callback raises, end it; a run that is started again goes on."""
    callback = callback or (lambda line: print(line, file=sys.stderr, flush=True))
    child = subprocess.Popen([jet_program(trains), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace")
    printed: list[str] = []
    reader = threading.Thread(target=lambda: printed.append(child.stdout.read()), daemon=True)
    reader.start()
    complaint = ""  # an error is the last line, and the caller's to show
    try:
        for line in child.stderr:
            if complaint:
                callback(complaint)
            complaint = line.rstrip("\n") if line.startswith("jet: ") else ""
            if not complaint:
                callback(line.rstrip("\n"))
        code = child.wait()
    except BaseException:
        _end(child)
        raise
    finally:
        reader.join(10)  # of a process of the child's that lives on, its end is not waited for
        if not reader.is_alive():
            child.stdout.close()
        child.stderr.close()
    if code != 0:
        raise JetError(complaint.removeprefix("jet: ") or f"jet {arguments[0]} ended with {code}")
    if complaint:
        callback(complaint)
    return "".join(printed)


def _end(child: subprocess.Popen) -> None:
    child.send_signal(signal.SIGINT)
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _run_of(out: str, text: str) -> Run:
    model, report = Path(out) / "model", Path(out) / "report.json"
    return Run(str(out), str(model) if model.is_dir() else None,
               json.loads(report.read_text()) if report.is_file() else None, text)


def postnas(base: str, recipe: str, out: str, callback: Callback | None = None, only: str | None = None,
            until: str | None = None) -> Run:
    """Searches a hybrid of the model in `base` and distils it, by a recipe (TOML), into the folder `out`: the model is
    out/model. `only`: one stage; `until`: the last one. The same call goes on where a run was ended."""
    arguments = ["postnas", str(base), "--recipe", str(recipe), "--out", str(out)]
    arguments += ["--only", only] if only else []
    arguments += ["--until", until] if until else []
    return _run_of(out, run_jet(arguments, callback, trains=True))


def distill(teacher: str, student: str, recipe: str, out: str, callback: Callback | None = None) -> Run:
    """Both stages of distillation of the full-attention model `teacher` into the hybrid `student`."""
    arguments = ["distill", str(teacher), "--student", str(student), "--recipe", str(recipe), "--out", str(out)]
    return _run_of(out, run_jet(arguments, callback, trains=True))


def evaluate(model: str, tasks: str | None = None, limit: int = 0, by: str = "likelihood",
             texts: list[str] | None = None, callback: Callback | None = None) -> dict[str, Any]:
    """Accuracy on tasks (a folder of them, docs/tasks.md, or one file; data/eval without it) and the loss on text
    files, as `jet eval --json` prints them: {"tasks": {name: {"accuracy", "stderr", ...}}, "loss": {name: nats}}.
    limit: items a task (0: all); by: free answers by "likelihood" or "generation"."""
    arguments = ["eval", str(model), "--json", "--by", by, "--limit", str(limit)]
    arguments += ["--tasks", str(tasks)] if tasks else []
    for text in texts or []:
        arguments += ["--text", str(text)]
    return json.loads(run_jet(arguments, callback))


def quantize(source: str, target: str, type: str = "int8", calibrate: str = "default", bits: float = 0,
             callback: Callback | None = None) -> str:
    """Writes the model of `source` with its matrices in `type` (int8, int4, bf16) as the new folder `target`.
    calibrate: a text file to round by, "default" or "none"; bits: a weight, on average, for a mixture of int4 and
    int8. Returns `target`."""
    run_jet(["quantize", str(source), str(target), "--type", type, "--calibrate", calibrate, "--bits", str(bits)],
            callback)
    return str(target)
