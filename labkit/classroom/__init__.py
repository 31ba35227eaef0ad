"""The local world: services that speak the real protocols, on this machine, for one user.

`services` starts, joins and ends them; `server` is the model server; `serve` is its command.
"""
