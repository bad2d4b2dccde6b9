"""A thousand images damaged at random: each is read or refused, within its time and memory."""

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(sys.platform == "win32", reason="needs limits of a process's memory"),
]

COUNT = 1000
FORMATS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM", "TGA", "PCX", "SGI", "ICO", "DDS", "PNG16"]
FORMATS += [form for form, codec in (("WEBP", "webp"), ("JPEG2000", "jpg_2000"), ("AVIF", "avif"))
            if features.check(codec)]  # fmt: skip
READ = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
from lmkit.data.image_files import load_image
from lmkit.data.sets.listing import list_images

resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
said = {}
list_images(Path(sys.argv[1]))
for file in sorted(Path(sys.argv[1]).iterdir()):
    print(file.name, file=sys.stderr, flush=True)
    began = time.monotonic()
    try:
        image = load_image(file)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        said[file.name] = ["read", time.monotonic() - began]
    except OSError as error:
        assert str(error)
        said[file.name] = [str(error), time.monotonic() - began]
print(json.dumps(said))
"""


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Return a file with some bytes changed, cut out, doubled, or its end missing."""
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 5))):
        at = int(random.integers(len(changed)))
        match int(random.integers(5)):
            case 0:
                changed[at] ^= 1 << int(random.integers(8))
            case 1:
                changed[at : at + 4] = bytes(random.choice([0, 255, 127, 128], 4).astype(np.uint8))
            case 2:
                del changed[at : at + int(random.integers(1, 40))]
            case 3:
                changed[at:at] = changed[at : at + int(random.integers(1, 40))]
            case _:
                # The header decides most, and is short.
                changed[int(random.integers(min(60, len(changed))))] = int(random.integers(256))
        changed = changed or bytearray(1)
    return bytes(changed)


def test_a_thousand_damaged_images_end_in_no_crash(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    noise = Image.fromarray(random.integers(0, 256, (40, 56, 3), np.uint8))
    sound = {}
    for form in FORMATS:
        file = BytesIO()
        if form == "PNG16":
            grey = Image.fromarray(random.integers(0, 65536, (40, 56)).astype(np.uint16))
            grey.save(file, "PNG")
        else:
            noise.save(file, form)
        sound[form] = file.getvalue()
    for number in range(COUNT):
        form = FORMATS[number % len(FORMATS)]
        name = f"{number:04}.{form.lower()}"
        (tmp_path / name).write_bytes(damaged(sound[form], random))
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    assert len(said) == COUNT
    assert max(seconds for _, seconds in said.values()) < 10
    # Some are read all the same, and some are not.
    assert 50 < sum(how == "read" for how, _ in said.values()) < COUNT - 50
