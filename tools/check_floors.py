#!/usr/bin/env python3
"""Keeps the building's floors apart: reads FLOORS and the #includes of jet/, and fails on any edge FLOORS forbids.
Floors share one namespace, so it also fails where two files give one name to two types or functions: a program that
holds both is undefined, and the linker keeps one of the two without a word.

    check_floors.py [--root DIR]              exit 1 and one line a fault
    check_floors.py [--root DIR] --picture    the floors as bricks, level = longest path down, then what each stands on
"""

import argparse
import pathlib
import re
import sys

import cpp

SUFFIXES = {".h", ".cc", ".cu", ".cuh"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
TORCH = re.compile(r"(torch|ATen|c10|caffe2)/")
TORCH_FLOORS = {"train", "search"}
TORCH_FILES = {"jet/cli/train_main.cc"}
STRANGERS = ("engine", "train")  # one op set each: what one learnt from the other would no longer be checked by it
WIDTH = 44


def read_floors(path):
    """FLOORS as {floor: floors it may include from}, and the faults of the file itself."""
    floors, faults = {}, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, colon, below = line.partition(":")
        name = name.strip()
        if not colon or not re.fullmatch(r"[a-z]+", name):
            faults.append(f"FLOORS:{number}: not of the form 'floor : floors below': {line}")
        elif name in floors:
            faults.append(f"FLOORS:{number}: {name} is listed twice")
        else:
            floors[name] = below.split()
    for name, below in floors.items():
        faults += [f"FLOORS: {name} names {b}, which FLOORS does not list" for b in below if b not in floors]
    return {name: [b for b in below if b in floors] for name, below in floors.items()}, faults


def reachable(floors, start):
    seen, todo = set(), list(floors[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += floors[name]
    return seen


def structure_faults(floors):
    """Cycles, and floors that must never see each other."""
    below = {name: reachable(floors, name) for name in floors}
    on_cycle = sorted(name for name in floors if name in below[name])
    faults = [f"FLOORS: cycle through {' '.join(on_cycle)}"] if on_cycle else []
    for a, b in (STRANGERS, STRANGERS[::-1]):
        if b in below.get(a, ()):
            faults.append(f"FLOORS: {a} can reach {b}; the two must never see each other")
    return faults


def file_faults(root, path, floors):
    name = path.relative_to(root).as_posix()
    floor = name.split("/")[1]
    torch_allowed = floor in TORCH_FLOORS or name in TORCH_FILES
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, target = match.groups()
        where = f"{name}:{number}: includes {target}"
        if TORCH.match(target):
            if not torch_allowed:
                yield f"{where}; torch is for {', '.join(sorted(TORCH_FLOORS | TORCH_FILES))}"
        elif target.startswith("jet/"):
            other = target.split("/")[1]
            if other not in floors:
                yield f"{where}; FLOORS does not list {other}"
            elif other != floor and other not in floors[floor]:
                yield f"{where}; FLOORS gives {floor} only: {' '.join(floors[floor]) or 'nothing'}"
        elif quote == '"' and (path.parent / target).exists():
            yield f"{where}; write it from the root, as jet/..., so that its floor shows"


def tree_faults(root, floors):
    files = sorted(p for p in (root / "jet").rglob("*") if p.is_file())
    unlisted = {p.relative_to(root).parts[1] for p in files} - floors.keys()
    faults = [f"jet/{name}: FLOORS does not list it" for name in sorted(unlisted)]
    for path in files:
        if path.suffix in SUFFIXES and path.relative_to(root).parts[1] not in unlisted:
            faults += file_faults(root, path, floors)
    return faults


def name_faults(root):
    """Types, and functions of the same parameters, that two files define in one namespace that has a name."""
    first = {}
    for path in sorted((root / "jet").rglob("*")):
        if path.suffix not in SUFFIXES:
            continue
        name = path.relative_to(root).as_posix()
        for d in cpp.definitions(path.read_text(errors="replace")):
            if "" in d.scope or d.inside == "class" or "static" in d.specifiers or d.name == "main":
                continue
            where = first.setdefault((d.scope, d.name, d.types), f"{name}:{d.line}")
            if not where.startswith(name + ":"):
                full = "::".join((*d.scope, d.name)) + (f"({', '.join(d.types)})" if d.kind == "function" else "")
                yield f"{name}:{d.line}: {full} is defined in {where} too; rename one of them"


def check(root):
    floors, faults = read_floors(root / "FLOORS")
    return faults + structure_faults(floors) + tree_faults(root, floors) + list(name_faults(root))


def picture(floors):
    """One row a level; to its right each floor's edges, less those that follow from the others."""
    level = {}

    def depth(name):
        if name not in level:
            level[name] = 1 + max((depth(b) for b in floors[name]), default=-1)
        return level[name]

    rows = {}
    for name in floors:
        rows.setdefault(depth(name), []).append(name)
    lines = []
    for height in sorted(rows, reverse=True):
        names, left, bricks, edges = rows[height], WIDTH, "", []
        for i, name in enumerate(names):
            width = left // (len(names) - i)
            left -= width
            bricks += "[" + name.center(width - 2) + "]"
            needed = [b for b in floors[name] if not any(b in reachable(floors, c) for c in floors[name])]
            edges.append(f"{name}>{','.join(needed)}" if needed else "")
        lines.append(f"{height} {bricks}  {'  '.join(edges)}".rstrip())
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--picture", action="store_true", help="print the floors instead of checking them")
    arguments = parser.parse_args()
    faults = check(arguments.root)
    if arguments.picture and not any(fault.startswith("FLOORS") for fault in faults):
        print(picture(read_floors(arguments.root / "FLOORS")[0]))
        return 0
    print("\n".join(faults) if faults else "floors: every include goes down, every name stands for one thing",
          file=sys.stderr if faults else sys.stdout)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
