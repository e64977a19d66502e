"""Reads from the source which parts of ARI it uses, and from Asterisk's own description what there is."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

ANY = "{}"
_TYPES = {"string": "str", "int": "int", "long": "int"}


class Unreadable(Exception):
    """A request is written in a way that this cannot read."""


# ---------------------------------------------------------------- what the source uses


@dataclass(frozen=True)
class Use:
    """A request: `{}` stands for a value in the path; `fields` are those of the query and of the body."""

    method: str
    path: str
    fields: frozenset[str]
    place: str


@dataclass
class _Place:
    """Where an expression stands: in which function and class, and what its parameters were given."""

    function: ast.AST | None
    within: ast.ClassDef | None
    given: dict[str, tuple[ast.expr, _Place]] = field(default_factory=dict)


class Reader:
    """One module."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.tree = ast.parse(text)
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def uses(self) -> Iterator[Use]:
        """Every request that is made here."""
        for call in (node for node in ast.walk(self.tree) if isinstance(node, ast.Call)):
            if not isinstance(call.func, ast.Attribute) or ast.unparse(call.func).endswith("_http.request"):
                continue
            if call.func.attr == "ws_connect":
                method, path, body = ast.Constant("GET"), call.args[0], None
            elif call.func.attr == "request" and len(call.args) >= 2:
                method, path = call.args[0], call.args[1]  # type: ignore[assignment]  # any expression
                body = call.args[2] if len(call.args) > 2 else None
            else:
                continue
            for place in self._places(call):
                yield from self._read(call, method, path, body, place)

    def _read(
        self, call: ast.Call, method: ast.expr, path: ast.expr, body: ast.expr | None, place: _Place
    ) -> Iterator[Use]:
        where = f"{self.name}:{call.lineno}"
        for verb, text in itertools.product(self.texts(method, place), self.texts(path, place)):
            way, _, query = text.partition("?")
            fields = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
            fields |= set() if body is None else self.keys(body, place)
            if way.strip("{}/") == "" or verb == ANY:
                raise Unreadable(f"{where}: {ast.unparse(call)}")
            yield Use(verb, way.removeprefix(f"{ANY}/"), frozenset(fields), where)

    def texts(self, node: ast.expr, place: _Place) -> list[str]:
        """Every text that an expression may be, with `{}` for what is only known when it runs."""
        match node:
            case ast.Constant(str(text)):
                return [text]
            case ast.JoinedStr(parts):
                found = [self.texts(part, place) for part in parts]
                return ["".join(texts) for texts in itertools.product(*found)]
            case ast.FormattedValue(value):
                return self.texts(value, place)
            case ast.IfExp(_, one, other):
                return self.texts(one, place) + self.texts(other, place)
            case ast.Attribute(ast.Name("self"), name) if place.within is not None:
                return self._property(name, place) or [ANY]
            case ast.Call(ast.Name("urlencode"), [ast.Dict(keys)]):
                return ["&".join(f"{key.value!s}={ANY}" for key in keys if isinstance(key, ast.Constant))]
            case ast.Name(name):
                if name in place.given:
                    return self.texts(*place.given[name])
                values = list(self._values(name, place.function))
                return [text for value in values for text in self.texts(value, place)] or [ANY]
            case _:
                return [ANY]

    def keys(self, node: ast.expr, place: _Place) -> set[str]:
        """The keys of what is sent as a body."""
        match node:
            case ast.Constant(None):
                return set()
            case ast.Dict(keys, values):
                found: set[str] = set()
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        found.add(key.value)
                    elif key is None:
                        found |= self.keys(value, place)
                    else:
                        raise Unreadable(f"{self.name}:{node.lineno}: a key that is no plain text")
                return found
            case ast.Name(name) if name in place.given:
                return self.keys(*place.given[name])
            case ast.Name(name):
                values = list(self._values(name, place.function))
                if values:
                    return set().union(*(self.keys(value, place) for value in values))
            case _:
                pass
        raise Unreadable(f"{self.name}:{node.lineno}: what is in {ast.unparse(node)!r}?")

    def _property(self, name: str, place: _Place) -> list[str]:
        assert place.within is not None
        for function in place.within.body:
            if isinstance(function, ast.FunctionDef) and function.name == name:
                return [
                    text
                    for node in ast.walk(function)
                    if isinstance(node, ast.Return) and node.value is not None
                    for text in self.texts(node.value, _Place(function, place.within))
                ]
        return []

    def _values(self, name: str, function: ast.AST | None) -> Iterator[ast.expr]:
        """What a name may stand for in a function."""
        for node in ast.walk(function or self.tree):
            match node:
                case ast.Assign(targets, value) if any(isinstance(one, ast.Name) and one.id == name for one in targets):
                    yield value
                case ast.For(ast.Name(target), over) if target == name:
                    yield from _elements(over)

    def _places(self, call: ast.Call, seen: frozenset[str] = frozenset()) -> list[_Place]:
        """The function of a call, once for each way in which it is called here itself."""
        node: ast.AST = call
        function: ast.FunctionDef | ast.AsyncFunctionDef | None = None
        within: ast.ClassDef | None = None
        while (node := self.parents.get(node)) is not None:  # type: ignore[assignment]  # None ends it
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                function = function or node
            elif isinstance(node, ast.ClassDef):
                within = within or node
        if function is None or function.name in seen:
            return [_Place(function, within)]
        names = [argument.arg for argument in function.args.args if argument.arg != "self"]
        callers = [
            other
            for other in ast.walk(self.tree)
            if isinstance(other, ast.Call) and ast.unparse(other.func) in (function.name, f"self.{function.name}")
        ]
        defaults = dict(zip(reversed(names), reversed(function.args.defaults), strict=False))
        found = []
        for caller in callers:
            for outer in self._places(caller, seen | {function.name}):
                given = {name: (value, outer) for name, value in defaults.items()}
                given |= {name: (value, outer) for name, value in zip(names, caller.args, strict=False)}
                found.append(_Place(function, within, given))
        return found or [_Place(function, within)]


