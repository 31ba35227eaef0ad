"""A kernel whose shell says that it is Colab's."""

import google.colab  # noqa: F401  (on Colab it is imported before the first cell)
from ipykernel.ipkernel import IPythonKernel
from ipykernel.zmqshell import ZMQInteractiveShell


class Shell(ZMQInteractiveShell):
    """Differs in nothing but its name."""


Shell.__module__ = "google.colab._shell"


class Kernel(IPythonKernel):
    """IPython's, with that shell."""

    def _shell_class_default(self):
        return Shell
