"""Files of the local Hub: whole, or the range of bytes that was asked for, which is Starlette's work.

Knows what is told of a file beside its bytes. Knows nothing of how a repository came to be.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from labkit.world.hub.access import repo, require_access
from labkit.world.hub.files import File
from labkit.world.services.refusals import Refused

_MOST_HEADER = 200_000  # of weights that are not here, as many bytes as a header may have can be read


class _WholeFile(FileResponse):
    """Larger pieces than Starlette's 64 KB: each one passes all middleware."""

    chunk_size = 1 << 20


async def resolve(request: Request) -> Response:
    found, path = repo(request), request.path_params["path"]
    # A card can be read before one has access, on the real Hub too.
    if path != "README.md":
        require_access(request, found)
    file = found.files.get(path)
    if file is None:
        raise Refused(404, f"{found.id} has no file {path}.", error_code="EntryNotFound")
    headers = {
        "ETag": f'"{file.digest}"',
        "X-Repo-Commit": found.sha,
        "Accept-Ranges": "bytes",
        "Content-Disposition": _disposition(path),
    }
    if file.is_large:
        headers |= {"X-Linked-Etag": f'"{file.digest}"', "X-Linked-Size": str(file.size)}
    if not file.on_disk and len(file.content) < file.size:
        return _header_alone(request, file, headers)
    scratch = request.app.state.scratch
    place = file.on_disk or scratch.objects / scratch.put(file.content).sha256
    return _WholeFile(place, headers=headers, media_type="application/octet-stream")


def _header_alone(request: Request, file: File, headers: dict[str, str]) -> Response:
    """A part of the header of weights that are not here: less may come than was asked for, as at the end of a file."""
    if request.method == "HEAD":
        return Response(headers=headers | {"Content-Length": str(file.size)})
    wanted = re.fullmatch(r"bytes=(\d{1,18})-(\d{1,18})", request.headers.get("range", ""))
    start, last = (int(place) for place in wanted.groups()) if wanted else (0, file.size)
    part = file.content[start : last + 1]
    if not wanted or not part or last - start >= _MOST_HEADER:
        raise Refused(403, f"The course's Hub has the header of {file.path} alone: there are no weights to download.")
    headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{file.size}"
    return Response(part, 206, headers, "application/octet-stream")


def _disposition(path: str) -> str:
    """A header is Latin letters: any other name is spelled in percents (RFC 6266)."""
    from urllib.parse import quote

    name = path.rsplit("/", 1)[-1]
    plain = name.isascii() and name.isprintable() and '"' not in name
    return f'inline; filename="{name}"' if plain else f"inline; filename*=UTF-8''{quote(name)}"
