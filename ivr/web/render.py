"""Pages of templates. All that is filled in is escaped; what is not filled in is an error."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources

import aiohttp_jinja2
import jinja2
from aiohttp import web
from markupsafe import escape

from ivr.web.ports import Session
from ivr.web.problems import Problem
from ivr.web.words import Words

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# by its content: another one has another address
_KEPT = "public, max-age=31536000, immutable"


def install(app: web.Application) -> None:
    """Let pages be made for this application."""
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.PackageLoader("ivr.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        default_helpers=False,
    )


def page(
    request: web.Request,
    template: str,
    words: Words,
    fields: Mapping[str, object],
    *,
    company: str,
    session: Session | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The page, in this language; with a session, as that person's."""
    csrf = {} if session is None else {"csrf": escape(session.csrf.reveal())}
    context = {
        "words": words,
        "company": company,
        "static": static_path(),
        "person": None,
        "place": request.path,
        **csrf,
        **fields,
    }
    answer = aiohttp_jinja2.render_template(template, request, context, status=status)
    answer.headers["Content-Language"] = words.language
    answer.headers["Vary"] = "Accept-Language, Cookie"
    answer.headers.update(headers or {})
    return answer


def problem(request: web.Request, error: Problem, words: Words, company: str) -> web.Response:
    """What went wrong, for people."""
    # the phrase that goes with it is English
    title, detail = str(error.status), words(f"reason.{error.name}")
    return page(
        request, "problem.html", words, {"title": title, "detail": detail}, company=company, status=error.status,
        headers=error.headers,
    )  # fmt: skip


# ---------------------------------------------------------------- what is the same for all


@cache
def _files() -> Mapping[str, tuple[str, bytes]]:
    """By name, with the kind of each."""
    folder = resources.files(__package__).joinpath("static")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {
        file.name: (kind, file.read_bytes())
        for file in files
        if (kind := _KINDS.get(file.name[file.name.rfind(".") :])) is not None
    }


@cache
def static_path() -> str:
    """The folder in which the files stand, as pages name it."""
    summed = hashlib.sha256(b"".join(content for _, content in _files().values())).hexdigest()
    return f"/static/{summed[:16]}"


def static(name: str) -> web.Response:
    """Raises `Problem` for a file that is none."""
    if name not in _files():
        raise Problem("not_found")
    kind, content = _files()[name]
    headers = {"Content-Type": f"{kind}; charset=utf-8", "Cache-Control": _KEPT}
    return web.Response(body=content, headers=headers)
