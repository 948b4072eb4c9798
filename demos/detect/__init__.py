"""The page that finds things in pictures and videos."""
