"""What can be known and computed without a model, a server or the network: models, bytes, licences, prices.

Imports `base`.
"""
