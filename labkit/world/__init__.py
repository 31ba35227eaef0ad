"""What a lesson finds outside of itself: weights, the Hub, providers, a model server, and the clients' way to them.

Imports `base` and `facts`. Within it: `services` stands lowest, then weights, the servers, and the clients.
"""
