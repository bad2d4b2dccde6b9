"""A run remembers where its components come from, and is opened with the same ones."""

import json
import shutil

import pytest

from lmkit.cli.main import main
from lmkit.errors import ExitCode, LmkitError
from lmkit.registry.component import Component
from lmkit.registry.discovery import Plugin
from lmkit.registry.lookup import Registry, installed
from lmkit.run.provenance import as_before, check_present, differences, origins
from lmkit.run.run import open_run
from lmkit.settings.layers import read_assignments
from lmkit.training.session import resume


def plugin(name, package, version="1.0", *, built_in=False, names=("net",)):
    components = tuple(Component("detector", each, "a.b:C", "s") for each in names)
    return Plugin(name, package, version, built_in, components=components)


def origin(name="net", package="lmkit-blue", version="1.0", **changes):
    return {
        "section": "detector", "kind": "detector", "name": name, "package": package,
        "version": version, **changes,
    }  # fmt: skip


BLUE, RED = plugin("blue", "lmkit-blue"), plugin("red", "lmkit-red", "2.0")
OWN = plugin("own", "lmkit", "0.1", built_in=True)


def test_every_component_is_written_down_with_its_plugin(tiny, registry, trained):
    found = origins(tiny(), registry)
    assert found == json.loads((trained / "run.json").read_text())["components"]
    sections = {each["section"]: each for each in found}
    assert {"data", "detector", "generator", "deformation", "pairing", "loss.mse"} <= set(sections)
    assert sections["detector"] == {
        "section": "detector",
        "kind": "detector",
        "name": "hourglass",
        "target": "lmkit_interintra.hourglass:Hourglass",
        "plugin": "lmkit_interintra",
        "package": "lmkit",
        "version": registry.find("detector", "hourglass").plugin.version,
        "api": registry.find("detector", "hourglass").plugin.api,
    }
    assert "generator" not in {
        each["section"] for each in origins(tiny("generator.name=none"), registry)
    }


def test_a_missing_plugin_is_named_with_what_to_install(tmp_path):
    check_present([origin()], Registry([BLUE]), tmp_path)
    with pytest.raises(LmkitError) as caught:
        check_present(
            [origin()], Registry([plugin("blue", "lmkit-blue", names=("sky",))]), tmp_path
        )
    assert caught.value.problem == f"{tmp_path} needs the detector 'net', which is not here."
    assert caught.value.remedy == "Install lmkit-blue 1.0, which brings it."
    assert caught.value.code is ExitCode.PLUGIN


@pytest.mark.parametrize(
    ("plugins", "package", "name"),
    [
        ([BLUE], "lmkit-blue", "net"),
        ([BLUE, RED], "lmkit-blue", "blue/net"),
        ([BLUE, RED], "lmkit-red", "red/net"),
        ([BLUE, OWN], "lmkit-blue", "blue/net"),
        ([BLUE, OWN], "lmkit", "net"),
        ([RED, OWN], "lmkit-blue", "net"),
    ],
)
def test_a_name_that_was_taken_since_still_means_the_runs_own(plugins, package, name):
    stored = {"detector": {"name": "net", "depth": 2}, "loss": {}}
    assert as_before(stored, [origin(package=package)], Registry(plugins)) == {
        "detector": {"name": name, "depth": 2},
        "loss": {},
    }
    assert stored["detector"]["name"] == "net"


def test_another_version_or_package_is_told_once():
    both = [origin(), origin(section="x"), origin(name="gone")]
    assert list(differences(both, Registry([BLUE]))) == []
    newer = plugin("blue", "lmkit-blue", "1.1")
    for plugins, now in (([newer, RED], "lmkit-blue 1.1"), ([RED], "lmkit-red 2.0")):
        assert list(differences(both, Registry(plugins))) == [
            f"The run was trained with lmkit-blue 1.0, and here is {now}: results may differ."
        ]


def test_commands_tell_of_another_version_and_a_resumed_run_keeps_its_own(
    trained, tmp_path, capsys
):
    copied = shutil.copytree(trained, tmp_path / "copy")
    record = json.loads((copied / "run.json").read_text())
    for each in record["components"]:
        each["version"] = "0.0.1"
    del record["checksum"]
    (copied / "run.json").write_text(json.dumps(record))
    here = installed().find("detector", "hourglass").plugin.version
    note = f"The run was trained with lmkit 0.0.1, and here is lmkit {here}: results may differ."
    assert open_run(copied, device="cpu").notes() == [note]
    for arguments in (
        ["evaluate", str(copied), "--device=cpu"],
        ["train", "--resume", str(copied), "--steps=5"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert capsys.readouterr().err.count(note) == 1
    record = json.loads((copied / "run.json").read_text())
    assert {each["version"] for each in record["components"]} == {"0.0.1"}
    resume(copied, [read_assignments(["run.steps=6"])])
