"""Where the database is: the settings made into what SQLAlchemy takes."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ivr.config import Settings, secret_of
from ivr.errors import ConfigError

_SQLITE = "sqlite:///"
PLACE = "[database] url"
SOCKETS = ("/run/postgresql", "/var/run/postgresql", "localhost")
"""Where PostgreSQL is looked for when the address names no host: on this machine."""


def sqlite_file(settings: Settings) -> Path | None:
    """The file of an SQLite database; None where it is PostgreSQL."""
    if not settings.database.url.startswith(_SQLITE):
        return None
    return settings.path(Path(settings.database.url.removeprefix(_SQLITE)))


def url_of(settings: Settings) -> URL:
    """The URL with driver, user and password; SQLAlchemy shows it without the password. Raises `ConfigError`."""
    file = sqlite_file(settings)
    if file is not None:
        # As a URI with mode=rw: a file that is missing must be an error, not a new and empty database.
        return URL.create("sqlite+aiosqlite", database=file.as_uri(), query={"mode": "rw", "uri": "true"})
    place = f"{settings.file}: {PLACE}"
    try:
        url = make_url(settings.database.url)
    except (ArgumentError, ValueError):
        raise ConfigError(place, "is no database URL", "Write postgresql://HOST:PORT/NAME") from None
    if url.password is not None or url.username is not None:
        raise ConfigError(
            place, "holds a user or a password", "Name them in username and in password_file or password_env"
        )
    database = settings.database
    password = secret_of(settings, "[database] password", database.password_file, database.password_env)
    return url.set(
        drivername="postgresql+asyncpg", username=database.username, password=password.reveal() if password else None
    )
