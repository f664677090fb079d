"""Read documents with a saved model: pages from images and PDFs, the reader, predictions over a dataset."""
