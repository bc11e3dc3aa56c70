"""The peers themselves: each learns from a stream and ranks items before it learns.

Nothing here imports the rest of the project, because a program runs in an environment of its own
that does not have it: the standard library, numpy, and what the peer is about.
"""
