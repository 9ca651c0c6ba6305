"""Malformed HTTP, which reaches no route, answered as a problem too."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from mediaq.api.problems import LONGEST, Problem


class Connection(web.RequestHandler):
    """One client's connection: aiohttp's, but for the answer to what cannot be read."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer and close; errors of ours never come here, the middleware answers them."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        if isinstance(exc, LineTooLong):
            sentence = f"the address and each header may have at most {self.max_field_size} bytes"
        else:
            # What the parser found, without the piece of the request that it draws below.
            found = " ".join((message or "").partition("\n\n")[0].split()).rstrip(":.")
            sentence = f"the request cannot be read as HTTP: {found[:LONGEST]}"
        answer = Problem(HTTPStatus.BAD_REQUEST, sentence).response()
        answer.force_close()
        return answer
