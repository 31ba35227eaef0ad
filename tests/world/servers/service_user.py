"""A user process of the services: joins as its argument says, prints what it got, then does what it reads.

The argument is the JSON of `join`'s keywords. Every line of standard input is `exit`, `hang` or `join`.
"""

from __future__ import annotations

import json
import sys
import time

from dummy_service import DUMMY

from labkit.world import services


def join() -> None:
    service = services.join(DUMMY, **json.loads(sys.argv[1]))
    print(json.dumps({"name": service.name, "url": service.url, "key": service.key, "pid": service.pid}), flush=True)


if __name__ == "__main__":
    join()
    for line in sys.stdin:
        if line.strip() == "exit":
            break
        if line.strip() == "join":
            join()
        if line.strip() == "hang":
            try:
                print("ok", flush=True)
                time.sleep(600)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
