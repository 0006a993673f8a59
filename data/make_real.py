"""Writes the tasks of data/real: retrieval items of our own, and the front of two public sets.

usage: make_real.py OUT_DIR ARC_EASY.jsonl LAMBADA.jsonl        (of mosaicml/llm-foundry, scripts/eval/local_data)
"""
import json
import random
import sys
from pathlib import Path

NAMES = ("Anna Ben Clara David Emma Frank Grace Henry Iris Jack Kate Leo Mary Noah Olga Paul Rosa Sam Tina Victor "
         "Alice Bruno Diana Felix Helen Ivan Julia Kevin Laura Martin Nina Oscar").split()
ITEMS = 600


def kv(r):
    """4 to 12 facts, one of which is asked for; the model continues."""
    n = r.randint(4, 12)
    names, codes = r.sample(NAMES, n), r.sample(range(100, 1000), n)
    asked = r.randrange(n)
    facts = " ".join(f"The locker code of {a} is {b}." for a, b in zip(names, codes))
    return {"prompt": f"{facts} Remember: the locker code of {names[asked]} is", "answer": f" {codes[asked]}", "n": n}


def write(path, items):
    path.write_text("".join(json.dumps(i, ensure_ascii=False) + "\n" for i in items), encoding="utf-8")


def rows(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def main():
    out, r = Path(sys.argv[1]), random.Random(1)
    write(out / "kv.jsonl", [kv(r) for _ in range(ITEMS)])
    write(out / "arc_easy.jsonl", [{"question": i["query"], "options": i["choices"], "label": i["gold"]}
                                   for i in rows(sys.argv[2])[:ITEMS]])
    write(out / "lambada.jsonl", [{"prompt": i["context"], "answer": " " + i["continuation"]}
                                  for i in rows(sys.argv[3])[:ITEMS]])


if __name__ == "__main__":
    main()
