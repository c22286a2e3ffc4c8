from __future__ import annotations

from cluster.local.terms import keep_terms, on_same_terms


def test_terms_kept_are_recognised_and_others_are_not(tmp_path):
    keep_terms(tmp_path, {"url": "secret", "other": "1"})
    assert on_same_terms(tmp_path, {"other": "1", "url": "secret"})
    assert not on_same_terms(tmp_path, {"url": "changed", "other": "1"})


def test_terms_never_kept_are_not_the_same(tmp_path):
    assert not on_same_terms(tmp_path, [])


def test_terms_are_not_readable_in_the_file(tmp_path):
    keep_terms(tmp_path, {"url": "secret"})
    assert "secret" not in (tmp_path / "terms").read_text()
