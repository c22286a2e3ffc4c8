"""The documents' page under its own Content-Security-Policy: a browser runs what the policy lists, nothing else."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256

from serve_apps.web.docs_page import PAGE_POLICY, docs_page

DOCUMENT = {
    "info": {"title": "<b>t</b>", "version": "1"},
    "paths": {"/ask": {"post": {"summary": "s", "responses": {"200": {"description": "d"}}}}},
}


def test_each_style_and_script_of_the_page_is_in_its_policy_and_nothing_else_is_inline() -> None:
    page = docs_page(DOCUMENT)
    for element in ("style", "script"):
        texts = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        assert len(texts) == 1
        digest = b64encode(sha256(texts[0].encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in PAGE_POLICY
    assert not re.search(r"<[^>]*\s(style|on\w+)=", page)
    assert "<b>t</b>" not in page
    assert "unsafe" not in PAGE_POLICY


def test_a_form_is_sent_by_its_own_method() -> None:
    operation = {"summary": "s", "responses": {"200": {"description": "d"}}}
    page = docs_page({**DOCUMENT, "paths": {"/one": {"get": operation, "delete": operation}}})
    assert re.findall(r'data-path="/one" data-method="(\w+)"', page) == ["GET", "DELETE"]
    assert "method: form.dataset.method" in page
