"""Training: recipes, engine, data, scores and publishing."""
