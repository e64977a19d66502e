"""OpenID Connect: asks the provider who somebody is, and believes nothing that it has not signed."""

from ivr.oidc.claims import Claims, Refusal
from ivr.oidc.provider import Flow, Provider

__all__ = ["Claims", "Flow", "Provider", "Refusal"]
