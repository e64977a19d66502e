"""The company's own look: its colours and its mark, and the one style that every page carries in itself."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ivr.config import Settings
from ivr.errors import ConfigError

# What one screen of a telephone may weigh beside its text.
_MOST_BYTES = 8 * 1024
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Look:
    """`style`: the whole of it; `policy`: what a page of this style may do, as Content-Security-Policy has it; `logo`: a PNG."""

    company: str
    style: str
    policy: str
    logo: bytes | None
    phone: str | None
    site: str | None

    @classmethod
    def of(cls, settings: Settings) -> Look:
        """Raises `ConfigError` where the mark cannot be used."""
        brand = settings.page.brand
        own = f":root{{--own:{brand.colour};--on:{brand.on_colour}}}"
        style = own + resources.files("ivr.page").joinpath("templates", "style.css").read_text(encoding="utf-8").strip()
        hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        # no script, no font, nothing of another site; forms go here alone, and nobody frames it
        policy = (
            f"default-src 'none'; style-src 'sha256-{hashed}'; img-src 'self'; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        )
        logo = None if brand.logo_file is None else _logo(settings, settings.path(brand.logo_file))
        return cls(settings.company.name, style, policy, logo, brand.phone, brand.site)


def _logo(settings: Settings, file: Path) -> bytes:
    place = f"{settings.file}: [page.brand] logo_file"
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            place, f"{file} cannot be read ({error.strerror})", "Name a PNG that the page may read"
        ) from None
    # an SVG can hold a script
    if not content.startswith(_PNG) or len(content) > _MOST_BYTES:
        raise ConfigError(place, f"{file} is no PNG of 8 kB at most", "Make it smaller, or leave it out")
    return content
