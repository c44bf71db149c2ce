"""The cluster: collections as Ray actors, the client that asks them, and ingest.

Import from the modules: an actor's process should load no more than it needs.
"""
