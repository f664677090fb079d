"""What a page is, for everybody: its files, its record, its text with boxes, its tables, what was read of it."""
