"""Feeds what reads files with inputs that grow towards code not reached yet, by atheris.

    pip install atheris
    python benchmarks/fuzz_readers.py images CORPUS -max_total_time=600
    python benchmarks/fuzz_readers.py csv|coco|settings CORPUS ...

CORPUS is a folder of inputs to start from, which may be empty; what follows it goes to libFuzzer.
It ends at the first input that a reader answers otherwise than by reading it or by its documented
error, and keeps that input. Where atheris is not installed, which needs Linux or macOS, it says so.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

READERS = ("images", "csv", "coco", "settings")


def main() -> int:
    """Fuzz the reader that is asked for."""
    if len(sys.argv) < 2 or sys.argv[1] not in READERS:
        print(f"Name one of: {', '.join(READERS)}.", file=sys.stderr)
        return 2
    name = sys.argv.pop(1)
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: pip install atheris", file=sys.stderr)
        return 3
    with atheris.instrument_imports(include=["lmkit"]):
        read = reader(name)
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()
    return 0


def reader(name: str) -> Callable[[bytes], None]:
    """Return a function that gives one input to a reader, and raises what it should not have."""
    from lmkit.errors import LmkitError

    read = {"images": _images, "csv": _csv, "coco": _coco, "settings": _settings}[name]()
    folder = Path(tempfile.mkdtemp(prefix="lmkit-fuzz-"))
    (folder / "images").mkdir()
    file = folder / "input"

    def once(content: bytes) -> None:
        file.write_bytes(content)
        try:
            read(file)
        except (LmkitError, OSError) as error:
            if not str(error):
                raise

    return once


def _images() -> Callable[[Path], object]:
    from lmkit.data.image_files import load_image, quick_problem

    def read(file: Path) -> None:
        quick_problem(file)
        load_image(file)

    return read


def _csv() -> Callable[[Path], object]:
    from lmkit.data.sets.table import CsvTable

    return lambda file: CsvTable(path=file)


def _coco() -> Callable[[Path], object]:
    from lmkit.data.sets.coco import Coco

    return lambda file: Coco(path=file)


def _settings() -> Callable[[Path], object]:
    from lmkit.registry.lookup import installed
    from lmkit.settings.layers import read_config_file
    from lmkit.settings.settings import settle

    registry = installed()
    return lambda file: settle(read_config_file(file, registry), registry)


if __name__ == "__main__":
    sys.exit(main())
