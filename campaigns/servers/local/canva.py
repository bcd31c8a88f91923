"""The role `canva`: assets, and designs that show them at their exact size."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from campaigns.servers.local.arguments import text, whole
from campaigns.servers.local.pages import facts, link, page
from campaigns.servers.local.server import Call, Returned, Tool
from campaigns.servers.local.world import Record, Refused

MAX_NAME = 50
MIN_SIDE, MAX_SIDE, MAX_PIXELS = 40, 8000, 25_000_000
MAX_FILE = 30_000_000


def read_asset(args: Mapping[str, Any]) -> Any:
    """Return the file of an asset. Raises Refused if it is not an image."""
    from campaigns.pictures.imaging import read_picture

    name, path = args["name"], Path(args["path"]).expanduser()
    if not name.strip() or len(name) > MAX_NAME:
        raise Refused(f"name must have 1 to {MAX_NAME} characters")
    try:
        if path.stat().st_size > MAX_FILE:
            raise Refused(f"The file is larger than {MAX_FILE // 1_000_000} MB")
        data = path.read_bytes()
    except OSError as error:
        raise Refused(f"The file cannot be read: {error.strerror}") from None
    return read_picture(data)


def upload_asset(call: Call) -> Returned:
    """Store an image as an asset."""
    picture = call.ready
    file = f"asset.{picture.extension}"
    body = {"file": file, "width": picture.width, "height": picture.height, "mime_type": picture.mime}
    made = call.world.add(
        Record(f"asset-{call.ident}", "asset", call["name"], reference=call.get("reference"), body=body)
    )
    call.world.write(made.id, file, picture.data)
    shown = _figure(file, made.name, picture.width, picture.height)
    call.world.write(made.id, "index.html", page(made.name, "Asset", shown))
    return {"id": made.id}


def check_size(args: Mapping[str, Any]) -> None:
    """Raise Refused for arguments that the service would not accept for a design."""
    sides = (int(args["width"]), int(args["height"]))
    if not args["title"].strip():
        raise Refused("title must not be blank")
    if min(sides) < MIN_SIDE or max(sides) > MAX_SIDE or sides[0] * sides[1] > MAX_PIXELS:
        raise Refused(f"A side has {MIN_SIDE} to {MAX_SIDE} px, a design at most {MAX_PIXELS} px²")


def create_design(call: Call) -> Returned:
    """Create a design of an exact size from an asset or its title, with pages to view and edit it."""
    from campaigns.pictures.imaging import draw_creative, fit_image

    width, height = int(call["width"]), int(call["height"])
    if asset := call.get("asset_id"):
        source = call.world.get(asset, "asset")
        if source is None:
            raise Refused(f"Asset not found: {asset[:80]}")
        picture = fit_image(call.world.path(asset, source.body["file"]).read_bytes(), width, height)
    else:
        words = SimpleNamespace(brand=call["title"], product="", tagline="")
        picture = draw_creative(words, SimpleNamespace(width=width, height=height), call_to_action="")
    file = f"design.{picture.extension}"
    body = {"width": width, "height": height, "asset_id": asset, "file": file}
    made = call.world.add(
        Record(f"design-{call.ident}", "design", call["title"], asset, call.get("reference"), body=body)
    )
    call.world.write(made.id, file, picture.data)
    _show(call, made, file, len(picture.data))
    return {
        "id": made.id,
        "edit_url": call.world.link(made.id, "edit.html"),
        "view_url": call.world.link(made.id),
    }


def find(kind: str) -> Any:
    """Return the tool that looks up one kind by reference."""

    def run(call: Call) -> Returned:
        found = call.world.referred(call["reference"], kind)
        return {"items": [_listed(call, record) for record in found]}

    return run


def _listed(call: Call, record: Record) -> dict[str, str]:
    said = {"id": record.id, "name": record.name}
    if record.kind == "design":
        edit = call.world.link(record.id, "edit.html")
        said |= {"edit_url": edit, "view_url": call.world.link(record.id)}
    return said


def _figure(file: str, name: str, width: int, height: int) -> str:
    caption = f"<figcaption>{width} × {height} px, at its exact size</figcaption>"
    image = f'<img src="{escape(file)}" width="{width}" height="{height}" alt="{escape(name)}">'
    return f"<figure>{image}{caption}</figure>"


def _show(call: Call, made: Record, file: str, size: int) -> None:
    width, height = made.body["width"], made.body["height"]
    figure = _figure(file, made.name, width, height)
    to_edit, to_view = link("edit.html", "Open for editing"), link("index.html", "View")
    call.world.write(made.id, "index.html", page(made.name, "Design", f"{figure}<p>{to_edit}</p>"))
    layers = [("Title", made.name), ("Size", f"{width} × {height} px"), ("Asset", made.parent or "none")]
    layers += [("File", file), ("Weight", f"{size / 1000:.1f} kB"), ("Created", made.made_at)]
    download = link(file, "Download the picture")
    body = f"{figure}<h2>Layers</h2>{facts(layers)}<p>{download} · {to_view}</p>"
    call.world.write(made.id, "edit.html", page(made.name, "Design, open for editing", body))


def tools(role: str) -> list[Tool]:
    """Return the tools of the role."""
    design = {"title": text(), "width": whole(1, MAX_SIDE), "height": whole(1, MAX_SIDE), "asset_id": text()}
    reference = {"reference": text("The caller's own name for it; the same one never makes a second")}
    asset = {"name": text(f"At most {MAX_NAME} characters"), "path": text("Path of the image file")}
    return [
        Tool(
            "upload_asset",
            "Uploads an image.",
            asset | reference,
            upload_asset,
            ("name", "path"),
            reference="reference",
            prepare=read_asset,
        ),
        Tool(
            "create_design",
            "Creates a design.",
            design | reference,
            create_design,
            ("title", "width", "height"),
            reference="reference",
            prepare=check_size,
        ),
        Tool("find_assets", "Finds assets.", reference, find("asset"), ("reference",), reads=True),
        Tool("find_designs", "Finds designs.", reference, find("design"), ("reference",), reads=True),
    ]
