"""How hands draw: crooked, broken, thick lines; dabs, strokes and fills instead of full colours."""
