"""What a recipe computes and holds, before anything runs: no weights, no GPU, no network."""
