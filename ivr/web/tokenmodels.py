"""What the API takes and gives of tokens: of the mark, of the element on another page, and the keys."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from ivr.web.models import Login, Model, Name


class Audience(Model):
    """For whom a token is."""

    audience: str = Field(min_length=1, max_length=200, strict=True, description="One of [tokens] audiences")


class MarkToken(Model):
    """The mark of a call, signed: a JWT."""

    token: str
    expires_in: int = Field(description="Seconds")


class Introspection(Model):
    """What a program asks (RFC 7662)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    token: str = Field(min_length=1)
    token_type_hint: str | None = Field(None, description="Makes no difference")


class Introspected(Model):
    """Whether it still holds; of one that does, what it says (RFC 7662)."""

    active: bool
    iss: str | None = None
    aud: str | None = None
    sub: str | None = Field(None, description="The customer's reference")
    exp: int | None = None
    iat: int | None = None
    jti: str | None = None
    call: str | None = Field(None, description="The call, as the API names it")
    node: str | None = None
    channel: str | None = Field(None, description="Its unique id on that Asterisk")
    agent: str | None = Field(None, description="The agent's id: compare it with whoever shows you the token")
    login: str | None = Field(None, description="The agent's login, of that tenant")
    tenant: str | None = None
    sid: str | None = Field(None, description="The agent's session at the desk, with which it ends")
    level: int | None = None
    methods: tuple[str, ...] | None = None


class ElementAsked(Model):
    """For which agent, and for pages of which origin, where the program has several."""

    login: Login
    tenant: Name = "main"
    origin: str | None = Field(None, max_length=200)


class ElementToken(Model):
    """What a page gives to its `<caller-auth>`: of that agent's session, and for pages of that origin alone."""

    token: str
    expires_in: int = Field(description="Seconds; it ends with the agent's session, too")
    may: tuple[str, ...]


class PublicKey(Model):
    """A key with which tokens are checked (RFC 7517, RFC 8037)."""

    kid: str
    kty: str
    crv: str
    x: str
    alg: str
    use: str


class PublicKeys(Model):
    """Those that sign, have signed, and will sign."""

    keys: tuple[PublicKey, ...]
