"""The model server: llama.cpp as a process. `service` runs and joins it, `serve` is the command at a terminal.

Imports `world.services` and `world.weights`.
"""
