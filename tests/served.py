"""A server, for the tests that talk to one."""
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

TEMPLATE = ("{% for m in messages %}<{{ m.role }}> {{ m.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}")


def jet():
    """The program of the build folder that a test is called with."""
    return str(Path(sys.argv[1]) / "jet")


class Server:
    """`program`: jet of the build folder where none is named. `stderr`: as of subprocess.Popen."""

    def __init__(self, folder, *options, program=None, stderr=subprocess.PIPE, **environment):
        self.process = subprocess.Popen([program or jet(), "serve", str(folder), "--port", "0", *options],
                                        stdout=subprocess.PIPE, stderr=stderr, text=True,
                                        env=dict(os.environ, **environment))
        line = self.process.stdout.readline()
        assert "http://" in line, (line, self.process.stderr and self.process.stderr.read())
        self.port = int(line.split("http://")[1].split()[0].rsplit(":", 1)[1])

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = dict({"Content-Type": "application/json"} if body is not None else {}, **(headers or {}))
        connection.request(method, path, json.dumps(body) if isinstance(body, (dict, list)) else body, headers)
        r = connection.getresponse()
        text = r.read().decode()
        connection.close()
        return r.status, json.loads(text) if text.startswith(("{", "[")) else text, dict(r.getheaders())

    def post(self, path, **body):
        status, answer, _ = self.ask("POST", path, body)
        assert status == 200, (status, answer)
        return answer

    def events(self, path, **body):
        """The chunks of a streamed answer."""
        status, text, headers = self.ask("POST", path, dict(body, stream=True))
        assert status == 200 and headers["Content-Type"] == "text/event-stream", (status, text)
        sent = text.split("\n\n")
        assert sent[-2:] == ["data: [DONE]", ""], sent[-2:]
        return [json.loads(e.removeprefix("data: ")) for e in sent[:-2]]

    def stats(self):
        return self.ask("GET", "/stats")[1]

    def wait(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition(self.stats()):
            assert time.monotonic() < end, self.stats()
            time.sleep(0.02)

    def end(self, seconds=30):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self.process.stdout.close()
        if self.process.stderr:
            self.process.stderr.close()
        return code


def chat_model(folder, template=TEMPLATE, context=None):
    """models/base with a chat template, and a shorter context where one is given."""
    model = Path(folder) / "base"
    shutil.copytree("models/base", model)
    (model / "chat_template.jinja").write_text(template)
    if context:
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps(dict(config, max_position_embeddings=context)))
    return model
