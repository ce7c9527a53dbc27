"""What can go wrong between a name and its data. Every message says what to do next."""


class DataError(Exception):
    """Some data cannot be had; the message says why, and what to do."""


class UnknownNameError(DataError, ValueError):
    """No data set has this name."""


class DamagedDataError(DataError, ValueError):
    """The bytes are not those that the table expects: a wrong hash, a missing or cut-off file."""


class FetchError(DataError, OSError):
    """pip could not bring the archive: no network, no such release, no pip."""


class StorageError(DataError, OSError):
    """The cache folder cannot be written: a full disk, a read-only folder, a file in the way."""
