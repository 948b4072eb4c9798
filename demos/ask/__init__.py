"""The page that answers from documents."""
