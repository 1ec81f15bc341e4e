"""An extension module of a file, in the place of the one that is installed."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys


def load(name, path):
    """The module of that name from a file; whoever imports the name gets it, too."""
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[name] = module
    return module
