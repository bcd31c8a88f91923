"""Deliveries connect only to checked addresses, resolved once, with a certificate for the name."""

import datetime
import ipaddress
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone

from jobs.models import Delivery, Webhook
from jobs.webhooks import sender as deliver
from tests import receiver as at
from tests.jobs.hooks import delivery, delivery_state, due_now, hook, private_hook, send_due

HOUR = datetime.timedelta(hours=1)
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.storage]


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["169.254.169.254"],
        ["64:ff9b::7f00:1"],
    ],
)
def test_nothing_is_sent_to_a_name_that_resolves_to_a_private_address(receiver, found):
    row = delivery(hook(url=receiver.url("hooks.example.com", "https")))
    send_due(resolve=lambda host, port: found)
    assert receiver.got == []
    assert delivery_state(row)[3].startswith("not sent: This is not on the public internet")


def test_every_name_of_this_machine_is_detected(receiver, monkeypatch):
    row = delivery(hook(url=receiver.url("hooks.example.com", "https")))
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *a, real=socket.getaddrinfo, **o: real("localhost", a[1], **o)
    )
    send_due()
    assert receiver.got == []
    assert "public internet" in delivery_state(row)[3]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{}/", "https://127.0.0.1:{}/", "https://localhost:{}/", "https://127.1:{}/"]
)
def test_an_invalid_stored_url_is_refused_at_sending(receiver, url):
    row = delivery(hook(url=url.format(receiver.port)))
    send_due()
    assert receiver.got == []
    assert delivery_state(row)[3].startswith("not sent: ")


def test_revoking_the_permission_applies_to_waiting_deliveries(receiver):
    desk = private_hook(receiver.url())
    row = delivery(desk)
    Webhook.objects.filter(pk=desk.pk).update(allow_private=False)
    send_due()
    assert receiver.got == []
    assert delivery_state(row)[0] == "pending"


def test_a_name_is_resolved_once_per_attempt_and_only_the_checked_address_is_used(receiver, monkeypatch):
    asked, seen = [], []

    def rebinding(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    async def connecting(self, host, port, **options):
        seen.append((host, port))
        return await real(self, host, port, **options)

    from httpcore2 import AnyIOBackend

    real = AnyIOBackend.connect_tcp
    monkeypatch.setattr(AnyIOBackend, "connect_tcp", connecting)
    row = delivery(private_hook(receiver.url("rebinder.example.com")))
    send_due(resolve=rebinding)
    assert (asked, seen) == (["rebinder.example.com"], [("127.0.0.1", receiver.port)])
    assert receiver.got[0].headers["host"] == f"rebinder.example.com:{receiver.port}"
    assert delivery_state(row)[0] == "delivered"
    second = delivery(row.webhook)
    send_due(resolve=rebinding)
    assert len(seen) == 1
    assert delivery_state(second)[3].startswith("not sent: ")


def test_the_next_address_of_a_name_is_used_if_the_first_does_not_answer(receiver):
    row = delivery(private_hook(receiver.url("hooks.example.com")))
    send_due(resolve=lambda host, port: ["127.0.0.77", "127.0.0.1"])
    assert delivery_state(row)[0] == "delivered"


def test_an_unknown_name_and_a_hanging_name_service_are_reported(receiver, quick):
    def unknown(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    row, forever = delivery(private_hook(receiver.url("nowhere.example.com"))), threading.Event()
    send_due(resolve=unknown)
    assert delivery_state(row)[3] == "the host name was not found"
    due_now()
    send_due(resolve=lambda host, port: forever.wait(at.SOON) and [])
    forever.set()
    assert delivery_state(row)[3] == "no answer within 0 s"


def test_proxies_in_the_environment_are_not_used(receiver, monkeypatch):
    with at.receiver() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(path=""))
        row = delivery(private_hook(receiver.url()))
        send_due()
        assert delivery_state(row)[0] == "delivered"
        assert proxy.got == []


def certified(tmp_path, name):
    """Create a self-signed certificate for this name; return the server's context and one that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    try:
        other: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        other = x509.DNSName(name)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([other]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kind, no = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, no))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, secret)
    return server, ssl.create_default_context(cafile=str(pem))


@pytest.mark.parametrize(
    ("certificate", "host", "taken"),
    [
        ("hooks.example.com", "hooks.example.com", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("evil.example.com", "hooks.example.com", False),
        ("127.0.0.1", "hooks.example.com", False),  # the IP address is not the name in the certificate
    ],
)
def test_the_certificate_must_match_the_name_and_not_the_ip_address(tmp_path, certificate, host, taken):
    server, trusting = certified(tmp_path, certificate)
    with at.receiver(server) as receiver:
        row = delivery(private_hook(receiver.url(host, "https")))
        send_due(resolve=lambda host, port: ["127.0.0.1"], tls=trusting)
        assert len(receiver.got) == taken
    if taken:
        assert delivery_state(row)[0] == "delivered"
    else:
        assert delivery_state(row)[3] == "not sent: no trusted certificate for this host name"


def test_a_connection_for_one_name_is_never_reused_for_another_at_the_same_ip_address(tmp_path, monkeypatch):
    monkeypatch.setattr(deliver, "AT_ONCE", 1)  # one after the other, so that the connection could be reused
    server, trusting = certified(tmp_path, "good.example.com")
    with at.receiver(server) as receiver:
        good = private_hook(receiver.url("good.example.com", "https"))
        first = delivery(good)
        second = delivery(
            private_hook(receiver.url("other.example.com", "https")), next_at=timezone.now() - HOUR
        )
        third = delivery(good)
        Delivery.objects.filter(pk=first.pk).update(next_at=timezone.now() - 2 * HOUR)
        send_due(times=3, resolve=lambda host, port: ["127.0.0.1"], tls=trusting)
        assert [delivery_state(row)[0] for row in (first, second, third)] == [
            "delivered",
            "pending",
            "delivered",
        ]
        assert {got.headers["host"] for got in receiver.got} == {f"good.example.com:{receiver.port}"}
