"""What can go wrong with the local stack.

``StackError``
├── ``SettingsError``   a setting is unknown, of the wrong type, or out of range
├── ``PortTakenError``  a port the stack needs belongs to another process
├── ``FetchError``      the packages could not be fetched
└── ``ServiceError``    a service did not start, did not become ready, or did not stop

Every message says where, what was found, what is legal and what to do, so that the command line
prints it as it is.
"""

from deploy.errors import HeadwaterError


class StackError(HeadwaterError):
    """Base of all errors of the local stack; its text is meant for the person at the keyboard."""


class SettingsError(StackError):
    """A setting is unknown, of the wrong type, or out of range."""


class PortTakenError(StackError):
    """A port the stack needs is held by a process that is not part of it."""


class FetchError(StackError):
    """Maven could not bring the packages."""


class ServiceError(StackError):
    """A service failed to start, to become ready, or to stop."""
