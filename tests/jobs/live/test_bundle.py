"""The one script of the pages is what its parts are."""

from jobs.live import bundle


def test_the_committed_script_is_its_parts_joined_anew():
    assert (bundle.STATIC / bundle.TARGET).read_text(encoding="utf-8") == bundle.bundle()


def test_htmx_and_its_licence_lie_beside_each_other():
    assert "Zero-Clause BSD" in (bundle.STATIC / "vendor/htmx-4.0.1/LICENSE").read_text(encoding="utf-8")


def test_no_part_of_ours_runs_text_as_code():
    for part in ("live.js", "form.js"):
        source = (bundle.STATIC / part).read_text(encoding="utf-8")
        assert not any(word in source for word in ("eval(", "new Function", "innerHTML", "document.write"))
