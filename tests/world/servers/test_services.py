"""One process a user for each service, through kills, crashes, races and rubbish. Every process here is real."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading

import psutil
import pytest
from dummy_service import DUMMY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_helpers import gone, kill, wait_until, write_state

import labkit
from labkit import LabError
from labkit.base import processes
from labkit.world import services
from labkit.world.services import records

pytestmark = pytest.mark.slow  # all of it is waiting for processes
posix = pytest.mark.skipif(os.name != "posix", reason="Windows has neither file modes nor these signals")


def has_begun(mode: str) -> bool:
    """Whether the process of the dummy in this mode runs, ready or not."""
    log = records.file(records.instance_name("dummy", {"mode": mode}), "log")
    return log.exists() and "began" in log.read_text(encoding="utf-8")


def get(service: services.Service, path: str, key: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=30)
    connection.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


# Join and leave.


def test_two_processes_join_the_same_service(user):
    first, second = user().answer(), user().answer()
    mine = services.join(DUMMY)
    assert first == second
    assert (mine.name, mine.url, mine.key, mine.pid) == tuple(first.values())
    assert len(services.users("dummy")) == 3


def test_five_at_once_start_one(user):
    everyone = [user(mode="slow") for _ in range(5)]
    assert len({one.answer()["pid"] for one in everyone}) == 1


def test_threads_of_one_kernel_start_one():
    found = []
    threads = [threading.Thread(target=lambda: found.append(services.join(DUMMY).pid)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 5 and len(set(found)) == 1


def test_only_health_is_open():
    service = services.join(DUMMY)
    assert get(service, "/health")[0] == 200
    assert get(service, "/x", service.key) == (200, "plain")
    assert get(service, "/x")[0] == get(service, "/x", "wrong")[0] == 401


def test_other_options_are_another_process():
    plain, other = services.join(DUMMY), services.join(DUMMY, flavour="salty")
    assert plain.pid != other.pid and plain.name == "dummy" and other.name.startswith("dummy-")
    assert get(other, "/x", other.key) == (200, "salty")
    assert services.join(DUMMY, flavour="salty", mode=None) == other


def test_a_key_is_not_shown():
    service = services.join(DUMMY)
    assert service.key not in repr(service) and len(service.key) >= 32
    assert service.key not in records.file("dummy", "log").read_text(encoding="utf-8")
    assert not any(service.key in word for word in psutil.Process(service.pid).cmdline())


def test_proxies_are_not_asked(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert services.join(DUMMY) == services.running("dummy")


def test_running_looks_and_changes_nothing():
    assert services.running("dummy") is None
    service = services.join(DUMMY)
    services.leave("dummy")
    assert services.running("dummy") == service and services.users("dummy") == []


@posix
def test_the_files_are_private():
    for name in ("log", "lock"):
        records.file("dummy", name).touch(0o644)  # as an older version left them
    services.join(DUMMY)
    for name in ("json", "log", "lock"):
        assert stat.S_IMODE(records.file("dummy", name).stat().st_mode) == 0o600, name


# The end of a service.


def test_it_ends_after_its_last_user(user):
    one, other = user(linger=0.2), user(linger=0.2)
    pid = one.answer()["pid"]
    assert other.answer()["pid"] == pid
    one.end()
    assert services.users("dummy") == [other.process.pid] and not gone(pid)
    other.end()
    assert wait_until(lambda: gone(pid))
    assert not records.file("dummy", "json").exists()


def test_a_killed_user_is_no_user(user):
    one = user(linger=0.2)
    pid = one.answer()["pid"]
    one.end(getattr(signal, "SIGKILL", signal.SIGTERM))
    assert wait_until(lambda: gone(pid))


@posix
def test_a_zombie_is_no_user(user):
    one = user()
    one.answer()
    one.process.kill()  # and nobody waits for it
    assert wait_until(lambda: psutil.Process(one.process.pid).status() == psutil.STATUS_ZOMBIE)
    assert services.users("dummy") == []


def test_a_restarted_kernel_joins_the_running_service(user):
    one = user(linger=30)
    pid = one.answer()["pid"]
    one.end(getattr(signal, "SIGKILL", signal.SIGTERM))
    assert user().answer()["pid"] == pid


def test_a_lease_of_a_reused_pid_does_not_count():
    service = services.join(DUMMY, linger=0.2)
    folder = records.file("dummy", "users")
    (folder / f"{os.getpid()}-{processes.birth(os.getpid()) - 3600:.2f}").touch()
    (folder / "no lease").touch()
    assert services.users("dummy") == [os.getpid()]
    services.leave("dummy")
    assert wait_until(lambda: gone(service.pid))


def test_it_ends_when_its_state_file_is_deleted():
    service = services.join(DUMMY, linger=0.2)  # which looks often
    records.file("dummy", "json").unlink()
    assert wait_until(lambda: gone(service.pid))


@posix
def test_a_deleted_cache_stays_deleted(monkeypatch, tmp_path):
    before = os.environ["LABKIT_CACHE"]
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    service = services.join(DUMMY)
    shutil.rmtree(tmp_path / "cache")
    assert wait_until(lambda: gone(service.pid))
    assert not (tmp_path / "cache").exists()
    monkeypatch.setenv("LABKIT_CACHE", before)


def test_stop_ends_it_whoever_uses_it(user):
    one = user()
    before = one.answer()
    services.stop("dummy")
    assert gone(before["pid"]) and services.running("dummy") is None
    assert one.ask("join")["pid"] != before["pid"]
    services.stop("dummy")
    services.stop("dummy")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_take_the_lease_away():
    services.join(DUMMY)
    child = os.fork()
    if child == 0:
        services.leave_all()
        os._exit(0)
    os.waitpid(child, 0)
    assert services.users("dummy") == [os.getpid()]


# What goes wrong.


def test_a_killed_service_is_replaced(user):
    before = services.join(DUMMY)
    kill(before.pid)
    assert services.running("dummy") is None and not services.is_alive(before)
    after = services.join(DUMMY)
    assert after.pid != before.pid and after.key != before.key and get(after, "/x", after.key)[0] == 200


@posix
def test_a_killed_service_leaves_no_zombie():
    service = services.join(DUMMY)
    kill(service.pid)
    assert wait_until(lambda: not psutil.pid_exists(service.pid))


@posix
def test_a_hanging_service_is_replaced(monkeypatch):
    monkeypatch.setattr(services, "_HEALTH_S", 0.5)
    before = services.join(DUMMY)
    os.kill(before.pid, signal.SIGSTOP)
    after = services.join(DUMMY)
    assert after.pid != before.pid and gone(before.pid)


def test_a_reused_pid_is_left_alone():
    before = services.join(DUMMY)
    kill(before.pid)
    innocent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    state = {"pid": innocent.pid, "birth": 1.0, "url": before.url, "key": before.key, "version": labkit.__version__}
    records.file("dummy", "json").write_text(json.dumps(state), encoding="utf-8")
    after = services.join(DUMMY)
    assert after.pid not in (before.pid, innocent.pid)
    assert innocent.poll() is None
    innocent.communicate(b"\n")


def test_another_version_is_replaced():
    before = services.join(DUMMY)
    write_state("dummy", version="0.0.0")
    after = services.join(DUMMY)
    assert after.pid != before.pid and gone(before.pid)


@pytest.mark.parametrize(
    "rubbish",
    [
        "",
        "{",
        "[]",
        "null",
        '{"pid": 1}',
        '{"pid": "x", "birth": 1, "url": "http://127.0.0.1:1", "key": 1, "version": 1}',
    ],
)
def test_a_broken_state_file_is_replaced(rubbish):
    before = services.join(DUMMY, linger=0.2)  # which looks often
    records.file("dummy", "json").write_text(rubbish, encoding="utf-8")
    after = services.join(DUMMY)
    assert after.pid != before.pid and get(after, "/x", after.key)[0] == 200
    assert wait_until(lambda: gone(before.pid)), "the one that no file names any more should end"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=5,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "pid": json_values,
        "birth": json_values,
        "url": json_values | st.just("http://127.0.0.1:1") | st.just("http://127.0.0.1:99999"),
        "key": json_values,
        "version": json_values,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(fields | json_values)
def test_no_state_file_can_break_a_look(state):
    records.file("dummy", "json").write_text(json.dumps(state), encoding="utf-8")
    assert services.running("dummy") is None
    records.discard("dummy")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
def test_another_accounts_state_is_not_read():
    services.join(DUMMY)
    os.chown(records.file("dummy", "json"), 12345, 12345)
    with pytest.raises(LabError, match="belongs to another account: set LABKIT_CACHE"):
        services.join(DUMMY)
    assert os.getpid() in services.users("dummy"), "a failed second join keeps the lease of the first"
    os.chown(records.file("dummy", "json"), 0, 0)


def test_a_killed_starter_leaves_the_lock_free(user):
    one = user(mode="slow", linger=0.5)
    assert wait_until(lambda: has_begun("slow"))
    one.end(getattr(signal, "SIGKILL", signal.SIGTERM))
    # Its service may still come up: it is the one that we join, or gives way to ours, or finds no user and ends.
    service = services.join(DUMMY, mode="slow", linger=0.5)
    assert get(service, "/x", service.key)[0] == 200


def test_who_waits_too_long_is_told(user):
    one = user(mode="mute", patience=20)
    assert wait_until(lambda: has_begun("mute"))
    with pytest.raises(LabError, match="Another process has been starting the dummy-.* service for 1 seconds"):
        services.join(DUMMY, mode="mute", patience=1)
    one.end(getattr(signal, "SIGINT", signal.SIGTERM))


def test_a_start_that_fails_says_why():
    with pytest.raises(LabError, match=r"ended while it started \(RuntimeError: the dummy broke\): see .*\.log\.$"):
        services.join(DUMMY, mode="breaks")
    with pytest.raises(LabError, match="^The dummy wants its tea: bring some.$"):
        services.join(DUMMY, mode="mends")
    assert services.users(records.instance_name("dummy", {"mode": "breaks"})) == []


def test_a_wanted_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LabError, match=f"^Port {port} is in use or not allowed: choose another"):
            services.join(DUMMY, port=port)
    service = services.join(DUMMY, port=port)
    assert service.url == f"http://127.0.0.1:{port}"
    assert services.join(DUMMY) == services.join(DUMMY, port=port) == service
    with pytest.raises(LabError, match=f"runs at {service.url} already: leave out --port"):
        services.join(DUMMY, port=port + 1)
    with pytest.raises(LabError, match="^Port 99999 is in use or not allowed"):
        services.join(DUMMY, flavour="other", port=99999)


@posix
def test_an_interrupt_does_not_reach_the_service(user):
    one = user()
    pid = one.answer()["pid"]
    assert one.ask("hang") == "ok"
    os.killpg(one.process.pid, signal.SIGINT)
    assert one.answer() == "interrupted"
    assert services.running("dummy").pid == pid and one.ask("join")["pid"] == pid


@posix
def test_an_interrupted_start_leaves_nothing(user):
    one = user(mode="mute")
    assert wait_until(lambda: has_begun("mute"))
    one.end(signal.SIGINT)
    assert services.users(records.instance_name("dummy", {"mode": "mute"})) == []


def test_sigterm_removes_the_state_file():
    service = services.join(DUMMY)
    os.kill(service.pid, signal.SIGTERM)
    assert wait_until(lambda: gone(service.pid))
    if os.name == "posix":
        assert not records.file("dummy", "json").exists()


def test_importing_is_light():
    heavy = {"torch", "transformers", "huggingface_hub", "xllamacpp", "psutil", "filelock", "http.client"}
    script = f"import sys, labkit.world.services; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
