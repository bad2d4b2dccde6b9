"""Installed plugins that are wrong in every way: each is named, with a remedy, in one line.

Everything else works beside them: listing, help, and training with what is not theirs.
"""

import pytest

HOOK = """
from lmkit.api import Component, hookimpl

@hookimpl
def lmkit_components():
    return [Component("{kind}", "{name}", "{target}", "is not as it should be")]
"""
GOOD = HOOK.format(kind="detector", name="probe", target="bad_plugin_parts:Detector")
TRAIN = (
    *("train", "--recipe=reconstruction-quick", "--device=cpu", "--steps=1", "--batch-size=4"),
    *("--landmarks=3", "--image-size=32", "--set=detector.features=8", "--set=detector.depth=1"),
    *("--set=generator.width=4", "--set=generator.blocks=1", "--set=data.count=24"),
)
NOT_USED = "Note: plugin 'bad_plugin' of package bad-plugin is not used. "
SILENCED = "LMKIT_DISABLE_PLUGINS=bad_plugin"

BAD = {
    "raises on import": (
        "raise RuntimeError('no luck')",
        f"{NOT_USED}RuntimeError: no luck (FILE, line 1). Update or uninstall bad-plugin, or "
        f"set {SILENCED} to go on without it quietly.",
    ),
    "misspells a hook": (
        GOOD.replace("lmkit_components", "lmkit_component"),
        f"{NOT_USED}It implements the hook 'lmkit_component', which does not exist (FILE, line 4). "
        "Did you mean "
        "'lmkit_components'?",
    ),
    "takes a name of lmkit's": (
        GOOD.replace("probe", "hourglass"),
        "Note: the detector 'hourglass' of plugin bad_plugin (package bad-plugin) has the name of "
        "one of lmkit's own, which is taken for it. Write bad_plugin/hourglass for the plugin's, "
        f"or set {SILENCED}.",
    ),
    "needs a newer API": (
        f"LMKIT_API = '99.0'\n{GOOD}",
        f"{NOT_USED}It needs lmkit's plugin API 99.0, and lmkit VERSION has API. Upgrade lmkit: "
        "pip install --upgrade lmkit.",
    ),
    "is of an older API": (
        f"LMKIT_API = '0.9'\n{GOOD}",
        f"{NOT_USED}It was written for lmkit's plugin API 0.9, and lmkit VERSION has API, which "
        "is different. Update the plugin, or ask its author to.",
    ),
    "says no version": (
        f"LMKIT_API = 1.0\n{GOOD}",
        f"{NOT_USED}Its LMKIT_API is 1.0, which is not a version of the form 'API' (FILE, line 1). "
        "Its author has to correct that; here it is LMKIT_API = 'API'.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_it_is_named_in_one_line_and_everything_else_works(install, lmkit, tmp_path, case):
    from lmkit import __version__
    from lmkit.api import API_VERSION

    source, note = BAD[case]
    note = note.replace("VERSION", __version__).replace("API.", f"{API_VERSION}.")
    note = note.replace("API,", f"{API_VERSION},").replace("'API'", f"'{API_VERSION}'")
    file = install("bad-plugin", source).parent / "bad_plugin.py"
    note = note.replace("FILE", str(file))
    code, stdout, stderr = lmkit("list")
    assert (code, stderr) == (0, f"{note}\n")
    assert "hourglass" in stdout
    code, stdout, stderr = lmkit("--help")
    assert (code, stderr) == (0, "")
    assert "".join(note.split()) in "".join(stdout.split())
    assert "bad_plugin" in lmkit("plugins")[1]
    code, _, stderr = lmkit(*TRAIN, "--out", tmp_path / "run")
    assert code == 0
    assert stderr.splitlines()[0] == note
    assert "Traceback" not in stderr


def test_it_can_be_silenced(install, lmkit, monkeypatch):
    install("bad-plugin", "raise RuntimeError('no luck')")
    monkeypatch.setenv("LMKIT_DISABLE_PLUGINS", "bad_plugin")
    assert lmkit("list")[2] == ""


PARTS = """
import torch
from lmkit.api import Detector, Landmarks, Loss

class Detector(Detector):
    def __init__(self, *, landmarks: int) -> None:
        super().__init__(landmarks=landmarks)
        self.layer = torch.nn.Conv2d(3, 1, 1)
        {init}

    def forward(self, images):
        {forward}
"""
BREAKS = {
    "returns the wrong shape": (
        "return Landmarks(self.layer(images).mean((1, 2, 3))[:, None, None].expand(-1, 7, 2))",
        "The detector 'probe' of package bad-plugin failed: ValueError: returned points of shape "
        "(8, 7, 2) and type torch.float32 instead of (8, 3, 2) and torch.float32",
        "Report it to its author",
    ),
    "returns no landmarks": (
        "return self.layer(images)",
        "The detector 'probe' of package bad-plugin failed: TypeError: returned a Tensor "
        "of shape (8, 1, 32, 32) instead of lmkit.api.Landmarks",
        "Report it to its author",
    ),
    "raises": (
        "raise KeyError('eyes')",
        "The detector 'probe' of package bad-plugin failed: KeyError: 'eyes'",
        "Report it to its author",
    ),
    "cannot be built": (
        "",
        "The detector 'probe' of package bad-plugin could not be built: ValueError: no eyes (",
        "Check its options (lmkit show detector probe)",
    ),
    "cannot be imported": (
        None,
        "The detector 'probe' of package bad-plugin cannot be loaded from "
        "bad_plugin_parts:Detector: SyntaxError",
        "Update or reinstall bad-plugin, or take another detector",
    ),
}


@pytest.mark.parametrize("case", BREAKS)
def test_a_component_that_breaks_its_contract_is_named(install, lmkit, tmp_path, monkeypatch, case):
    import sys

    body, says, remedy = BREAKS[case]
    init = "pass" if body else "raise ValueError('no eyes')"
    source = "def (" if body is None else PARTS.format(init=init, forward=body or "pass")
    monkeypatch.delitem(sys.modules, "bad_plugin_parts", raising=False)
    (tmp_path / "site" / "bad_plugin_parts.py").write_text(source)
    install("bad-plugin", GOOD)
    plain = [word for word in TRAIN if "detector." not in word]
    code, stdout, stderr = lmkit(*plain, "--detector=probe", "--out", tmp_path / "bad")
    assert (code, stdout) == (4, "")
    error = stderr[stderr.index("Error: ") :]
    assert error.startswith(f"Error: {says}")
    assert remedy in error
    assert len(error.splitlines()) == 2
    for arguments in (("list",), ("--help",), (*TRAIN, "--out", tmp_path / "good")):
        code, _, stderr = lmkit(*arguments)
        assert code == 0, stderr
        assert "bad" not in stderr.replace(str(tmp_path), "")
