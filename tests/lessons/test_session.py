"""start(): one line, the right settings before any library reads them, clear refusals. Each try is a new process."""

import os
import subprocess
import sys

import pytest


def python(program: str, **environment: str) -> subprocess.CompletedProcess:
    settings = {**os.environ, "PYTHONUTF8": "1", **environment}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=settings, timeout=120)


def test_start_prints_one_line_and_loads_no_torch(course_cache):
    run = python("import sys, labkit; lab = labkit.start('05'); print(lab.path.name, 'torch' in sys.modules)")
    assert run.returncode == 0, run.stderr
    line, rest = run.stdout.splitlines()
    assert line.startswith("Lesson 05 · local world · ") and line.endswith(" · SmolLM2-135M-Instruct")
    assert rest == "safetensors False"


def test_start_sets_what_the_libraries_read_at_import(course_cache):
    program = """
import labkit; labkit.start(5)
from huggingface_hub import constants
print(constants.HF_HUB_DISABLE_TELEMETRY, constants.HF_HUB_DISABLE_XET, constants.HF_HUB_DISABLE_PROGRESS_BARS)
import os; print(os.environ["NO_PROXY"])
"""
    run = python(program, NO_PROXY="intranet.example", HF_HUB_DISABLE_TELEMETRY="")
    assert run.stdout.splitlines()[1:] == ["True True True", "intranet.example,127.0.0.1,localhost"], run.stderr


def test_start_twice_is_safe_even_after_the_libraries_came(course_cache):
    run = python("import labkit; labkit.start('05'); import transformers; labkit.start('05')")
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 2


def test_a_library_imported_before_is_one_sentence(course_cache):
    run = python("from huggingface_hub import HfApi; import labkit; labkit.start('05')")
    assert "restart the kernel, then run this cell first" in run.stderr


def test_no_network_in_live_mode_stays_local_and_says_so(course_cache):
    # A name that no resolver knows (RFC 2606) stands for a dead network.
    program = """
from labkit.base import network
network.HUB = "https://hub.invalid"
import labkit; labkit.start("05", mode="live")
"""
    run = python(program)
    assert "local world (the Hub does not answer)" in run.stdout, run.stderr


def test_providers_in_live_mode_need_a_token_or_the_lesson_stays_local(course_cache, tmp_path):
    program = """
from labkit.base import network
network.HUB = "https://hub.invalid"
import labkit; labkit.start("04", mode="live")
"""
    none = {name: "" for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")} | {"HF_HOME": str(tmp_path)}
    run = python(program, **none)
    assert "local world (providers ask for a Hugging Face token, and there is none)" in run.stdout, run.stderr
    # With a token, it is the network that is asked, and that has none here.
    (tmp_path / "token").write_text("hf_invented", encoding="utf-8")
    for given in (none, none | {"HF_HOME": str(tmp_path / "other"), "HF_TOKEN": "hf_invented"}):
        run = python(program, **given)
        assert "local world (the Hub does not answer)" in run.stdout, run.stderr


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("labkit.start('42')", "There is no lesson '42'"),
        ("labkit.start('05', mode='remote')", "choose local or live"),
        ("labkit.start('05', model='mistral7b')", "mistral-7b"),
        ("labkit.start('05', model='llama-2-70b')", "GB"),
    ],
)
def test_what_cannot_be_started_is_one_sentence(course_cache, call, sentence):
    run = python(f"import labkit; {call}")
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("labkit.base.errors.LabError: ") and sentence in last


def test_a_lab_error_in_ipython_is_one_line(course_cache):
    program = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import labkit; labkit.start('42')")
"""
    run = python(program)
    assert run.stdout.strip().startswith("LabError: There is no lesson '42'")
    assert "Traceback" not in run.stdout + run.stderr


def test_finish_says_how_it_went(course_cache):
    run = python("import labkit; labkit.start('05').finish()")
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) == 2 and "05" in run.stdout.splitlines()[1]


def test_importing_labkit_brings_nothing_heavy():
    program = (
        "import sys, labkit; print([m for m in ('torch', 'transformers', 'numpy', 'IPython') if m in sys.modules])"
    )
    assert python(program).stdout.strip() == "[]"


def test_importing_labkit_takes_no_time():
    """0.15 s by design. The processor's own seconds, so that a busy machine does not count."""
    program = "import time; began = time.process_time(); import labkit; print(time.process_time() - began)"
    assert min(float(python(program).stdout) for _ in range(3)) < 0.15


def test_everything_labkit_promises_is_there():
    import labkit

    for name in dir(labkit):
        assert getattr(labkit, name) is not None or name.startswith("__")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        labkit.nonsense  # noqa: B018


@pytest.mark.parametrize("proxy", ["socks5h://127.0.0.1:1080", "socks://127.0.0.1:1080", "http://127.0.0.1:9"])
def test_no_proxy_stands_between_a_lesson_and_its_own_servers(course_cache, proxy):
    program = """
import labkit; labkit.start("04")
from huggingface_hub import HfApi
print(len(list(HfApi().list_models(limit=2))))
from openai import OpenAI
OpenAI(base_url="http://127.0.0.1:9/v1", api_key="none")
"""
    run = python(program, ALL_PROXY=proxy, HTTPS_PROXY=proxy)
    assert run.stdout.splitlines()[1:] == ["2"], run.stderr


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_token_that_powershell_wrote_reaches_the_libraries_in_live_mode(course_cache, tmp_path, encoding):
    (tmp_path / "token").write_bytes("hf_invented\r\n".encode(encoding))
    program = """
from labkit.base import network
network.trouble = lambda *_: ""
import labkit; labkit.start("03", mode="live")
from huggingface_hub import get_token
print(get_token())
"""
    unset = {name: "" for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")}
    run = python(program, HF_HOME=str(tmp_path), **unset)
    assert run.stdout.splitlines()[-1] == "hf_invented", run.stderr