def _elements(over: ast.expr) -> Iterator[ast.expr]:
    match over:
        case ast.Tuple(items) | ast.List(items):
            for item in items:
                yield from _elements(item.value) if isinstance(item, ast.Starred) else iter([item])
        case ast.GeneratorExp(element) | ast.ListComp(element):
            yield element
        case _:
            return


# ---------------------------------------------------------------- what there is


@dataclass(frozen=True)
class Operation:
    """A request that ARI has."""

    method: str
    path: str
    parameters: Mapping[str, Mapping[str, Any]]
    statuses: frozenset[int]
    notes: str
    answer: str

    def fits(self, method: str, path: str) -> bool:
        """Whether a request is this one."""
        mine, theirs = self.path.split("/"), path.split("/")
        return (
            method == self.method
            and len(mine) == len(theirs)
            and all(a == b or (a.startswith("{") and _may_be(a, b)) for a, b in zip(mine, theirs, strict=True))
        )


def _may_be(parameter: str, part: str) -> bool:
    """Whether this may stand there: what only a running program knows, a name of ours, or one of Asterisk's own kinds."""
    return part == ANY or part.startswith("tillit-") or parameter in ("{configClass}", "{objectType}")


class Description:
    """Asterisk's own description of ARI: the folder `rest-api`."""

    def __init__(self, folder: Path) -> None:
        self.operations: list[Operation] = []
        self.models: dict[str, dict[str, Any]] = {}
        for file in sorted(folder.glob("*.json")):
            content = json.loads(file.read_text())
            self.models |= content.get("models", {})
            for api in content.get("apis", ()):
                for operation in api.get("operations", ()):
                    self.operations.append(
                        Operation(
                            operation["httpMethod"],
                            api["path"].lstrip("/"),
                            {parameter["name"]: parameter for parameter in operation.get("parameters", ())},
                            frozenset(error["code"] for error in operation.get("errorResponses", ())),
                            operation.get("notes", ""),
                            operation.get("responseClass", ""),
                        )
                    )

    def operation(self, method: str, path: str) -> Operation | None:
        """The one that a request is; None where there is none."""
        return next((operation for operation in self.operations if operation.fits(method, path)), None)

    def field(self, model: str, name: str) -> str | None:
        """The type of a model's field; events have those of every event too."""
        bases = [model, "Event", "Message"] if model in self.models["Event"]["subTypes"] else [model]
        for base in bases:
            if name in self.models[base]["properties"]:
                return str(self.models[base]["properties"][name]["type"])
        return None

    def troubles(self, use: Use) -> Iterator[str]:
        """What is wrong with a request."""
        shown = f"{use.place}: {use.method} {use.path}"
        operation = self.operation(use.method, use.path)
        if operation is None:
            yield f"{shown}: there is no such operation"
            return
        bodies = [name for name, parameter in operation.parameters.items() if parameter["paramType"] == "body"]
        for name in use.fields:
            parameter = operation.parameters.get(name)
            described = parameter is not None and parameter["paramType"] in ("query", "body")
            # the whole body is one object, whose keys the notes describe
            in_notes = bool(bodies) and bodies != ["variables"] and f'"{name}"' in operation.notes
            if not described and not in_notes:
                yield f"{shown}: has no field {name!r}"
        for name, parameter in operation.parameters.items():
            if parameter.get("required") and parameter["paramType"] in ("query", "body") and name not in use.fields:
                yield f"{shown}: needs {name!r}"


