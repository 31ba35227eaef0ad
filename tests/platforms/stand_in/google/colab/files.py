"""Files between the browser and the machine: there is no browser here, and no lesson should wait for one."""


def upload(*_, **__):
    """Refused here."""
    raise RuntimeError("no lesson may wait for an upload")


def download(filename):
    """Refused here."""
    raise RuntimeError(f"no lesson may need a browser to download {filename}")
