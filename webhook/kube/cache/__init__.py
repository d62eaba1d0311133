"""What an API server holds of some kinds, listed and watched: client-go's tools/cache."""
