import pytest

from orchestrator.uris import scrubbed, without_password

SHOWN = {
    "nothing to hide": ("s3://bucket/prefix?region=eu", "s3://bucket/prefix?region=eu"),
    "a database in a file": ("sqlite:////a/b.db", "sqlite:////a/b.db"),
    "a folder": ("/home/me/results", "/home/me/results"),
    "a port": ("http://host:5000/#/runs@1", "http://host:5000/#/runs@1"),
    "a user": ("http://me@host", "http://me@host"),
    "a key": ("s3://KEY:secret@bucket/prefix?scheme=http", "s3://KEY:***@bucket/prefix?scheme=http"),
    "a key that is not percent-encoded": ("s3://KEY:se/cr?e#t@x@bucket/prefix", "s3://KEY:***@bucket/prefix"),
    "no user": ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
    "a parameter": ("postgresql://h/db?user=me&password=secret&x=1", "postgresql://h/db?user=me&password=***&x=1"),
    "a token": ("https://host/api?AccessToken=secret", "https://host/api?AccessToken=***"),
    "a driver": ("mysql+pymysql://me:secret@host:3306/db", "mysql+pymysql://me:***@host:3306/db"),
}


@pytest.mark.parametrize(("uri", "shown"), SHOWN.values(), ids=SHOWN)
def test_a_uri_is_shown_without_its_secrets(uri, shown):
    assert without_password(uri) == shown


def test_an_error_is_shown_without_the_secret_however_it_is_written():
    uri = "postgresql://me:se%2Fcret@host/db?sslpassword=other"
    quoted = "no login with 'se/cret' (se%2Fcret, other) at host"
    assert scrubbed(quoted, uri) == "no login with '***' (***, ***) at host"


def test_an_error_about_a_uri_without_secrets_is_shown_as_it_is():
    assert scrubbed("request to host failed", "s3://bucket/prefix") == "request to host failed"
