"""Reading what the jobs wrote, and asking for its erasure: the commands that serve a person.

==============  ================================================================================
``store``       Cassandra: rows as structs, by prepared statements
``view``        rows, titles and availability → what is shown; pure
``tables``      what is shown → tables on a terminal; pure
``erasure``     one `erase` event, and the wait until the user's rows are gone
``held``        what the topics hold on a user, for `export` and `erase`
``command``     names, options and help of the commands
``console``     the commands
==============  ================================================================================
"""
