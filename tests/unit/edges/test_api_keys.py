"""API keys: what is stored, what is found, what is refused."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from serve_apps.edges import new_key as new_key_command
from serve_apps.edges.api_keys import RELOAD_S, ApiKeys, new_key, parse_keys

DIGEST = sha256(b"desk.secret").hexdigest()


def test_a_new_key_is_found_by_its_line_and_the_line_does_not_hold_it() -> None:
    key, line = new_key("desk-1", ["read", "trade"])
    client = ApiKeys(line).find(key)
    assert client is not None
    assert (client.name, client.scopes) == ("key:desk-1", {"read", "trade"})
    assert key.partition(".")[2] not in line
    assert new_key("desk-1", ["read"])[0] != key


def test_the_digest_of_the_whole_key_as_openssl_makes_it_is_what_counts() -> None:
    keys = ApiKeys(f"desk read {DIGEST}")
    assert keys.find("desk.secret") is not None
    for wrong in ("desk.Secret", "desk.", "desk", "", "other.secret", "desk.secret ", "desk.s\u00e9cret", "\udc80"):
        assert keys.find(wrong) is None, wrong


def test_the_digest_of_no_key_opens_nothing() -> None:
    # What an unknown name is compared with must not be anybody's digest.
    assert ApiKeys("").find("") is None


def test_lines_comments_and_semicolons() -> None:
    text = f"# keys\n\n a read {DIGEST}  # Ann\nb trade,admin {DIGEST};c read {DIGEST}"
    assert {name: sorted(key.client.scopes) for name, key in parse_keys(text, "x").items()} == {
        "a": ["read"],
        "b": ["admin", "trade"],
        "c": ["read"],
    }


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("desk read desk.secret", "line 2"),
        (f"desk read {DIGEST.upper()}", "lower-case hex"),
        (f"desk write {DIGEST}", "scopes are read, trade, admin, was 'write'"),
        (f"desk.1 read {DIGEST}", "line 2"),
        (f"first read {DIGEST}", "'first' is there twice"),
    ],
)
def test_a_wrong_line_is_named_and_not_shown(line: str, told: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_keys(f"first read {DIGEST}\n{line}", "keys.txt")
    assert told in str(error.value)
    assert "secret" not in str(error.value)


def test_a_withdrawn_key_is_refused_without_a_restart_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    now = 0.0
    file = tmp_path / "keys"
    key, line = new_key("desk", ["read"])
    rival, other = new_key("rival", ["read"])
    file.write_text(line)
    keys = ApiKeys("", file, clock=lambda: now)
    file.write_text(other)
    assert keys.find(key) is not None
    now += RELOAD_S
    assert keys.find(key) is None
    assert keys.find(rival) is not None
    for broken in ("half a li", None):
        if broken is None:
            file.unlink()
        else:
            file.write_text(broken)
        now += RELOAD_S
        assert keys.find(rival) is not None
    file.write_text(line)
    os.utime(file, ns=(1, 1))
    now += RELOAD_S
    assert keys.find(key) is not None


def test_the_command_shows_a_key_and_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    new_key_command.main(["desk", "--scopes", "read,admin"])
    printed = capsys.readouterr().out.splitlines()
    assert ApiKeys(printed[-1]).find(printed[1]) is not None
    with pytest.raises(SystemExit):
        new_key_command.main(["desk", "--scopes", "everything"])
