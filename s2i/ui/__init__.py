"""The page: the only Gradio code besides app.py.

Gradio reads these when it is imported, or when the page is built; whoever sets them wins.
"""

import os

# No analytics, no telemetry, and no history of runs, which would slow the browser down.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_RUN_HISTORY", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Gradio sums up its last ten thousand events after every event; live painting has ten a second.
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
