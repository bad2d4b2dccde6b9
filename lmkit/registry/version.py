"""The version of the plugin interface, and which plugins fit it."""

import re

from lmkit import __version__
from lmkit.errors import ExitCode, LmkitError

API_VERSION = "2.0"
"""The version of ``lmkit.api``, major.minor. The minor one rises when something is added that a
plugin written before can ignore; the major one when such a plugin may have to change."""

_FORM = re.compile(r"(\d+)\.(\d+)")


def check_api(wanted: object) -> None:
    """Refuse a plugin that was written against an interface this lmkit does not have.

    Args:
        wanted: The plugin's ``LMKIT_API``; None if it does not say, which is accepted.

    Raises:
        LmkitError: If it is of another major version, of a newer minor one, or no version.
    """
    if wanted is None:
        return
    form = _FORM.fullmatch(wanted) if isinstance(wanted, str) else None
    if form is None:
        raise LmkitError(
            f"Its LMKIT_API is {wanted!r}, which is not a version of the form '{API_VERSION}'.",
            remedy=f"Its author has to correct that; here it is LMKIT_API = '{API_VERSION}'.",
            code=ExitCode.PLUGIN,
        )
    major, minor = map(int, form.groups())
    here_major, here_minor = map(int, API_VERSION.split("."))
    if (major, minor) > (here_major, here_minor):
        raise LmkitError(
            f"It needs lmkit's plugin API {wanted}, and lmkit {__version__} has {API_VERSION}.",
            remedy="Upgrade lmkit: pip install --upgrade lmkit.",
            code=ExitCode.PLUGIN,
        )
    if major < here_major:
        raise LmkitError(
            f"It was written for lmkit's plugin API {wanted}, and lmkit {__version__} has "
            f"{API_VERSION}, which is different.",
            remedy="Update the plugin, or ask its author to.",
            code=ExitCode.PLUGIN,
        )
