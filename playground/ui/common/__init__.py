"""What several pages share: the address, who looks, choosing a run, the form of settings, errors in one line."""
