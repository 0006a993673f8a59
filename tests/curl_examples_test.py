"""The curl commands of README.md and docs/serving.md, run as they are written, but for the port, on models/base.

usage: curl_examples_test.py BUILD_DIR        (from the project's root)
"""
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from served import Server, chat_model

PAGES = ("README.md", "docs/serving.md")


def commands(page):
    """What stands in the page's code blocks from curl to the line that ends the command."""
    for block in re.findall(r"^```\n(.*?)^```", Path(page).read_text(), re.M | re.S):
        command = ""
        for line in block.splitlines(keepends=True):
            if command or line.startswith("curl "):
                command += line
                if command.count("'") % 2 == 0 and not line.endswith("\\\n"):
                    yield command
                    command = ""
        assert not command, (page, command)


class CurlTest(unittest.TestCase):
    def check(self, command, text):
        if "--no-buffer" in command or " -N " in command:
            events = [e for e in text.split("\n\n") if e]
            self.assertEqual(events[-1], "data: [DONE]", text)
            self.assertTrue(all("error" not in json.loads(e.removeprefix("data: ")) for e in events[:-1]), text)
            return
        answer = json.loads(text)
        if "/slots/" in command:
            self.assertGreater(answer["n_saved" if "action=save" in command else "n_restored"], 0, text)
            return
        choice = answer["choices"][0]
        said = choice["message"]["content"] if "/chat/" in command else choice["text"]
        self.assertTrue(said.strip(), text)
        if "json_schema" in command and choice["finish_reason"] == "stop":
            river = json.loads(said)
            self.assertEqual(list(river), ["name", "km"])
            self.assertGreaterEqual(river["km"], 1)

    def test_all(self):
        found = [(page, c) for page in PAGES for c in commands(page)]
        self.assertGreaterEqual(len(found), 7)
        with tempfile.TemporaryDirectory() as folder:
            server = Server(chat_model(folder, context=192), "--cache-dir", f"{folder}/cache")
            for page, command in found:
                with self.subTest(page=page, command=command):
                    r = subprocess.run(["bash", "-c", "set -e\ncurl() { command curl -sS -w '\\n%{http_code}' \"$@\"; }\n"
                                        + command.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")],
                                       capture_output=True, text=True, timeout=60)
                    self.assertEqual(r.returncode, 0, r.stderr)
                    text, status = r.stdout.rsplit("\n", 1)
                    self.assertEqual(status, "200", text)
                    self.check(command, text)
            self.assertEqual(server.end(), 0)


if __name__ == "__main__":
    if shutil.which("curl"):
        unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
    print("skipped: curl is not installed")
