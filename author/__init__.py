"""What authors use and learners do not get: run and check lessons, compare outputs, build the website, measure.

May import all of labkit; nothing in labkit imports it, and it is not in the wheel.
"""
