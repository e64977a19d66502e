"""Names and values of a query or a form, looked at as every server might read them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from urllib.parse import unquote_to_bytes

from ivr.proxy.target import Ambiguous, folded

# Somebody decodes once more than others; nobody needs this often.
_DECODINGS = 4
# What frameworks of programs take for another method than the one that stands before the path.
_METHODS = frozenset({"_method", "method_override", "x_http_method_override", "x_http_method", "x_method_override", "http_method", "httpmethod", "$httpmethod", "$method"})  # fmt: skip


def check(query: str, named: Collection[str], others: Collection[str]) -> tuple[str, ...]:
    """What stands under the `named` names, in their order, as it was written.

    `others` may be there too, or any where it has a `*`. Raises `Ambiguous` where a name comes twice or in another
    spelling, where one is unknown, and where decoding again would show another one.
    """
    if query == "":
        return ()
    if ";" in query:
        raise Ambiguous("parameter")
    keys = {key: name for name in named for key in _keys(name)}
    known = keys.keys() | {key for name in others for key in _keys(name)}
    found: dict[str, str] = {}
    for name, value in _pairs(query):
        meant = _keys(_decoded(name))
        if meant & _METHODS:
            raise Ambiguous("method")
        if meant & keys.keys():
            if name not in named or name in found:
                raise Ambiguous("parameter")
            found[name] = value
        elif "*" not in others and not meant & known:
            raise Ambiguous("parameter")
    _see_through(query, keys)
    return tuple(found[name] for name in named if name in found)


def check_names(names: Iterable[str]) -> None:
    """Raises `Ambiguous` where one of these says another method."""
    if any(_keys(name) & _METHODS for name in names):
        raise Ambiguous("method")


def check_form(form: str) -> None:
    """Raises `Ambiguous` for a form that says another method."""
    if any(_keys(name) & _METHODS for text in _depths(form) for name, _ in _pairs(text)):
        raise Ambiguous("method")


def _see_through(query: str, keys: Collection[str]) -> None:
    """No decoding shows a name that was not there before."""
    first: int | None = None
    for text in _depths(query):
        meant = [_keys(name) for name, _ in _pairs(text)]
        count = sum(not one.isdisjoint(keys) for one in meant)
        if first is not None and count != first:
            raise Ambiguous("parameter")
        if any(one & _METHODS for one in meant):
            raise Ambiguous("method")
        first = count


def _depths(text: str) -> Iterator[str]:
    """As it is, and as it is after each decoding."""
    for _ in range(_DECODINGS):
        yield text
        again = _decoded(text)
        if again == text:
            return
        text = again
    raise Ambiguous("encoding")


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Each pair, also where a `;` or a line parts them."""
    for pair in re.split(r"[&;?#\r\n]", text):
        name, _, value = pair.partition("=")
        yield name, value


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise Ambiguous("encoding") from None


def _keys(name: str) -> set[str]:
    """What a name is to the most forgiving: PHP takes dots, spaces and a bracket for `_`, ASP.NET forgets case."""
    bare = name.strip(" \t\r\n").partition("\0")[0]
    return {folded(re.sub(r"[ .\-\[]", "_", one)) for one in (bare, bare.partition("[")[0])}
