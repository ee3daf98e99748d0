"""Where the page's files are got from. There is nothing secret in them: what it shows, it asks of `/api/` with a token."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_METHODS = ["GET", "HEAD"]


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    type: str
    etag: str


@router.api_route("/", methods=_METHODS)
def page(request: Request) -> Response:
    """The page."""
    return _answer(request, _files()["index.html"])


@router.api_route("/page/{name}", methods=_METHODS)
def file(request: Request, name: str) -> Response:
    """What the page is made of."""
    found = _files().get(name)
    if found is None:
        raise HTTPException(404)
    return _answer(request, found)


def _answer(request: Request, file: _File) -> Response:
    # Kept by the browser, but asked for each time: after an upgrade no module may meet an older one.
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.type, headers=headers)


@cache
def _files() -> dict[str, _File]:
    """Every file by its name: what is not here is not served, whatever an address says."""
    found = {}
    for item in resources.files(__package__).iterdir():
        kind = _TYPES.get(item.name[item.name.rfind(".") :])
        if kind is not None and item.is_file():
            content = item.read_bytes()
            found[item.name] = _File(content, kind, f'"{sha256(content).hexdigest()[:32]}"')
    return found
