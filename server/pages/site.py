"""Outside the contract: the start page at `/`, the reading view of the document at `/docs/`, and the guides."""

from __future__ import annotations

from pathlib import Path

import orjson
from flask import Flask, Response, request, send_from_directory
from werkzeug.exceptions import NotFound

from server.contract.operations import Contract
from server.pages import guides
from server.pages.guides import HTML
from server.settings.table import Settings

STATIC = Path(__file__).with_name("static")
LINKS = {
    "try": "ui/",
    "read": "docs/",
    "document": "openapi.json",
    "guides": "guides/README.md",
}

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# ReDoc writes its styles into <style> elements by script: an empty one, whose rules it adds one by one, and those of
# its scrollbars and marks. They are the same for each reader, so their hashes let them in and nothing else.
_READING_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'self'; worker-src blob:; img-src 'self' data:; "
    "style-src 'self' "
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' 'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Pages:
    """The pages, made of templates once; they need no token and say nothing that the document does not."""

    def __init__(self, settings: Settings, contract: Contract) -> None:
        self._facts = _facts(settings, contract)
        self._start = HTML.get_template("start.html").render(
            **self._facts, tags=contract.document["tags"], operations=len(contract.operations)
        )
        self._reading = HTML.get_template("reading.html").render(**self._facts)

    def start(self) -> Response:
        """What this is and where to go on, as a page or as JSON."""
        kinds = request.accept_mimetypes
        if kinds.best_match(["text/html", "application/json"]) == "application/json":
            response = Response(orjson.dumps(self._facts), content_type="application/json")
        else:
            response = _page(self._start)
        response.headers.add("Vary", "Accept")
        return response

    def reading(self) -> Response:
        """The document to read, by ReDoc."""
        return _page(self._reading, _READING_POLICY)


def guide(name: str) -> Response:
    """A guide, by its path in the repository; what belongs to one as it is."""
    file = guides.files().get(name)
    if not file:
        raise NotFound
    return _page(guides.page(name)) if file.suffix == ".md" else send_from_directory(file.parent, file.name)


def _facts(settings: Settings, contract: Contract) -> dict[str, object]:
    info = contract.document["info"]
    about, *_ = info["description"].split("\n\n")
    return {
        "name": info["title"],
        "version": info["version"],
        "description": " ".join(about.split()),
        "needsToken": settings.needs_token,
        "links": LINKS,
    }


def _page(html: str, policy: str = _POLICY) -> Response:
    return Response(html, mimetype="text/html", headers={"Content-Security-Policy": policy})


def install(app: Flask, settings: Settings, contract: Contract) -> None:
    """Serve them to everyone."""
    pages = Pages(settings, contract)
    app.add_url_rule("/", "start", pages.start)
    app.add_url_rule("/docs/", "reading", pages.reading)
    app.add_url_rule("/guides/<path:name>", "guide", guide)
    app.add_url_rule(
        "/static/<path:filename>", "files", lambda filename: send_from_directory(STATIC, filename)
    )
