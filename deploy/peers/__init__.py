"""Other recommenders on the same events, by the same rules: what people would pick instead.

`programs` holds the peers and the protocol; it runs in the peer's environment and imports nothing
of the project. `interactions` gives them a data set, `environments` makes the environments,
`parameters` and `tuning` say what a peer is run with, `running` runs one, `comparing` all of them,
`results` is what they leave behind, `console` what a person sees, `command` the command line.
"""
