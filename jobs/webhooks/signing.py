"""The secrets and signatures of webhooks, following Standard Webhooks (scheme v1, HMAC-SHA256)."""

import base64
import hashlib
import hmac
import uuid

from django.utils.crypto import salted_hmac

PREFIX = "whsec_"
SALT = "jobs.webhooks.secret"


def key(webhook_id: int, version: int) -> bytes:
    """Return the 32 bytes that sign a webhook's deliveries, derived from SECRET_KEY."""
    return salted_hmac(SALT, f"{webhook_id}:{version}", algorithm="sha256").digest()


def secret(webhook_id: int, version: int) -> str:
    """Return the key as the receiver gets it: whsec_ and base64."""
    return PREFIX + base64.b64encode(key(webhook_id, version)).decode()


def signature(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a delivery: of its id, its time in seconds since 1970, and its exact body."""
    signed = b".".join([id.encode(), str(timestamp).encode(), body])
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(webhook_id: int, version: int, id: uuid.UUID, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers by which a receiver verifies a delivery.

    It is signed with the newest secret and the previous one, so that a receiver can switch at any time. This
    does not weaken the newest secret: a receiver trusts only the secrets that it holds.
    """
    versions = [version, version - 1] if version > 1 else [version]
    signed = [signature(key(webhook_id, one), str(id), timestamp, body) for one in versions]
    return {
        "webhook-id": str(id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signed),
    }
