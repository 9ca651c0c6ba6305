"""Where bytes live: one backend per module, registered in STORAGES by the scheme it answers to."""

from __future__ import annotations

from mediaq.storage import local

STORAGES = (("file", local.LocalStorage),)
