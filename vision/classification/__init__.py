"""What a picture is of."""
