"""What holds of whole reviews: models, random pods, and recorded answers."""
