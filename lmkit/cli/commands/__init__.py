"""The commands of lmkit, one a file, and which of them several processes run together."""

COMMANDS = {
    "train": "Train a detector on images without annotation.",
    "pretrain": "Train a detector on annotated points, to start from.",
    "evaluate": "Measure a trained detector against annotated points.",
    "sweep": "Train combinations under equal settings and compare them.",
    "compare": "Compare runs: settings, errors, cost, the same faces.",
    "predict": "Find landmarks in images and draw them.",
    "suggest": "Name the images that are most worth labelling.",
    "fit": "Learn named points from a few labelled images.",
    "export": "Write a detector as one ONNX or torch.export file.",
    "check-run": "Check whether a run folder is whole, and what can be used.",
    "bench": "Measure the speed and cost of a training step or a detection.",
    "data": "Look a data set over before training on it.",
    "cache": "List, verify or remove the caches of images that were read once.",
    "list": "List components and recipes.",
    "show": "Show a component's options, a pairing's routes, or a recipe.",
    "plugins": "List plugins, and what is wrong with any.",
    "new-plugin": "Write a plugin's package to start from.",
    "check-plugin": "Check whether a plugin keeps what it promises.",
    "doctor": "Check this installation and this machine.",
}
"""The commands and their one-line descriptions; each is ``NAME_command`` in the module ``NAME``."""


FOR_SEVERAL_PROCESSES = ("train", "pretrain")
"""The commands that several processes carry out together, started by torchrun."""

WITHOUT_COMPONENTS = ("cache", "new-plugin")
"""The commands that use no component, and take no ``--plugin``."""
