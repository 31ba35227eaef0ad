"""The inference gateway: one process that answers for Inference Providers. `service` runs it, `api` has its routes.

Imports `world.services` and, to have its answers from it, `world.model_server`.
"""
