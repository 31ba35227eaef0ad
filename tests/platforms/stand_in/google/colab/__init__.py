"""A stand-in for Colab's own package, as far as a course could meet it (googlecolab/colabtools, read 2026-11-25)."""

from google.colab import drive, errors, files, output, userdata

__all__ = ["drive", "errors", "files", "output", "userdata"]
