"""Writes the tasks of data/real and data/far: retrieval items of our own, and the front of two public sets.

usage: make_real.py DATA_DIR ARC_EASY.jsonl LAMBADA.jsonl        (of mosaicml/llm-foundry, scripts/eval/local_data)
"""
import json
import random
import sys
from pathlib import Path

NAMES = ("Anna Ben Clara David Emma Frank Grace Henry Iris Jack Kate Leo Mary Noah Olga Paul Rosa Sam Tina Victor "
         "Alice Bruno Diana Felix Helen Ivan Julia Kevin Laura Martin Nina Oscar").split()
ITEMS = 600
NOVELS = Path(__file__).parent / "train" / "novels.txt"


def facts(r, n):
    """`n` facts, and the question for one of them with its answer."""
    names, codes = r.sample(NAMES, n), r.sample(range(100, 1000), n)
    asked = r.randrange(n)
    text = " ".join(f"The locker code of {a} is {b}." for a, b in zip(names, codes))
    return text, f"Remember: the locker code of {names[asked]} is", f" {codes[asked]}"


def kv(r):
    """4 to 12 facts, one of which is asked for; the model continues."""
    n = r.randint(4, 12)
    text, question, answer = facts(r, n)
    return {"prompt": f"{text} {question}", "answer": answer, "n": n}


def kv_far(r, paragraphs, n):
    """4 to 8 facts, `n` KB of paragraphs of novels, then the question."""
    text, question, answer = facts(r, r.randint(4, 8))
    between = []
    while sum(map(len, between)) < 1000 * n:
        between.append(r.choice(paragraphs))
    return {"prompt": "\n\n".join([text, *between, question]), "answer": answer, "n": n}


def write(path, items):
    path.write_text("".join(json.dumps(i, ensure_ascii=False) + "\n" for i in items), encoding="utf-8")


def rows(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def main():
    out, r = Path(sys.argv[1]), random.Random(1)
    write(out / "real" / "kv.jsonl", [kv(r) for _ in range(ITEMS)])
    paragraphs = [p for p in NOVELS.read_text(encoding="utf-8").split("\n") if 300 < len(p) < 900]
    far = random.Random(2)
    write(out / "far" / "kv_far.jsonl", [kv_far(far, paragraphs, n) for _ in range(40) for n in (1, 2, 4)])
    behind = random.Random(3)
    write(out / "real" / "kv_1k.jsonl", [kv_far(behind, paragraphs, 1) for _ in range(150)])
    write(out / "real" / "arc_easy.jsonl", [{"question": i["query"], "options": i["choices"], "label": i["gold"]}
                                            for i in rows(sys.argv[2])[:ITEMS]])
    write(out / "real" / "lambada.jsonl", [{"prompt": i["context"], "answer": " " + i["continuation"]}
                                           for i in rows(sys.argv[3])[:ITEMS]])


if __name__ == "__main__":
    main()
