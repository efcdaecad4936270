"""What an address means: each part literally, or refused by name, and no secret of it in any sentence."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from analysis.errors import BadInput, Unsupported
from analysis.sql import database
from analysis.store.storage import urls
from analysis.store.storage.urls import parse_url
from analysis.store.store import Store
from tests.analysis.store.stored import rows
from tests.analysis.store.stored import shown as shown_runs

SECRET = "wJalrXUtnFEMI-K7MDENG+bPxRfi/CYEXAMPLE"


NAME = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
PATH = st.lists(NAME, min_size=1, max_size=4).map("/".join)
PREFIX = st.lists(NAME.filter(lambda part: part not in {".", ".."}), max_size=4).map("/".join)
BUCKET = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(lambda name: name.lower() != "arn")


@given(path=PATH)
def test_folder_address_is_the_literal_path(path: str) -> None:
    typed = f"/{path}"
    assume("://" not in path)
    assert parse_url(typed).root == str(Path(typed).absolute())
    assert parse_url(f"{typed}/").root == parse_url(typed).root
    # A path that is not whole begins here; `./` keeps every first letter from meaning something.
    assert parse_url(f"./{path}").root == str(Path.cwd() / path)


@given(path=PATH)
def test_file_url_is_percent_decoded(path: str) -> None:
    for scheme in ("file://", "FILE://", "file://localhost"):
        assert parse_url(f"{scheme}/{quote(path)}").root == str(Path(f"/{path}").absolute())


@given(bucket=BUCKET, prefix=PREFIX, ends=st.sampled_from(["", "/"]))
def test_s3_bucket_and_prefix_are_literal(bucket: str, prefix: str, ends: str) -> None:
    found = parse_url(f"s3://{bucket}/{quote(prefix)}{ends}")
    assert (found.local, found.root) == (False, f"{bucket}/{prefix}".rstrip("/"))
    assume("%" not in prefix and "?" not in prefix)
    assert parse_url(f"S3://{bucket}/{prefix}{ends}").root == found.root


def _all_text(url: str) -> str:
    try:
        return f"{parse_url(url).shown} {parse_url(url)!r}"
    except BadInput as problem:
        return str(problem)


@given(text=st.text(max_size=40) | st.text(alphabet="s3:/@?#&=%~.ab*[]\\ ", max_size=40).map("s3://".__add__))
def test_any_text_parses_as_address_or_raises_a_problem(text: str) -> None:
    try:
        found = parse_url(text)
    except BadInput:
        assert _all_text(text).startswith("RESULTS ")
        return
    assert found.root.startswith("/") == found.local
    assert "\0" not in found.root


@given(
    form=st.sampled_from(
        [
            "s3://KEY:{}@bucket/x",
            "s3://{}@bucket/x",
            "s3://KEY:{}@bucket",
            "s3://bucket/x?access_key=KEY&secret_key={}",
            "s3://bucket/x?secret_key={}&region=a&region=b",
            "s3://bucket/x?region=a&SECRET_KEY={}",
            "s3://bucket/x?secret%5Fkey={}",
            "s3://bucket/x?endpoint_override=http://KEY:{}@host",
            "ftp://host/x?token={}",
            "s3:/bucket?secret_key={}",
            "s3://bucket/x?secret_key={}&nothing=1",
            "s3://arn:aws:s3:::bucket/x?secret_key={}",
            "s3:///x?secret_key={}",
            "s3://bucket//x//y?secret_key={}",
            "ftp://KEY:{}@host/x",
            "file://KEY:{}@host/x",
        ]
    ),
    secret=st.text(alphabet="abcXYZ019/+?&=@:#%", min_size=16, max_size=40),
)
def test_error_never_contains_credentials(form: str, secret: str) -> None:
    assume(secret[:8] not in form)
    # Without a colon before it this is the bucket `abc` and a prefix with an @ in it: nothing marks it as a login.
    assume(":" in form.partition("{}")[0][5:] or "@" not in form or not set("/?") & set(secret))
    url = form.format(secret if "@" in form.partition("{}")[2] else quote(secret, safe="/+:@"))
    hidden = secret.rpartition("@")[0] or secret
    assume(len(hidden) >= 8)
    text = _all_text(url)
    assert hidden[-8:] not in text


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://key:secret@bucket/p", "can't have credentials before the bucket.*AWS_ACCESS_KEY_ID and AWS_SECRET"),
        ("s3://key@bucket/p", "can't have credentials before the bucket"),
        ("s3://key:sec/ret@bucket/p", "can't have credentials before the bucket"),
        (
            "s3://minio:9000/bucket",
            "can't have a colon in its bucket: give the service's host and port by AWS_ENDPOINT",
        ),
        ("s3://arn:aws:s3:::bucket/p", "it is an ARN; give s3://BUCKET/PREFIX, here s3://bucket/p"),
        ("s3://arn:aws:s3:eu-west-1:1:accesspoint/ap/p", "it is an ARN; .* of an access point its alias"),
        ("arn:aws:s3:::bucket", "it is an ARN; give s3://BUCKET/PREFIX"),
        ("s3://b%41/p", "takes no '%' there"),
        ("s3://-b/p", "takes no '-' there"),
        ("s3://bü/p", "takes no 'ü' there"),
        ("s3://b/x//y", "its prefix has two slashes in a row"),
        ("s3://b/x/../y", "'..' leads nowhere"),
        ("s3://b/x%00", "%00 can't be in a name"),
        ("s3://b/%ff", "its %-escapes are no UTF-8"),
        ("s3://b/p?region", "region in its query has no value"),
        ("s3://b/p?region=a&region=b", "its query has two values of region"),
        ("s3://b/p?colour=red", "can't have 'colour' in its query; known are endpoint_override, region, scheme"),
        ("s3:/bucket/p", "s3: lacks its two slashes"),
        ("file:/srv", "file: lacks its two slashes, as in file://...; a folder of that name is ./file:/srv"),
        ("~no-such-user-here/x", "~no-such-user-here is nobody's home here"),
        ("a\0b", "has a byte in it that no address can hold"),
        ("a\udcffb", "has a byte in it that no address can hold"),
        ("nosuch://x", "nosuch:// is not known; give a folder, file:// or s3://"),
    ],
)
def test_unsupported_address_parts_are_named(url: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_url(url)


def test_special_characters_in_addresses_are_literal() -> None:
    assert parse_url("s3://Bucket_X/p").root == "Bucket_X/p"
    assert parse_url("s3://bucket/a#b").root == "bucket/a#b"
    assert parse_url("s3://bucket/a*b/[c]/d=e").root == "bucket/a*b/[c]/d=e"
    assert parse_url("s3://bucket/100%").root == "bucket/100%"
    assert parse_url("file:///a?b#c").root == "/a?b#c"
    assert parse_url("//a//b/").root == "/a/b"
    assert parse_url("s3://b/p?region=a+b%2Fc").options["region"] == "a+b/c"


def test_tilde_expands_to_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert parse_url("~").root == str(tmp_path)
    assert parse_url("~/res").root == f"{tmp_path}/res"
    assert parse_url("./~").root == f"{tmp_path}/~"
    assert parse_url("a/~").root == f"{tmp_path}/a/~"
    assert parse_url("../x").root == f"{tmp_path}/../x"


@pytest.mark.parametrize(
    "query",
    ["access_key=KEY", f"region=x&secret_key={quote(SECRET)}", "Secret_Key=KEY", "access%5fkey=KEY", "secret_key"],
)
def test_s3_keys_in_the_query_are_refused(query: str) -> None:
    with pytest.raises(BadInput, match=r"can't have keys in its query.*AWS_ACCESS_KEY_ID and AWS_SECRET") as raised:
        parse_url(f"s3://bucket/p?{query}")
    assert "KEY" not in str(raised.value).partition("; give")[0]


@pytest.mark.parametrize("endpoint", ["http://KEY:SECRET@host", "KEY@host"])
def test_credentials_in_an_endpoint_are_refused(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="can't have credentials in its endpoint_override"):
        parse_url(f"s3://bucket/p?endpoint_override={endpoint}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(BadInput, match="AWS_ENDPOINT_URL can't have credentials before its host"):
        urls.filesystem(parse_url("s3://bucket/p"))


# Places that are no place


def _loop(root: Path) -> Path:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    return root / "a"


def _nowhere(root: Path) -> Path:
    (root / "a").symlink_to(root / "gone")
    return root / "a"


def _file(root: Path) -> Path:
    (root / "a").write_text("mine")
    return root / "a"


@pytest.mark.parametrize("below", ["", "/res", "/res/deeper"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_loop, "a symbolic link that leads back to itself|a symbolic link in it leads back to itself"),
        (_file, "a file is in the way of a folder|it is a file, not a folder"),
    ],
)
def test_file_in_the_way_of_a_folder_is_named(
    make: Callable[[Path], Path], message: str, below: str, tmp_path: Path
) -> None:
    store = Store(f"{make(tmp_path)}{below}")
    actions: list[Callable[[], object]] = [
        store.check_writable,
        lambda: store.write("run-a", rows("run-a", "x")),
        lambda: database.connect(store),
    ]
    for act in actions:
        with pytest.raises(Unsupported, match=message):
            act()


def test_dangling_symlink_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="a is a symbolic link that leads nowhere"):
        Store(str(_nowhere(tmp_path))).check_writable()


def test_symlink_to_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    Store(str(tmp_path / "link")).write("run-a", rows("run-a", "x"))
    assert shown_runs(Store(str(tmp_path / "real"))) == {"run-a": ("x", None)}
    assert os.listdir(tmp_path / "real")  # noqa: PTH208 - names only
