"""Two-factor authentication: TOTP, a second factor of the site's own, and the end of both."""

from __future__ import annotations

from bson import ObjectId

from accounts import second_factors, second_step
from handlers.call import Answer, Body, Call


def setup_totp2_fa(call: Call, user: ObjectId, body: Body) -> Answer:
    """Make a seed and show it; it counts once a code of it was given to `enableTotp2FA`."""
    setup = second_factors.set_up_totp(
        call, user, issuer=body["issuer"], label=body.get("label"), password=body.get("existingPassword")
    )
    return {"success": True, "seed": setup.seed, "qrcode": setup.qr_code}


def enable_totp2_fa(call: Call, user: ObjectId, body: Body) -> Answer:
    """Switch TOTP on with a code of the seed that was set up."""
    second_factors.enable_totp(call, user, body["token"])
    return {"success": True}


def check_totp2_fa(call: Call, user: ObjectId, body: Body) -> Answer:
    """Use up a code; with a nonce this completes the log-in that waits for it."""
    token = second_step.check_totp(call, user, body["token"], body.get("totpNonce"))
    return {"success": True, **({"token": token} if token else {})}


def disable_totp2_fa(
    call: Call, user: ObjectId, existing_password: str | None = None, token: str | None = None
) -> Answer:
    """Switch TOTP off; other second factors stay."""
    second_factors.disable_totp(call, user, existing_password, token)
    return {"success": True}


def enable_custom2_fa(call: Call, user: ObjectId, body: Body) -> Answer:
    """Switch on a second factor that the site checks by itself."""
    second_factors.enable_custom(call, user, body.get("existingPassword"), body.get("token"))
    return {"success": True}


def disable_custom2_fa(
    call: Call, user: ObjectId, existing_password: str | None = None, token: str | None = None
) -> Answer:
    """Switch off the second factor of the site's own; others stay."""
    second_factors.disable_custom(call, user, existing_password, token)
    return {"success": True}


def disable2_fa(
    call: Call, user: ObjectId, existing_password: str | None = None, token: str | None = None
) -> Answer:
    """Switch off all second factors; seeds and security keys are removed."""
    second_factors.disable_all(call, user, existing_password, token)
    return {"success": True}
