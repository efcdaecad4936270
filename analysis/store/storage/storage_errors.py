"""Errors of files and buckets as clauses: what went wrong, and what to do."""

import errno
import os
import re
from pathlib import Path
from typing import Final

from analysis import memory
from analysis.store.storage.copying import TooLargeError
from analysis.store.storage.folder import LinkError

_LOCAL_REASONS: Final = {
    errno.EACCES: "permission is refused; choose another RESULTS, or change its owner",
    errno.EPERM: "permission is refused; choose another RESULTS, or change its owner",
    errno.EROFS: "its file system is read-only; choose another RESULTS",
    errno.ENOSPC: "the disk is full; free some space, or choose another RESULTS",
    errno.EDQUOT: "the disk quota is used up; free some space, or choose another RESULTS",
    errno.EFBIG: "the file would be larger than is allowed here (ulimit -f)",
    errno.ENOTDIR: "a file is in the way of a folder; choose another RESULTS, or move that file",
    errno.EEXIST: "a file is in the way of a folder; choose another RESULTS, or move that file",
    errno.EISDIR: "a folder is in the way of a file; choose another RESULTS, or move that folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter RESULTS or label",
    errno.ELOOP: "a symbolic link in it leads back to itself; correct RESULTS, or that link",
    errno.EIO: "the disk gives an error; look at the system's log (dmesg)",
    errno.ESTALE: "the network file system has lost it; mount it again",
    errno.ENOENT: "it is not there",
    errno.EMFILE: "too many files are open for this process; allow more by `ulimit -n 4096`",
    errno.ENFILE: "too many files are open on this machine; end what holds them, or raise fs.file-max",
    errno.ENOMEM: "memory ran out; end what uses it, or raise its limit (ulimit -v)",
}

_S3_REASONS: Final = (
    (r"NO_SUCH_BUCKET", "there is no such bucket; create it, or correct RESULTS"),
    (r"INVALID_ACCESS_KEY_ID|InvalidAccessKeyId", "the access key is unknown there; check AWS_ACCESS_KEY_ID"),
    (r"SIGNATURE_DOES_NOT_MATCH|SignatureDoesNotMatch", "the secret key is wrong; check AWS_SECRET_ACCESS_KEY"),
    (r"ACCESS_DENIED|HTTP status 40[13]", "access is denied; check the AWS_* variables and the bucket's policy"),
    (r"curlCode: 6\b", "the endpoint's host name is unknown; check AWS_ENDPOINT_URL and the network"),
    (r"curlCode: 7\b", "nothing answers at the endpoint; check AWS_ENDPOINT_URL, and that the service runs"),
    (r"curlCode: 28\b", "the endpoint did not answer in time; check AWS_ENDPOINT_URL and the network"),
    (r"curlCode: (35|60)\b", "TLS failed; check the scheme of AWS_ENDPOINT_URL (http or https) and the certificate"),
    (r"NETWORK_CONNECTION", "the endpoint can't be reached; check AWS_ENDPOINT_URL and the network"),
)


_ONE_FILE: Final = {
    errno.EACCES: "permission is refused; change its owner or its mode",
    errno.EPERM: "permission is refused; change its owner or its mode",
    errno.EIO: "the disk gives an error; look at the system's log (dmesg)",
    errno.ELOOP: "it is a symbolic link, which is not followed",
    errno.EISDIR: "it is a folder",
    errno.ENXIO: "it is no regular file",
}
"""Reasons that concern one file alone, where its folder can be read."""

_EXHAUSTED: Final = {errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EAGAIN}
_IN_THE_WAY: Final = frozenset({errno.ENOTDIR, errno.EEXIST})


def error_reason(error: OSError, path: str | None = None) -> str:
    """A clause: why, and what to do about it; the system's own message for an unknown error.

    `path`: of the file on this machine; None in a bucket.
    """
    if isinstance(error, LinkError):
        return f"{error.filename} in it is a symbolic link, which is not followed; put the folder or file itself there"
    if isinstance(error, TooLargeError):
        return f"{error.strerror}; move what is no file of a store out of it"
    if error.errno in _IN_THE_WAY and path is not None and (link := _broken_link(path)):
        return link
    if error.errno in _LOCAL_REASONS:
        return _LOCAL_REASONS[error.errno]
    text = str(error)
    for pattern, known in _S3_REASONS:
        if re.search(pattern, text):
            return known
    return text.splitlines()[0] if text else type(error).__name__


def _broken_link(path: str) -> str | None:
    """What is wrong with the first part of a path that is a symbolic link without a target."""
    for part in reversed((Path(path), *Path(path).parents)):
        try:
            os.stat(part)  # noqa: PTH116 - pathlib hides some errors
        except OSError as error:
            if error.errno == errno.ELOOP:
                return f"{part} is a symbolic link that leads back to itself; correct RESULTS, or that link"
            if part.is_symlink():
                return f"{part} is a symbolic link that leads nowhere; correct RESULTS, or that link"
            return None
    return None


def single_file_error(error: OSError, path: str) -> str | None:
    """What is wrong with one file, as a clause; None where its folder, or the whole machine, is in trouble."""
    if error.errno not in _ONE_FILE or (isinstance(error, LinkError) and not path.endswith(f"/{error.filename}")):
        return None
    try:
        os.stat(os.path.join(os.path.dirname(path), "."))  # noqa: PTH116, PTH118, PTH120 - pathlib drops the dot
    except OSError:
        return None
    return _ONE_FILE[error.errno]


def resource_error(error: BaseException) -> str | None:
    """A sentence for an error of exhausted memory, disk, files or threads; None for any other."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        known = error.errno in _EXHAUSTED
        return f"{where}{_LOCAL_REASONS.get(error.errno or 0, str(error))}." if known else None
    text = str(error)
    if isinstance(error, MemoryError) or "failed to map segment" in text or "cannot allocate memory" in text.lower():
        return "Memory ran out: end what uses it, or raise its limit (`ulimit -v unlimited`)."
    if isinstance(error, ImportError) and memory.is_limited():
        return (
            "A library can't be loaded under the limit of memory that is set here: raise it by `ulimit -v unlimited`."
        )
    if isinstance(error, RuntimeError) and "start new thread" in text:
        return "No more threads can be started: raise the limits of memory and of processes (`ulimit -v`, `ulimit -u`)."
    if "too many open files" in text.lower():
        return "Too many files are open for this process: allow more by `ulimit -n 4096`."
    return None
