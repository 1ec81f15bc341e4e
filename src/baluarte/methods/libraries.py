"""The learners' libraries, imported when first used, with an error that says what to install."""

from __future__ import annotations

import importlib
from typing import Any

from baluarte.errors import OutsideError

_HINT = "pip install 'baluarte[train]'"
_EXTRAS = {"xgboost": "pip install 'baluarte[train,xgboost]'"}  #: where it isn't ``train``


def library(module: str) -> Any:
    """The module of that name.

    The result is untyped, as the libraries are: each plug-in keeps it inside its own file.

    Raises:
        OutsideError: the library isn't installed, or a system library it stands on is missing.
    """
    hint = _EXTRAS.get(module.split(".", maxsplit=1)[0], _HINT)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise OutsideError(f"expected the library {error.name}, found none", hint=hint) from error
    except OSError as error:
        if "libgomp" in str(error):
            raise OutsideError(
                f"{module} needs the system library libgomp.so.1, which is missing",
                hint="install it: `apt-get install libgomp1` (Debian, Ubuntu), "
                "`dnf install libgomp` (Fedora, RHEL), `apk add libgomp` (Alpine).",
            ) from error
        raise OutsideError(f"{module} can't be loaded: {error}", hint=hint) from error
