"""Addresses in messages: no password, key or token of one is shown, and no control character."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.addresses import parse_webhook, shown_address, shown_host
from analysis.errors import BadInput
from tests.analysis.test_terminal import is_harmless

SECRET = st.text(alphabet="abcXYZ019/+?&=@:#%-_", min_size=16, max_size=40).map("SECRET{}".format)
FORMS = (
    "https://user:{}@host/path",
    "https://{}@host/path?x=1",
    "s3://KEY:{}@bucket/x?region=eu",
    "s3://bucket?secret_key={}",
    "s3://bucket/x?access_key=K&secret_key={}&region=eu",
    "s3://bucket?{}",
    "https://host/x?token={}",
    "https://host/x?X-Amz-Signature={}",
    "http://user:{}@proxy:3128",
    "socks5://user:{}@proxy:1080",
    "s3:/bucket?secret_key={}",
    "bucket?access_key={}",
    "s3://bucket/x?endpoint_override=http://key:{}@host",
)


@given(form=st.sampled_from(FORMS), secret=SECRET)
def test_address_shows_no_part_of_a_secret(form: str, secret: str) -> None:
    in_login = "{}@" in form
    encoded = quote(secret, safe=":" if in_login else "@:/+?=%")
    assert "SECRET" not in shown_address(form.format(encoded))


@given(secret=st.text(alphabet="abcXYZ019+:@?&=/", min_size=12, max_size=40))
def test_password_that_is_not_encoded_is_hidden_to_its_last_sign(secret: str) -> None:
    shown = shown_address(f"s3://KEY:{secret}END@bucket/x?region=eu")
    assert secret not in shown
    assert "END" not in shown or "?" in secret, "a query of the password's own may be shown by the names of its parts"


@given(st.text())
def test_shown_address_has_no_control_characters_and_is_stable(text: str) -> None:
    for address in (text, f"s3://{text}", f"https://h/{text}"):
        assert is_harmless(shown_address(address))
        assert "\n" not in shown_address(address)
        assert is_harmless(shown_host(address))


@pytest.mark.parametrize(
    "address",
    [
        "results",
        "/srv/results/a@b",
        "file:///srv/a?b=c@d",
        "s3://bucket/prefix@x",
        "s3://bucket/p?region=eu-west-1&scheme=http&endpoint_override=minio%3A9000",
        "https://10.0.0.1:6443",
        "https://[::1]:6443/k8s",
    ],
)
def test_address_without_secrets_is_shown_as_it_is(address: str) -> None:
    assert shown_address(address) == address


@pytest.mark.parametrize(
    ("url", "host", "requested", "login"),
    [
        ("https://hooks.example/T0/B0", "hooks.example", "https://hooks.example/T0/B0", None),
        ("http://[::1]:8080", "::1", "http://[::1]:8080/", None),
        ("https://bücher.example/ä?q=ü&a[]=1", "xn--bcher-kva.example", None, None),
        ("https://us%40er:p%3Aw@ci.example/x?y", "ci.example", "https://ci.example/x?y", "us@er:p:w"),
        ("https://my_host/", "my_host", "https://my_host/", None),
    ],
)
def test_webhook_parts(url: str, host: str, requested: str | None, login: str | None) -> None:
    webhook = parse_webhook(url, "X")
    assert (webhook.host, webhook.login) == (host, login)
    assert requested is None or webhook.url == requested
    assert webhook.url.isascii()
    assert repr(webhook) == f"Webhook(host={host!r})"


@given(st.text(alphabet="abc:/@[]%.?#1\x00\x1b\n é\u2024\udc80", max_size=30).map("https://SECRET".__add__))
def test_any_webhook_is_parsed_or_refused_without_showing_it(url: str) -> None:
    try:
        webhook = parse_webhook(url, "NOTIFY_URL")
    except BadInput as problem:
        output = str(problem)
    else:
        output = f"NOTIFY_URL is no address: {repr(webhook).partition('host')[0]}"
        assert webhook.host
        assert webhook.url.isascii()
        assert webhook.url.isprintable()
    assert output.startswith("NOTIFY_URL is no address: ")
    assert "SECRET" not in output
