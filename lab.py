#!/usr/bin/env python3
"""The front door: `python lab.py` opens the course, `python lab.py test` proves it. `--help` says more.

Standard library only, and it parses on any Python 3, so that an old one gets a sentence and not a syntax error.
It makes .venv beside itself, installs the course there, and hands every command over to `python -m labkit`.
uv installs, in a fifth of pip's time; it is told all that pip was told, and where it does not do, pip installs.
"""

import ast
import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "labkit-stamp.json")
HOME = os.path.join(VENV, "home-of-this-venv.txt")  # says that the course made .venv, and in which folder
LOCK = os.path.join(ROOT, ".lab.lock")
LOG = os.path.join(ROOT, ".lab.log")
OLDEST, NEWEST = (3, 11), (3, 14)
TORCH = "2.13.0"  # the newest version with a CPU build that the stored outputs were made with
TORCH_OLDEST = (2, 11)
TORCH_CPU_PAGE = "https://download.pytorch.org/whl/cpu/torch/"  # links to its CPU builds
UV = "0.13.9"
# pip, and what fetching and converting the model takes: installed first, so that the model comes beside the rest.
FIRST = ["pip", "filelock", "gguf", "platformdirs", "psutil"]
BRING_MODEL = "from labkit.world import weights; weights.ensure(quiet=True)"
NEEDED_BYTES = 3000000000
# What a command needs beyond the course.
EXTRAS = {"test": ["test", "site", "demos", "platforms"], "site": ["site"], "demos": ["demos"]}
HELP = """usage: python lab.py [COMMAND] [options]

  python lab.py            set everything up, fetch the model, open the course in JupyterLab
  python lab.py test       the same set-up, then every test, every notebook compared with its stored outputs
  python lab.py setup      the set-up alone

Other commands: doctor, lessons, progress, reset 05, serve, hub, gateway, bench, fetch FOLDER, clean,
site, demos, run, lint.
`python lab.py COMMAND --help` explains one of them.

  --no-browser, --port N   for `lab`: print the address, use this port
  --offline FOLDER         install from a folder of wheels that `fetch` has filled, without internet
"""

# pip's settings in uv's words. An index may hold a password, so it goes by a variable: options are seen by others.
UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
    "client-cert": "SSL_CLIENT_CERT",
}
UV_LISTS = {
    "constraint": "--constraint",
    "build-constraint": "--build-constraint",
    "trusted-host": "--allow-insecure-host",
    "find-links": "--find-links",
}
UV_SWITCHES = {
    "no-index": "--no-index",
    "pre": "--prerelease=allow",
    "no-cache-dir": "--no-cache",
    "no-build-isolation": "--no-build-isolation",
}
# These change nothing in what is installed.
HARMLESS = """
    break-system-packages compile config-file debug disable-pip-version-check exists-action log no-color
    no-compile no-input no-python-version-warning no-warn-conflicts no-warn-script-location progress-bar quiet
    require-virtualenv root-user-action use-feature verbose
"""
# Of uv's own variables only those about this machine are kept: pip's settings decide where packages come from.
UV_KEPT = ("UV_CACHE_DIR", "UV_NO_CACHE", "UV_LINK_MODE", "UV_CONCURRENT_DOWNLOADS", "UV_CONCURRENT_INSTALLS")
PASSWORD = re.compile(r"(?<=//)[^/@\s]+(?=@)")
# Of pip's log: thousands of lines that say which files of an index do not matter.
NOISE = ("Skipping link", "Found link", "Link requires a different", "Given no hashes", "changing mode of")


class Stop(Exception):
    """A reason to end, in one sentence for the learner."""

    complaints = ()  # what the program said


class Missing(Stop):
    """The index was reached, and has no such package for this machine."""


class Blocked(Stop):
    """The disk is full or may not be written: another try, by whatever means, would end the same."""


class Unknown(Stop):
    """A reason that nobody has put into a sentence yet: what the program said is shown."""


class WithoutUv(Exception):
    """Why pip installs and not uv."""


def main(arguments):
    """Set up what is missing, hand over, and return the exit code."""
    arguments, offline = take_offline(arguments)
    if arguments and arguments[0] in ("-h", "--help", "help"):
        print(HELP)
        return 0
    command = "lab"
    if arguments and arguments[0] in ("-V", "--version"):
        print(version())
        return 0
    if arguments and not arguments[0].startswith("-"):
        command, arguments = arguments[0], arguments[1:]
    check_python()
    place = hosted()
    if place:
        print(place)
        return 0
    check_machine()
    environment = child_environment(offline)
    with Lock():
        set_up(environment, ["lab"] + EXTRAS.get(command, []), command in ("lab", "setup", "test"))
    return hand_over([python(), "-P", "-m", "labkit", command] + arguments, environment)


