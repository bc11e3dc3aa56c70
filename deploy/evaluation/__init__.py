"""Numbers of a data set through the very graph of `recommend`.

`sources` reads a data set and forgives its scale, `stream` writes it as the two topics, `runner`
runs the job over them, `judged` lines the job's outcomes up in columns. `metrics` and `intervals`
are pure arithmetic on those columns, `protocols` says which rows count, `breakdown` and `errors`
look inside, `report` gathers all of it as JSON and `page` draws it.
"""
