"""Folders that systems, NAS boxes and archivers put beside people's files."""

from __future__ import annotations

import re

# they may hold previews and deleted clips, which are videos too
_FOREIGN = re.compile(
    r"__MACOSX|lost\+found|System Volume Information|\$RECYCLE\.BIN|RECYCLE[RD]|@.+|"
    r"#recycle|#snapshot|~snapshot|Network Trash Folder|Temporary Items|TheVolumeSettingsFolder",
    re.IGNORECASE,
)


def is_foreign(name: str) -> bool:
    """Tell whether a folder's name is a system's, or hidden: nothing in it is people's.

    >>> [name for name in ("walk", ".git", "@eaDir", "lost+found", "#1 run") if is_foreign(name)]
    ['.git', '@eaDir', 'lost+found']
    """
    return name.startswith(".") or bool(_FOREIGN.fullmatch(name))
