"""Downloads a file with progress, and resumes an interrupted download."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from ..errors import DownloadFailed
from ..progress import SILENT, Progress, Reporter

_CHUNK = 1 << 16
_TIMEOUT_S = 30.0


def fetch(url: str, target: Path, reporter: Reporter = SILENT) -> Path:
    """Download ``url`` to ``target``, unless that file exists.

    The bytes go to ``target`` + ``.part`` first. If that file exists, only the missing bytes are requested.

    Raises:
        DownloadFailed: the server or the network failed; the partial file is kept.
    """
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            resumed = response.status == 206
            have = have if resumed else 0
            length = response.headers.get("Content-Length")
            total = have + int(length) if length else None
            with part.open("ab" if resumed else "wb") as stream:
                while chunk := response.read(_CHUNK):
                    stream.write(chunk)
                    have += len(chunk)
                    reporter.emit(Progress(f"downloading {url.rsplit('/', 1)[-1]}", have, total, "bytes"))
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the partial file does not match the server's file
            part.unlink()
            return fetch(url, target, reporter)
        raise DownloadFailed(f"{url} returned {error.code} {error.reason}; {_REMEDY}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise DownloadFailed(f"cannot reach {url} ({reason}); {_REMEDY}") from None
    if total is not None and have < total:
        raise DownloadFailed(f"{url} stopped after {have} of {total} bytes; run the command again to resume")
    part.rename(target)
    return target


_REMEDY = "check the network and run the command again, or put the files at $PURPORT_DATA_DIR/<name>/<split>.tsv"
