"""Settings of e-mail, browsers and apps that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ivr.config import App, Mail, Push

MAIL = {"host": "smtp.example.com", "sender": "calls@example.com"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sender": None}, "sender is not"),
        ({"sender": "calls"}, "sender"),
        ({"sender": "calls@example.com\nBcc: x@example.com"}, "sender"),
        ({"tls": "none"}, "in clear"),
        ({"tls": "none", "host": "10.0.0.5"}, "in clear"),
        ({"username": "calls"}, "is left out"),
        ({"password_file": "mail.password"}, "is left out"),
        ({"host": "https://smtp.example.com"}, "host"),
    ],
)
def test_mail(change: dict[str, Any], why: str) -> None:
    Mail.model_validate(MAIL)
    Mail.model_validate(MAIL | {"tls": "none", "host": "127.0.0.1"})
    Mail.model_validate(MAIL | {"tls": "none", "plain_text": True})
    with pytest.raises(ValidationError, match=why):
        Mail.model_validate(MAIL | change)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"vapid_key_file": "vapid.pem"}, "subject is not"),
        ({"subject": "ops@example.com"}, "subject"),
        ({"hosts": ["*"]}, "hosts"),
        ({"hosts": ["127.0.0.1"]}, "hosts"),
        ({"hosts": ["*.push.apple.com/x"]}, "hosts"),
    ],
)
def test_push(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Push.model_validate(said)


@pytest.mark.parametrize("url", ["http://app.example.com/x", "https://u@app.example.com/x", "app.example.com", "https://app.example.com/x#y"])  # fmt: skip
def test_apps(url: str) -> None:
    App.model_validate({"url": "http://127.0.0.1/x"})
    with pytest.raises(ValidationError):
        App.model_validate({"url": url})
