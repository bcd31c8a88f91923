"""The fake servers with an image service that draws a plain PNG of the requested size."""

import struct
import sys
import zlib
from pathlib import Path

if __name__ == "__main__":  # runs without site-packages
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests import fakes


class Painter(fakes.Server):
    """A fake server that writes real image files."""

    def thing(self, tool: str, args: fakes.Json) -> fakes.Json:
        made = super().thing(tool, args)
        if self.role == "image-gen":
            Path(made["path"]).write_bytes(png(args["width"], args["height"]))
        return made


def png(width: int, height: int) -> bytes:
    """Return a gray picture."""
    rows = (b"\0" + bytes([200]) * width) * height
    parts = (
        (b"IHDR", struct.pack("!IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
        for kind, data in parts
    )


if __name__ == "__main__":
    fakes.main(Painter)
