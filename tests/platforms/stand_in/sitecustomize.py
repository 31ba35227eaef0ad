"""Makes a kernel of this environment look like Colab's: `google.colab` is there from the start, the shell is its own.

What is copied is what code asks for: `"google.colab" in sys.modules`, and a shell whose class has `google.colab` in its
name, by which huggingface_hub 1.27 tells Colab (utils/_runtime.py). Other processes, pip among them, stay as they are.
"""

import sys

if any("ipykernel" in word for word in sys.orig_argv):
    import google.colab._kernel
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.kernel_class.default_value = google.colab._kernel.Kernel
