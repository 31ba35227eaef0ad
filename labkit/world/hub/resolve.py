"""Files of the local Hub, byte by byte: whole, or the range that was asked for.

Knows ETags and ranges. Knows nothing of how a repository came to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from labkit.world.hub.access import repo, require_access
from labkit.world.hub.files import File
from labkit.world.services.refusals import Refused

CHUNK = 1 << 20
_MOST_HEADER = 200_000  # of weights that are not here, as many bytes as a header may have can be read


class _WholeFile(FileResponse):
    """Larger pieces than Starlette's 64 KB: each one passes all middleware."""

    chunk_size = CHUNK


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
    if request.method == "HEAD":
        return Response(headers=headers | {"Content-Length": str(file.size)})
    wanted = request.headers.get("range")
    if file.on_disk and not wanted:
        return _WholeFile(file.on_disk, headers=headers, media_type="application/octet-stream")
    start, end = _range(wanted, file.size)
    there = file.size if file.on_disk else len(file.content)
    if end > there and not (start < there and end - start <= _MOST_HEADER and wanted):
        raise Refused(403, f"The course's Hub has the header of {path} alone: there are no weights to download.")
    end = min(end, there)
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    headers["Content-Length"] = str(end - start)
    return StreamingResponse(_pieces(file, start, end), 206 if wanted else 200, headers, "application/octet-stream")


def _disposition(path: str) -> str:
    """A header is Latin letters: any other name is spelled in percents (RFC 6266)."""
    from urllib.parse import quote

    name = path.rsplit("/", 1)[-1]
    plain = name.isascii() and name.isprintable() and '"' not in name
    return f'inline; filename="{name}"' if plain else f"inline; filename*=UTF-8''{quote(name)}"


def _range(header: str | None, size: int) -> tuple[int, int]:
    """The first byte asked for and the one after the last. 416 for what the file has not."""
    if header is None:
        return 0, size
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header.strip())
    if not match or not any(match.groups()):
        raise Refused(416, f"This range cannot be served: {header[:50]}.")
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    start, end = int(first), min(size, int(last) + 1) if last else size
    if start >= size or end <= start:
        raise Refused(416, f"The file has {size:,} bytes, and the range {header[:50]} is outside.")
    return start, end


def _pieces(file: File, start: int, end: int) -> Iterable[bytes]:
    for place in range(start, end, CHUNK):
        yield file.read(place, min(end, place + CHUNK))
