"""`headwater bench`: throughput, freshness and cost of `recommend` on the real stack.

====================  =====================================================================
``options``           what is measured and with which load, typed
``synthetic``         seeded users, items, sessions; event by event, for ever
``workload``          events without their time, ready to send: synthetic or of a data set
``schedule``          when each event is due, whatever the system does (open loop)
``generate``          the generator's process: commands in, events to Kafka, counts out
``generator``         its other end
``job``               topics, submission and end of the measured job
``markers``           events whose effect is looked for in Cassandra: freshness, progress
``settled``           every user's rows held against what was sent
``counters``          the job's own counters, percentiles of its histogram
``usage``             CPU and memory by process and thread; the machine
``speed``             how fast a core is, before the load and under it
``sampling``          counters and usage, now and then, during a measurement
``arithmetic``        samples → cost an event, shares, ratios
``measure``, ``search``, ``drain``, ``flat``   the four kinds of run
``report``, ``show``  what is written, and the table a person reads
``command``           the command line
====================  =====================================================================

Nothing is taken from what a stage claims where a row can be read instead: an event counts as
served when its effect is readable in Cassandra.
"""
