"""The one script that the pages load: htmx, its socket extension and our glue, joined in this order.

`python -m jobs.live.bundle` writes it anew. One file: an extension that is loaded apart can miss the start.
"""

import re
import sys
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent.parent / "static"
PARTS = ("vendor/htmx-4.0.1/htmx.min.js", "vendor/htmx-4.0.1/ext/hx-ws.min.js", "live.js", "form.js")
TARGET = "app.js"


def bundle() -> str:
    """Give the joined text of all parts, each under its name; the maps of the parts are not served."""
    texts = ((part, (STATIC / part).read_text(encoding="utf-8")) for part in PARTS)
    return "".join(f"/* {part} */\n{_without_map(text).strip()}\n;\n" for part, text in texts)


def _without_map(text: str) -> str:
    return re.sub(r"^//# sourceMappingURL=.*$", "", text, flags=re.MULTILINE)


if __name__ == "__main__":
    (STATIC / TARGET).write_text(bundle(), encoding="utf-8")
    sys.stdout.write(f"{STATIC.name}/{TARGET} is written\n")
