"""The steps: one per module, each an ``async (Work, Kit) -> Made`` that knows no database."""
