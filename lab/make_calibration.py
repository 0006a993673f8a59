#!/usr/bin/env python3
"""Writes data/calibration.txt, the text that `jet quantize` rounds by: pieces of data/train in turn, novels every other
one, none of the documents that training holds out. Run from the repository's root."""
from pathlib import Path

PIECE, PIECES = 2000, 56  # bytes of a piece, about a row of 512 tokens; how many


def documents(name):
    text = Path("data/train", name + ".txt").read_text()
    return [d.strip() for d in text.split("<|endoftext|>") if d.strip()]


def pieces(name):
    """Stretches of about PIECE bytes that begin and end at paragraphs, each of other documents."""
    docs = documents(name)
    docs = docs[: len(docs) * 9 // 10]
    step = max(1, len(docs) // PIECES)
    at = 0
    while True:
        piece = ""
        while len(piece) < PIECE:
            paragraphs = docs[at % len(docs)].split("\n\n")
            at += step if name == "novels" else 1
            for p in paragraphs[len(paragraphs) // 3 if name == "novels" else 0 :]:
                if len(piece) + len(p) > 3 * PIECE // 2 and piece:
                    break
                piece += p[: 2 * PIECE] + "\n\n"
                if len(piece) >= PIECE:
                    break
        yield piece


def main():
    sources = {n: pieces(n) for n in ("novels", "stories", "gsm8k", "code", "skills")}
    others = ["stories", "gsm8k", "code", "skills"]
    order = [("novels" if i % 2 == 0 else others[i // 2 % 4]) for i in range(PIECES)]
    Path("data/calibration.txt").write_text("".join(next(sources[n]) for n in order))


if __name__ == "__main__":
    main()
