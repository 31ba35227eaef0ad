"""What a notebook meets: the session, the progress, exercises and widgets.

Imports everything below it, and not `front`.
"""
