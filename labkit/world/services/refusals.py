"""Answers that are errors, in the forms that clients read: headers for huggingface_hub, and JSON with `error`.

Under the paths of OpenAI's protocol `error` is an object with message, type and code, and its clients show the message
of that alone. Elsewhere `error` is the sentence. Shared by the servers of the local world. Knows nothing of what is
asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Refused(HTTPException):
    """An answer that is an error: status, a sentence, and what else headers and body say.

    huggingface_hub chooses its exception by `error_code`, such as RepoNotFound. `retry_after` is in seconds. `more`
    goes into the body beside `error`.
    """

    def __init__(
        self, status: int, sentence: str, *, error_code: str = "", retry_after: int | None = None, **more: Any
    ) -> None:
        # The sentence may quote anything that was asked for: half a character of UTF-16 could not be sent at all, and
        # a header is one line of Latin letters.
        sentence = sentence.encode("utf-8", "backslashreplace").decode()
        line = "".join(one if " " <= one <= "~" else one.encode("unicode_escape").decode() for one in sentence)
        headers = {"X-Error-Message": line}
        if error_code:
            headers["X-Error-Code"] = error_code
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        super().__init__(status, sentence, headers)
        self.more = more

    def response(self, path: str = "") -> Response:
        """The answer to a request for `path`. It is an ASGI application, too, for middleware."""
        return JSONResponse(error(self.detail, path, self.status_code, **self.more), self.status_code, self.headers)


def error(sentence: str, path: str, status: int, **more: Any) -> dict[str, Any]:
    """The body of an error in the form that belongs to the path."""
    if "/v1/" not in path:
        return {"error": sentence, **more}
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": sentence, "type": kind, "code": None} | more}


_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def handlers(
    elsewhere: Callable[[Request, int], Refused],
) -> dict[Any, Callable[[Request, Exception], Awaitable[Response]]]:
    """Starlette's `exception_handlers`. `elsewhere` says what is answered where there is no route: 404 or 405."""

    async def answer(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, HTTPException)
        refused = problem if isinstance(problem, Refused) else elsewhere(request, problem.status_code)
        return refused.response(request.url.path)

    async def broken(request: Request, problem: Exception) -> Response:
        """Starlette raises it again, so that the log has the reason."""
        return Refused(500, "The course's server made a mistake of its own here: its log says more.").response(
            request.url.path
        )

    return {HTTPException: answer, Exception: broken}