def version():
    """The course's version, as pyproject.toml has it."""
    with open(os.path.join(ROOT, "pyproject.toml"), encoding="utf-8") as file:
        return "open-models-lab " + re.search(r'(?m)^version = "(.+)"', file.read()).group(1)


def take_offline(arguments):
    """The arguments without --offline, and its folder as an absolute path or None."""
    rest, folder = [], None
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--offline":
            folder = next(waiting, "")
        elif argument.startswith("--offline="):
            folder = argument.split("=", 1)[1]
        else:
            rest.append(argument)
    if folder is None:
        return rest, None
    if not os.path.isdir(folder) or not any(name.endswith(".whl") for name in os.listdir(folder)):
        raise Stop(
            "There are no wheels in %r: fill a folder with `python lab.py fetch FOLDER` where there is internet."
            % folder
        )
    return rest, os.path.abspath(folder)


def check_python():
    version = sys.version_info[:2]
    if OLDEST <= version <= NEWEST:
        return
    raise Stop(
        "This is Python %d.%d and the course needs 3.%d to 3.%d: install one from python.org, then start it with "
        "`%s lab.py`." % (version + (OLDEST[1], NEWEST[1]) + ("py -3.13" if os.name == "nt" else "python3.13",))
    )


def hosted():
    """What to do on a host that has an environment of its own, or nothing."""
    if "COLAB_RELEASE_TAG" in os.environ:
        return (
            "This is Colab: open a lesson by its Colab link in README.md and run its first cell; lab.py is not needed."
        )
    if "BINDER_SERVICE_HOST" in os.environ or "BINDER_LAUNCH_HOST" in os.environ:
        return "This is Binder: all is installed; open notebooks/00_start_here.ipynb in the file browser on the left."
    if "JUPYTERHUB_USER" in os.environ:
        return (
            "This is a JupyterHub: run `python -m pip install -e .` in a terminal here, then open "
            "notebooks/00_start_here.ipynb in the file browser on the left."
        )
    return None


def check_machine():
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        raise Stop(
            "PyTorch has no builds for Macs with an Intel processor any more: open the lessons on Colab instead, "
            "by the links in README.md."
        )
    if not os.access(ROOT, os.W_OK):
        raise Stop("The folder %s cannot be written: copy the course to a folder of your own." % ROOT)
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES and not os.path.exists(STAMP):
        raise Stop(
            "The course needs 3 GB of disk and %.1f GB are free at %s: make room, then run the same command again."
            % (free / 1e9, ROOT)
        )


def child_environment(offline):
    """The environment of everything that is started here: no leftovers of another Python, UTF-8, the offline folder."""
    dropped = ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "PIP_REQUIRE_VIRTUALENV", "PIP_TARGET")
    # uv leaves compiling to the first import: 4 seconds, once. Forbidden, it would cost them at every start.
    dropped += ("PYTHONDONTWRITEBYTECODE",)
    dropped += ("COLUMNS",)  # with it uv breaks its complaints into short lines, also where they go into the log
    environment = {key: os.environ[key] for key in os.environ if key not in dropped and not key.startswith("CONDA_")}
    environment["PYTHONUTF8"] = "1"
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    if offline:
        # A folder name may hold spaces, and pip splits this variable at spaces: a file URL has none.
        import pathlib

        environment["PIP_NO_INDEX"] = "1"
        environment["PIP_FIND_LINKS"] = pathlib.Path(offline).as_uri()
    return environment


def python():
    return os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")


