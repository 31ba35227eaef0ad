"""What runs a model, changes one or judges one: the subjects of lessons 05 to 09.

Imports `base`, `facts` and `world`. No torch at module level.
"""
