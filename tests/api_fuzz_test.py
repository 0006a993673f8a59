"""Requests made from /openapi.json, right ones and wrong ones, by schemathesis: no answer is a 5xx or another than the
document says, and the server lives.

usage: api_fuzz_test.py BUILD_DIR [--seconds N] [--seed N]       (from the project's root)

Without --seconds a short run with a fixed seed. models/base with a chat template and a short context is served, as
requests may ask for any number of tokens.
"""
import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile

from served import Server, chat_model

# Not that wrong values are refused and right ones taken: what is not looked at may hold anything, and what a model's
# context and vocabulary leave out is answered with 400.
CHECKS = ("not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
          "response_schema_conformance,unsupported_method,allow_header_conformance")


def program():
    """How to run schemathesis, or None."""
    named = os.environ.get("JET_SCHEMATHESIS") or shutil.which("schemathesis")
    if named:
        return [named]
    return [sys.executable, "-m", "schemathesis.cli"] if importlib.util.find_spec("schemathesis") else None


def short_model(folder):
    model = chat_model(folder)
    config = json.loads((model / "config.json").read_text())
    config["max_position_embeddings"] = 192
    (model / "config.json").write_text(json.dumps(config))
    return model


def run(fuzzer, server, seconds, seed):
    """The exit status: 0 where nothing was found."""
    length = (["--phases", "coverage,fuzzing", "--max-time", str(seconds)] if seconds else
              ["--phases", "fuzzing", "--max-examples", "8"])
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([*fuzzer, "run", f"http://127.0.0.1:{server.port}/openapi.json", "--checks", CHECKS,
                               "--seed", str(seed), "--continue-on-failure",
                               "--suppress-health-check", "all", "--request-timeout", "60", "--warnings", "off",
                               "--no-color", *length], cwd=folder).returncode


def main():
    options = argparse.ArgumentParser()
    options.add_argument("build")
    options.add_argument("--seconds", type=int, default=0)
    options.add_argument("--seed", type=int, default=1)
    o = options.parse_args()
    fuzzer = program()
    if not fuzzer:
        print("skipped: schemathesis is not installed (pip install schemathesis)")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        server = Server(short_model(folder))
        failed = run(fuzzer, server, o.seconds, o.seed)
        answer = server.post("/v1/completions", prompt="One day", max_tokens=2)
        assert answer["usage"]["completion_tokens"] == 2, answer
        ended = server.end()
    return failed or ended


if __name__ == "__main__":
    sys.exit(main())
