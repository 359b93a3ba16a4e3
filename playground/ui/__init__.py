"""The parts the pages are made of: the only code besides `pages/` and `app.py` that imports Streamlit."""
