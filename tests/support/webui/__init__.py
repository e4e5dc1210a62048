"""What the tests in a real webui share."""
