"""Named entities: which stretches of a text name what."""
