"""Every method of the zoo, in the order of the tabs."""

from __future__ import annotations

from s2i.methods.base import Method

METHODS: tuple[type[Method], ...] = ()
