"""Prints hashes of the weights after a few steps, to compare two checkouts bit by bit.

By default the first four steps of the recipe reconstruction-quick, one thread, on the CPU. The
learning rates are those of the whole recipe, and not of a run of four steps::

    PYTHONPATH=OLD:OLD/plugins python benchmarks/four_steps.py
    PYTHONPATH=NEW:NEW/plugins python benchmarks/four_steps.py --expect HASH

A hash is the SHA-256 of the tensors of a file, each by its name, type, shape and bytes, in the
order of the names: how the file is laid out does not count. The last line is the hash over all
files, which ``--expect`` names. Two machines, or two versions of PyTorch, may round otherwise.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

from safetensors.torch import load_file

NO_WEIGHTS = ("metrics.safetensors",)
"""Files of a checkpoint that hold sums since the last line of metrics, and nothing that learns."""


def decay_of(recipe: str) -> int:
    """Return over how many steps the learning rate of a recipe falls, when it is run in full."""
    command = [sys.executable, "-m", "lmkit", "train", "--recipe", recipe, "--dry-run", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"The recipe {recipe} cannot be shown:\n{done.stderr}")
    return int(json.loads(done.stdout)["settings"]["optimizer"]["decay_every"])


def trained(recipe: str, steps: int, out: Path) -> Path:
    """Train on one thread of the CPU, in a process of its own.

    Args:
        recipe: Named settings to start from.
        steps: How many steps to train.
        out: The folder of the run.

    Returns:
        The folder of the last checkpoint.
    """
    command = [sys.executable, "-m", "lmkit", "train", "--recipe", recipe, "--steps", str(steps)]
    command += ["--set", f"optimizer.decay_every={decay_of(recipe)}"]
    command += ["--device", "cpu", "--out", str(out)]
    # A cache would be left in the home of whoever calls this.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "LMKIT_CACHE": str(out.parent / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"Training with {recipe} failed:\n{done.stderr}")
    return out / "checkpoints" / f"step-{steps}"


def content_hash(file: Path) -> str:
    """Return the SHA-256 of a file's tensors, whatever their order in the file."""
    digest = sha256()
    for name, value in sorted(load_file(file).items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def main() -> None:
    """Train, print the hashes, and exit with 1 if the last one is not the expected one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="reconstruction-quick", metavar="NAME")
    parser.add_argument("--steps", type=int, default=4, metavar="N")
    parser.add_argument("--expect", metavar="HASH", help="the hash over all files that is due")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = trained(asked.recipe, asked.steps, Path(folder) / "run")
        files = [each for each in checkpoint.glob("*.safetensors") if each.name not in NO_WEIGHTS]
        hashes = {file.name: content_hash(file) for file in files}
    over_all = sha256()
    for name, value in sorted(hashes.items()):
        print(f"{value}  {name}")
        over_all.update(f"{name} {value}\n".encode())
    print(f"{over_all.hexdigest()}  {asked.recipe}, {asked.steps} steps")
    if asked.expect and over_all.hexdigest() != asked.expect:
        sys.exit(f"It was to be {asked.expect}.")


if __name__ == "__main__":
    main()
