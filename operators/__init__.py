"""What the product knows: pure transitions over plain state, no Flink.

The way of an event: `events` reads it, `admission` (by user) refuses duplicates and turns it into
an increase of one strength, `figures` (by item) counts it, `history` (by user) pairs it with the
user's last items, `neighbours` (by item) learns the pairs and answers with its best rows,
`ranking` (by user) scores and writes the list, `popular` keeps the lists everybody shares, and
`reading` merges a stored list with the current popular one. `rows` turns results into Cassandra
values. `stage` holds the contract all of them keep, `messages` what travels between them.
"""
