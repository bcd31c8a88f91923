"""Webhook signatures: they follow the standard, and the code in the docs verifies them."""

import base64
import hashlib
import hmac
import re
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.webhooks import signing as webhooks

DOCS = Path(__file__).resolve().parents[3] / "docs" / "webhooks.md"
ID = uuid.UUID("4f0c8e0e-6f0b-4d0c-9a1f-0d7f3f1c2b60")
BODY = '{"type":"job.ended","title":"Casa Olmeda – Zürich"}'.encode()


def documented():
    """Return the verification function from the docs."""
    code = re.search(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[1]
    room: dict = {}
    exec(code, room)
    return room["verify"]


def test_the_signature_follows_the_standard():
    # openssl computes the same: printf '%s' <id>.<timestamp>.<body> |
    #   openssl dgst -sha256 -mac HMAC -macopt hexkey:<the key in hex> -binary | base64
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    given = webhooks.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert given == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_three_headers_follow_the_standard_and_sign_id_time_and_body():
    headers = webhooks.headers(7, 1, ID, 1_700_000_000, BODY)
    secret = webhooks.secret(7, 1)
    key = base64.b64decode(secret[len("whsec_") :])
    signed = str(ID).encode() + b"." + b"1700000000" + b"." + BODY
    independent = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers == {
        "webhook-id": str(ID),
        "webhook-timestamp": "1700000000",
        "webhook-signature": f"v1,{independent}",
    }
    assert secret.startswith("whsec_") and len(key) == 32


def test_the_code_in_the_docs_verifies_a_delivery_and_refuses_every_forgery():
    verify, secret, now = documented(), webhooks.secret(7, 1), int(time.time())
    headers = webhooks.headers(7, 1, ID, now, BODY)
    assert verify(secret, headers, BODY)
    assert not verify(secret, headers, BODY + b" ")
    assert not verify(secret, headers | {"webhook-id": str(uuid.uuid4())}, BODY)
    assert not verify(secret, headers | {"webhook-timestamp": str(now - 1)}, BODY)
    assert not verify(webhooks.secret(8, 1), headers, BODY)
    assert not verify(webhooks.secret(7, 2), headers, BODY)
    old = webhooks.headers(7, 1, ID, now - 3600, BODY)
    assert not verify(secret, old, BODY)


def test_after_a_rotation_the_previous_secret_still_verifies_and_older_secrets_do_not():
    verify, headers = documented(), webhooks.headers(7, 3, ID, int(time.time()), BODY)
    assert [verify(webhooks.secret(7, version), headers, BODY) for version in (3, 2, 1)] == [
        True,
        True,
        False,
    ]


def test_secrets_are_derived_from_the_secret_key(settings):
    before = webhooks.secret(7, 1)
    assert before == webhooks.secret(7, 1)
    settings.SECRET_KEY = "another one"
    assert webhooks.secret(7, 1) != before


@given(st.tuples(st.integers(1, 50), st.integers(1, 50)), st.tuples(st.integers(1, 50), st.integers(1, 50)))
def test_every_webhook_and_version_has_its_own_secret(one, other):
    assert (webhooks.secret(*one) == webhooks.secret(*other)) is (one == other)


@pytest.mark.parametrize("body", [b"", b"{}", "ü".encode(), bytes(range(256))])
def test_any_body_is_signed_byte_for_byte(body):
    assert documented()(webhooks.secret(1, 1), webhooks.headers(1, 1, ID, int(time.time()), body), body)
