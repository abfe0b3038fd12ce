"""Requests that cannot be answered as asked, with the HTTP status that says so."""

from __future__ import annotations


class RequestError(Exception):
    """Why a request is refused, for the client; `status` is the HTTP status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def not_found(detail: str) -> RequestError:
    """There is no such thing (yet)."""
    return RequestError(404, detail)


def out_of_bounds(detail: str) -> RequestError:
    """The request asks for more than the settings allow."""
    return RequestError(422, detail)


def too_large(detail: str) -> RequestError:
    """An event is larger than the log takes."""
    return RequestError(413, detail)