def event_troubles(text: str, description: Description) -> Iterator[str]:
    """What is wrong with the patterns of `decode`, and with what its cases take out of an event besides."""
    tree = ast.parse(text)
    for case in (node for node in ast.walk(tree) if isinstance(node, ast.match_case)):
        if not isinstance(case.pattern, ast.MatchMapping) or "type" not in _keys(case.pattern):
            continue
        kind = _constant(dict(zip(_keys(case.pattern), case.pattern.patterns, strict=True))["type"])
        if kind not in description.models:
            yield f"there is no event {kind!r}"
            continue
        yield from _pattern(case.pattern, kind, description, ())
        yield from _taken(case, kind, description)


def types_used(text: str) -> set[str]:
    """The types of events that `decode` knows."""
    return {
        str(_constant(pattern))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.MatchMapping)
        for key, pattern in zip(_keys(node), node.patterns, strict=True)
        if key == "type"
    }


def _pattern(pattern: ast.MatchMapping, model: str, description: Description, way: tuple[str, ...]) -> Iterator[str]:
    for key, inner in zip(_keys(pattern), pattern.patterns, strict=True):
        if key == "type" and not way:
            continue
        described = description.field(model, key)
        shown = ".".join((model, *way, key))
        match inner:
            case _ if described is None:
                yield f"{shown}: there is no such field"
            case ast.MatchMapping() if described in description.models:
                yield from _pattern(inner, described, description, (*way, key))
            case ast.MatchSequence() if described.startswith("List["):
                continue
            case ast.MatchClass(ast.Name(name)) if _TYPES.get(described) == name:
                continue
            case ast.MatchAs(None):
                continue
            case _:
                yield f"{shown}: is {described}"


def _taken(case: ast.match_case, kind: str, description: Description) -> Iterator[str]:
    """`raw.get("…")`, `raw["…"].get("…")`, and `.get` of what was taken so."""
    models = {"raw": kind}
    for node in (inner for statement in case.body for inner in ast.walk(statement)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found = _model(node.value, models, description)
            if found is not None:
                models[node.targets[0].id] = found
    for node in (inner for statement in case.body for inner in ast.walk(statement)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            model = _model(node.func.value, models, description)
            key = _constant(node.args[0])
            if model is None or description.field(model, str(key)) is None:
                yield f"{kind}: {ast.unparse(node)}: there is no such field"


def _model(node: ast.expr, models: dict[str, str], description: Description) -> str | None:
    match node:
        case ast.Name(name):
            return models.get(name)
        case ast.Call(ast.Attribute(inner, "get"), [key, *_]) | ast.Subscript(inner, key):
            model = _model(inner, models, description)
            return None if model is None else description.field(model, str(_constant(key)))
        case _:
            return None


def _keys(pattern: ast.MatchMapping) -> list[str]:
    return [str(_constant(key)) for key in pattern.keys]


def _constant(node: ast.AST) -> object:
    if isinstance(node, ast.MatchValue):
        node = node.value
    return node.value if isinstance(node, ast.Constant) else None


def sources(folder: Path) -> dict[str, str]:
    """The modules that speak ARI, by their paths."""
    texts = {
        str(file.relative_to(folder)): file.read_text()
        for file in sorted(folder.rglob("*.py"))
        # these ask others
        if {"oidc", "outward", "proxy", "sms", "store"}.isdisjoint(file.parts)
    }
    return {name: text for name, text in texts.items() if re.search(r"\.request\(|ws_connect\(", text)}
