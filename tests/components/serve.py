"""The serving component alone: start the server as a user would, ask it, stop it."""

import importlib.util
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from commands import check_commands

HEAVY = ("torch", "transformers", "peft", "sklearn", "pandas")
present = [name for name in HEAVY if importlib.util.find_spec(name)]
assert not present, f"the server environment has {present}"

server = subprocess.Popen([sys.executable, "-m", "purport", "serve", "--port", "0"], stderr=subprocess.PIPE, text=True)
try:
    assert server.stderr is not None
    url = next(found[0] for line in server.stderr if (found := re.findall(r"http://127\.0\.0\.1:\d+", line)))
    for _ in range(200):
        try:
            if urllib.request.urlopen(f"{url}/ready", timeout=5).status == 200:
                break
        except urllib.error.HTTPError as error:
            assert error.code == 423, error
        time.sleep(0.05)
    request = urllib.request.Request(
        f"{url}/intent",
        data=json.dumps({"text": "find me a flight that flies from Memphis to tacoma"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    answer = json.load(urllib.request.urlopen(request, timeout=5))
    assert answer["intents"][0]["label"] == "flight", answer
    try:
        urllib.request.urlopen(f"{url}/ui", timeout=5)
        raise AssertionError("the web app is there without its packages")
    except urllib.error.HTTPError as error:
        assert error.code == 501 and "[ui]" in error.read().decode(), error
finally:
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=20) == 0
check_commands()
