"""Training: recipes, engine, data, scores and publishing.

Every script here that a person starts begins with these lines, before it imports torch, so that
``python train/NAME.py`` finds both packages and torch's threads wait without burning a core::

    import os
    import sys
    from pathlib import Path

    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
"""
