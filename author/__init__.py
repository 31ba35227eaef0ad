"""What authors use and learners do not get: run and check lessons, compare outputs, build the website, measure.

May import all of labkit. It is not in the wheel: labkit's command line looks for it by name, in a checkout.
"""
