"""One module a kind of data set: `recognise(place)` tells it by name and content, `load` reads it.

A place is a file or a folder. `PREFIX` begins the ids of events; `USUAL` is the action that they
do not name.
"""
