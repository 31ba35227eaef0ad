"""Does a site answer, and if not, why? Asked once, answered in seconds. And what to do with the proxies that are set.

Trying a library call and catching the failure would cost 23 seconds of retries on a dead network, so nothing here does.
Asked in the way of the Hub's own client: through the proxy, with the certificates of the machine.
"""

from __future__ import annotations

import functools
import importlib.util
import os

HUB = "https://huggingface.co"
LOOPBACK = "127.0.0.1,localhost"  # for NO_PROXY: a school's proxy would catch the course's own servers

_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
_unusable: dict[str, str] = {}  # what `leave_unusable_proxies` has taken out, and why


def no_proxy() -> dict[str, str]:
    """NO_PROXY in both spellings: `LOOPBACK` added to what is set there, which has to stay."""
    known = {name: os.environ.get(name, "") for name in ("NO_PROXY", "no_proxy")}
    return {
        name: value if LOOPBACK in value else ",".join(filter(None, [value, LOOPBACK])) for name, value in known.items()
    }


def leave_unusable_proxies() -> None:
    """Take the proxies out of the environment that no client here can use.

    The clients of the Hub and of OpenAI raise over such a proxy when they are made, though the course's own servers
    are never asked through one. `trouble` names it, should the way out be wanted.
    """
    for name in (spelling for proxy in _PROXIES for spelling in (proxy, proxy.lower())):
        if reason := _why_unusable(name, os.environ.get(name, "")):
            _unusable[name] = reason
            del os.environ[name]


def _why_unusable(name: str, address: str) -> str:
    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if scheme in ("socks5", "socks5h") and importlib.util.find_spec("socksio") is None:
        return f"the SOCKS proxy in {name} needs a package: run `python -m pip install socksio`, then start again"
    if scheme not in ("", "http", "https", "socks5", "socks5h"):
        return f"the proxy in {name} begins with {scheme}://: write http:// or socks5h://, whichever it is"
    return ""


@functools.lru_cache
def trouble(site: str, seconds: float = 2.0) -> str:
    """What is wrong with a site, such as `HUB`, as a sentence goes on after its name; empty when it answers.

    Asked once a process, for at most `seconds`, name resolution included.
    """
    import threading

    found: list[str] = []
    # Name resolution has no time limit of its own, so the waiting is done outside.
    thread = threading.Thread(target=lambda: found.append(_asked(site, seconds)), daemon=True)
    thread.start()
    thread.join(seconds)
    reason = found[0] if found else "does not answer"
    return "; ".join([reason, *_unusable.values()]) if reason else ""


def _asked(site: str, seconds: float) -> str:
    import httpx2 as httpx

    try:
        httpx.head(site, timeout=seconds)  # any status will do: it is an answer
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError, OSError) as problem:
        if "CERTIFICATE_VERIFY_FAILED" in str(problem):
            return (
                "has a certificate that is not trusted here; where a school or a company opens what is encrypted, "
                "set SSL_CERT_FILE to the certificates that it gives out"
            )
        return (
            f"does not answer, because the proxy refuses ({problem})"
            if isinstance(problem, httpx.ProxyError)
            else "does not answer"
        )
    return ""
