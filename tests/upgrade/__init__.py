"""The state of a release, kept, and the proof that the present code goes on from it.

``python -m tests.upgrade.make`` (``make savepoint``) makes `saved/` anew, at each release:

- ``savepoint.tar.xz``: what `headwater stop` took of the job on the real services;
- ``values.json.xz``: the same in memory, the bytes of every table of every stage;
- ``release.json``: of which commit, the versions of all states, and what that very release showed
  when it went on from there.

`test_values.py` goes on in memory, in milliseconds; `tests/stack/test_upgrade.py` from the
savepoint on the real services, taken at parallelism 1, at 2 and at 1
again.
"""
