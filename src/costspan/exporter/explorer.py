"""`/docs`: a page to try the routes out. All of it is served from here, so that it works where there is no internet."""

from __future__ import annotations

from functools import cache
from importlib import resources

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
#: Swagger UI comes in a package; how it is started is ours, as a page of ours runs no inline script.
_FILES = {
    "swagger-ui.css": ("fastapi_offline", "static", "text/css"),
    "swagger-ui-bundle.js": ("fastapi_offline", "static", "text/javascript"),
    "start.js": ("costspan.exporter", "explorer_files", "text/javascript"),
    "page.css": ("costspan.exporter", "explorer_files", "text/css"),
}
_CACHED = {"Cache-Control": "public, max-age=3600"}


@router.get("/docs")
def page() -> Response:
    """The page."""
    return Response(_read("costspan.exporter", "explorer_files/index.html"), media_type="text/html")


@router.get("/docs/{name}")
def file(name: str) -> Response:
    """What the page is made of."""
    if name not in _FILES:
        raise HTTPException(404)
    package, folder, media_type = _FILES[name]
    return Response(_read(package, f"{folder}/{name}"), media_type=media_type, headers=_CACHED)


@cache
def _read(package: str, path: str) -> bytes:
    return resources.files(package).joinpath(path).read_bytes()
