"""Where a POST may go: addresses outside the public internet are refused in every notation."""

import pytest

from jobs.webhooks import addresses
from jobs.webhooks.addresses import Refused, check, may_reach, resolve, target

PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]
INSIDE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::7f00:1",
    "::ffff:169.254.169.254",
    "::ffff:0:0",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:a9fe:a9fe::",
    "2001:0:53aa:64c::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "5f00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "",
    "example.com",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address):
    assert may_reach(address, allow_private=False)
    assert may_reach(address, allow_private=True)


@pytest.mark.parametrize("address", INSIDE)
def test_private_addresses_are_reached_only_if_allowed(address):
    assert not may_reach(address, allow_private=False)
    assert may_reach(address, allow_private=True)


@pytest.mark.parametrize("address", NEVER)
def test_special_addresses_are_never_reached(address):
    assert not may_reach(address, allow_private=False)
    assert not may_reach(address, allow_private=True)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://example.com/", "https://"),
        ("ftp://example.com/", "https://"),
        ("javascript:alert(1)", "https://"),
        ("//example.com/", "https://"),
        ("https:///path", "https://"),
        ("", "https://"),
        ("https://user:pw@example.com/", "user name"),
        ("https://user@example.com/", "user name"),
        ("https://@example.com/", "user name"),
        ("https://example.com\\@10.0.0.1/", "backslashes"),
        ("https://exa mple.com/", "spaces"),
        ("https://example.com/\r\nHost:%20x", "line breaks"),
        ("https://example.com/#part", "#"),
        ("https://example.com:0/", "port"),
        ("https://example.com:70000/", "port"),
        ("https://example.com:x/", "valid web address"),
        ("https://[::1/", "valid web address"),
        ("https://a%2eb/", "letters"),
        ("https://" + "a" * 500 + ".com/", "500"),
        ("https://localhost/", "public internet"),
        ("https://LOCALHOST./", "public internet"),
        ("https://deep.localhost:8443/", "public internet"),
        ("https://127.0.0.1/", "public internet"),
        ("https://127.0.0.1./", "public internet"),
        ("https://127。0。0。1/", "public internet"),
        ("https://[::1]/", "public internet"),
        ("https://[::ffff:127.0.0.1]:8443/", "public internet"),
        ("https://[fe80::1%25eth0]/", "public internet"),
        ("https://169.254.169.254/latest/meta-data/", "public internet"),
        ("https://2130706433/", "four decimal"),
        ("https://0x7f000001/", "four decimal"),
        ("https://0x7f.0.0.1/", "four decimal"),
        ("https://127.1/", "four decimal"),
        ("https://017700000001/", "four decimal"),
    ],
)
def test_a_forbidden_url_is_refused_with_the_reason(url, word):
    with pytest.raises(Refused, match=word.replace("(", r"\(")) as refused:
        target(url, allow_private=False)
    assert str(refused.value).endswith(".")


def test_octal_numbers_in_an_address_are_refused():
    with pytest.raises(Refused):
        target("https://0177.0.0.1/", allow_private=True)


@pytest.mark.parametrize(
    "url", ["http://collector:8080/hook", "http://10.0.0.5/", "https://localhost/", "http://[::1]/"]
)
def test_private_addresses_may_use_plain_names_and_http(url):
    assert target(url, allow_private=True)


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "https://[fe80::1]/", "http://0.0.0.0/", "http://2130706433/"]
)
def test_some_addresses_are_refused_even_if_private_ones_are_allowed(url):
    with pytest.raises(Refused):
        target(url, allow_private=True)


@pytest.mark.parametrize(
    ("url", "host", "authority"),
    [
        ("https://Hooks.Example.com/a?b=c", "hooks.example.com", "hooks.example.com"),
        ("https://hooks.example.com.:8443/", "hooks.example.com", "hooks.example.com:8443"),
        ("https://bücher.example/", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("https://[2606:4700::1111]:444/", "2606:4700::1111", "[2606:4700::1111]:444"),
    ],
)
def test_a_valid_url_is_parsed_once_and_bound_to_an_ip_address(url, host, authority):
    found = target(url, allow_private=False)
    assert (found.host, found.authority) == (host, authority)
    assert found.at("8.8.8.8").host == "8.8.8.8"
    assert found.at("8.8.8.8").raw_path == found.url.raw_path


@pytest.mark.parametrize("name", ["localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1"])
def test_every_address_that_a_name_resolves_to_is_checked(name):
    found = resolve(name, 443)
    assert found
    with pytest.raises(Refused):
        check(found, allow_private=False)
    check(found, allow_private=True)


@pytest.mark.parametrize("more", ["10.0.0.1", "::1", "169.254.169.254", "fe80::1%2"])
def test_a_name_is_refused_if_one_of_its_addresses_is_not_public(more):
    check(["93.184.216.34", "2606:4700::1111"], allow_private=False)
    for found in (["93.184.216.34", more], [more, "93.184.216.34"]):
        with pytest.raises(Refused) as refused:
            check(found, allow_private=False)
        assert more not in str(
            refused.value
        )  # so that error messages cannot be used to scan the local network


def test_a_name_without_an_address_is_refused():
    with pytest.raises(Refused, match="no IP address"):
        check([], allow_private=True)


def test_the_longest_url_fits_the_database_column():
    from jobs.models import Webhook

    assert Webhook._meta.get_field("url").max_length == addresses.LONGEST
