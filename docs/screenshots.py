"""Take docs/pictures from a running demo: the live page halfway, and the summary. Needs Chromium."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 1000
HALFWAY_SECONDS = 9.5
LONGEST_SECONDS = 180.0
LARGEST_BYTES = 300_000
PORT = "8377"


@contextmanager
def demo() -> Iterator[str]:
    """Run the demo on its own data, at a pace that can be watched, and yield its sign-in link."""
    with tempfile.TemporaryDirectory() as data:
        env = os.environ | {"DATA_DIR": data, "LOCAL_LATENCY": "realistic", "ADMIN_PASSWORD": "screenshots"}
        command = [sys.executable, "manage.py", "demo", "--port", PORT]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None  # noqa: S101 - for the type checker
        try:
            yield next(found[1] for line in process.stdout if (found := re.search(r"Sign in +(\S+)", line)))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def keep(page: Page, name: str) -> None:
    """Store a picture of the page as a PNG. Raises ValueError when it exceeds LARGEST_BYTES."""
    file = PICTURES / f"{name}.png"
    page.screenshot(path=file)
    Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    size = file.stat().st_size
    if size > LARGEST_BYTES:
        raise ValueError(f"{file.name} has {size} bytes, of at most {LARGEST_BYTES}")
    sys.stdout.write(f"docs/pictures/{file.name}: {size // 1000} kB\n")


def main() -> None:
    """Take both pictures."""
    PICTURES.mkdir(exist_ok=True)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is missing; install it, or name it in CHROMIUM")
    with demo() as link, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(link)
        page.wait_for_url("**/jobs/**")
        page.wait_for_timeout(HALFWAY_SECONDS * 1000)
        keep(page, "live")
        page.wait_for_selector("#link[data-state=ended]", timeout=LONGEST_SECONDS * 1000)
        page.evaluate("document.querySelector('#job-summary').scrollIntoView()")
        page.wait_for_load_state("networkidle")
        keep(page, "summary")
        browser.close()


if __name__ == "__main__":
    main()
