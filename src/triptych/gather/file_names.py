"""What the names of files and objects say: which are left out, and what metadata a path is.

What a file is, its bytes say when it is acquired. Only those are left out whose ending is of what
no camera, scanner or program for pictures makes, and that lie beside pictures in most folders.
"""

from __future__ import annotations

from triptych.model import Metadata

NO_PICTURE_ENDINGS = frozenset(
    {
        *("csv", "tsv", "txt", "md", "rtf", "json", "jsonl", "ndjson", "xml", "yaml", "yml"),
        *("html", "htm", "css", "js", "mjs", "py", "php", "sh", "bat", "ps1", "jar"),
        *("exe", "dll", "so", "msi", "dmg", "pkg", "iso", "apk"),
        *("zip", "gz", "tgz", "tar", "bz2", "xz", "7z", "rar", "zst"),
        *("xls", "xlsx", "ods", "doc", "docx", "odt", "ppt", "pptx", "odp", "key", "pages"),
        *("parquet", "avro", "orc", "db", "sqlite", "sql", "log", "eml", "msg", "ics"),
        *("ini", "cfg", "conf", "toml", "lnk", "url", "webloc", "torrent", "part", "crdownload"),
        *("xmp", "aae", "md5", "sha1", "sha256", "sum"),
        *("ttf", "otf", "woff", "woff2", "eot"),
    }
)


FILES_MAX = 1_000_000
"""Files or objects of one source."""
HIDDEN = "It is hidden: its name begins with a dot."


def left_out(name: str, size: int) -> str:
    """Return why a file or an object of this name and size in bytes is left out, as a sentence.

    The sentence has nothing of the file's own, so that those left out are counted together. Empty:
    it is not left out.
    """
    if size == 0:
        return "It is empty."
    _, dot, ending = name.rpartition(".")
    if dot and ending.lower() in NO_PICTURE_ENDINGS:
        return f"Its name ends in .{ending.lower()}: it is no picture."
    return ""


def after_the_last(most: int) -> str:
    """Return why the files after the first ``most`` are left out, as a sentence."""
    return f"A source is read up to {most} files: what comes after is not read."


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden by its name."""
    return name.startswith(".")


def named(path: str) -> Metadata:
    """Return what a path in a folder or bucket says of a picture: its names are often its tags."""
    *folders, name = path.split("/")
    return {"path": path, "folders": folders, "name": name.rpartition(".")[0] or name}
