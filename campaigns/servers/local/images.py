"""The role `image-gen`: pictures drawn locally from the words of a prompt, at their exact size."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from campaigns.servers.local.arguments import text, whole
from campaigns.servers.local.pages import facts, page
from campaigns.servers.local.server import Call, Returned, Tool
from campaigns.servers.local.world import Record, Refused, write_whole

MODEL = "local-draw"
MAX_SIDE = 8000

#: "Brand: Acme" in a prompt, up to the end of the line or sentence, in any order.
_LABELS = {
    "brand": r"brand",
    "product": r"product",
    "tagline": r"tagline|headline|the idea",
    "action": r"call to action|cta",
}
#: The end of a name or line: before the next label, because it may contain full stops, or at a full stop.
_ENDS = (r"\.?\s+[A-Z][^.:\n]{2,24}:", r"[.,;]\s|[\n:;]|[.,]?\s*$")
_SUBJECT = r"\bfor (?!(?:an?|the) [a-z])(.{2,120}?)"
_QUOTED = re.compile(r"[\"“«]([^\"“”«»]{2,80})[\"”»]")


@dataclass(frozen=True)
class Words:
    """The words on a picture."""

    brand: str
    product: str = ""
    tagline: str = ""
    action: str = ""


@dataclass(frozen=True)
class Size:
    """A picture's size in pixels; `format` is `static` or `video`."""

    width: int
    height: int
    format: str = "static"


def words_of(prompt: str) -> Words:
    """Return the words to draw: labels such as `Brand: X`, or the subject, a quotation, the first words."""
    named = {part: _labeled(prompt, label) for part, label in _LABELS.items()}
    quoted = iter(_QUOTED.findall(prompt))
    brand = named["brand"] or _upto_end(_SUBJECT, prompt) or next(quoted, "") or " ".join(prompt.split()[:4])
    tagline = named["tagline"] or next(quoted, "")
    return Words(brand.strip(), named["product"], tagline if tagline != brand else "", named["action"])


def _labeled(prompt: str, label: str) -> str:
    return _upto_end(rf"(?:^|[\s.;])(?i:{label})\s*:\s*(.{{1,200}}?)", prompt)


def _upto_end(beginning: str, prompt: str) -> str:
    for end in _ENDS:
        if found := re.search(f"{beginning}(?={end})", prompt):
            return found[1].strip(" \"“”'")
    return ""


def draw(args: Mapping[str, Any]) -> Any:
    """Return the picture for a call, in the format of its `save_path`."""
    from campaigns.pictures.imaging import draw_creative

    if not args["prompt"].strip():
        raise Refused("prompt must not be blank")
    words = words_of(args["prompt"])
    opening = re.search(r"\b(video|opening frame)\b", args["prompt"], re.IGNORECASE)
    size = Size(int(args["width"]), int(args["height"]), "video" if opening else "static")
    mime = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
    wanted = mime.get(Path(args.get("save_path") or "").suffix.lower(), "")
    return draw_creative(words, size, call_to_action=words.action or "Learn more", mime=wanted)


def generate_image(call: Call) -> Returned:
    """Store the picture, also at `save_path` if given, and return its path."""
    picture = call.ready
    ident = f"image-{call.ident}"
    file = f"image.{picture.extension}"
    path = call.world.write(ident, file, picture.data).resolve()
    if call.get("save_path"):
        path = _save(call["save_path"], picture.data)
    said = {
        "path": str(path),
        "width": picture.width,
        "height": picture.height,
        "mime_type": picture.mime,
        "model": MODEL,
        "cost_usd": 0,
    }
    name = words_of(call["prompt"]).brand
    call.world.add(Record(ident, "image", name, reference=call.get("reference"), body=said))
    image = f'<img src="{file}" width="{picture.width}" height="{picture.height}" alt="{escape(name)}">'
    rows = [
        ("Size", f"{picture.width} × {picture.height} px"),
        ("Weight", f"{len(picture.data) / 1000:.1f} kB"),
    ]
    details = facts([*rows, ("Model", MODEL), ("Prompt", call["prompt"])])
    call.world.write(
        ident,
        "index.html",
        page(
            name,
            "Picture, drawn locally without a model",
            f"<figure>{image}</figure><h2>Details</h2>{details}",
        ),
    )
    return said


def _save(where: str, data: bytes) -> Path:
    path = Path(where).expanduser().resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise Refused(f"save_path cannot be written: {error.strerror}") from None
    return path


def find_images(call: Call) -> Returned:
    """Return pictures by reference, with the full replies of their creation."""
    found = call.world.referred(call["reference"], "image")
    return {"items": [{"id": r.id, "name": r.name, **r.body} for r in found]}


def tools(role: str) -> list[Tool]:
    """Return the tools of the role."""
    side = whole(1, MAX_SIDE)
    wanted = {
        "prompt": text(),
        "width": side,
        "height": side,
        "save_path": text("Where to write the picture"),
    }
    reference = text("The caller's own name for it; the same one never makes a second")
    return [
        Tool(
            "generate_image",
            "Makes a picture of an exact size.",
            wanted | {"model": text(), "reference": reference},
            generate_image,
            ("prompt", "width", "height"),
            reference="reference",
            prepare=draw,
        ),
        Tool(
            "find_images",
            "Finds pictures.",
            {"reference": reference},
            find_images,
            ("reference",),
            reads=True,
        ),
    ]
