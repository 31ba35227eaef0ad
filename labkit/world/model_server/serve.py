"""`python lab.py serve`: the model server for other programs, until Ctrl-C.

Knows what to tell a person at a terminal. The server itself is `service`'s, and may be shared with running lessons.
"""

from __future__ import annotations

import argparse
import os

from labkit.world import services
from labkit.world.model_server.service import OTHER_CONTEXT, model_server
from labkit.world.services.terminal import programs, stay


def serve(argv: list[str]) -> int:
    """Start or join the model server, print its address, key and an example, stay until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="labkit serve",
        description="Serve the model on this machine to any program that speaks the OpenAI protocol, until Ctrl-C.",
    )
    parser.add_argument("--port", type=int, default=0, help="use this port (default: any free one)")
    parser.add_argument("--model", metavar="NAME|FILE.gguf", help="a model of the course, or a file of your own")
    parser.add_argument(
        "--context",
        type=int,
        metavar="TOKENS",
        help=f"what one request may hold (default: the model's own; {OTHER_CONTEXT} for a file of yours)",
    )
    options = parser.parse_args(argv)
    service = model_server(options.model, context=options.context, port=options.port)
    ended = "The model server has ended (killed, or out of memory): run `python lab.py serve` again."
    return stay(service, _greeting(service), called="server", ended=ended)


def _greeting(service: services.Service) -> str:
    others = [pid for pid in services.users(service.name) if pid != os.getpid()]
    body = '{"messages": [{"role": "user", "content": "What is a token?"}], "max_tokens": 64}'
    return f"""{service.url}/v1
key: {service.key}

  curl {service.url}/v1/chat/completions -H "Authorization: Bearer {service.key}" \\
    -H "Content-Type: application/json" -d '{body}'

  client = openai.OpenAI(base_url="{service.url}/v1", api_key="{service.key}")
  client.chat.completions.create(model="any", messages=[{{"role": "user", "content": "What is a token?"}}])

Used by {programs(len(others)) if others else "no other program"}. Ctrl-C ends this."""
