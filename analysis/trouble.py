"""What went wrong with a file or a bucket, in words, with what to do about it."""

import errno
import re
from typing import Final

from analysis import memory

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
    errno.ENOENT: "it is not there",
    errno.EMFILE: "too many files are open for this process; allow more by `ulimit -n 4096`",
    errno.ENFILE: "too many files are open on this machine; end what holds them, or raise fs.file-max",
    errno.ENOMEM: "memory ran out; end what uses it, or raise its limit (ulimit -v)",
}

_S3_REASONS: Final = (
    (r"NO_SUCH_BUCKET", "there is no such bucket; create it, or correct RESULTS"),
    (r"INVALID_ACCESS_KEY_ID|InvalidAccessKeyId", "the access key is not known there; check AWS_ACCESS_KEY_ID"),
    (r"SIGNATURE_DOES_NOT_MATCH|SignatureDoesNotMatch", "the secret key is wrong; check AWS_SECRET_ACCESS_KEY"),
    (r"ACCESS_DENIED|HTTP status 40[13]", "access is denied; check the AWS_* variables and the bucket's policy"),
    (r"curlCode: 6\b", "the endpoint's host name is not known; check AWS_ENDPOINT_URL and the network"),
    (r"curlCode: 7\b", "nothing answers at the endpoint; check AWS_ENDPOINT_URL, and that the service runs"),
    (r"curlCode: 28\b", "the endpoint did not answer in time; check AWS_ENDPOINT_URL and the network"),
    (r"curlCode: (35|60)\b", "TLS failed; check the scheme of AWS_ENDPOINT_URL (http or https) and the certificate"),
    (r"NETWORK_CONNECTION", "the endpoint can't be reached; check AWS_ENDPOINT_URL and the network"),
)


def reason(error: OSError) -> str:
    """A clause that says why, and what to do about it; what the system says where nothing better is known."""
    if error.errno in _LOCAL_REASONS:
        return _LOCAL_REASONS[error.errno]
    text = str(error)
    for pattern, known in _S3_REASONS:
        if re.search(pattern, text):
            return known
    return text.splitlines()[0] if text else type(error).__name__


def of_resources(error: BaseException) -> str | None:
    """A sentence where the machine, or a limit of this process, had too little of something; None for anything else."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        known = error.errno in {
            errno.EFBIG,
            errno.EMFILE,
            errno.ENFILE,
            errno.ENOMEM,
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EAGAIN,
        }
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
