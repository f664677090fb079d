"""Read documents with a saved model: pages from images and PDFs, the reader, predictions over a dataset."""

# Where an answer is cut off: tokens, and seconds of its batch.
MAX_NEW_TOKENS = 4096
MAX_SECONDS = 600.0
