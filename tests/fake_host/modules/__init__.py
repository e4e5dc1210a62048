"""What the extension uses of the webui, as thin as it can be and still be true."""
