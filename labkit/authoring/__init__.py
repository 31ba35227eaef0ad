"""What authors need and learners do not: run and store lessons canonically, compare them, check their form.

Needs the `test` extra (nbval, pytest) for comparing. Nothing here is imported by a lesson.
"""
