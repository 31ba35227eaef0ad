"""Makes `pytest --nbval notebooks` strict (labkit/authoring/strict.py), and labkit importable in a bare checkout."""

pytest_plugins = ["labkit.authoring.strict"]
