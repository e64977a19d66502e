"""What goes to other machines is encrypted, or the administrator has said that it need not be."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from ivr.config import Settings, load, tls
from ivr.doctor import live
from ivr.errors import ConfigError

ASTERISK = '[asterisk]\nurl = "http://pbx.example:8088/ari"'
AMI = '[asterisk.ami]\nhost = "192.0.2.7"'
REDIS = '[redis]\nurl = "redis://192.0.2.7:6379/0"'
SENTINELS = '[redis]\nsentinels = ["localhost:26379", "192.0.2.7:26379"]'
NODE = '[nodes.south]\nurl = "http://[2001:db8::1]:8088/ari"'


def read(folder: Path, *tables: str) -> Settings:
    file = folder / "tillit.toml"
    policy = '[company]\nname = "Example"\ncountry = "SE"\n[policies.main]\nsteps = ["pin"]\nlevel = 1\n'
    file.write_text(policy + "\n".join(tables) + "\n")
    return load(file)


@pytest.mark.parametrize(
    ("text", "place", "cure"),
    [
        (ASTERISK, "[asterisk]", "Write https:// in url, and tlsenable in http.conf"),
        (AMI, "[asterisk.ami]", "Write tls = true, and tlsenable in manager.conf"),
        (REDIS, "[redis]", "Write rediss:// in url, and tls-port in redis.conf"),
        (SENTINELS, "[redis]", "Write rediss:// in url, and tls-port in redis.conf"),
        (
            f'{SENTINELS}\nurl = "unix:///run/redis.sock"',
            "[redis]",
            "Write rediss:// in url, and tls-port in redis.conf",
        ),
        # it only begins like this machine
        (
            '[asterisk]\nurl = "http://localhost.example:8088/ari"',
            "[asterisk]",
            "Write https:// in url, and tlsenable in http.conf",
        ),
        ('[asterisk.ami]\nhost = "localhosts"', "[asterisk.ami]", "Write tls = true, and tlsenable in manager.conf"),
        ('[redis]\nurl = "redis://127.0.0.1.example"', "[redis]", "Write rediss:// in url, and tls-port in redis.conf"),
        (NODE, "[nodes.south]", "Write https:// in url, and tlsenable in http.conf"),
    ],
)
def test_in_clear_to_another_machine_is_refused(tmp_path: Path, text: str, place: str, cure: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert caught.value.place == f"{tmp_path / 'tillit.toml'}: {place}"
    assert caught.value.problem == "would go in clear to another machine"
    assert caught.value.cure == f"{cure}; or plain_text = true where the way there is encrypted itself"
    read(tmp_path, f"{text}\nplain_text = true")


@pytest.mark.parametrize(
    "text",
    [
        '[asterisk]\nurl = "https://pbx.example:8089/ari"',
        '[asterisk]\nurl = "http://localhost:8088/ari"',
        '[asterisk]\nurl = "http://127.8.0.1/ari"',
        '[asterisk]\nurl = "http://[::1]:8088/ari"',
        f"{AMI}\ntls = true",
        '[asterisk.ami]\nhost = "::1"',
        '[redis]\nurl = "rediss://192.0.2.7:6379/0"',
        '[redis]\nurl = "unix:///run/redis.sock"',
        '[redis]\nurl = "redis://localhost"',
        '[redis]\nsentinels = ["[::1]:26379"]',
        f'{SENTINELS}\nurl = "rediss://localhost"',
    ],
)
def test_by_tls_or_within_this_machine_it_goes(tmp_path: Path, text: str) -> None:
    read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "encrypted"),
    [
        ('url = "postgresql://db.example/tillit"', True),
        ('url = "postgresql://db.example/tillit"\nplain_text = true', False),
        ('url = "postgresql://db.example/tillit"\nplain_text = true\nca_file = "ca.pem"', True),
        ('url = "postgresql://127.0.0.1:5432/tillit"', False),
        ('url = "postgresql://localhost/tillit"\nca_file = "ca.pem"', True),
        ('url = "postgresql:///tillit"', False),
        ('url = "postgresql://localhost.example/tillit"', True),
        ('url = "postgresql://localhost,db.example/tillit"', True),
        ('url = "sqlite:///tillit.db"\nca_file = "ca.pem"', False),
    ],
)
def test_postgresql_is_spoken_to_by_tls_on_other_machines(tmp_path: Path, text: str, *, encrypted: bool) -> None:
    assert read(tmp_path, f"[database]\n{text}").database.encrypted is encrypted


@pytest.mark.parametrize(
    "host", ["[192.0.2.7]", "[192.0.2.7]:5432", "[db.example]", "[192.0.2.7", "db℀.example", "localhost#.example"]
)
def test_an_address_of_postgresql_that_the_driver_reads_in_another_way_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=r"\[database\]"):
        read(tmp_path, f'[database]\nurl = "postgresql://{host}/tillit"')


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot be read"), ("", "holds no certificate"), ("?", "holds no certificate")]
)
def test_a_ca_file_that_is_none(tmp_path: Path, content: str | None, problem: str) -> None:
    settings = read(tmp_path, '[redis]\nurl = "rediss://192.0.2.7/0"\nca_file = "ca.pem"')
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(ConfigError, match=problem) as caught:
        tls.context(settings, "[redis]", settings.redis.ca_file)
    assert "[redis] ca_file" in str(caught.value)
    assert str(tmp_path / "ca.pem") in str(caught.value)


def test_certificates_and_names_are_always_checked(tmp_path: Path) -> None:
    trusted = tls.context(read(tmp_path), "[redis]", None)
    assert trusted.verify_mode is ssl.CERT_REQUIRED
    assert trusted.check_hostname
    assert trusted.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_the_doctor_goes_on_to_name_what_was_accepted(tmp_path: Path) -> None:
    accepted = read(tmp_path, f"{SENTINELS}\nplain_text = true")
    (found,) = live._clear(accepted)
    assert "[redis] sentinels has 192.0.2.7:26379, which is not this machine" in found.what
    assert list(live._clear(read(tmp_path, f'{SENTINELS}\nurl = "rediss://localhost"'))) == []
