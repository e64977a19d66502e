"""The OpenID provider by which people sign in at the desk: whether it answers, and whether a second factor can be seen."""

from __future__ import annotations

from ivr.config import Settings
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.errors import OidcError
from ivr.oidc import Provider

AWAY = Kind(
    "oidc-away", Grade.WARNING,
    "The OpenID provider does not answer as it must",
    "Nobody signs in at the desk by it.",
)  # fmt: skip
FACTOR = Kind(
    "oidc-factor", Grade.ADVICE,
    "It cannot be seen whether the OpenID provider has asked for a second factor",
    "Whoever it lets in is let in at the desk, by a password alone too.",
)  # fmt: skip
KINDS = (AWAY, FACTOR)

_SUBJECT = "OpenID"


async def check(settings: Settings) -> list[Finding]:
    """By its document alone; nothing where there is no provider. Raises `ConfigError`."""
    provider = Provider.of(settings)
    if provider is None:
        return []
    rules = provider.rules
    try:
        told = await provider.tells()
    except OidcError as error:
        document = f"{rules.issuer.rstrip('/')}/.well-known/openid-configuration"
        return [AWAY.found(_SUBJECT, str(error), f"curl {document}", "# and see [desk.oidc]")]
    finally:
        await provider.close()
    if rules.amr or rules.acr:
        return [ok(_SUBJECT, f"{rules.issuer} answers, and must say how somebody has signed in")]
    what = "[desk.oidc] demands neither amr nor acr"
    if told:
        cure = f'# the provider says {" and ".join(sorted(told))}: write what it must be into [desk.oidc], as in amr = ["mfa"]'
        return [FACTOR.found(_SUBJECT, what, cure)]
    return [
        FACTOR.found(
            _SUBJECT, f"{what}, and the provider's document names neither",
            "# have it tell one of them in the ID token of this client, and demand that in [desk.oidc]; where it cannot,",
            "# make the second factor a must there for this client, or take [desk.oidc] out",
        )
    ]  # fmt: skip
