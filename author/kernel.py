"""A kernel manager for runs that can be trusted: it uses this interpreter, and misses no reply.

Knows jupyter_client. Knows nothing of notebooks.
"""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.asynchronous import AsyncKernelClient

try:
    from jupyter_client.channels import AsyncZMQSocketChannel
except ImportError:  # jupyter_client 7, which Colab has, where the plain one waits asynchronously
    from jupyter_client.channels import ZMQSocketChannel as AsyncZMQSocketChannel
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from traitlets import List, Type, default

_SLICE = 0.25  # seconds of waiting after which a channel looks again


class AttentiveChannel(AsyncZMQSocketChannel):
    """A channel that looks again while it waits.

    nbclient answers an Output widget (`interact`) by sending on the socket on which it awaits the cell's reply, and
    jupyter_client (8.10, seen 2026-11) sends through a shadow of that socket. Now and then the notice of the reply is
    lost, and the cell seems to run until its time limit: in 7 of 80 runs here.
    """

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:
        """The next message. Raises queue.Empty after `timeout` seconds (None: never)."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _SLICE if end is None else min(_SLICE, end - time.monotonic())
            try:
                return await super().get_msg(max(0.0, left))
            except Empty:
                if end is not None and time.monotonic() >= end:
                    raise


class AttentiveClient(AsyncKernelClient):
    """jupyter_client's own, with an attentive shell channel."""

    shell_channel_class = Type(AttentiveChannel)


class ThisInterpreter(KernelSpecManager):
    """Runs the Python that runs us, whatever kernel a notebook names. `prefix` goes before its command."""

    prefix = List()

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        spec = get_kernel_dict()
        return KernelSpec(resource_dir=RESOURCES, **{**spec, "argv": [*self.prefix, *spec["argv"]]})


class Manager(AsyncKernelManager):
    """Starts this interpreter's kernel and makes attentive clients to it."""

    client_factory = Type(AttentiveClient, klass=AsyncKernelClient)

    @default("kernel_spec_manager")
    def _this_interpreter(self) -> KernelSpecManager:
        return ThisInterpreter()
