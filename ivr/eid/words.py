"""What the providers call things, and what we call them. What is not here is `other`, or `failed`: they add to theirs."""

from __future__ import annotations

from collections.abc import Mapping

from ivr.call.ports.eid import Hint, Why

BANKID_HINTS: Mapping[str, Hint] = {
    "outstandingTransaction": "sent",
    "noClient": "no_app",
    "started": "opened",
    "userCallConfirm": "confirm_call",
    "userMrtd": "document",
    "userSign": "sign",
    "processing": "working",
}

BANKID_ENDS: Mapping[str, Why] = {
    "userDeclinedCall": "declined_call",
    "userCancel": "cancelled",
    # by BankID, where somebody has begun another one for the same person
    "cancelled": "in_progress",
    "expiredTransaction": "expired",
    # nobody has scanned or tapped in time
    "startFailed": "expired",
    "certificateErr": "not_able",
    "notSupportedByUserApp": "not_able",
    "transactionRiskBlocked": "risk",
}

FREJA_HINTS: Mapping[str, Hint] = {"STARTED": "sent", "DELIVERED_TO_MOBILE": "opened"}

FREJA_ENDS: Mapping[str, Why] = {
    "CANCELED": "cancelled",
    # by us
    "RP_CANCELED": "expired",
    "EXPIRED": "expired",
    # by Freja, where there is more than one for the same person
    "REJECTED": "in_progress",
}

FREJA_REFUSALS: Mapping[int, Why] = {
    # not a person number
    1002: "not_able",
    # the person has switched us off in the app
    1005: "not_able",
    # nobody of that number, or not of that level
    1012: "not_able",
    2000: "in_progress",
}

# OpenID CIBA Core 1.0 11 and 13
CIBA_ENDS: Mapping[str, Why] = {
    "access_denied": "cancelled",
    "expired_token": "expired",
    "unknown_user_id": "not_able",
}

# What RFC 6749, OpenID Connect and CIBA call what is not about the person.
_OPENID_ERRORS = frozenset({
    "invalid_request", "invalid_client", "invalid_grant", "invalid_scope", "unauthorized_client", "unsupported_grant_type",
    "invalid_binding_message", "missing_user_code", "invalid_user_code", "expired_login_hint_token", "server_error",
    "temporarily_unavailable", "login_required", "interaction_required", "unmet_authentication_requirements",
})  # fmt: skip


def refusal(said: object, status: int) -> str:
    """An OpenID provider's `error`, where it is one of the words that the standards have: others may repeat what it was sent."""
    match said:
        case {"error": str(error)} if error in _OPENID_ERRORS:
            return error
        case _:
            return str(status)
