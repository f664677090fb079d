"""From a saved directory to what others load: a merged model."""
