"""Financial statements: tables found on pages, read, taken apart into typed lines, checked, and written to files."""
