"""Folders that systems, NAS boxes and archivers put beside people's files."""

from __future__ import annotations

import re

# they may hold previews and deleted clips, which are videos too
_FOREIGN = re.compile(
    r"__MACOSX|lost\+found|System Volume Information|\$RECYCLE\.BIN|(?-i:RECYCLE[RD])|"
    r"#recycle|#snapshot|~snapshot|Network Trash Folder|Temporary Items|TheVolumeSettingsFolder|"
    r"@(?:eaDir|tmp|sharebin|sharesnap|app(?:conf|data|home|share|store|temp)|database|docker|"
    r"S2S|cloudsync|iSCSI|img_bkp_cache|syno\w*(?:-log)?|"  # Synology
    r"Recycle|Recently-Snapshot|Transcode)",  # QNAP
    re.IGNORECASE,
)


def is_foreign(name: str) -> bool:
    """Tell whether a folder's name is a system's, or hidden: nothing in it is people's.

    >>> [name for name in ("walk", ".git", "@eaDir", "lost+found", "#1 run") if is_foreign(name)]
    ['.git', '@eaDir', 'lost+found']
    >>> [name for name in ("recycled", "RECYCLED", "@home", "@Recycle") if is_foreign(name)]
    ['RECYCLED', '@Recycle']
    """
    return name.startswith(".") or bool(_FOREIGN.fullmatch(name))
