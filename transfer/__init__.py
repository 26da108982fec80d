"""Mail that moves in and out of an account in bulk."""
