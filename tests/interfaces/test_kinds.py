import lmkit.api
from lmkit.interfaces.kinds import INTERFACES
from lmkit.registry.component import KINDS


def test_every_kind_has_its_interface_and_plugins_can_import_it():
    assert tuple(INTERFACES) == KINDS
    for kind, interface in INTERFACES.items():
        assert interface.__name__.lower() == kind
        assert getattr(lmkit.api, interface.__name__) is interface
