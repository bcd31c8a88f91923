"""The scripts of the pages: htmx, its socket extension and our own two."""

import re

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string

STATIC = settings.BASE_DIR / "static"


def test_htmx_and_its_extension_load_before_the_document_is_parsed_and_ours_after():
    scripts = re.findall(r'<script src="/static/([^"]+)"( defer)?></script>', render_to_string("base.html"))
    assert scripts == [
        ("vendor/htmx-4.0.1/htmx.min.js", ""),
        ("vendor/htmx-4.0.1/ext/hx-ws.min.js", ""),
        ("live.js", " defer"),
        ("form.js", " defer"),
    ]
    assert all(finders.find(name) for name, _ in scripts)


def test_htmx_is_kept_with_its_license():
    assert "Zero-Clause BSD" in (STATIC / "vendor/htmx-4.0.1/LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["live.js", "form.js"])
def test_our_scripts_never_run_text_as_code(name):
    source = (STATIC / name).read_text(encoding="utf-8")
    assert not any(word in source for word in ("eval(", "new Function", "innerHTML", "document.write"))
