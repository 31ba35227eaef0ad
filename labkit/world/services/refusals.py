"""Answers that are errors, in the forms that clients read: `X-Error-Message` and `X-Error-Code`, and JSON with `error`.

Shared by the servers of the local world. Knows nothing of what is asked.
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

    def response(self) -> Response:
        """The answer, which is also an ASGI application for middleware."""
        return JSONResponse({"error": self.detail, **self.more}, self.status_code, self.headers)


def handlers(
    elsewhere: Callable[[Request, int], Refused],
) -> dict[Any, Callable[[Request, Exception], Awaitable[Response]]]:
    """Starlette's `exception_handlers`. `elsewhere` says what is answered where there is no route: 404 or 405."""

    async def answer(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, HTTPException)
        refused = problem if isinstance(problem, Refused) else elsewhere(request, problem.status_code)
        return refused.response()

    return {HTTPException: answer}
