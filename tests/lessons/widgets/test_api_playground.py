"""The API playground without a browser: real calls through the real client, buttons pressed, HTML read.

The client must meet the course's gateway before it is imported, so the widget lives in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, threading, time
import labkit
from labkit.world.gateway import drills
lab = labkit.start("04")
drills.clear()  # the gateway is that of the session
from huggingface_hub import InferenceClient
seen = {}
client = InferenceClient(provider="auto")
view = labkit.widgets.api_playground(client, lab.model.repo_id)

def press(button):
    view.parts[button].click()

def settle():
    while [one for one in threading.enumerate() if one.name == "labkit-widget"]:
        time.sleep(0.05)
    return [view.parts["output_a"].value, view.parts["output_b"].value]

view.parts["prompt"].value = "How many days are in a week?"
view.parts["temperature_b"].value = 0.0
press("run")
seen["both"] = settle()
drills.order(status=503, times=1)
press("run")
seen["one fails"] = settle()
view.parts["prompt"].value = "  "
press("run")
seen["empty"] = settle()
view.parts["prompt"].value = "Tell a very long story about the sea."
view.parts["max_tokens_a"].value = view.parts["max_tokens_b"].value = 300
press("run")
press("run")  # a second press while it runs asks nothing
while "writing" not in view.parts["output_a"].value + view.parts["output_b"].value:
    time.sleep(0.02)
press("stop")
seen["stopped"] = settle()
seen["free again"] = [not view.parts["run"].disabled, view.parts["stop"].disabled]
seen["requests"] = len(drills.seen())
try:
    labkit.widgets.api_playground(client, lab.model.repo_id, priced_as=("openai", "gpt-99"))
except labkit.LabError as problem:
    seen["wrong price"] = str(problem)
labkit.widgets.api_playground(client, lab.model.repo_id, "<b>bold</b>")
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen(_cache_with_model):
    environment = {**os.environ, "LABKIT_CACHE": str(_cache_with_model), "PYTHONUTF8": "1"}
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, timeout=240)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_both_answer_with_tokens_and_cost(seen):
    for side in seen["both"]:
        assert "7 days" in side and "done" in side and "written" in side and "USD if it were gpt-4o" in side


def test_a_failure_is_said_in_its_column_and_the_other_answers(seen):
    failed = ["That did not work." in side for side in seen["one fails"]]
    answered = ["7 days" in side for side in seen["one fails"]]
    assert sorted(failed) == sorted(answered) == [False, True]


def test_an_empty_prompt_asks_nobody(seen):
    assert all("The prompt is empty" in side for side in seen["empty"])
    assert seen["requests"] == 6  # three runs of two


def test_stop_ends_both_and_the_button_is_free_again(seen):
    assert all("stopped" in side for side in seen["stopped"])
    assert any("usage not told" in side for side in seen["stopped"])
    assert seen["free again"] == [True, True]


def test_a_price_that_is_not_known_is_said_at_once(seen):
    assert "gpt-99" in seen["wrong price"]
