#!/usr/bin/env python3
"""What the sources keep to beyond their look: libraries are quiet, JSON is valid, functions are short.

    check_sources.py [--root DIR]    exit 1 and one line a fault

quiet   what lies below jet/cli throws jet::Error and returns text: it neither prints nor ends the process
json    json_text() alone makes JSON of values: nlohmann's dump() throws on bytes that are no UTF-8
short   a function has at most 60 lines and six parameters; kernels, whose loops want their numbers in registers, may
        have more parameters
"""

import argparse
import ast
import pathlib
import sys

import cpp

MOST_LINES, MOST_PARAMETERS = 60, 6
MANY_PARAMETERS = ("jet/kernels/", "tests/nccl/")  # the second has NCCL's own signatures
ENDS = {"exit", "_exit", "_Exit", "quick_exit", "abort", "terminate"}
PRINTS = {"printf", "fprintf", "vprintf", "vfprintf", "puts", "fputs", "putchar", "putc", "fputc", "perror"}
STREAMS = {"stdout", "stderr", "cout", "cerr", "clog"}


def is_word(token):
    return token[0].isalpha() or token[0] == "_"


def is_free_call(before, word, after):
    """Whether `word` calls the function of that name of C or std, and no class's own."""
    if word not in ENDS | PRINTS or after != "(" or before[1] in (".", "->"):
        return False
    if before[1] == "::":
        return before[0] == "std" or not is_word(before[0])
    return not is_word(before[1]) or before[1] in ("return", "else", "do")  # another word is a type: a declaration


def quiet_faults(name, tokens):
    words = [";", ";", *(word for _, word in tokens), ";"]
    for i, (line, word) in enumerate(tokens):
        before, after = words[i:i + 2], words[i + 3]
        formats = word in ("print", "println") and before in (["fmt", "::"], ["std", "::"]) and after == "("
        if formats or word in STREAMS or is_free_call(before, word, after):
            yield f"{name}:{line}: {word}: a library neither prints nor ends the process; throw Error or return text"


def json_faults(name, tokens):
    words = [word for _, word in tokens]
    for i, (line, word) in enumerate(tokens):
        if word == "dump" and i > 0 and words[i - 1] in (".", "->") and words[i + 1:i + 2] == ["("]:
            yield f"{name}:{line}: dump throws on bytes that are no UTF-8; call json_text (jet/base/json.h)"


def size_faults(name, function, line, lines, parameters):
    if lines > MOST_LINES:
        yield f"{name}:{line}: {function} has {lines} lines, at most {MOST_LINES}; split it"
    if parameters > MOST_PARAMETERS and not name.startswith(MANY_PARAMETERS):
        yield f"{name}:{line}: {function} has {parameters} parameters, at most {MOST_PARAMETERS}; make them a struct"


def cpp_faults(name, text):
    if name.startswith(("jet/", "python/")) and not name.endswith("_test.cc"):
        tokens = cpp.tokens(text)
        if not name.startswith("jet/cli/"):
            yield from quiet_faults(name, tokens)
        if name != "jet/base/json.cc":
            yield from json_faults(name, tokens)
    for d in cpp.definitions(text):
        if d.kind == "function":
            yield from size_faults(name, d.name, d.line, d.end - d.line + 1, len(d.types))


def python_faults(name, text):
    for node in ast.walk(ast.parse(text, name)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            a = node.args
            parameters = len([p for p in a.posonlyargs + a.args + a.kwonlyargs if p.arg not in ("self", "cls")])
            yield from size_faults(name, node.name, node.lineno, node.end_lineno - node.lineno + 1, parameters)


def check(root):
    faults = []
    for folder in ("jet", "python", "tests", "tools", "lab"):
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.suffix in (".h", ".cc", ".cu", ".cuh"):
                faults += cpp_faults(name, path.read_text())
            elif path.suffix == ".py":
                faults += python_faults(name, path.read_text())
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    faults = check(parser.parse_args().root)
    print("\n".join(faults) if faults else "sources: libraries are quiet, JSON is valid, functions are short",
          file=sys.stderr if faults else sys.stdout)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
