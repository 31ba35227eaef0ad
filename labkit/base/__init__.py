"""What everything stands on: errors, files, the cache, this machine and its processes.

Imports nothing of the course but its own folder.
"""
