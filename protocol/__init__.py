"""The language spoken between the Krita plugin and the backend; see README.md for the normative description.

Only the standard library is used here and nothing is read or sent, so that the same files serve the plugin, the
server, the worker and the tests.
"""

VERSION = 5
"""Version of the protocol described in README.md."""
