"""The inference gateway: one process that answers for Inference Providers. `service` runs it, `api` has its routes.

Imports `world.services`, and `world.model_server`, which gives it its answers.
"""
