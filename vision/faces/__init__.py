"""Faces: found with five landmarks, aligned, judged, turned into embeddings, compared, enrolled and found again."""
