"""The secrets and signatures of webhooks, as Standard Webhooks describes them (scheme v1, HMAC-SHA256)."""

import base64
import hashlib
import hmac
import uuid

from django.utils.crypto import salted_hmac

PREFIX = "whsec_"
SALT = "jobs.webhooks.secret"


def key(webhook_id: int, version: int) -> bytes:
    """Give the 32 bytes that a webhook's deliveries are signed with. They follow from SECRET_KEY alone."""
    return salted_hmac(SALT, f"{webhook_id}:{version}", algorithm="sha256").digest()


def secret(webhook_id: int, version: int) -> str:
    """Give the key as a receiver is told it: whsec_ and base64."""
    return PREFIX + base64.b64encode(key(webhook_id, version)).decode()


def signature(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """Sign a delivery: its id, the seconds since 1970 at which it is sent, and its body, byte for byte."""
    signed = b".".join([id.encode(), str(timestamp).encode(), body])
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(webhook_id: int, version: int, id: uuid.UUID, timestamp: int, body: bytes) -> dict[str, str]:
    """Give the headers that a delivery is verified by.

    It is signed with the newest secret and with the one before it, so that a receiver can change over
    when it likes. That takes nothing from the newest: a receiver believes only the secrets that it holds.
    """
    versions = [version, version - 1] if version > 1 else [version]
    signed = [signature(key(webhook_id, one), str(id), timestamp, body) for one in versions]
    return {
        "webhook-id": str(id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signed),
    }
