"""The desk's settings: reached safely, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from ivr.config import Settings
from ivr.errors import ConfigError
from tests.unit.database_kit import settings_in


def desk(folder: Path, text: str) -> Settings:
    return settings_in(folder, f"[desk]\n{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        'url = "https://desk.example.com"',
        'url = "http://localhost:8443"',
        'url = "http://[::1]:8443"',
        'url = "http://desk.example.com"\nplain_text = true',
        'listen = "127.0.0.1:8443"\nurl = "https://desk.example.com"\nallow_proxies = ["127.0.0.1"]',
        'listen = "[::1]:8443"\nurl = "http://127.0.0.1:8443"',
        'listen = "0.0.0.0:443"\nurl = "https://d.example"\ntls_certificate_file = "a.pem"\ntls_key_file = "a.key"',
        'listen = "10.0.0.5:80"\nurl = "http://10.0.0.5"\nplain_text = true',
    ],
)
def test_what_is_safe_is_taken(tmp_path: Path, text: str) -> None:
    assert desk(tmp_path, text).desk.idle_minutes == 15


OIDC = 'url = "https://desk.example.com"\n[desk.oidc]\nname = "OP"\nclient_id = "desk"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{OIDC}issuer = "https://[x"', "[desk.oidc]: issuer has no host that can be read"),
        (f'{OIDC}issuer = "http://op.example.com"', "[desk.oidc]: would go in clear to another machine. Write https://"),
        (f'{OIDC}issuer = "https://op.example.com?x=1"', "[desk.oidc] issuer: is not of the right form"),
        (f'{OIDC}issuer = "https://op.example.com"\nclient_secret_file = "a"\nclient_secret_env = "A"', "are both there"),
        (f'{OIDC}issuer = "https://op.example.com"\nskew_seconds = 900', "[desk.oidc] skew_seconds"),
        ('url = "https://desk.example.com/"', "[desk] url: is not of the right form"),
        ('url = "https://a@desk.example.com"', "[desk] url: is not of the right form"),
        ('url = "ftp://desk"', "[desk] url: is not of the right form"),
        ('url = "https://[::1"', "[desk]: url has no host that can be read"),
        ('url = "https://:443"', "[desk]: url has no host that can be read"),
        ('url = "http://desk.example.com"', "[desk]: would go in clear to another machine. Write https:// in url"),
        ('tls_key_file = "a.key"', "[desk]: one of tls_certificate_file and tls_key_file is left out"),
        (
            'url = "http://127.0.0.1"\ntls_certificate_file = "a.pem"\ntls_key_file = "a.key"',
            "[desk]: url begins with http://, but there is a certificate",
        ),
        ('listen = "127.0.0.1:8443"', "[desk]: listen is there, and url is not"),
        ('listen = "desk:8443"\nurl = "https://d"', "[desk] listen: is not ADDRESS:PORT, with the digits of the address"),
        ('listen = "10.0.0.5:80"\nurl = "https://d"', "[desk]: listen is not a loopback address, and would be spoken to in clear"),
        ("session_hours = 25", "[desk] session_hours: Input should be less than or equal to 24"),
        ("[desk.password]\nleast = 7", "[desk.password] least: Input should be greater than or equal to 8"),
        (
            "[desk.sign_in]\nlogin_in_a_row = 20\nlogin_most = 10",
            "[desk.sign_in]: login_in_a_row is more than login_most",
        ),
    ],
)  # fmt: skip
def test_what_is_not_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        desk(tmp_path, text)
    assert said in str(refused.value)
