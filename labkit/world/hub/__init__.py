"""The local Hub: one process that answers the unmodified `huggingface_hub`. `service` runs it, `api` has its routes.

Imports `world.services` and `world.weights`, and nothing of the other servers.
"""
