"""Two runs or more: what differs, what each cost, and whether one is better by more than luck. No torch."""
