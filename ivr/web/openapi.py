"""The OpenAPI file, made of the table of routes and of the models that the handlers use."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import ivr
from ivr.lock.actions import ACTIONS
from ivr.staff import Permission
from ivr.web.guard import SAFE, Open
from ivr.web.models import ProblemDetails
from ivr.web.problems import STATUSES, TYPE
from ivr.web.route import Route
from ivr.web.visit import CSRF, SESSION

_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"

# What any request may end with.
_ALWAYS = ("bad_request", "too_many_requests", "internal")
_TAKING = ("too_large", "unsupported_media_type", "request_timeout")

_REFERENCES = "#/components/schemas/{model}"
_PARAMETERS: Mapping[str, Mapping[str, object]] = {
    "call": {"description": "The call, as `GET /api/v1/calls/current` has it", "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"}},
    "ref": {"description": "The customer, as the call's mark names it", "schema": {"type": "string", "pattern": "^[a-z0-9]{12}$"}},
    "dial": {"description": "The call, as it was answered", "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"}},
    "opening": {"description": "The wish, as it was answered", "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"}},
    "person": {"description": "Whose, as `GET /api/v1/reads` has it", "schema": {"type": "string", "pattern": "^[a-z0-9]{12}$"}},
    "member": {"description": "Whom, as `GET /api/v1/people` has it", "schema": {"type": "string", "pattern": "^[a-z0-9]{12}$"}},
    "action": {"description": "What is to be done", "schema": {"type": "string", "enum": list(ACTIONS)}},
}  # fmt: skip


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """All that is described of these routes."""
    told = [(route, route.described) for route in routes if route.described is not None]
    used: set[type[BaseModel]] = {ProblemDetails}
    for _, described in told:
        used |= {model for model in (described.takes, described.gives) if model is not None}
    models = [(model, "validation") for model in sorted(used, key=lambda model: model.__name__)]
    _, schemas = models_json_schema(models, ref_template=_REFERENCES)  # type: ignore[arg-type]  # a list of pairs
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route, _ in told:
        paths[route.path][route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tillit: the desk",
            "version": ivr.__version__,
            "description": "No data of a customer is given out before that customer is verified on a call of yours.",
        },
        "paths": dict(paths),
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION},
                "csrf": {"type": "apiKey", "in": "header", "name": CSRF},
                "program": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    described = route.described
    assert described is not None
    open_to_all = route.needs is Open.ANYONE
    secured = _secured(route)
    problems = {*_ALWAYS, *described.problems}
    if route.scope is not None:
        problems |= {"insufficient_scope"}
    if not open_to_all:
        problems |= {"unavailable"} if route.needs is Open.PROGRAM else {"not_signed_in", "unavailable"}
    if described.takes is not None:
        problems |= set(_TAKING) | {"invalid"}
    made: dict[str, Any] = {
        "operationId": described.id,
        "summary": described.summary,
        "security": [] if open_to_all else [secured],
        "responses": {str(described.status): _given(described.gives), **_refused(problems)},
    }
    if isinstance(route.needs, Permission):
        made["x-permission"] = route.needs.value
    names = re.findall(r"{(\w+)}", route.path)
    parameters = [{"name": name, "in": "path", "required": True, **_PARAMETERS[name]} for name in names]
    parameters += [{"name": name, "in": "query", "required": False, **how} for name, how in described.query.items()]
    if parameters:
        made["parameters"] = parameters
    if described.takes is not None:
        made["requestBody"] = {
            "required": True,
            "content": {_FORM if described.form else _JSON: {"schema": _of(described.takes)}},
        }
    return made


def _secured(route: Route) -> dict[str, list[str]]:
    if route.needs is Open.PROGRAM:
        return {"program": []}
    return {"session": []} if route.method in SAFE else {"session": [], "csrf": []}


def _given(model: type[BaseModel] | None) -> dict[str, Any]:
    if model is None:
        return {"description": "Done"}
    return {"description": (model.__doc__ or "").strip(), "content": {"application/json": {"schema": _of(model)}}}


def _refused(problems: Iterable[str]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = defaultdict(list)
    for name in STATUSES:
        if name in problems:
            by_status[STATUSES[name]].append(name)
    found: dict[str, Any] = {}
    for status, names in sorted(by_status.items()):
        told = f"Reasons: {', '.join(names)}"
        found[str(status)] = {"description": told, "content": {TYPE: {"schema": _of(ProblemDetails)}}}
        if status == STATUSES["too_many_requests"]:
            wait = {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}}
            found[str(status)]["headers"] = {"Retry-After": wait}
    return found


def _of(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCES.format(model=model.__name__)}
