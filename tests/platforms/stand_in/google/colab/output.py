"""What notebooks call to show widgets of third parties: on Colab it fetches code from the web, so no lesson should."""


def enable_custom_widget_manager(version="5.0.0a"):
    """Refused here."""
    raise RuntimeError("no lesson may need widgets that Colab has to fetch from the web")


def disable_custom_widget_manager():
    """Nothing to take back."""
