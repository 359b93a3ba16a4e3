"""What each screen is made of, one package a screen."""
