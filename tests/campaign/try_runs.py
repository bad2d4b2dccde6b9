"""Uses runs as a user would, each in turn, and prints how that ended: a line of JSON a run.

Called by test_run_records.py with the paths of run folders. A run that ends this process is the one
after the last that a line was printed for.
"""

import hashlib
import json
import sys
import traceback
from pathlib import Path

import numpy as np
import torch

from lmkit.errors import LmkitError
from lmkit.registry.lookup import installed
from lmkit.run.check import check_run
from lmkit.run.run import open_run
from lmkit.settings.layers import read_assignments
from lmkit.training.session import resume

IMAGE = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)


def predict(run):
    return hashlib.sha256(open_run(run, device="cpu").predict(IMAGE).tobytes()).hexdigest()


def go_on(run):
    resume(run, [read_assignments(["run.steps=5"])])
    digest = hashlib.sha256()
    for file in sorted((run / "checkpoints" / "step-5").glob("*.safetensors")):
        # How long steps took is measured too.
        if file.stem != "metrics":
            digest.update(file.read_bytes())
    return digest.hexdigest()


def check(run):
    return "sound" if check_run(run, installed()).sound else "damaged"


def attempt(use, run):
    """Return what came of a use: a digest, the message of a refusal, or a traceback."""
    try:
        return ["done", use(run)]
    except LmkitError as error:
        return ["refused", str(error)]
    except BaseException:
        return ["traceback", traceback.format_exc()]


def most_memory():
    """Return the most memory that this process has had, in MiB; 0 where that is not told."""
    if sys.platform != "linux":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(paths):
    torch.set_num_threads(1)
    for path in map(Path, paths):
        # Going on writes to the run, so that it comes last.
        told = {use.__name__: attempt(use, path) for use in (check, predict, go_on)}
        told["megabytes"] = most_memory()
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
