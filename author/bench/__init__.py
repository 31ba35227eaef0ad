"""The sections of `labkit bench` that no lesson names. Each has `run(quick)`, which returns a `Section`.

May import all of labkit.
"""
