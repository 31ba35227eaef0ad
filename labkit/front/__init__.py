"""What a person calls at a terminal: the command line, set-up, doctor, offline folder, demos, measurements.

May import all of labkit. The authors' commands are in `author`, which only a checkout has.
"""
