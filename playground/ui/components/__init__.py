"""What runs in the browser: each a Python function with its script and style beside it."""
