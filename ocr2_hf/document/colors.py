"""Okabe and Ito's palette without its yellow, which white paper swallows: colour-blind readers can tell these apart."""

BLUE, RED, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
PALETTE = (BLUE, RED, GREEN, PINK, ORANGE, SKY)