class Lock:
    """One lab.py at a time sets up; a second one waits. The system releases the lock of a killed process."""

    def __enter__(self):
        self.file = open(LOCK, "a")
        said = False
        while not self._take():
            if not said:
                print("Another lab.py is setting up this folder: waiting for it.", flush=True)
                said = True
            time.sleep(0.5)

    def _take(self):
        try:
            if os.name == "nt":
                import msvcrt

                self.file.seek(0)
                msvcrt.locking(self.file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as problem:
            # NFS without its lock service: a second lab.py would wait for ever for a first one that is not there.
            return problem.errno in (errno.ENOLCK, errno.ENOSYS, getattr(errno, "EOPNOTSUPP", errno.ENOSYS))

    def __exit__(self, *_):
        self.file.close()


def set_up(environment, extras, with_model):
    """Bring .venv up to date, doing only what is missing. The stamp is written last, so a killed run is done again."""
    usable = works(environment)
    wanted = fingerprint()
    stamp = read_stamp() if usable else {}
    have = stamp.get("extras", []) if stamp.get("wanted") == wanted else []
    if set(extras) <= set(have):
        return
    extras = sorted(set(extras) | set(have))
    write(LOG, "%s, Python %s\n" % (platform.platform(), platform.python_version()))
    if not usable:
        make_venv(environment)
        step(2, "Installing uv, which installs the rest")
    install = Installer(environment, fresh=not usable)
    torch = installed_torch(environment) if usable else None
    with ended(start_on_the_model(environment) if with_model and install.has_first else None) as model:
        install_course(install, ["-e", ".[%s]" % ",".join(extras)], torch)
        write(STAMP, json.dumps({"wanted": wanted, "extras": extras}))
        if model and model.poll() is None:
            print("      Waiting for the model (93 MB to download the first time)", flush=True)
            model.wait()  # whatever came of it: labkit looks, tries again where needed, and says what is wrong


def works(environment):
    """Whether .venv's own Python runs, is at home here (a moved folder is not) and has this Python's version."""
    program = "import sys, pip; print(sys.prefix); print('%d.%d' % sys.version_info[:2])"
    try:
        answer = said([python(), "-c", program], environment, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return False
    lines = answer.stdout.splitlines()
    if (
        answer.returncode != 0
        or lines[1:] != ["%d.%d" % sys.version_info[:2]]
        or os.path.realpath(lines[0]) != os.path.realpath(VENV)
    ):
        return False
    if not os.path.exists(HOME):
        print("      Using the .venv that is here already.", flush=True)
        write(HOME, ROOT)
    # `activate` scripts and the editable install name absolute paths: a moved .venv is made anew.
    with open(HOME, encoding="utf-8") as home:
        return home.read() == ROOT


def make_venv(environment):
    """A new .venv. What the course made itself is replaced; what somebody else made is moved aside, not deleted."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise Stop(
            "This Python cannot make virtual environments: on Debian or Ubuntu run `sudo apt install python3-venv`, "
            "then the same command again."
        ) from None
    if not os.path.lexists(VENV):
        step(1, "Making .venv")
    elif os.path.exists(HOME):
        step(1, "Making .venv anew (it was unfinished, moved, or of another Python)")
        shutil.rmtree(VENV)
    else:
        aside = time.strftime(VENV + "-old-%Y%m%d-%H%M%S")
        os.rename(VENV, aside)
        step(1, "Making .venv anew (the old one does not work here, and is now %s)" % os.path.basename(aside))
    os.mkdir(VENV)
    write(HOME, ROOT)
    insist(attempt([base_python(), "-m", "venv", "--without-pip", VENV], environment, "making .venv"))


def base_python():
    """The Python beneath: inside an activated .venv that is being replaced, its own is gone."""
    return getattr(sys, "_base_executable", None) or sys.executable


def fingerprint():
    """What decides the installed packages: when it changes, pip runs again."""
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        content = file.read()
    return hashlib.sha256(content + TORCH.encode() + repr(sys.version_info[:3]).encode()).hexdigest()


def read_stamp():
    try:
        with open(STAMP, encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError):
        return {}


def installed_torch(environment):
    """The version of PyTorch in .venv, or None where there is none or one that is too old."""
    program = "import importlib.metadata as m; print(m.version('torch'))"
    version = said([python(), "-c", program], environment).stdout.strip()
    found = re.match(r"(\d+)\.(\d+)", version)
    return version if found and (int(found.group(1)), int(found.group(2))) >= TORCH_OLDEST else None


def install_course(install, course, torch):
    """The course with PyTorch, and nothing that pulls gigabytes of CUDA onto a machine that has no use for them."""
    general = "torch==%s" % torch if torch else "torch>=%d.%d" % TORCH_OLDEST
    if torch or not wants_cpu_build():
        step(3, "Installing the course")
        return install([general] + course)
    step(3, "Installing the course, with PyTorch's CPU build (about 360 MB to download the first time)")
    reached = "PIP_NO_INDEX" not in install.environment and answers(TORCH_CPU_PAGE)
    build = "torch==%s+cpu" % TORCH
    try:
        install((["--find-links", TORCH_CPU_PAGE] if reached else []) + ["--only-binary=torch", build] + course)
    except Missing as reason:
        if build not in "\n".join(reason.complaints):
            raise
        print("      No CPU build can be had here: installing the general one, with its CUDA packages (several GB).")
        install([general] + course)


def wants_cpu_build():
    """Linux without a working NVIDIA driver, on PC and ARM alike: since torch 2.11 at least PyPI's packages for both
    ask for CUDA (seen 2026-11-25). Everywhere else the plain package is the right one."""
    if not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "AMD64", "aarch64", "arm64"):
        return False
    try:
        return subprocess.run(["nvidia-smi"], capture_output=True, timeout=20).returncode != 0
    except (OSError, subprocess.TimeoutExpired):
        return True


def answers(address):
    """Whether a page can be had, through the proxy if there is one: some networks let only a few hosts through."""
    import urllib.request

    try:
        urllib.request.urlopen(address, timeout=5).close()
        return True
    except (OSError, ValueError):
        return False


class Installer:
    """Installs packages into .venv with uv, or with pip where uv cannot be had, or could not; then a line says why.

    A fresh .venv has no pip. That of the Python beneath brings uv, and uv brings pip in a moment: the module ensurepip,
    which does it otherwise, takes four seconds.
    """

    def __init__(self, environment, fresh):
        self.environment, self.lacks_pip = environment, fresh
        self.pip = [base_python(), "-m", "pip", "--python", python()] if fresh else [python(), "-m", "pip"]
        self.uv = None
        self.has_first = False
        try:
            options, variables = for_uv(self.settings(), environment)
            self.bring_uv()
            uv = [python(), "-m", "uv"]
            self.uv_environment = one_disk(uv, variables)
            self.uv = uv + ["pip", "install", "--python", python()] + options
            self.has_first = not fresh or attempt(self.uv + FIRST, self.uv_environment, uv=True) is None
        except WithoutUv as reason:
            print("      %s: pip installs, which takes minutes longer." % reason, flush=True)
        if self.lacks_pip and not self.has_first:
            self.bring_pip()
        self.pip = [python(), "-m", "pip"]

    def __call__(self, arguments):
        if self.uv:
            reason = attempt(self.uv + arguments, self.uv_environment, uv=True)
            if reason is None:
                return
            if isinstance(reason, Blocked):
                raise reason
            print("      uv could not (%s): pip tries." % last_word(reason.complaints), flush=True)
        insist(self.by_pip(arguments))

    def settings(self):
        try:
            return pip_settings(self.pip, self.environment)
        except WithoutUv:
            if not self.lacks_pip:
                raise
        self.bring_pip()  # the Python beneath has none, or one of before 2022-10 (22.3), which knows no --python
        return pip_settings(self.pip, self.environment)

    def bring_pip(self):
        self.lacks_pip = False
        self.pip = [python(), "-m", "pip"]
        insist(attempt([python(), "-m", "ensurepip", "--upgrade", "--default-pip"], self.environment, "making .venv"))

    def bring_uv(self):
        reason = self.by_pip(["--only-binary=:all:", "uv==" + UV])
        if isinstance(reason, (Missing, Unknown)):
            raise WithoutUv("uv %s cannot be had here (%s)" % (UV, last_word(reason.complaints)))
        insist(reason)

    def by_pip(self, arguments):
        # On a terminal pip shows its progress bars; in a log file they would be noise.
        calm = [] if on_a_terminal() else ["--quiet", "--progress-bar", "off"]
        command = self.pip + ["install", "--no-warn-script-location", "--log", LOG] + calm + arguments
        return attempt(command, self.environment)


def start_on_the_model(environment):
    """Fetch and convert it beside the rest, and silently; in a session of its own, so that all of it can be ended."""
    silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    return subprocess.Popen([python(), "-c", BRING_MODEL], env=environment, cwd=ROOT, start_new_session=True, **silent)


@contextlib.contextmanager
def ended(process):
    """What was begun ends with us, also when only we were told to stop."""
    try:
        yield process
    finally:
        if process and process.poll() is None:
            leads = os.name != "nt" and os.getpgid(process.pid) == process.pid
            os.killpg(process.pid, signal.SIGTERM) if leads else process.terminate()
            process.wait()


def pip_settings(pip, environment):
    """What `pip` was told about installing, by PIP_* variables and configuration files, as it merges them."""
    answer = said(pip + ["config", "list"], dict(environment, PIP_QUIET="0"))
    if answer.returncode != 0:
        raise WithoutUv("pip's configuration cannot be read")
    sections = {"global": {}, "install": {}, ":env:": {}}
    for line in answer.stdout.splitlines():  # such as global.index-url='https://...'
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in sections:
            sections[section][key] = ast.literal_eval(value)
    return dict(sections["global"], **dict(sections["install"], **sections[":env:"]))


def for_uv(settings, environment):
    """The options and the environment that tell uv what `settings` told pip."""
    options = ["--no-config", "--no-python-downloads", "--index-strategy=unsafe-best-match"]
    variables = {key: value for key, value in environment.items() if not key.startswith("UV_") or key in UV_KEPT}
    variables["UV_SYSTEM_CERTS"] = "1"  # as pip does, which is how a company's own certificates are found
    certificates = environment.get("REQUESTS_CA_BUNDLE") or environment.get("CURL_CA_BUNDLE")
    for key, value in sorted(settings.items()):
        off = value.strip().lower() in ("", "0", "no", "false", "off", "n", "f")
        if key in HARMLESS.split() or (off and key not in UV_VARIABLES) or not value.strip():
            continue
        if key in UV_VARIABLES:
            variables[UV_VARIABLES[key]] = " ".join(value.split())
        elif key in UV_LISTS and PASSWORD.search(value):
            raise WithoutUv("pip's setting `%s` holds a password, and uv would show it in the list of processes" % key)
        elif key in UV_LISTS:
            options += [part for item in value.split() if there(item) for part in (UV_LISTS[key], home(item))]
        elif key in UV_SWITCHES:
            options.append(UV_SWITCHES[key])
        elif key == "proxy":
            address = value if "://" in value else "http://" + value
            variables.update({name: address for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")})
        elif key == "keyring-provider":
            variables["UV_KEYRING_PROVIDER"] = "subprocess" if value == "subprocess" else "disabled"
        elif key == "cert":
            certificates = value
        elif key == "cache-dir":
            variables.setdefault("UV_CACHE_DIR", os.path.join(home(value), "uv"))
        else:
            raise WithoutUv("pip's setting `%s` has no counterpart in uv" % key)
    if certificates:
        certificates = home(certificates)
        variables["SSL_CERT_DIR" if os.path.isdir(certificates) else "SSL_CERT_FILE"] = certificates
    if "--no-index" in options:  # pip looks at no index then; uv would complain of two wishes
        variables = {key: value for key, value in variables.items() if key not in ("UV_DEFAULT_INDEX", "UV_INDEX")}
    return options, variables


def home(path):
    return os.path.expanduser(path) if path.startswith("~") else path


def there(item):
    """Whether a folder or file is there: pip goes on without a missing folder of wheels, and uv would not."""
    return not os.path.isabs(home(item)) or os.path.exists(home(item))


def one_disk(uv, variables):
    """uv links files out of its cache. Where .venv is on another disk it copies, and would warn of that each time.

    A cache that cannot be written is left alone, as pip does.
    """
    answer = said(uv + ["cache", "dir"], variables)
    folder = answer.stdout.strip()
    if answer.returncode != 0 or not folder:
        raise WithoutUv("uv does not start here (%s)" % last_word(answer.stderr.splitlines()))
    while not os.path.exists(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    if not os.access(folder, os.W_OK):
        variables["UV_NO_CACHE"] = "1"
    elif os.stat(folder).st_dev != os.stat(VENV).st_dev:
        variables.setdefault("UV_LINK_MODE", "copy")
    return variables


def last_word(lines):
    """What a program's complaint comes down to: pip's first error, uv's last cause."""
    lines = [line.strip() for line in lines if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    chosen = (errors[:1] + lines[-1:] + ["no reason given"])[0]
    return re.sub(r"^(ERROR|error|cause): |\.$", "", chosen)


def said(command, environment, timeout=None):
    """What a command answers that installs nothing."""
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=timeout)


def on_a_terminal():
    return sys.stdout.isatty() and sys.stderr.isatty()


def attempt(command, environment, doing="installing", uv=False):
    """Run a command, its progress on the screen and its complaints in the log; a failure is returned as a sentence.

    uv's bars and complaints are one stream: on a terminal it is shown, and what failed is run again for the log.
    uv has a session of its own, so that what it builds with ends with it; pip may have to ask for a password.
    """
    options = {"env": environment, "cwd": ROOT, "start_new_session": uv}
    with open(LOG, encoding="utf-8", errors="replace") as file:
        earlier = file.read() + "\n$ %s\n" % PASSWORD.sub("****", " ".join(command))
    write(LOG, earlier)
    if uv and on_a_terminal():
        with ended(subprocess.Popen(command, **options)) as process:
            if process.wait() == 0:
                return None
    streams = {"stderr": subprocess.PIPE, "encoding": "utf-8", "errors": "replace"}
    with ended(subprocess.Popen(command, **streams, **options)) as process:
        complaints = [line.rstrip() for line in process.stderr]
        code = process.wait()
    with open(LOG, encoding="utf-8", errors="replace") as file:
        added = file.read()[len(earlier) :].splitlines(True)
    log = [line for line in added if not any(sign in line for sign in NOISE)]
    write(LOG, earlier + "".join(log) + "\n".join(complaints) + "\n")
    if code == 0:
        return None
    # Of all that pip's own log tells, only this is missing on the screen: an address that gave no answer.
    silent = [line for line in log if "Could not fetch URL" in line and ("onnection" in line or "imed out" in line)]
    reason = why("\n".join(complaints + silent), doing, "PIP_NO_INDEX" in environment)
    if reason is None:
        reason = Unknown("Something went wrong while %s: run the same command again, or look into .lab.log." % doing)
    reason.complaints = complaints
    return reason


def insist(reason):
    """Stop, if there is a reason to."""
    if isinstance(reason, Unknown):
        print("\n".join("      | " + line for line in reason.complaints[-6:]), flush=True)
    if reason is not None:
        raise reason


def why(text, doing, offline):
    """The many words of pip or uv as one sentence with what to do, or None when they say nothing known."""
    if any(sign in text for sign in ("No space left", "Errno 28", "os error 112", "quota exceeded")):
        return Blocked(
            "The disk is full: make room (3 GB in all), then run the same command again; it goes on where it stopped."
        )
    if "Missing dependencies for SOCKS support" in text:
        return Stop(
            "pip needs a package for the SOCKS proxy that is set, which it cannot fetch through it: use `--offline "
            "FOLDER`, or unset the proxy where the packages can be reached without."
        )
    if doing == "making .venv" and "ensurepip" in text:
        return Stop(
            "This Python cannot make virtual environments: run `sudo apt install python3-venv`, then try again."
        )
    if any(
        sign in text
        for sign in ("onnection", "Temporary failure", "Max retries", "imed out", "getaddrinfo", "Could not fetch URL")
    ):
        return Stop(
            "The packages cannot be reached: connect to the internet, or use `--offline FOLDER`; then run the same "
            "command again, it goes on where it stopped (details in .lab.log)."
        )
    if "No matching distribution" in text or "Could not find a version" in text:
        if offline:
            return Missing(
                "A package is missing in the offline folder: fill it again with `python lab.py fetch FOLDER` "
                "(with --test for `lab.py test`)."
            )
        return Missing(
            "The package index has no build of a package for this machine and Python (details in .lab.log): try "
            "Python 3.13, or open the lessons on Colab by the links in README.md."
        )
    if any(sign in text for sign in ("Permission denied", "Access is denied", "Read-only file system")):
        return Blocked(
            "A file in %s is in use or may not be written: close other programs that use it, then try again." % VENV
        )
    return None


def step(number, text):
    print("[%d/3] %s" % (number, text), flush=True)


def write(path, text):
    """Replace a small file in one step."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


def hand_over(command, environment):
    """Become labkit: whoever ends this process ends it. On Windows, which has no such way, wait for its exit code."""
    sys.stdout.flush()
    if os.name != "nt":
        os.execve(command[0], command, environment)
    process = subprocess.Popen(command, env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # Ctrl-C reaches labkit directly: it ends calmly, and so do we
            pass


def stop(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    if os.name != "nt" and hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for name in ("SIGTERM", "SIGHUP"):  # as after Ctrl-C: nothing that was begun goes on without us
        if getattr(signal, name, None) and signal.getsignal(getattr(signal, name)) == signal.SIG_DFL:
            signal.signal(getattr(signal, name), stop)
    try:
        sys.exit(main(sys.argv[1:]))
    except Stop as reason:
        sys.stderr.write("lab.py: %s\n" % reason)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped. Nothing is lost: run the same command again to go on.\n")
        sys.exit(130)
    except OSError as problem:
        sys.stderr.write("lab.py: %s: make room or check the folder's permissions, then try again.\n" % problem)
        sys.exit(1)
