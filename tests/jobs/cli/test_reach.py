"""What a post really connects to: checked addresses only, looked up once, certified for the name."""

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
from tests.jobs.hooks import due_now, hook, inside, letter, stands, work_off

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
def test_nothing_is_sent_where_the_name_leads_inside(house, found):
    row = letter(hook(url=house.url("hooks.example.com", "https")))
    work_off(resolve=lambda host, port: found)
    assert house.got == []
    assert stands(row)[3].startswith("not sent: This is not on the public internet")


def test_a_name_of_this_machine_is_found_out_whatever_it_is_called(house, monkeypatch):
    row = letter(hook(url=house.url("hooks.example.com", "https")))
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *a, real=socket.getaddrinfo, **o: real("localhost", a[1], **o)
    )
    work_off()
    assert house.got == []
    assert "public internet" in stands(row)[3]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{}/", "https://127.0.0.1:{}/", "https://localhost:{}/", "https://127.1:{}/"]
)
def test_an_address_that_slipped_into_the_table_is_refused_at_sending(house, url):
    row = letter(hook(url=url.format(house.port)))
    work_off()
    assert house.got == []
    assert stands(row)[3].startswith("not sent: ")


def test_taking_the_permission_back_holds_for_what_is_waiting(house):
    desk = inside(house.url())
    row = letter(desk)
    Webhook.objects.filter(pk=desk.pk).update(allow_private=False)
    work_off()
    assert house.got == []
    assert stands(row)[0] == "pending"


def test_the_name_is_asked_for_once_an_attempt_and_exactly_the_checked_address_is_used(house, monkeypatch):
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
    row = letter(inside(house.url("rebinder.example.com")))
    work_off(resolve=rebinding)
    assert (asked, seen) == (["rebinder.example.com"], [("127.0.0.1", house.port)])
    assert house.got[0].headers["host"] == f"rebinder.example.com:{house.port}"
    assert stands(row)[0] == "delivered"
    second = letter(row.webhook)
    work_off(resolve=rebinding)
    assert len(seen) == 1
    assert stands(second)[3].startswith("not sent: ")


def test_the_next_address_of_a_name_is_tried_when_the_first_does_not_answer(house):
    row = letter(inside(house.url("hooks.example.com")))
    work_off(resolve=lambda host, port: ["127.0.0.77", "127.0.0.1"])
    assert stands(row)[0] == "delivered"


def test_a_name_that_nobody_knows_and_a_name_service_that_hangs_are_told(house, quick):
    def unknown(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    row, forever = letter(inside(house.url("nowhere.example.com"))), threading.Event()
    work_off(resolve=unknown)
    assert stands(row)[3] == "the host name was not found"
    due_now()
    work_off(resolve=lambda host, port: forever.wait(at.SOON) and [])
    forever.set()
    assert stands(row)[3] == "no answer within 0 s"


def test_proxies_of_the_environment_are_not_asked(house, monkeypatch):
    with at.receiver() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(path=""))
        row = letter(inside(house.url()))
        work_off()
        assert stands(row)[0] == "delivered"
        assert proxy.got == []


def certified(tmp_path, name):
    """Make a certificate of this name that signs itself; give the server's context and one that trusts it."""
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
        ("127.0.0.1", "hooks.example.com", False),  # the address it is reached at is not its name
    ],
)
def test_the_certificate_must_be_the_names_though_the_address_is_what_is_connected_to(
    tmp_path, certificate, host, taken
):
    server, trusting = certified(tmp_path, certificate)
    with at.receiver(server) as house:
        row = letter(inside(house.url(host, "https")))
        work_off(resolve=lambda host, port: ["127.0.0.1"], tls=trusting)
        assert len(house.got) == taken
    if taken:
        assert stands(row)[0] == "delivered"
    else:
        assert stands(row)[3] == "not sent: no trusted certificate for this host name"


def test_a_connection_for_one_name_never_serves_another_at_the_same_ip_address(tmp_path, monkeypatch):
    monkeypatch.setattr(deliver, "AT_ONCE", 1)  # one after the other, so that it could be kept
    server, trusting = certified(tmp_path, "good.example.com")
    with at.receiver(server) as house:
        good = inside(house.url("good.example.com", "https"))
        first = letter(good)
        second = letter(inside(house.url("other.example.com", "https")), next_at=timezone.now() - HOUR)
        third = letter(good)
        Delivery.objects.filter(pk=first.pk).update(next_at=timezone.now() - 2 * HOUR)
        work_off(times=3, resolve=lambda host, port: ["127.0.0.1"], tls=trusting)
        assert [stands(row)[0] for row in (first, second, third)] == ["delivered", "pending", "delivered"]
        assert {got.headers["host"] for got in house.got} == {f"good.example.com:{house.port}"}
