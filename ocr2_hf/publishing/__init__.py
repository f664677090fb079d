"""From a saved directory to what others load: exports, and a repository on the Hub."""
