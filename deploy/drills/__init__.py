"""Fault drills: the real stack under load, one fault, and the proof that nothing was lost.

A drill has two legs. *Live*: events come at a steady rate while the fault happens; at the end each
user's profile has to count exactly what was sent. *Replay*: the job works through topics that are
there already, as fast as it can, and is hit on the way; at the end every row has to equal, byte
for byte, those of an undisturbed replay of the same topics.

=============  ==========================================================================
``load``       the events: steady or all at once, and what was sent
``faults``     what can be done to the stack, each with its repair
``scene``      one job on topics and in a keyspace of its own
``drill``      the two legs and their checks
``rows``       what is in Cassandra, to be compared
``command``    names, options and help; ``console`` the command
=============  ==========================================================================
"""
