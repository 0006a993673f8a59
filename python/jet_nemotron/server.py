"""python -m jet_nemotron.server MODEL --port 8080: the server, `jet serve`, in this process's place."""

from __future__ import annotations

import os
import sys

from .program import jet_program


def main() -> None:
    try:
        program = jet_program()
    except FileNotFoundError as error:
        sys.exit(f"jet_nemotron.server: {error}")
    os.execv(program, [program, "serve", *sys.argv[1:]])


if __name__ == "__main__":
    main()
