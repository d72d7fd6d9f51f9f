"""Draw lines, dab colours, and pictures appear: five sketch-to-image methods."""
