from __future__ import annotations

import stat
from urllib.parse import quote

from cluster.local.password import PASSWORD_FILE, password


def test_password_is_made_once_for_its_owner_only(tmp_path):
    made = password(tmp_path)
    assert password(tmp_path) == made
    assert stat.S_IMODE((tmp_path / PASSWORD_FILE).stat().st_mode) == 0o600


def test_password_needs_no_quoting_in_a_url(tmp_path):
    made = password(tmp_path)
    assert quote(made, safe="") == made
    assert len(made) >= 32


def test_password_interrupted_while_written_is_made_again(tmp_path):
    (tmp_path / f"{PASSWORD_FILE}.draft").write_text("half")
    assert password(tmp_path) != "half"
