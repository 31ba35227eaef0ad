"""The learner's Google Drive: mounting it asks for an account, so no lesson should."""


def mount(mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
    """Refused here."""
    raise RuntimeError("no lesson may need an account")
