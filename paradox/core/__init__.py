"""Types, metric, errors, input checks and configuration: the leaf of the house.

Nothing here imports another room, and no other room reads the environment.
"""
