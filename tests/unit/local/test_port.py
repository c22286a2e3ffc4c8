from __future__ import annotations

import socket

from cluster.local.port import LOOPBACK, claim_port, is_free, remembered_port


def test_claim_port_twice_gives_the_same_port(tmp_path):
    port = claim_port(tmp_path)
    assert claim_port(tmp_path) == port == remembered_port(tmp_path)


def test_claim_port_taken_by_another_gives_a_new_one(tmp_path):
    port = claim_port(tmp_path)
    with socket.socket() as other:
        other.bind((LOOPBACK, port))
        other.listen()
        assert not is_free(port)
        assert claim_port(tmp_path) != port


def test_remembered_port_of_a_damaged_file_is_none(tmp_path):
    (tmp_path / "port").write_text("not a port")
    assert remembered_port(tmp_path) is None
