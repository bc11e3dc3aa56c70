"""Data sets as streams: read, check, sort, and send to Kafka in event order.

`readers.open_source` is the way in. A module of `formats` reads the files of one kind of data set
in chunks of columns (`files`); `table` checks the rows against the contract, keeps them as packed
arrays, sorts them by time and turns them back into typed events one by one; `catalogue` does the
same for items; `report` counts what was read and what was not. `produce` sends records to Kafka,
`pace` holds them back to a multiple of real time, `run` joins the two, `command` is the command
line.
"""
